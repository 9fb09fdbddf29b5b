"""The record's writer: rows in, batches out, one round trip and one transaction each.

Guarantees: rows are written in the order in which they were put; a batch is written once, however often its COMMIT
reply is lost; while PostgreSQL is away rows are kept (up to a bound that closes the gate for new calls long before
it is reached) and written when it comes back.
"""

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from dialerd.core.backoff import backoff
from dialerd.store.errors import DB_ERRORS
from dialerd.store.queries import queries

log = structlog.get_logger(__name__)

_RECORD = queries("engine").record
_BATCH = 300  # groups of rows; about 150 kB of JSON
_GATHER_SECONDS = 0.01  # what comes within it goes into the same transaction: a call's steps come in twos and threes
BACKLOG = 5_000  # groups beyond which no new call is placed: the record is behind
Row = Mapping[str, Mapping[str, Any]]


class Ledger:
    """A queue in front of `record_v5`. `pool` gives the pool, or None while there is none."""

    def __init__(self, node: str, pool: Callable[[], asyncpg.Pool | None]) -> None:
        self._node = node
        self._pool = pool
        self._run = uuid.uuid4()
        self._batch = 0
        self._groups: deque[tuple[Row, ...]] = deque()
        self._ending: set[str] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def behind(self) -> bool:
        """Whether so much is unwritten that no new call may be placed."""
        return len(self._groups) > BACKLOG

    @property
    def ending(self) -> frozenset[str]:
        """The attempts whose end is put and not written yet: PostgreSQL still shows them as live."""
        return frozenset(self._ending)

    def put(self, *rows: Row) -> None:
        """Hands rows over; never waits. Rows of one call are written in one transaction."""
        self._groups.append(rows)
        self._ending.update(_ended(rows))
        self._idle.clear()
        self._wake.set()

    async def written(self) -> None:
        """Waits until everything that was put is in PostgreSQL."""
        await self._idle.wait()

    async def run(self) -> None:
        """Writes; ends only by cancellation."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._wake.clear()
            while self._groups:
                # What is put while a batch is under way makes the next one: the load sets the batch's size.
                await self._write([self._groups.popleft() for _ in range(min(_BATCH, len(self._groups)))])
            self._idle.set()

    async def _write(self, groups: Sequence[tuple[Row, ...]]) -> None:
        self._batch += 1
        rows = [row for group in groups for row in group]
        failures = 0
        while True:
            try:
                pool = self._pool()
                if pool is None:
                    raise ConnectionError("PostgreSQL is not connected")
                await pool.execute(_RECORD, self._run, self._node, self._batch, rows)
                self._ending.difference_update(_ended(rows))
                return
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                await self._without_the_refused(groups, error)
                return
            except DB_ERRORS as error:
                if failures == 0:
                    log.warning("ledger.waiting", error=str(error) or type(error).__name__, rows=len(rows))
                failures += 1
                # Soon again, however long it was away: agents and numbers wait for what is unwritten.
                await asyncio.sleep(min(1.0, backoff(failures, random.random())))  # noqa: S311 - jitter

    async def _without_the_refused(self, groups: Sequence[tuple[Row, ...]], error: Exception) -> None:
        """Nothing of ours should make a row that PostgreSQL refuses; if it does, it must not hold up the others."""
        if len(groups) == 1:
            log.error("ledger.row_refused", error=str(error), rows=groups[0])
            self._ending.difference_update(_ended(groups[0]))
            return
        for group in groups:
            await self._write([group])


def _ended(rows: Iterable[Row]) -> Iterator[str]:
    """The attempts that these rows end."""
    return (row["attempt"]["id"] for row in rows if "attempt" in row and row["attempt"]["outcome"] is not None)
