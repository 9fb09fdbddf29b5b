"""What pacing reads of the record (the budget's counts, the calls to learn from), and the decisions that it leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import asyncpg
import structlog

from dialerd.core.machines import Tally
from dialerd.pacing.budget import Window
from dialerd.pacing.curves import Curves
from dialerd.pacing.kept import curves_json, digest, snapshot_json
from dialerd.pacing.snapshot import Snapshot
from dialerd.pacing.warm import Past
from dialerd.store.errors import DB_ERRORS
from dialerd.store.queries import queries

log = structlog.get_logger(__name__)

_Q = queries("pacing")
_WINDOWS, _HISTORY, _KEEP, _FORGET = _Q.windows, _Q.history, _Q.keep, _Q.forget
_LATEST, _COUNT, _PAGE, _MODELS = _Q.latest, _Q.kept_count, _Q.kept_page, _Q.models
_MACHINES = _Q.machines
KEPT_DAYS = 30
_MOST = 5_000  # decisions that wait for PostgreSQL: some minutes of a few dozen campaigns
_BATCH = 500  # of them in one statement
_PASS_SECONDS = 1.0
_FORGET_SECONDS = 3600.0
_FORGET_BATCH = 5_000
_MODEL_AGAIN_SECONDS = 3600.0  # a model in use is marked so once an hour: what is in use is never too old
_ROWS = 500  # decisions read at a time


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision and all that it was made from. `lines` and `reason`: as `pacing.policy.decide` gave them, before
    anything else cut them down, or a replay does not give the same. `curves`: None where it was made without a model;
    `grace`: seconds."""

    tenant_id: int
    campaign_id: int
    at: datetime
    snapshot: Snapshot
    curves: Curves | None
    grace: float
    lines: int
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """A decision as people read it."""

    at: datetime
    node: str
    lines: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A decision as it is kept, for `pacing.kept.replay`. `curves` None with a `digest`: the model is gone."""

    at: datetime
    node: str
    digest: str | None
    grace: float
    snapshot: Mapping[str, Any]
    curves: Mapping[str, Any] | None
    lines: int
    reason: str


async def windows(pool: Any, campaign_id: int, starts: Sequence[datetime]) -> list[Window]:
    """Live answers, and how many of them were abandoned, of the calls answered since each start and ended by now: calls
    that go on are not in it."""
    rows = await pool.fetch(_WINDOWS, campaign_id, list(starts))
    return [Window(row["answers"], row["abandoned"]) for row in rows]


async def machines(pool: Any, campaign_id: int, starts: Sequence[datetime], since: datetime) -> Tally:
    """The machines among the calls answered since each start; and what agents said of those that they checked since
    that time."""
    rows = await pool.fetch(_MACHINES, campaign_id, list(starts), since)
    checked, persons = (rows[0]["checked"], rows[0]["persons"]) if rows else (0, 0)
    return Tally(tuple(row["unheard"] for row in rows), tuple(row["known"] for row in rows), checked, persons)


async def history(pool: Any, campaign_id: int, since: datetime, limit: int) -> list[Past]:
    """The last `limit` attempts since then that have ended, oldest first: what a learner is taught after a restart."""
    return [Past(**row) for row in await pool.fetch(_HISTORY, campaign_id, since, limit)]


async def latest(pool: Any, tenant_id: int, campaign_id: int, since: datetime, limit: int) -> list[Told]:
    """The last `limit` kept decisions since then, oldest first."""
    return [Told(**row) for row in await pool.fetch(_LATEST, tenant_id, campaign_id, since, limit)]


async def count(pool: Any, tenant_id: int, campaign_id: int, since: datetime) -> int:
    """How many decisions are kept since then."""
    return int(await pool.fetchval(_COUNT, tenant_id, campaign_id, since))


async def stored(pool: Any, tenant_id: int, campaign_id: int, since: datetime) -> AsyncIterator[Stored]:
    """Every kept decision since then in full, oldest first; each model is read once in a row of decisions."""
    models: dict[str, Mapping[str, Any]] = {}
    place = datetime(1, 1, 1, tzinfo=UTC), ""
    while rows := await pool.fetch(_PAGE, tenant_id, campaign_id, since, *place, _ROWS):
        wanted = {row["digest"] for row in rows if row["digest"] is not None}
        fresh = await pool.fetch(_MODELS, tenant_id, campaign_id, list(wanted - models.keys()))
        models = {name: curves for name, curves in models.items() if name in wanted}
        models |= {row["digest"]: row["curves"] for row in fresh}
        for row in rows:
            yield Stored(**row, curves=models.get(row["digest"]))
        place = rows[-1]["at"], rows[-1]["node"]


class DecisionLog:
    """Keeps decisions, at most one a second of each campaign: the last one of that second that started lines, else the
    last. `pool` gives the pool that sees all tenants, or None while there is none. What cannot be written for long is
    dropped, the oldest first, and counted in `dropped`."""

    def __init__(self, node: str, pool: Callable[[], asyncpg.Pool | None]) -> None:
        self._node = node
        self._pool = pool
        self._waiting: dict[tuple[int, int], Kept] = {}  # (campaign, second) → the one that is kept; oldest first
        self._written: dict[tuple[int, str], float] = {}  # (campaign, model) → when it was last written; monotonic
        self._failed = False
        self.dropped = 0

    def put(self, kept: Kept) -> None:
        """Hands a decision over; never waits."""
        key = kept.campaign_id, int(kept.at.timestamp())
        before = self._waiting.get(key)
        if before is None or kept.lines > 0 or before.lines == 0:
            self._waiting[key] = kept
        if len(self._waiting) > _MOST:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1

    async def run(self) -> None:
        """Writes what has been put, second by second, and removes what is old; ends only by cancellation."""
        loop = asyncio.get_running_loop()
        forget_at = loop.time()
        over: set[tuple[int, int]] = set()
        while True:
            await asyncio.sleep(_PASS_SECONDS)
            # What was there a second ago: its second is over, nothing better comes.
            await self._write([key for key in self._waiting if key in over])
            over = set(self._waiting)
            if loop.time() >= forget_at and await self._forget():
                forget_at = loop.time() + _FORGET_SECONDS

    async def flush(self) -> None:
        """Writes everything that was put, as far as PostgreSQL is there."""
        await self._write(list(self._waiting))

    async def _write(self, keys: Sequence[tuple[int, int]]) -> None:
        for start in range(0, len(keys), _BATCH):
            batch = {key: self._waiting[key] for key in keys[start : start + _BATCH] if key in self._waiting}
            if not await self._keep(list(batch.values())):
                return
            for key, kept in batch.items():
                if self._waiting.get(key) is kept:
                    del self._waiting[key]

    async def _keep(self, batch: Sequence[Kept]) -> bool:
        """One statement; whether these decisions are done with, written or refused for good."""
        pool = self._pool()
        if pool is None:
            return False
        now = asyncio.get_running_loop().time()
        try:
            named = [(kept, None if kept.curves is None else _digest(kept.curves)) for kept in batch]
            models = {(kept.campaign_id, name): kept for kept, name in named if name is not None}
            due = {key: kept for key, kept in models.items() if key not in self._written}
            rows = [_decision(kept, name) for kept, name in named]
            await pool.execute(_KEEP, self._node, rows, [_model(name, kept) for (_, name), kept in due.items()])
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, TypeError, ValueError) as error:
            if len(batch) > 1:  # one of them must not take the others with it
                return all([await self._keep([kept]) for kept in batch])
            log.error("pacing.decision_refused", error=str(error), campaign=batch[0].campaign_id)
            self.dropped += 1
            return True
        except DB_ERRORS as error:
            self._failure("pacing.decisions_wait", error)
            return False
        self._failed = False
        again = now - _MODEL_AGAIN_SECONDS
        self._written = {key: at for key, at in self._written.items() if at > again} | dict.fromkeys(due, now)
        return True

    async def _forget(self) -> bool:
        """Removes decisions and models that are too old; false when PostgreSQL did not do it."""
        pool = self._pool()
        if pool is None:
            return False
        try:
            while await forget(pool, datetime.now(UTC)) == _FORGET_BATCH:
                pass
        except DB_ERRORS as error:
            self._failure("pacing.decisions_not_removed", error)
            return False
        return True

    def _failure(self, event: str, error: Exception) -> None:
        if not self._failed:  # once, not every second
            log.warning(event, error=str(error) or type(error).__name__)
        self._failed = True


async def forget(pool: Any, now: datetime) -> int:
    """Removes decisions that are older than `KEPT_DAYS`, and models that none of them needs; how many decisions, at
    most `_FORGET_BATCH`."""
    before = now - timedelta(days=KEPT_DAYS)
    return int(await pool.fetchval(_FORGET, before, before - timedelta(days=1), _FORGET_BATCH))


@lru_cache(maxsize=64)
def _digest(curves: Curves) -> str:
    """The same curves serve the decisions of many seconds."""
    return digest(curves)


def _decision(kept: Kept, name: str | None) -> dict[str, Any]:
    return {
        "tenant_id": kept.tenant_id,
        "campaign_id": kept.campaign_id,
        "at": kept.at.isoformat(),
        "digest": name,
        "grace_seconds": kept.grace,
        "snapshot": snapshot_json(kept.snapshot),
        "lines": kept.lines,
        "reason": kept.reason,
    }


def _model(name: str, kept: Kept) -> dict[str, Any]:
    assert kept.curves is not None  # noqa: S101 -- it has a digest
    return {
        "tenant_id": kept.tenant_id,
        "campaign_id": kept.campaign_id,
        "digest": name,
        "curves": curves_json(kept.curves),
        "at": kept.at.isoformat(),
    }
