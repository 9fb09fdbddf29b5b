"""What pacing needs of the record, and what it leaves there: the counts of abandoned calls, the last hours' calls to
learn from, and each decision.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import structlog

from dialerd.core.abandonment import starts
from dialerd.engine.campaign import Campaign
from dialerd.engine.node import Node
from dialerd.engine.observe import segment
from dialerd.pacing import warm
from dialerd.pacing.snapshot import Decision, Snapshot
from dialerd.store import pacing as store
from dialerd.store.errors import DB_ERRORS

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 300.0  # a book is read again after so long, and when a window of it begins
_AFTER_FAILURE_SECONDS = 5.0
_HISTORY = timedelta(hours=3)
_HISTORY_CALLS = 5_000
_CHECKS = timedelta(days=30)  # what agents said of machines that they checked is of use for so long


class Bookkeeper:
    """`on_read` is told that a campaign knows more than before."""

    def __init__(self, node: Node, on_read: Callable[[], None]) -> None:
        self._node = node
        self._clock = node.clock
        self._on_read = on_read
        self._warm: set[int] = set()  # campaigns that have learned from the record
        self._not_before: dict[int, float] = {}
        self._first_seen: dict[int, datetime] = {}
        self.decisions = store.DecisionLog(node.config.node, node.pool)

    def decided(self, campaign: Campaign, snapshot: Snapshot, decision: Decision) -> None:
        """Keeps a decision with all that it was made from."""
        curves = campaign.pilot.curves if snapshot.mode == "predictive" else None
        about = campaign.tenant_id, campaign.id, self._clock.now()
        self.decisions.put(store.Kept(*about, snapshot, curves, campaign.pilot.grace, decision.lines, decision.reason))

    async def run(self) -> None:
        """Reads what is due; ends only by cancellation."""
        while True:
            for campaign in list(self._node.campaigns.values()):
                if campaign.state in ("active", "paused") and self._due(campaign):
                    await self._read(campaign)
            await asyncio.sleep(_LOOK_SECONDS)

    def _due(self, campaign: Campaign) -> bool:
        now, book = self._clock.monotonic(), campaign.book
        if now < self._not_before.get(campaign.id, 0.0):
            return False
        if campaign.id not in self._warm or book.read_monotonic is None or now > book.read_monotonic + _AGAIN_SECONDS:
            return True
        return book.starts[1:] != self._starts(campaign)[1:]  # the first is a day ago, always another one

    def _starts(self, campaign: Campaign) -> tuple[datetime, ...]:
        now = self._clock.now()
        started = campaign.started_at or self._first_seen.setdefault(campaign.id, now)
        return starts(campaign.allowance, started, now)

    async def _read(self, campaign: Campaign) -> None:
        try:
            pool = self._node.reach()
            if campaign.id not in self._warm:
                await self._teach(pool, campaign)
            await self._count(pool, campaign)
        except DB_ERRORS as error:
            log.warning("pacing.unread", campaign=campaign.id, error=str(error) or type(error).__name__)
            self._not_before[campaign.id] = self._clock.monotonic() + _AFTER_FAILURE_SECONDS
            return
        self._on_read()

    async def _teach(self, pool: asyncpg.Pool, campaign: Campaign) -> None:
        """What the calls of the last hours came to, so that a restart does not begin as a beginner."""
        rows = await store.history(pool, campaign.id, self._clock.now() - _HISTORY, _HISTORY_CALLS)
        self._warm.add(campaign.id)  # whatever comes of it: once
        try:
            now = self._clock.monotonic()
            warm.teach(campaign.pilot.learner, rows, now, lambda past: segment(past.started_at, past.list_id))
        except (ArithmeticError, LookupError, TypeError, ValueError):  # then it begins as a beginner
            log.exception("pacing.not_taught", campaign=campaign.id)

    async def _count(self, pool: asyncpg.Pool, campaign: Campaign) -> None:
        begins, book = self._starts(campaign), campaign.book
        unwritten = self._node.ledger.ending
        # What has ended and is written by now will be in what is read; all others are counted on top of it.
        fresh = (*book.fresh, *book.machines)
        recorded = [a for a in fresh if a not in self._node.calls and a not in unwritten]
        windows = await store.windows(pool, campaign.id, begins)
        tally = await store.machines(pool, campaign.id, begins, self._clock.now() - _CHECKS)
        # Who talked to a machine had no live answer.
        windows = [
            replace(w, answers=max(w.abandoned, w.answers - n)) for w, n in zip(windows, tally.known, strict=True)
        ]
        counted = tally if campaign.allowance.false_positives else None
        book.take(self._clock.monotonic(), begins, windows, recorded, counted)
