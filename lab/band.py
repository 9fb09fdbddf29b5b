"""What a predictive run in the lab should come to: the simulator's own answer for the same set-up, with its spread.

The lab's subscribers and robots as a world for the simulator: the same shares, ring and talk times, drawn anew. A run
on real Asterisk belongs into the band that 95 % of the simulated runs of the same length fall into.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import asyncpg

from dialerd.core.causes import LIVE_ANSWERS
from dialerd.engine.pacer import BEAT
from dialerd.pacing.driver import Paced
from dialerd.pacing.simulator import Presence, Simulation
from dialerd.pacing.world import Fate
from lab.subscribers import Behaviour, Subscribers
from lab.summary import occupancy, percentile, read

_ON_THE_WAY = 0.05  # seconds from the claim to the phone, and back


@dataclass(frozen=True, slots=True)
class LabWorld:
    """The subscribers of a mix of people, busy lines and lines that nobody answers; robots with such a wrap-up."""

    subscribers: Subscribers
    ring_timeout: float
    wrap_up_seconds: float

    def line(self, now: float, lots: Random) -> Fate:
        mix = self.subscribers.mix
        (what,) = lots.choices(list(mix), list(mix.values()))
        if what is Behaviour.PERSON:
            return Fate(_ON_THE_WAY + _spread(self.subscribers.ring_seconds, lots), True)
        if what is Behaviour.NO_ANSWER:
            return Fate(_ON_THE_WAY + self.ring_timeout, False)
        if what is Behaviour.BUSY:
            return Fate(_ON_THE_WAY, False)
        raise ValueError(f"the lab's world has no {what.name}")

    def patience(self, lots: Random) -> float:
        return 2.0

    def talk(self, lots: Random) -> float:
        return _spread(self.subscribers.talk_seconds, lots)

    def wrap_up(self, lots: Random) -> float:
        return _spread(self.wrap_up_seconds, lots)


def _spread(mean: float, lots: Random) -> float:
    return mean * (0.5 + lots.random())


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run: share of logged-in time at work, share of live answers that were abandoned, live answers."""

    occupancy: float
    abandonment: float
    answers: int


@dataclass(frozen=True, slots=True)
class Band:
    """The range that most of the runs fall into, and the middle one."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float], share: float = 0.95) -> "Band":
        """`share`: of the runs that are in it, as many of the others above it as below."""
        outside = 50 * (1 - share)
        low, middle, high = (percentile(samples, q) or 0.0 for q in (outside, 50, 100 - outside))
        return cls(low, middle, high)

    def holds(self, value: float, more: float = 0.0) -> bool:
        """Whether a value is in it; `more`: how far outside is still inside."""
        return self.low - more <= value <= self.high + more


def simulated(world: LabWorld, agents: int, seconds: float, ratio: float, runs: int) -> list[Figures]:
    """So many runs from the campaign's first moment on, each with a seed of its own."""
    found = []
    for seed in range(runs):
        run = Simulation(world, [Presence()] * agents, Paced(ratio=ratio, beat=BEAT), seed, seconds, seconds).run()
        found.append(Figures(run.occupancy, run.abandonment, run.total.answers))
    return found


async def measured(pool: asyncpg.Pool, since: datetime, seconds: float) -> Figures:
    """What the record of a lab run says of that time."""
    until = since + timedelta(seconds=seconds)
    record = await read(pool)
    rows = await pool.fetch(
        "SELECT outcome, count(*) AS n FROM attempts WHERE answered_at >= $1 AND answered_at < $2 GROUP BY 1",
        since, until,
    )  # fmt: skip
    counts = {row["outcome"]: row["n"] for row in rows}
    answers = sum(n for outcome, n in counts.items() if outcome in LIVE_ANSWERS)
    abandoned = counts.get("abandoned", 0)
    return Figures(occupancy(record.stays, since, until) or 0.0, abandoned / answers if answers else 0.0, answers)
