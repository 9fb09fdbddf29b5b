"""The book of each campaign: the answers of its legal windows, read from the record and counted on as calls go."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from dialerd.core.machines import Tally
from dialerd.pacing.budget import Budget, Window

TOO_OLD_SECONDS = 600.0  # a book that was read before is no ground for a risk


@dataclass(slots=True)
class Book:
    """`windows` as the record had them, of the calls since `starts`; `fresh`: attempts that are not among those, and
    whether each was abandoned. `tally`: the machines of these windows, None where the law says nothing of persons who
    are taken for them; `machines`: attempts that are not among those."""

    windows: tuple[Window, ...] = ()
    starts: tuple[datetime, ...] = ()
    read_monotonic: float | None = None
    fresh: dict[str, bool] = field(default_factory=dict)
    tally: Tally | None = None
    machines: set[str] = field(default_factory=set)

    def count(self, attempt: str, abandoned: bool) -> None:
        """What became of an answer is sure."""
        self.fresh[attempt] = abandoned
        self.machines.discard(attempt)  # its flow handed it to the agents

    def count_machine(self, attempt: str) -> None:
        """A machine has answered, and no agent hears it."""
        self.machines.add(attempt)

    def take(
        self, now: float, starts: Iterable[datetime], windows: Iterable[Window], recorded: Iterable[str],
        tally: Tally | None = None,
    ) -> None:  # fmt: skip
        """The record was read. `recorded`: attempts whose end it had by then."""
        self.read_monotonic, self.starts, self.windows = now, tuple(starts), tuple(windows)
        self.tally = tally
        for attempt in recorded:
            self.fresh.pop(attempt, None)
            self.machines.discard(attempt)

    def budget(self, now: float, cap: float) -> Budget | None:
        """As far as it is known; None: it has never been read, or not for too long."""
        if self.read_monotonic is None or now - self.read_monotonic > TOO_OLD_SECONDS:
            return None
        answers, abandoned = len(self.fresh), sum(self.fresh.values())
        lost = self.tally.lost(len(self.machines)) if self.tally is not None else (0.0,) * len(self.windows)
        read = zip(self.windows, lost, strict=True)
        return Budget(cap, tuple(Window(w.answers + answers, w.abandoned + abandoned, each) for w, each in read))
