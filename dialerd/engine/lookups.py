"""The questions of a dialplan that only PostgreSQL can answer: is a number barred, is it open now, and who has it.

They never raise, they never take long, and they never take more than their share of the connections that claims and
records go through: what cannot be found out within that is unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import structlog

from dialerd.clock import Clock
from dialerd.core import phone
from dialerd.core.hours import NO_CAMPAIGN, UNKNOWN, Hours
from dialerd.engine.directory import Caller
from dialerd.store import lookups
from dialerd.store.errors import DB_ERRORS, Refused

log = structlog.get_logger(__name__)

_AT_ONCE = 2
_SECONDS = 1.0  # a caller waits, in silence
_T = TypeVar("_T")


class Lookups:
    """Implements `dnc_lists`, `hours` and `contact_info` of `fastagi.desk.Desk`.

    `pool` gives the pool that sees all tenants, or None while PostgreSQL is away. `tenant` is whose lists are asked
    when no campaign of ours is named; None: the only one's. `caller` says for which campaign an agent dials by hand.
    """

    def __init__(
        self,
        pool: Callable[[], Any],
        tenant: str | None = None,
        caller: Callable[[str, str], Caller | None] = lambda campaign, agent: None,
        clock: Clock | None = None,
    ) -> None:
        self._pool = pool
        self._tenant = tenant
        self._caller = caller
        self._clock = clock or Clock()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        """See `Desk`."""
        return await self._ask("dnc", to, campaign, lookups.bars)

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        """See `Desk`."""
        if not campaign:
            caller = self._caller("", agent)
            campaign = str(caller.campaign_id or "") if caller is not None else ""
        if not campaign:
            return Hours("", NO_CAMPAIGN)
        return await self._ask("hours", to, campaign, self._hours) or Hours("", UNKNOWN)

    async def _hours(self, pool: Any, where: lookups.Scope, e164: str) -> Hours:
        return await lookups.hours(pool, where, e164, self._clock.now())

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        """See `Desk`."""
        return await self._ask("contact", number, campaign, lookups.contact)

    async def _ask(
        self,
        what: str,
        number: str,
        campaign: str,
        query: Callable[[Any, lookups.Scope, str], Awaitable[_T | None]],
    ) -> _T | None:
        pool = self._pool()
        if pool is None:
            log.warning("lookup failed", what=what, error="PostgreSQL is not connected")
            return None
        try:
            async with asyncio.timeout(_SECONDS), self._turns:
                where = await lookups.scope(pool, campaign, self._tenant)
                return await query(pool, where, phone.parse(number, where.default_region).e164)
        except phone.NumberRefused as refused:
            log.info("lookup of what is no number", what=what, reason=refused.reason)
        except (*DB_ERRORS, Refused) as error:
            log.warning("lookup failed", what=what, error=(str(error) or type(error).__name__)[:200])
        return None
