"""What a campaign learns from its own calls: answers by ring age, lengths of talk and wrap-up, agents who go.

Everything fades, with a half-life of two hours of work, so that the afternoon is not paced by the morning. Times are
seconds by a clock that never goes back.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from dialerd.pacing.chance import Chances
from dialerd.pacing.curves import EDGES, STEP, Curves

ENOUGH_ANSWERS = 12  # before that nothing is predicted
ENOUGH_TALKS = 6
ENOUGH_LINES = 30
_HALF_LIFE = 7200.0
_LONGEST_RING = 120.0
_RING_BINS = int(_LONGEST_RING / STEP)
_FADE_EVERY = 60.0
_SMOOTH = 3.0  # calls' worth of the mean in each bin of a length
_RING_PRIOR = 6.0  # answers' worth of an even spread over the first 24 seconds
_PRIOR_SECONDS = {"talk": 60.0, "wrap_up": 5.0}
_LEAVE_PRIOR_SECONDS = 4 * 3600.0


@dataclass(slots=True)
class _Lengths:
    """How often a length has ended in each bin, and how much time was spent there."""

    prior: float  # seconds
    ends: list[float] = field(default_factory=lambda: [0.0] * (len(EDGES) + 1))
    spent: list[float] = field(default_factory=lambda: [0.0] * (len(EDGES) + 1))

    def learn(self, seconds: float) -> None:
        self.ends[_spend(self.spent, seconds)] += 1

    def fade(self, keep: float) -> None:
        self.ends = [value * keep for value in self.ends]
        self.spent = [value * keep for value in self.spent]

    def hazards(self, going_on: Iterable[float]) -> tuple[float, ...]:
        """The chance per second of each bin, drawn to the mean of all where there is little to go by. `going_on`: the
        ages of those that have not ended; without them the first ones to end, the short ones, would be all there is."""
        spent = list(self.spent)
        for age in going_on:
            _spend(spent, age)
        mean = (sum(self.ends) + 1.0) / (sum(spent) + self.prior)
        extra = _SMOOTH / mean
        return tuple((n + _SMOOTH) / (seconds + extra) for n, seconds in zip(self.ends, spent, strict=True))


def _spend(spent: list[float], seconds: float) -> int:
    """Adds a time to the bins that it goes through; the bin where it stands at the end."""
    last = bisect_right(EDGES, seconds)
    start = 0.0
    for n in range(last):
        spent[n] += EDGES[n] - start
        start = EDGES[n]
    spent[last] += seconds - start
    return last


@dataclass(slots=True)
class Learner:
    """Told of every end; asked for `curves` now and then."""

    chances: Chances = field(default_factory=Chances)
    lines: int = 0  # ended at all
    answers: int = 0
    talks: int = 0
    _answered_at: list[float] = field(default_factory=lambda: [0.0] * _RING_BINS)
    _ended_at: list[float] = field(default_factory=lambda: [0.0] * _RING_BINS)
    _talk: _Lengths = field(default_factory=lambda: _Lengths(_PRIOR_SECONDS["talk"]))
    _wrap_up: _Lengths = field(default_factory=lambda: _Lengths(_PRIOR_SECONDS["wrap_up"]))
    _left: float = 0.0
    _stood: float = 0.0
    _faded: float | None = None

    def line_ended(self, now: float, age: float, answered: bool, segment: Hashable = None) -> None:
        """A line that was not cut short by us: a person answered at that ring age, or it ended without."""
        self._fade(now)
        place = min(_RING_BINS - 1, max(0, int(age / STEP)))
        (self._answered_at if answered else self._ended_at)[place] += 1
        self.lines += 1
        self.answers += answered
        self.chances.learn(answered, segment)

    def talk_ended(self, now: float, seconds: float) -> None:
        """An agent's conversation is over."""
        self._fade(now)
        self._talk.learn(max(0.0, seconds))
        self.talks += 1

    def wrap_up_ended(self, now: float, seconds: float) -> None:
        """An agent is free again after a call; 0 where there is no wrap-up."""
        self._fade(now)
        self._wrap_up.learn(max(0.0, seconds))

    def agent_stood(self, seconds: float, left: bool) -> None:
        """An agent was free for so long, and then paused or went (`left`), or got a call."""
        self._stood += max(0.0, seconds)
        self._left += left

    def knows_enough(self, lines_out: int) -> bool:
        """Whether there is something to predict from. Of the first lines the failures end first: what is known must be
        much more than what is still out."""
        ended = self.lines >= ENOUGH_LINES + 2 * lines_out
        return ended and self.answers >= ENOUGH_ANSWERS and self.talks >= ENOUGH_TALKS

    def curves(
        self, segment: Hashable = None, talking: Iterable[float] = (), wrapping_up: Iterable[float] = ()
    ) -> Curves:
        """What is known now; `segment`: the one that is being dialled. `talking`, `wrapping_up`: ages of what goes on
        (seconds)."""
        return Curves(
            chance=round(self.chances.of(segment), 4),
            answers=_shares(_smoothed(self._answered_at), _RING_PRIOR, 24.0),
            others=_shares(self._ended_at, 1.0, 60.0),
            talk=tuple(round(hazard, 7) for hazard in self._talk.hazards(talking)),
            wrap_up=tuple(round(hazard, 7) for hazard in self._wrap_up.hazards(wrapping_up)),
            leaving=round(self._left / (self._stood + _LEAVE_PRIOR_SECONDS), 8),
        )

    def _fade(self, now: float) -> None:
        if self._faded is None:
            self._faded = now
        if now < self._faded + _FADE_EVERY:
            return
        keep = 0.5 ** ((now - self._faded) / _HALF_LIFE)
        self._faded = now
        self._answered_at = [value * keep for value in self._answered_at]
        self._ended_at = [value * keep for value in self._ended_at]
        self._talk.fade(keep)
        self._wrap_up.fade(keep)
        self._left, self._stood = self._left * keep, self._stood * keep


def _smoothed(counts: list[float]) -> list[float]:
    """Spread over two seconds to either side: few answers do not make a jagged curve."""
    padded = [0.0, 0.0, 0.0, 0.0, *counts, 0.0, 0.0, 0.0, 0.0]
    found = [0.0] * len(counts)
    for n in range(len(counts)):
        a, b, c, d, e, f, g, h, i = padded[n : n + 9]
        found[n] = (a + 2 * b + 3 * c + 4 * d + 5 * e + 4 * f + 3 * g + 2 * h + i) / 25
    return found


def _shares(counts: list[float], prior: float, spread: float) -> tuple[float, ...]:
    """Cumulative shares by bin; before there is much to go by, part of an even spread over so many seconds."""
    bins = int(spread / STEP)
    total = sum(counts) + prior
    found, running = [], 0.0
    for n, count in enumerate(counts):
        running += count + (prior / bins if n < bins else 0.0)
        found.append(round(min(1.0, running / total), 6))
    while len(found) > 1 and found[-2] >= found[-1]:  # the end, where nothing happens any more
        found.pop()
    found[-1] = 1.0
    return tuple(found)
