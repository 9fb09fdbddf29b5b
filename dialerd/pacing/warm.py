"""Teaching a learner what the record knows: after a restart a campaign is paced as before it."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime

from dialerd.pacing.learner import Learner


@dataclass(frozen=True, slots=True)
class Past:
    """An attempt that has ended. `line_seconds`: from the start of the line to the answer of a person (`answered`) or
    to its end. `ago`: seconds since that moment. `talk_seconds`: None where no agent talked; `wrap_up_seconds`: None
    where no wrap-up followed, or has not ended."""

    started_at: datetime
    ago: float
    line_seconds: float
    answered: bool
    list_id: int | None = None
    talk_seconds: float | None = None
    wrap_up_seconds: float | None = None


def by_list(past: Past) -> Hashable:
    """The segment of an attempt, where nothing else is said: the list that it came from."""
    return past.list_id


def teach(learner: Learner, rows: Iterable[Past], now: float, segment: Callable[[Past], Hashable] = by_list) -> None:
    """Tells the learner of each end in the order in which they happened. `now`: seconds, by the learner's clock;
    `segment`: the one that the same line would have if it were told of today."""
    ends: list[tuple[float, int, Past, str]] = []
    for n, row in enumerate(rows):
        at = now - row.ago
        ends.append((at, n, row, "line"))
        if row.talk_seconds is None:
            continue
        ends.append((min(now, at + row.talk_seconds), n, row, "talk"))
        if row.wrap_up_seconds is not None:
            ends.append((min(now, at + row.talk_seconds + row.wrap_up_seconds), n, row, "wrap_up"))
    for at, _, row, what in sorted(ends, key=lambda end: end[:2]):
        if what == "line":
            learner.line_ended(at, row.line_seconds, row.answered, segment(row))
        elif what == "talk" and row.talk_seconds is not None:
            learner.talk_ended(at, row.talk_seconds)
        elif row.wrap_up_seconds is not None:
            learner.wrap_up_ended(at, row.wrap_up_seconds)
