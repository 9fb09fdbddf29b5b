"""How often the health of caller IDs is wrong, and how soon it is right: pools that are made up, by dice with a seed.

    python -m bench.callerid_health          some minutes; bench/results/callerid_health.json
    QUICK=1 python -m bench.callerid_health  a rough look, nothing is written

Destinations differ (answer rates of 2 to 60 %), hours differ, and each number has its own mix of both: what must not
make it look sick. `false_rests`: of pools in which all is well, the runs in which anybody rested. `found`: of numbers
whose answer rate is halved, the share that rests after so many calls each.
"""

import json
import os
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.random import Generator

from dialerd.core.callerid_health import Cell, Number, Policy, State, figures, judge

NOW = datetime(2026, 3, 2, tzinfo=UTC)
RESULTS = Path(__file__).parent / "results" / "callerid_health.json"
_AREAS, _HOURS = 8, 6


def pool(
    dice: Generator, numbers: int, calls: int, sick: Collection[int] = (), factor: float = 0.5, mean: float = 0.2
) -> list[Cell]:
    """The calls of a pool, `calls` of each number. `mean`: the answer rate; `factor`: by how much that of the sick is
    less."""
    spread = 10.0
    rates = dice.beta(mean * spread, (1 - mean) * spread, size=(_AREAS, _HOURS)).clip(0.02, 0.6)
    cells = []
    for number in range(numbers):
        chances = np.outer(dice.dirichlet(np.full(_AREAS, 0.7)), dice.dirichlet(np.full(_HOURS, 3.0)))
        counts = dice.multinomial(calls, chances.ravel() / chances.sum()).reshape(_AREAS, _HOURS)
        answers = dice.binomial(counts, rates * (factor if number in sick else 1.0))
        rejected = dice.binomial(counts - answers, 0.03)
        short = dice.binomial(answers, 0.15)
        for area, hour in np.argwhere(counts):
            n, x, r, s = (int(table[area, hour]) for table in (counts, answers, rejected, short))
            cells.append(Cell(number, 1, f"US-{area}", "US", int(hour), n, x, r, x, s))
    return cells


def resting(cells: Collection[Cell], numbers: int) -> set[int]:
    """The numbers that are sent to rest."""
    verdicts = judge([Number(n, 1) for n in range(numbers)], figures(cells), NOW, Policy())
    return {verdict.number for verdict in verdicts if verdict.state is State.RESTING}


def false_rests(numbers: int, calls: int, runs: int, mean: float = 0.2) -> int:
    """In how many runs over a healthy pool anybody rests."""
    return sum(
        bool(resting(pool(np.random.default_rng(seed), numbers, calls, mean=mean), numbers)) for seed in range(runs)
    )


def found(numbers: int, calls: int, runs: int, mean: float = 0.2) -> float:
    """The share of sick numbers (one in fifty, at least one) that rests; nobody else counts."""
    sick = range(max(1, numbers // 50))
    hits = 0
    for seed in range(runs):
        cells = pool(np.random.default_rng(10_000 + seed), numbers, calls, sick, mean=mean)
        hits += len(resting(cells, numbers) & set(sick))
    return hits / (runs * len(sick))


def main() -> None:
    """Prints, and writes unless QUICK."""
    quick = bool(os.environ.get("QUICK"))
    part = 20 if quick else 1
    healthy = [(5, 500, 1000), (50, 300, 500), (500, 100, 200), (500, 300, 200), (500, 1000, 200)]
    wrong = [
        {
            "numbers": n,
            "calls": c,
            "mean": mean,
            "runs": runs // part,
            "false_rests": false_rests(n, c, runs // part, mean),
        }
        for n, c, runs in healthy
        for mean in (0.2, 0.05)
    ]
    right = [
        {"numbers": n, "calls": c, "mean": 0.2, "found": round(found(n, c, max(2, 200 // (1 + n // 50) // part)), 3)}
        for n in (5, 50, 500)
        for c in (200, 300, 400, 500, 600, 800)
    ]
    text = json.dumps({"healthy": wrong, "answer_rate_halved": right}, indent=1)
    print(text)
    if not quick:
        RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
