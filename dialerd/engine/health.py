"""The daemon's side task that judges every caller ID by its calls, and lets those rest that are probably labelled.

Nothing waits for it: which numbers rest is read with the pool, and a rest ends by the clock of whoever selects.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from dialerd.clock import Clock
from dialerd.config import CallerIds
from dialerd.core.callerid_health import Policy, judge
from dialerd.core.phone import masked
from dialerd.store import callerid_health as store
from dialerd.store.errors import DB_ERRORS

log = structlog.get_logger(__name__)

_AWAY_SECONDS = 5.0


class CallerIdHealth:
    """`pool` gives the pool that sees all tenants, or None while there is none. Several nodes may do this beside each
    other: a number that rests is not sent to rest again."""

    def __init__(self, config: CallerIds, clock: Clock, pool: Callable[[], Any]) -> None:
        self._config = config
        self._policy = Policy(config.rest_labelled, config.rest_at_most)
        self._clock = clock
        self._pool = pool

    async def run(self) -> None:
        """Judges; ends only by cancellation."""
        while True:
            pool = self._pool()
            if pool is not None:
                try:
                    await self.look(pool)
                except DB_ERRORS as error:
                    log.warning("caller_id.not_judged", error=str(error) or type(error).__name__)
                except (ArithmeticError, LookupError, TypeError, ValueError):  # calls go on without it
                    log.exception("caller_id.not_judged")
            await asyncio.sleep(_AWAY_SECONDS if pool is None else self._config.health_seconds)

    async def look(self, pool: Any) -> None:
        """Once over all numbers: whose rest is over, what the others' calls say, and who rests from now on."""
        now = self._clock.now()
        for back in await store.returned(pool, now):
            log.info("caller_id.returned", tenant=back.tenant_id, cid_id=back.id, caller_id=masked(back.e164))
        numbers, figures = await store.numbers(pool), await store.traffic(pool, now)
        verdicts = await asyncio.to_thread(judge, numbers, figures, now, self._policy)
        why = {verdict.number: verdict.why for verdict in verdicts}
        for rested in await store.keep(pool, verdicts, now):
            log.warning(
                "caller_id.rested",
                tenant=rested.tenant_id,
                cid_id=rested.id,
                caller_id=masked(rested.e164),
                until=rested.until.isoformat() if rested.until else None,
                rests=rested.rests,
                why=why[rested.id],
            )
        log.info("caller_id.judged", **Counter(verdict.state.value for verdict in verdicts))
