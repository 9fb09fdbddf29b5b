"""The limits on requests for caller IDs, per agent and per address, before the desk that every door asks.

Over a limit the pool is closed to the asker, and only to that one: the answer is the campaign's fallback, or none,
with the reason `rate_limited`. It costs no Redis, and one line of the log a second at most, however many they are.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from dialerd import config
from dialerd.core import phone
from dialerd.core.callerid import CallEnd, Request, Selection, shown
from dialerd.core.hours import Hours
from dialerd.core.requestlimit import RequestLimit
from dialerd.engine.desk import OURS
from dialerd.engine.directory import Caller
from dialerd.fastagi.desk import Desk

log = structlog.get_logger(__name__)

RATE_LIMITED = "rate_limited"
_LOG_SECONDS = 1.0


class LimitedDesk:
    """Implements `fastagi.desk.Desk` around another. The daemon's own calls are not limited.

    `caller` says on whose behalf a call is made, as for the desk inside: the fallback is in there.
    """

    def __init__(self, desk: Desk, settings: config.CallerIds, caller: Callable[[str, str], Caller | None]) -> None:
        self._desk = desk
        self._caller = caller
        self._per_agent = RequestLimit(settings.requests_per_minute_per_agent)
        self._per_address = RequestLimit(settings.requests_per_minute_per_address)
        self._refused = 0  # since the last line of the log
        self._logged_at = float("-inf")

    async def next_cid(self, request: Request) -> Selection:
        """See `Desk`."""
        if request.door == OURS:
            return await self._desk.next_cid(request)
        now = asyncio.get_running_loop().time()
        # The address first: who is over that limit must not use up the share of an agent that it names.
        if self._per_address.allow(request.peer, now) and self._per_agent.allow(request.agent, now):
            return await self._desk.next_cid(request)
        self._refused += 1
        if now - self._logged_at >= _LOG_SECONDS:
            log.warning(
                "caller ID requests over the limit",
                refused=self._refused,
                peer=request.peer,
                agent=request.agent[:64],
                campaign=request.campaign[:64],
            )
            self._refused, self._logged_at = 0, now
        return Selection.without_pool(self._fallback(request), {RATE_LIMITED: 1})

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        """See `Desk`. Never limited: it gives something back."""
        return await self._desk.release_cid(holder, end)

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        """See `Desk`."""
        return await self._desk.dnc_lists(to, campaign)

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        """See `Desk`."""
        return await self._desk.hours(to, campaign, agent)

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        """See `Desk`."""
        return await self._desk.contact_info(number, campaign)

    def _fallback(self, request: Request) -> str | None:
        """What the desk inside would fall back to: nothing, for a number that may not be dialled."""
        caller = self._caller(request.campaign, request.agent)
        if caller is None:
            return None
        try:
            phone.parse(request.to, caller.default_region)
        except phone.NumberRefused:
            return None
        return shown(caller.fallback)
