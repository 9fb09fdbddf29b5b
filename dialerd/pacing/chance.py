"""The share of lines that a person answers: learned from the lines that have ended, forgetting, quick when it changes.

Per hour of the day and list segment where there is enough to tell them apart; careful while there is not.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import log, sqrt

_MEMORY = 1500.0  # lines; older ones fade
_SHORT_MEMORY = 40.0
_PRIOR = (1.0, 2.0)  # answered, not: what is believed before the first line
_CAREFUL = 1.0  # standard deviations above the mean
_STEP = 1.7  # a change by this factor, up or down, is looked for
_SURE = 6.0  # and believed when it is e^6 times as likely as none
_KEPT = 60.0  # lines' worth of what was known that outlive a change
# More changes than so many within the memory: it is a list that comes in clumps. Then each further one, up to two,
# makes the share that is counted with so much higher: answers come in bursts, and those who find nobody do as well.
_RESTLESS, _BURST = 2.0, 0.7
_SEGMENT_PRIOR = 60.0  # a segment's own share counts as much as all others' after so many lines of it
_SEGMENTS = 200  # at most so many are kept


@dataclass(slots=True)
class Chance:
    """One share that may drift and jump."""

    yes: float = _PRIOR[0]
    no: float = _PRIOR[1]
    recent: float = _PRIOR[0] / sum(_PRIOR)
    changes: int = 0
    _restless: float = 0.0
    _up: float = 0.0
    _down: float = 0.0

    def learn(self, answered: bool) -> None:
        """One more line has ended."""
        self.recent += (answered - self.recent) / min(_SHORT_MEMORY, 1.0 + self.yes + self.no)
        self._watch(answered)
        keep = 1.0 - 1.0 / _MEMORY
        self.yes, self.no = self.yes * keep + answered, self.no * keep + (not answered)
        self._restless *= keep

    @property
    def mean(self) -> float:
        """The share itself."""
        return self.yes / (self.yes + self.no)

    @property
    def careful(self) -> float:
        """A share that is rather too high than too low, so that too few lines are started while little is known."""
        weight = self.yes + self.no
        unsure = self.mean + _CAREFUL * sqrt(self.mean * (1 - self.mean) / weight)
        bursts = 1.0 + _BURST * min(2.0, max(0.0, self._restless - _RESTLESS))
        return min(1.0, max(unsure, self.mean * bursts))

    def _watch(self, answered: bool) -> None:
        """Two sums of evidence, for a rise and for a fall (Page's CUSUM)."""
        now = min(0.98, max(0.02, self.mean))
        higher, lower = min(0.99, now * _STEP), now / _STEP
        self._up = max(0.0, self._up + _evidence(answered, higher, now))
        self._down = max(0.0, self._down + _evidence(answered, lower, now))
        if max(self._up, self._down) > _SURE and self.yes + self.no > 2 * _KEPT:
            # What the last lines say is rough. Of what is probable the higher: a share thought too low dials too much.
            share = max(self.recent, higher if self._up > self._down else lower)
            self.yes, self.no = share * _KEPT, (1 - share) * _KEPT
            self._up = self._down = 0.0
            self.changes += 1
            self._restless += 1.0


def _evidence(answered: bool, other: float, now: float) -> float:
    return log(other / now) if answered else log((1 - other) / (1 - now))


@dataclass(slots=True)
class Chances:
    """All of a campaign; and each segment (a list in an hour of the day) as far as it is known to differ."""

    whole: Chance = field(default_factory=Chance)
    _segments: dict[Hashable, list[float]] = field(default_factory=dict)  # answered, expected of the whole

    def learn(self, answered: bool, segment: Hashable = None) -> None:
        """One more line has ended."""
        if segment is not None:
            counts = self._segments.pop(segment, [0.0, 0.0])
            keep = 1.0 - 1.0 / _MEMORY
            counts[0], counts[1] = counts[0] * keep + answered, counts[1] * keep + self.whole.mean
            self._segments[segment] = counts  # at the end: the one unused longest is forgotten first
            if len(self._segments) > _SEGMENTS:
                del self._segments[next(iter(self._segments))]
        self.whole.learn(answered)

    def of(self, segment: Hashable = None) -> float:
        """The chance of a line that is started now, on the careful side."""
        whole = self.whole.careful
        counts = self._segments.get(segment)
        if counts is None:
            return whole
        weight = _SEGMENT_PRIOR * self.whole.mean
        return min(1.0, whole * (counts[0] + weight) / (counts[1] + weight))
