"""The daemon's side task that erases, once a day and tenant, what need not be kept any longer."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from dialerd.clock import Clock
from dialerd.store import callerid_log, retention
from dialerd.store.errors import DB_ERRORS, Refused

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 900.0
_AWAY_SECONDS = 5.0


class Eraser:
    """`pool` gives the pool that sees all tenants, or None while there is none."""

    def __init__(self, pool: Callable[[], Any], clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def run(self) -> None:
        """Erases; ends only by cancellation."""
        while True:
            pool = self._pool()
            if pool is not None:
                try:
                    for tenant in await retention.due(pool):
                        await self._erase(pool, tenant)
                    await callerid_log.forget(pool, self._clock.now())
                except DB_ERRORS as error:
                    log.warning("retention.failed", error=str(error) or type(error).__name__)
            await asyncio.sleep(_AWAY_SECONDS if pool is None else _PAUSE_SECONDS)

    async def _erase(self, pool: Any, tenant: int) -> None:
        try:
            done = await retention.run(pool, tenant, self._clock.now(), "dialerd")
        except Refused as error:
            log.error("retention.refused", tenant=tenant, why=str(error))
            return
        if not done.busy:
            log.info("retention.ran", tenant=tenant, attempts=done.attempts, contacts=done.contacts, events=done.events)
