"""What a campaign has learned of its lines and its agents, as plain numbers, and the chances that follow from it.

`Curves` is what is kept with a decision and read back by a replay. `Model` answers, for a handful of moments ahead, how
likely a line of some age has been answered by then, and how likely an agent is free by then. Pure.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp

STEP = 0.5  # seconds of ring age in one bin of the ring curves
MOMENTS = 8  # how many moments ahead are looked at: each one an equal share of the answers of a line started now
# Where the chance per second that a talk or a wrap-up ends may change: fine at first, coarse later. The half second is
# there for wrap-ups that end at their limit, a whole number of seconds: the limit then lies inside a bin.
EDGES = (
    *(n + 0.5 for n in range(32)), 34.5, 37.5, 40.5, 45.5, 50.5, 60.5, 75.5, 90.5, 120.5, 150.5, 180.5, 240.5, 300.5,
    420.5, 600.5, 900.5, 1800.5,
)  # fmt: skip
_FINE = 0.5  # seconds; ages of lines and wrap-ups are looked up in bins of this width
_COARSE = 4.0  # beyond a minute, and talks from the start
_CHANCES = 200  # a line's chance of an answer is looked up in steps of half a percent
_LONGEST = 7200.0
_CERTAIN = 0.9999

Row = tuple[float, ...]  # one probability per moment; then the variance of each, so that sums of both are one sum


@dataclass(frozen=True, slots=True)
class Curves:
    """`answers`, `others`: by which ring age (bins of `STEP`) the lines that a person answers, and those that end
    otherwise, have done so: cumulative shares. `chance`: of a line started now. `talk`, `wrap_up`: chance per second
    to end, between the `EDGES` (the first bin begins at 0, the last one has no end). `leaving`: chance per second that
    a free agent pauses or leaves.
    """

    chance: float
    answers: tuple[float, ...]
    others: tuple[float, ...]
    talk: tuple[float, ...]
    wrap_up: tuple[float, ...]
    leaving: float = 0.0


class Model:
    """The chances that follow from `curves`; `grace`: seconds that an answered call may wait for an agent."""

    def __init__(self, curves: Curves, grace: float) -> None:
        self.curves = curves
        self._grace = grace
        self._line_rows: dict[tuple[int, int], Row] = {}
        self._talk_rows: dict[int, Row] = {}
        self._wrap_rows: dict[int, Row] = {}
        self._talk = _Ending(curves.talk)
        self._wrap_up = _Ending(curves.wrap_up)

    def with_chance(self, chance: float) -> "Model":
        """The same with another chance for new lines."""
        other = Model(replace(self.curves, chance=chance), self._grace)
        other._line_rows, other._talk_rows, other._wrap_rows = self._line_rows, self._talk_rows, self._wrap_rows
        return other

    @cached_property
    def moments(self) -> tuple[float, ...]:
        """Seconds from now: the middle of each equal share of the answers of a line started now."""
        return tuple(_quantile(self.curves.answers, (n + 0.5) / MOMENTS) for n in range(MOMENTS))

    @cached_property
    def new_line(self) -> Row:
        """Answered by each of the moments: a line started now."""
        return _row(self.curves.chance * _at(self.curves.answers, moment) for moment in self.moments)

    @cached_property
    def stays(self) -> Row:
        """An agent who is free now is still there at each of the moments."""
        return _row(exp(-self.curves.leaving * moment) for moment in self.moments)

    @cached_property
    def ring_seconds(self) -> float:
        """Mean ring time of a line that a person answers."""
        return sum(self.moments) / MOMENTS

    @cached_property
    def service_seconds(self) -> float:
        """Mean time of talk and wrap-up."""
        return self._talk.mean + self._wrap_up.mean

    def line(self, age: float, chance: float) -> Row:
        """Answered between now and each of the moments: a line of that age, which at its start had that chance."""
        key = (int(age / STEP), round(chance * _CHANCES))
        row = self._line_rows.get(key)
        if row is None:
            row = self._line_rows[key] = self._line((key[0] + 0.5) * STEP, key[1] / _CHANCES)
        return row

    def talking(self, age: float) -> Row:
        """Free by each of the moments (and the grace): an agent who has talked for so long."""
        key = int(min(age, _LONGEST) / _COARSE)
        row = self._talk_rows.get(key)
        if row is None:
            row = self._talk_rows[key] = self._free_after_talk((key + 0.5) * _COARSE)
        return row

    def wrapping_up(self, age: float) -> Row:
        """The same of an agent who has been in wrap-up for so long."""
        key = _bin(age)
        row = self._wrap_rows.get(key)
        if row is None:
            at = _middle(key)
            row = self._wrap_rows[key] = _row(
                self._wrap_up.ends(at, moment + self._grace) * stay
                for moment, stay in zip(self.moments, self.stays, strict=False)
            )
        return row

    def _line(self, age: float, chance: float) -> Row:
        answers, others = self.curves.answers, self.curves.others
        gone = _at(answers, age)
        alive = chance * (1 - gone) + (1 - chance) * (1 - _at(others, age))
        if alive < 1e-6:  # older than any line so far: nothing is known of such lines, so what is careful
            return _row(chance for _ in self.moments)
        return _row(min(1.0, chance * (_at(answers, age + moment) - gone) / alive) for moment in self.moments)

    def _free_after_talk(self, age: float) -> Row:
        """The talk ends, and a wrap-up of typical length after it."""
        found = []
        for moment, stay in zip(self.moments, self.stays, strict=False):
            left = [moment + self._grace - wrap_up for wrap_up in self._wrap_up.quarters]
            found.append(sum([self._talk.ends(age, seconds) for seconds in left if seconds > 0], 0.0) / 4 * stay)
        return _row(found)


def _row(chances: Iterable[float]) -> Row:
    found = tuple(chances)
    return (*found, *(chance * (1 - chance) for chance in found))


class _Ending:
    """A time that ends with a chance per second which depends on its age."""

    def __init__(self, hazards: tuple[float, ...]) -> None:
        self._hazards = hazards
        self._starts = (0.0, *EDGES)
        sums = [0.0]
        for hazard, start, end in zip(hazards, self._starts, EDGES, strict=False):
            sums.append(sums[-1] + hazard * (end - start))
        self._sums = sums  # the hazard gathered up to the start of each bin

    def _gathered(self, age: float) -> float:
        n = bisect_right(self._starts, age) - 1
        return self._sums[n] + self._hazards[n] * (age - self._starts[n])

    def ends(self, age: float, seconds: float) -> float:
        """The chance that it ends within so many seconds, given that it has reached `age`."""
        return 1.0 - exp(self._gathered(age) - self._gathered(age + seconds))

    @cached_property
    def quarters(self) -> tuple[float, ...]:
        """The middle of each quarter of its lengths."""
        return tuple(self._length((n + 0.5) / 4) for n in range(4))

    @cached_property
    def mean(self) -> float:
        """Seconds."""
        return sum(self._length((n + 0.5) / 40) for n in range(40)) / 40

    def _length(self, share: float) -> float:
        low, high = 0.0, _LONGEST
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.ends(0.0, middle) < share else (low, middle)
        return high


def _bin(age: float) -> int:
    """Half seconds up to a minute, then every four seconds; never beyond two hours."""
    if age < 60.0:
        return int(age / _FINE)
    return 120 + int((min(age, _LONGEST) - 60.0) / _COARSE)


def _middle(key: int) -> float:
    return (key + 0.5) * _FINE if key < 120 else 60.0 + (key - 119.5) * _COARSE


def _at(shares: tuple[float, ...], age: float) -> float:
    """A cumulative curve at an age, straight between its bins."""
    place = age / STEP
    n = int(place)
    if n >= len(shares):
        return shares[-1] if shares else 1.0
    before = shares[n - 1] if n else 0.0
    return before + (shares[n] - before) * (place - n)


def _quantile(shares: tuple[float, ...], share: float) -> float:
    """The age by which so large a share has answered."""
    share *= shares[-1]
    n = bisect_right(shares, share * _CERTAIN)
    before = shares[n - 1] if n else 0.0
    return STEP * (n + (share - before) / max(shares[n] - before, 1e-12))
