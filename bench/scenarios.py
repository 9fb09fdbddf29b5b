"""The worlds that pacing is measured in, and the reference of each: the best of a policy that sees only counts, with
the chance of an answer, the mean life of a line and the mean service of that world (`reference.py`).

In world M nothing can be better than its reference. In the others the reference is a yardstick: their times are not
exponential, and a policy that looks at ages may beat it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from dialerd.pacing.simulator import Presence
from dialerd.pacing.world import Markov, Realistic, World

CAP = 0.03
HOURS = 8.0
_SHIFT = HOURS * 3600
_DRAWS = 100_000  # lines; enough to know a reference to a thousandth
_PAUSE_CHANCE, _PAUSE_SECONDS = 0.05, 300.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`world`: made anew for each run, with the seconds after which an answered call is dropped. `service`: mean talk
    and wrap-up. `phases`: moments that stand for equal parts of the shift. `rate`: lines a second that the trunk
    starts, of so many agents. `shifts`: so many make one window.
    """

    name: str
    about: str
    world: Callable[[float], World]
    service: float = 120.0
    phases: tuple[float, ...] = (0.0,)
    rate: Callable[[int], float] = lambda agents: float("inf")
    coming_and_going: bool = False
    shifts: int = 1

    @property
    def seconds(self) -> float:
        """Of one window."""
        return self.shifts * _SHIFT

    def agents(self, count: int) -> list[Presence]:
        """Who works when. Where they come and go: a quarter comes in the course of the first two hours, a quarter
        leaves in that of the last two, and after one call in twenty an agent pauses for five minutes."""
        if not self.coming_and_going:
            return [Presence()] * count
        found = []
        for n in range(count):
            late = 7200.0 * (n + 1) / count
            start = late if n % 4 == 1 else 0.0
            end = _SHIFT - late if n % 4 == 3 or (count < 4 and n == 0) else float("inf")
            found.append(Presence(start, end, _PAUSE_CHANCE, _PAUSE_SECONDS))
        return found

    def reference(self, count: int) -> float:
        """Occupancy; the mean of the phases, and of the numbers of agents who are there."""
        from bench import reference  # numpy, which an interpreter that only runs windows may not have

        total = weights = 0.0
        crews = self._crews(count)
        for phase in self.phases:
            chance, ring = _means(self.name, phase)
            for crew, share in crews.items():
                world = reference.Markov(crew, chance, ring, self.service)
                total += crew * share * reference.reference(world, CAP).occupancy
                weights += crew * share
        return total / weights

    def _crews(self, count: int) -> dict[int, float]:
        """Numbers of agents, and the share of the shift that so many are there."""
        if not self.coming_and_going:
            return {count: 1.0}
        away = _PAUSE_CHANCE * _PAUSE_SECONDS
        here = self.service / (self.service + away)  # at least: those who wait between calls pause more rarely
        found: dict[int, float] = {}
        days, parts = self.agents(count), 96
        for part in range(parts):
            at = (part + 0.5) / parts * _SHIFT
            crew = max(1, round(here * sum(day.start <= at < day.end for day in days)))
            found[crew] = found.get(crew, 0.0) + 1 / parts
        return found


def _realistic(**changes: object) -> Callable[[float], World]:
    return lambda patience: Realistic(patience_seconds=patience, **changes)  # type: ignore[arg-type]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("M", "every time exponential: p .25, ring 12 s, service 120 s", lambda patience: Markov()),
        Scenario("R", "realistic: p .25, ring 12 s to 25 s, talk 105 s, wrap-up 15 s", _realistic()),
        Scenario("p10", "R, p .10", _realistic(chance=0.10)),
        Scenario("p50", "R, p .50", _realistic(chance=0.50)),
        Scenario(
            "halves", "R, p halves at mid-shift", _realistic(steps=((_SHIFT / 2, 0.5),)), phases=(0.0, _SHIFT / 2)
        ),
        Scenario(
            "doubles", "R, p doubles at mid-shift", _realistic(steps=((_SHIFT / 2, 2.0),)), phases=(0.0, _SHIFT / 2)
        ),
        Scenario("talk45", "R, talk 45 s", _realistic(talk_mean=45.0), service=60.0),
        Scenario("talk240", "R, talk 240 s", _realistic(talk_mean=240.0), service=255.0),
        Scenario("presence", "R, agents come, pause and go", _realistic(), coming_and_going=True),
        Scenario("amd", "R, machine detection: 4 s, 5 % wrong", _realistic(detection=(4.0, 0.05))),
        Scenario("clump", "R, runs of 50 lines with half or one and a half times p", _realistic(clump=50)),
        Scenario("rate", "R, a line a second per ten agents", _realistic(), rate=lambda agents: max(0.5, agents / 10)),
        Scenario("30days", "R, windows of 22 shifts", _realistic(), shifts=22),
    )
}


@cache
def _means(name: str, at: float) -> tuple[float, float]:
    """Chance of an answer and mean life of the lines that are started then, as the world itself draws them."""
    world, lots = SCENARIOS[name].world(2.0), Random(1)
    if isinstance(world, Markov):
        return world.chance, world.ring
    fates = [world.line(at, lots) for _ in range(_DRAWS)]
    return sum(fate.answered for fate in fates) / _DRAWS, sum(fate.seconds for fate in fates) / _DRAWS
