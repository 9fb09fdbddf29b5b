"""The book of each campaign: the answers of its legal windows, read from the record and counted on as calls go."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from dialerd.pacing.budget import Budget, Window

TOO_OLD_SECONDS = 600.0  # a book that was read before is no ground for a risk


@dataclass(slots=True)
class Book:
    """`windows` as the record had them, of the calls since `starts`; `fresh`: attempts that are not among those, and
    whether each was abandoned."""

    windows: tuple[Window, ...] = ()
    starts: tuple[datetime, ...] = ()
    read_monotonic: float | None = None
    fresh: dict[str, bool] = field(default_factory=dict)

    def count(self, attempt: str, abandoned: bool) -> None:
        """What became of an answer is sure."""
        self.fresh[attempt] = abandoned

    def take(self, now: float, starts: Iterable[datetime], windows: Iterable[Window], recorded: Iterable[str]) -> None:
        """The record was read. `recorded`: attempts whose end it had by then."""
        self.read_monotonic, self.starts, self.windows = now, tuple(starts), tuple(windows)
        for attempt in recorded:
            self.fresh.pop(attempt, None)

    def budget(self, now: float, cap: float) -> Budget | None:
        """As far as it is known; None: it has never been read, or not for too long."""
        if self.read_monotonic is None or now - self.read_monotonic > TOO_OLD_SECONDS:
            return None
        answers, abandoned = len(self.fresh), sum(self.fresh.values())
        return Budget(cap, tuple(Window(w.answers + answers, w.abandoned + abandoned) for w in self.windows))
