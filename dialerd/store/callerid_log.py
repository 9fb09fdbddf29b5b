"""The log of requests for a caller ID: whoever asked, whatever was answered, how the call ended.

Rows are handed over without waiting and written in batches. While PostgreSQL is away they are kept up to a bound; what
is beyond it is dropped, the oldest first, and counted. A batch is written once, however often its COMMIT reply is lost.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import asyncpg
import structlog

from dialerd.core.callerid import CallEnd, Usage
from dialerd.store.errors import DB_ERRORS
from dialerd.store.queries import queries

log = structlog.get_logger(__name__)

_Q = queries("callerid_log")
_ADD, _RELEASE, _USAGE, _LAST_SHOWN, _FORGET = _Q.add, _Q.release, _Q.usage, _Q.last_shown, _Q.forget
KEPT_DAYS = 90
_FORGET_BATCH = 5_000
MOST = 50_000  # rows that wait for PostgreSQL, and as many releases: a minute of a busy service; some 40 MB
_BATCH = 500  # rows in one statement: a few milliseconds of the loop
_GATHER_SECONDS = 0.2  # what comes within it goes into the same batch
_AGAIN_SECONDS = 1.0
_LONGEST = 150  # characters of a text that somebody sent


@dataclass(frozen=True, slots=True)
class Row:
    """One request and its answer, as in the table caller_id_requests; `reasons`, `again`: see `Selection`."""

    at: datetime
    tenant_id: int | None
    door: str
    peer: str
    campaign_id: int | None
    campaign: str
    agent: str
    holder: str
    to_e164: str
    status: str
    caller_id_id: int | None
    caller_id: str | None
    reasons: Mapping[str, int]
    again: bool


@dataclass(frozen=True, slots=True)
class _Release:
    holder: str
    at: datetime
    end: CallEnd | None


class RequestLog:
    """The queue in front of the table. `pool` gives the pool that sees all tenants, or None while there is none."""

    def __init__(self, node: str, pool: Callable[[], asyncpg.Pool | None]) -> None:
        self._node = node
        self._pool = pool
        self._rows: deque[Row] = deque()
        self._releases: deque[_Release] = deque()
        self._doubtful: list[Row] = []  # a batch of which it is not known whether it was written
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._failed = False
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many rows and releases are not written yet."""
        return len(self._doubtful) + len(self._rows) + len(self._releases)

    def put(self, row: Row) -> None:
        """Hands a row over; never waits."""
        self._rows.append(row)
        if len(self._rows) > MOST:
            self._drop(self._rows)
        self._wake.set()

    def release(self, holder: str, at: datetime, end: CallEnd | None) -> None:
        """Hands over that a call ended; never waits."""
        self._releases.append(_Release(holder, at, end))
        if len(self._releases) > MOST:
            self._drop(self._releases)
        self._wake.set()

    async def run(self) -> None:
        """Writes; ends only by cancellation."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._wake.clear()
            while not await self.flush():  # noqa: ASYNC110 - it is PostgreSQL that is asked again
                await asyncio.sleep(_AGAIN_SECONDS)

    async def flush(self) -> bool:
        """Writes everything that was handed over; false when PostgreSQL did not take it."""
        while self.waiting:
            async with self._writing:
                if not await self._write():
                    return False
        return True

    async def usage(self, now: datetime, reservation_seconds: int) -> list[Usage]:
        """How each number was used in this hour and this day (UTC), by whom it was taken last, and whether that call
        still has it: what is written and what is not. Raises what asyncpg does, and ConnectionError."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        day, since = hour.replace(hour=0), now - timedelta(seconds=reservation_seconds)
        async with self._writing:  # what is unwritten now stays so until the query has ended
            pool = self._pool()
            if pool is None:
                raise ConnectionError("PostgreSQL is not connected")
            if self._doubtful and not await self._write():
                raise ConnectionError("PostgreSQL does not take the log of caller IDs")
            unwritten = [row for row in self._rows if row.caller_id_id is not None and not row.again]
            found = {row["id"]: Usage(*row) for row in await pool.fetch(_USAGE, hour, day, since)}
        return _with_unwritten(found, unwritten, {r.holder for r in self._releases}, hour, day)

    async def last_shown(self, tenant_id: int, campaign_id: int, to_e164: str) -> int | None:
        """The id of the number that a person saw last from a campaign. Raises as `usage` does."""
        for row in islice(reversed(self._rows), _BATCH):
            if row.to_e164 == to_e164 and row.campaign_id == campaign_id and row.caller_id_id is not None:
                return row.caller_id_id
        pool = self._pool()
        if pool is None:
            raise ConnectionError("PostgreSQL is not connected")
        shown: int | None = await pool.fetchval(_LAST_SHOWN, tenant_id, to_e164, campaign_id)
        return shown

    async def _write(self) -> bool:
        """One batch, rows before the releases of their calls; false when PostgreSQL did not take it."""
        pool = self._pool()
        if pool is None:
            return self._waits(ConnectionError("PostgreSQL is not connected"))
        try:
            if self._doubtful or self._rows:
                again = bool(self._doubtful)
                if not again:
                    self._doubtful = [self._rows.popleft() for _ in range(min(_BATCH, len(self._rows)))]
                await self._add(pool, self._doubtful, again)
                self._doubtful = []
            elif self._releases:
                some = self._next_releases()
                await self._end(pool, some)
                for one in some:  # the bound may have dropped them meanwhile
                    if self._releases and self._releases[0] is one:
                        self._releases.popleft()
        except DB_ERRORS as error:
            return self._waits(error)
        self._failed = False
        return True

    def _next_releases(self) -> list[_Release]:
        """Of one call one: a statement changes a row once, and the dialplan and the engine both release our calls."""
        some: dict[str, _Release] = {}
        for one in islice(self._releases, _BATCH):
            if one.holder in some:
                break
            some[one.holder] = one
        return list(some.values())

    async def _add(self, pool: asyncpg.Pool, rows: Sequence[Row], again: bool) -> None:
        try:
            await pool.execute(_ADD, again, self._node, *_columns(rows))
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, TypeError) as error:
            if len(rows) > 1:  # one of them must not take the others with it
                for row in rows:
                    await self._add(pool, [row], True)
                return
            log.error("callerids.request_refused", error=str(error), door=rows[0].door)
            self.dropped += 1

    async def _end(self, pool: asyncpg.Pool, some: Sequence[_Release]) -> None:
        ends = [one.end or CallEnd("unknown") for one in some]
        results = [end.result if one.end else None for one, end in zip(some, ends, strict=True)]
        try:
            await pool.execute(
                _RELEASE,
                [_clean(r.holder) for r in some],
                [r.at for r in some],
                results,
                [end.talk_seconds for end in ends],
            )
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, TypeError) as error:
            if len(some) > 1:
                for one in some:
                    await self._end(pool, [one])
                return
            log.error("callerids.release_refused", error=str(error))
            self.dropped += 1

    def _drop(self, queue: deque[Row] | deque[_Release]) -> None:
        queue.popleft()
        self.dropped += 1
        if self.dropped == 1:
            log.error("callerids.log_dropped", does="the oldest requests are not logged, PostgreSQL is away too long")

    def _waits(self, error: Exception) -> bool:
        if not self._failed:  # once, not every second
            log.warning("callerids.log_waits", error=str(error) or type(error).__name__, rows=self.waiting)
        self._failed = True
        return False


async def forget(pool: asyncpg.Pool, now: datetime) -> None:
    """Removes requests that are older than `KEPT_DAYS`, or than what their tenant keeps of its record."""
    while await pool.fetchval(_FORGET, now, now - timedelta(days=KEPT_DAYS), _FORGET_BATCH) == _FORGET_BATCH:
        pass


def _with_unwritten(
    found: Mapping[int, Usage], rows: Sequence[Row], released: set[str], hour: datetime, day: datetime
) -> list[Usage]:
    """The usage that is written, and the rows that are not."""
    this_hour = Counter(row.caller_id_id for row in rows if row.at >= hour)
    today = Counter(row.caller_id_id for row in rows if row.at >= day)
    usages = dict(found)
    for row in rows:
        cid = row.caller_id_id
        assert cid is not None  # noqa: S101 -- see the caller
        usages[cid] = replace(usages.get(cid, Usage(cid)), last_used=row.at, holder=row.holder)
    return [
        Usage(
            u.cid_id, u.used_this_hour + this_hour[u.cid_id], u.used_today + today[u.cid_id], u.last_used,
            None if u.holder in released else u.holder,
        )
        for u in usages.values()
    ]  # fmt: skip


def _columns(rows: Sequence[Row]) -> list[list[object]]:
    """The rows' fields, each as one array, in the order of the query `add`."""
    return [
        [row.at for row in rows],
        [row.tenant_id for row in rows],
        [row.door for row in rows],
        [_clean(row.peer) for row in rows],
        [row.campaign_id for row in rows],
        [_clean(row.campaign) for row in rows],
        [_clean(row.agent) for row in rows],
        [_clean(row.holder) for row in rows],
        [row.to_e164 for row in rows],
        [row.status for row in rows],
        [row.caller_id_id for row in rows],
        [row.caller_id for row in rows],
        [json.dumps(dict(row.reasons)) if row.reasons else "{}" for row in rows],
        [row.again for row in rows],
    ]


def _clean(text: str) -> str:
    """A text as PostgreSQL takes it: no NUL, no lone surrogate, not without end."""
    if len(text) <= _LONGEST and text.isascii() and "\0" not in text:
        return text
    return text[:_LONGEST].replace("\0", "").encode("utf-8", "replace").decode()
