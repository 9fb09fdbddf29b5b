"""When the counts of abandoned calls are read, and that nothing is counted twice or lost between two readings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from dialerd.core.abandonment import Allowance
from dialerd.core.machines import Tally
from dialerd.engine.bookkeeper import Bookkeeper
from dialerd.engine.books import TOO_OLD_SECONDS
from dialerd.pacing.budget import Budget, Window
from dialerd.store import pacing as store
from tests.unit.test_observe import line
from tests.unit.test_pacer import Floor, named


class Office:
    """A bookkeeper over a record that the test writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        self.floor = Floor(0, named(1, **changes))
        self.campaign = self.floor.campaigns[1]
        self.reads: list[Sequence[datetime]] = []
        self.record: list[Window] | Exception = [Window(100, 2)]
        self.taught = 0
        monkeypatch.setattr(store, "windows", self._windows)
        monkeypatch.setattr(store, "machines", self._machines)
        monkeypatch.setattr(store, "history", self._history)
        object.__setattr__(self.floor.node, "pool", lambda: "a pool")
        object.__setattr__(self.floor.node, "ledger", self)
        self.ending: frozenset[str] = frozenset()
        self.keeper = Bookkeeper(self.floor.node, lambda: None)

    async def _windows(self, pool: Any, id_: int, starts: Sequence[datetime]) -> list[Window]:
        self.reads.append(starts)
        if isinstance(self.record, Exception):
            raise self.record
        return self.record * len(starts)

    async def _machines(self, pool: Any, id_: int, starts: Sequence[datetime], since: datetime) -> Tally:
        return Tally((0,) * len(starts), (0,) * len(starts), 0, 0)

    async def _history(self, *_: Any) -> list[Any]:
        self.taught += 1
        return []

    async def look(self, seconds: float) -> None:
        """What the bookkeeper does every second."""
        self.floor.clock.at += seconds
        if self.keeper._due(self.campaign):
            await self.keeper._read(self.campaign)

    def budget(self) -> Budget | None:
        return self.campaign.book.budget(self.floor.clock.at, 0.03)


async def test_a_book_is_read_at_first_and_every_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch)
    assert office.budget() is None
    for _ in range(12):
        await office.look(60.0)
    assert (len(office.reads), office.taught) == (2, 1)
    assert office.budget() == Budget(0.03, (Window(100, 2),))


async def test_a_database_that_is_away_leaves_no_budget_after_a_while_and_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    office = Office(monkeypatch)
    await office.look(1.0)
    office.record = TimeoutError()
    for _ in range(int(TOO_OLD_SECONDS)):
        await office.look(1.0)
    assert 30 < len(office.reads) < 130
    await office.look(1.0)
    assert office.budget() is None
    office.record = [Window(101, 2)]
    await office.look(10.0)
    assert office.budget() == Budget(0.03, (Window(101, 2),))


async def test_what_is_written_is_not_counted_twice_and_what_is_not_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch)
    await office.look(1.0)
    live = line(office.floor, office.campaign, 1.0).attempt
    for attempt in (live, "unwritten", "written"):
        office.campaign.book.count(attempt, abandoned=attempt == "unwritten")
    assert office.budget() == Budget(0.03, (Window(103, 3),))
    office.ending, office.record = frozenset({"unwritten"}), [Window(101, 2)]
    await office.look(301.0)
    assert office.budget() == Budget(0.03, (Window(103, 3),))


async def test_it_is_read_again_at_once_when_a_window_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, allowance=Allowance(window="campaign_30d_blocks"))
    await office.look(1.0)
    assert [len(starts) for starts in office.reads] == [2]
    await office.look(1.0)
    assert len(office.reads) == 1
    office.campaign.started_at = office.reads[0][0]  # another block
    await office.look(1.0)
    await office.look(1.0)
    assert len(office.reads) == 2
