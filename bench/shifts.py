"""One window of one policy in one world, and the row of figures that many of them make."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

from bench import rivals
from bench.scenarios import CAP, HOURS, SCENARIOS
from dialerd.pacing.driver import Paced
from dialerd.pacing.simulator import Driver, Simulation

OURS, STATIC = "dialerd", "static-hindsight"
_LOWEST, _HIGHEST, _HALVINGS = 1.0, 9.0, 8  # lines per idle agent; the best one is found to a thirtieth


@dataclass(frozen=True, slots=True)
class Task:
    """`level`: of a static policy. `seed`: the same for every policy, which thus meets the same luck at first."""

    world: str
    policy: str
    agents: int
    seed: int
    seconds: float
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds of agents, and live answers, of one window; `cost`: processor seconds that it took to simulate."""

    present: float
    busy: float
    answers: int
    abandoned: int
    cost: float

    @property
    def abandonment(self) -> float:
        """Share of the live answers."""
        return self.abandoned / self.answers if self.answers else 0.0


_MAKE: dict[str, Callable[[float], Driver]] = {
    "progressive": lambda level: rivals.Progressive(),
    "vicidial-stock": lambda level: rivals.Vicidial(rivals.STOCK),
    "vicidial-well-run": lambda level: rivals.Vicidial(rivals.WELL_RUN),
    STATIC: lambda level: rivals.StaticLevel(level),
    "omnidialer": lambda level: rivals.OmniDialer(),
    OURS: lambda level: Paced(cap=CAP),  # nothing is known in advance
}
POLICIES = tuple(_MAKE)


def run(task: Task) -> Outcome:
    """Simulate it."""
    begun = time.process_time()
    scenario = SCENARIOS[task.world]
    driver = _MAKE[task.policy](task.level)
    drop_seconds = rivals.STOCK.drop_seconds if task.policy == "vicidial-stock" else rivals.GRACE
    simulation = Simulation(
        scenario.world(drop_seconds), scenario.agents(task.agents), driver, task.seed, task.seconds,
        slice_seconds=task.seconds, calls_per_second=scenario.rate(task.agents),
    )  # fmt: skip
    total = simulation.run().total
    # Where people give up by themselves, that is abandonment; elsewhere being joined after the grace is so too.
    late = driver.late if isinstance(driver, rivals.Scored) and drop_seconds > rivals.GRACE and task.world != "M" else 0
    return Outcome(total.present, total.busy, total.answers, total.abandoned + late, time.process_time() - begun)


class Together:
    """Sums over windows."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.all = list(outcomes)
        self.occupancy = sum(one.busy for one in self.all) / sum(one.present for one in self.all)
        self.abandonment = sum(one.abandoned for one in self.all) / max(1, sum(one.answers for one in self.all))

    @property
    def error(self) -> float:
        """Standard error of the occupancy."""
        shares = [one.busy / one.present for one in self.all]
        mean, count = sum(shares) / len(shares), len(shares)
        return sqrt(sum((share - mean) ** 2 for share in shares) / max(1, count - 1) / count)

    def abandonment_of_worst(self, share: float) -> float:
        """What so large a share of the windows does not exceed."""
        ranked = sorted(one.abandonment for one in self.all)
        return ranked[ceil(share * len(ranked)) - 1]


Runner = Callable[[Sequence[Task]], Iterator[Outcome]]


def tasks(world: str, policy: str, agents: int, windows: int, shifts: int, level: float = 0.0) -> tuple[Task, ...]:
    """The windows of a row."""
    seconds = shifts * HOURS * 3600
    return tuple(Task(world, policy, agents, seed, seconds, level) for seed in range(windows))


def measure(world: str, policy: str, agents: int, windows: int, shifts: int, runner: Runner) -> dict[str, Any]:
    """The row. `shifts`: of each window."""
    spent = 0.0

    def together(level: float = 0.0) -> Together:
        nonlocal spent
        found = Together(runner(tasks(world, policy, agents, windows, shifts, level)))
        spent += sum(one.cost for one in found.all)
        return found

    best, level = _best_static(together) if policy == STATIC else (together(), 0.0)
    reference = SCENARIOS[world].reference(agents)
    row: dict[str, Any] = {
        "world": world,
        "policy": policy,
        "agents": agents,
        "occupancy": round(best.occupancy, 4),
        "occupancy_error": round(best.error, 4),
        "abandonment": round(best.abandonment, 4),
        "abandonment_p99_window": round(best.abandonment_of_worst(0.99), 4),
        "share_within_cap": round(sum(one.abandonment <= CAP for one in best.all) / windows, 4),
        "windows": windows,
        "window_hours": shifts * HOURS,
        "reference": round(reference, 4),
        "fraction_of_reference": round(best.occupancy / reference, 4),
        "seconds": round(spent, 1),  # of processors
    }
    return {**row, "level": round(level, 2)} if policy == STATIC else row


def _best_static(together: Callable[[float], Together]) -> tuple[Together, float]:
    """The level that in these very windows kept the agents busiest within the cap: full knowledge."""
    low, high = _LOWEST, _HIGHEST
    best = together(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        there = together(middle)
        if there.abandonment > CAP:
            high = middle
        else:
            low, best = middle, there
    return best, low
