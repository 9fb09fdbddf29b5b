"""The people and lines that the simulator dials: what becomes of a line, how long people wait and talk.

Two worlds. In the Markov world every time is exponential, and the best policy that sees only counts can be computed.
The realistic one has ring times, talks and wrap-ups as they are seen; its variations (chances that jump, machine
detection, lists that clump) are what a policy has to live with.
"""

from dataclasses import dataclass, field
from math import log, sqrt
from random import Random
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a line: after so many seconds a person is there to be joined, or it is over."""

    seconds: float
    answered: bool


class World(Protocol):
    """All that chance decides. Times in seconds."""

    def line(self, now: float, lots: Random) -> Fate:
        """Of a line that is started now."""

    def patience(self, lots: Random) -> float:
        """How long an answered call may wait for an agent before it counts as abandoned."""

    def talk(self, lots: Random) -> float: ...

    def wrap_up(self, lots: Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Markov:
    """Every time exponential: `ring` and `service` are means, so is `patience_seconds`."""

    chance: float = 0.25
    ring: float = 12.0
    service: float = 120.0
    patience_seconds: float = 2.0

    def line(self, now: float, lots: Random) -> Fate:
        return Fate(lots.expovariate(1 / self.ring), lots.random() < self.chance)

    def patience(self, lots: Random) -> float:
        return lots.expovariate(1 / self.patience_seconds) if self.patience_seconds else 0.0

    def talk(self, lots: Random) -> float:
        return lots.expovariate(1 / self.service)

    def wrap_up(self, lots: Random) -> float:
        return 0.0


@dataclass(slots=True)
class Realistic:
    """`fast_fail`: share of lines that fail within seconds (mean `fast_fail_seconds`). `chance`: answered by a person,
    after a gamma-shaped ring of mean `ring`; the others ring to `ring_timeout`. Talks are lognormal with a coefficient
    of variation of 1, wrap-ups have a fixed length.

    `steps`: (from that second on, the chance is so many times as high). `detection`: seconds that machine detection
    takes, and the share of its verdicts that are wrong; `machines`: share of lines that a machine answers then.
    `clump`: so many lines in a row have half the chance, as many after them one and a half times.
    """

    chance: float = 0.25
    ring: float = 12.0
    ring_timeout: float = 25.0
    fast_fail: float = 0.15
    fast_fail_seconds: float = 3.0
    talk_mean: float = 105.0
    wrap_up_seconds: float = 15.0
    patience_seconds: float = 2.0
    steps: tuple[tuple[float, float], ...] = ()
    detection: tuple[float, float] | None = None
    machines: float = 0.15
    clump: int = 0
    _lines: int = field(default=0, repr=False)

    def line(self, now: float, lots: Random) -> Fate:
        self._lines += 1
        lot = lots.random()
        if lot < self.fast_fail:
            return Fate(min(self.ring_timeout, lots.expovariate(1 / self.fast_fail_seconds)), False)
        lot -= self.fast_fail
        chance = self._chance_at(now)
        person = lot < chance
        machine = self.detection is not None and chance <= lot < chance + self.machines
        if not (person or machine):
            return Fate(self.ring_timeout, False)
        seconds = min(self.ring_timeout, lots.gammavariate(4.0, self.ring / 4))
        if self.detection is None:
            return Fate(seconds, True)
        wrong = lots.random() < self.detection[1]
        return Fate(seconds + self.detection[0], person is not wrong)

    def _chance_at(self, now: float) -> float:
        chance = self.chance
        for since, factor in self.steps:
            if now >= since:
                chance = self.chance * factor
        if self.clump:
            chance *= 1.5 if self._lines // self.clump % 2 else 0.5
        return min(chance, 0.95 - self.fast_fail)

    def patience(self, lots: Random) -> float:
        return self.patience_seconds

    def talk(self, lots: Random) -> float:
        spread = sqrt(log(2.0))
        return lots.lognormvariate(log(self.talk_mean) - spread**2 / 2, spread)

    def wrap_up(self, lots: Random) -> float:
        return self.wrap_up_seconds


class Length(Protocol):
    """How long something takes."""

    def draw(self, lots: Random) -> float:
        """One of them, in seconds."""


@dataclass(frozen=True, slots=True)
class Lognormal:
    """`mean` in seconds, `variation`: standard deviation as a share of it; 0: always the mean."""

    mean: float
    variation: float = 0.0

    def draw(self, lots: Random) -> float:
        if not self.variation or not self.mean:
            return self.mean
        square = log(1 + self.variation**2)
        return lots.lognormvariate(log(self.mean) - square / 2, sqrt(square))


@dataclass(frozen=True, slots=True)
class Shares:
    """Lengths as they were seen: the mean of each equal share of them, ascending. Their mean is kept exactly: what is
    drawn lies around one of these, as far to either side as half the way to the nearer neighbour."""

    means: tuple[float, ...]

    def draw(self, lots: Random) -> float:
        means = self.means
        n = int(lots.random() * len(means))
        ways = [abs(means[m] - means[n]) for m in (n - 1, n + 1) if 0 <= m < len(means)]
        return means[n] + (lots.random() - 0.5) * min(ways, default=0.0)


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a scenario says (`scenario.py`). `chances`: from that second on a line has so large a chance of being
    answered by a person, the first from 0 on; the rest as `Realistic` has it. Lines that nobody answers ring for
    `ring_timeout` seconds."""

    chances: tuple[tuple[float, float], ...]
    rings: Length
    talks: Length
    wrap_ups: Length
    ring_timeout: float
    fast_fail: float
    fast_fail_seconds: float
    machines: float
    detection: tuple[float, float] | None
    patience_seconds: float

    def line(self, now: float, lots: Random) -> Fate:
        lot = lots.random() - self.fast_fail
        if lot < 0:
            return Fate(min(self.ring_timeout, lots.expovariate(1 / self.fast_fail_seconds)), False)
        chance = next(chance for since, chance in reversed(self.chances) if now >= since)
        person = lot < chance
        if not person and (self.detection is None or lot >= chance + self.machines):
            return Fate(self.ring_timeout, False)
        seconds = min(self.ring_timeout, self.rings.draw(lots))
        if self.detection is None:
            return Fate(seconds, True)
        wrong = lots.random() < self.detection[1]
        return Fate(seconds + self.detection[0], person is not wrong)

    def patience(self, lots: Random) -> float:
        return self.patience_seconds

    def talk(self, lots: Random) -> float:
        return self.talks.draw(lots)

    def wrap_up(self, lots: Random) -> float:
        return self.wrap_ups.draw(lots)
