"""People who want no more calls: written until it is written, whoever asked and however long PostgreSQL is away."""

import asyncio
import random
from uuid import UUID

import asyncpg
import structlog

from dialerd.core.backoff import backoff
from dialerd.core.phone import masked
from dialerd.engine.node import Node
from dialerd.store.consents import opt_out
from dialerd.store.errors import DB_ERRORS, Refused

log = structlog.get_logger(__name__)

_WRITE_SECONDS = 3.0  # that a caller waits for an opt-out to be written; it goes on being written after that


class OptOuts:
    """Consent row and do-not-call row in one transaction each. Bounded by the calls that are live while PostgreSQL is
    away: none is placed then, and of those who call back none is recognised."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._writing: set[asyncio.Task[None]] = set()  # those that are not in PostgreSQL yet

    async def write(self, tenant_id: int, e164: str, source: str, attempt: str) -> None:
        """Returns when it is written, or a little later; it goes on being tried, whatever becomes of the call."""
        task = asyncio.create_task(self._write(tenant_id, e164, source, attempt), name=f"opt-out of {attempt}")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        await asyncio.wait({task}, timeout=_WRITE_SECONDS)

    async def written(self) -> None:
        """Waits until every opt-out is in PostgreSQL."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    async def _write(self, tenant_id: int, e164: str, source: str, attempt: str) -> None:
        failures = 0
        while True:
            try:
                async with self._node.reach().acquire() as connection:
                    await opt_out(connection, tenant_id, e164, source, UUID(attempt))
                log.info("opted_out", attempt=attempt, number=masked(e164), source=source)
                return
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, Refused) as error:
                log.error("opt_out.refused", attempt=attempt, error=str(error))
                return
            except DB_ERRORS as error:
                if failures == 0:
                    log.warning("opt_out.waits", attempt=attempt, error=str(error) or type(error).__name__)
                failures += 1
                await asyncio.sleep(min(1.0, backoff(failures, random.random())))  # noqa: S311 - jitter
