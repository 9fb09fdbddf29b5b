"""The daemon's side task that seals the record, a moment after it was written.

The head of each chain goes to the log as `record.sealed`: whoever rewrites the database later cannot rewrite a journal
that was copied elsewhere (`dialer-admin audit verify --expect`).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from dialerd.store import audit
from dialerd.store.errors import DB_ERRORS

log = structlog.get_logger(__name__)

_MOST = 2_000  # in one transaction: some tenths of a second
_PAUSE_SECONDS = 1.0
_WITNESS_SECONDS = 300.0


class Sealer:
    """`pool` gives the pool that sees all tenants, or None while there is none."""

    def __init__(self, pool: Callable[[], Any]) -> None:
        self._pool = pool
        self._told: dict[int, int] = {}  # tenant → seq of the head in the log
        self._failed = False

    async def run(self) -> None:
        """Seals; ends only by cancellation."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            sealed = 0
            pool = self._pool()
            if pool is not None:
                try:
                    sealed = await audit.seal(pool, _MOST)
                    if loop.time() >= due:
                        await self._tell(pool)
                        due = loop.time() + _WITNESS_SECONDS
                    self._failed = False
                except DB_ERRORS as error:
                    if not self._failed:
                        log.warning("record.not_sealed", error=str(error) or type(error).__name__)
                    self._failed = True
            if sealed < _MOST:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _tell(self, pool: Any) -> None:
        for head in await audit.heads(pool):
            if self._told.get(head.tenant_id) != head.seq:
                log.info("record.sealed", tenant=head.tenant_id, head=str(head))
                self._told[head.tenant_id] = head.seq
