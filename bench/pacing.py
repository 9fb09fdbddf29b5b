"""`make bench-pacing`: how busy agents are kept and how many callers are abandoned, ours and rivals, in many worlds.

Each row of bench/results/pacing.json is one policy with so many agents in one world, over many windows; it is written
as soon as it is there, so that an interrupted run keeps what it has. Ours starts each window knowing nothing.
"""

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import shifts
from bench.lists import machine
from bench.scenarios import CAP, SCENARIOS
from bench.shifts import OURS, POLICIES, STATIC, Outcome, Task, run
from bench.worker import Interpreter
from dialerd.pacing import policy
from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.curves import Model
from dialerd.pacing.learner import Learner
from dialerd.pacing.snapshot import Snapshot

RESULTS = Path(__file__).parent / "results" / "pacing.json"
AGENTS = (2, 5, 10, 20, 50)
BLOCK = "30days"
Cell = tuple[str, str, int]  # world, policy, agents
# Under QUICK: rows that show each part at work, and figures too rough to quote.
_QUICK_CELLS: dict[Cell, int] = {
    ("M", OURS, 5): 1,
    ("R", OURS, 5): 1,
    ("R", OURS, 10): 1,
    **{("R", name, 10): 2 for name in POLICIES if name != OURS},
    **{(name, OURS, 5 if name in ("halves", "doubles") else 2): 1 for name in SCENARIOS if name not in ("M", "R")},
}
_QUICK_SHIFTS = 2
_AHEAD = 2  # rows that are begun before the one before them is done


def cells(options: argparse.Namespace) -> dict[Cell, int]:
    """What is measured, and over how many windows."""
    found = _QUICK_CELLS if options.quick else _all_cells()
    return {
        (world, name, agents): options.windows or count
        for (world, name, agents), count in found.items()
        if world in (options.world or SCENARIOS)
        and name in (options.policy or POLICIES)
        and agents in (options.agents or AGENTS)
    }


def _all_cells() -> dict[Cell, int]:
    found = {
        (world, name, agents): _windows(world, name, agents)
        for world in SCENARIOS
        if world != BLOCK
        for agents in AGENTS
        for name in POLICIES
    }
    return {**found, (BLOCK, OURS, 10): 50}


def _windows(world: str, name: str, agents: int) -> int:
    if name == OURS and world in ("M", "R"):
        return 1000 if agents <= 20 else 200
    return 200 if agents <= 20 else 50


def store(path: Path, row: dict[str, Any] | None = None, **figures: Any) -> None:
    """Merge a row, or other figures, into the file; it is replaced as a whole."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    rows = {(old["world"], old["policy"], old["agents"]): old for old in kept.get("rows", [])}
    if row is not None:
        rows[row["world"], row["policy"], row["agents"]] = row
    order = (list(SCENARIOS), list(POLICIES))
    ranked = sorted(rows.values(), key=lambda r: (order[0].index(r["world"]), r["agents"], order[1].index(r["policy"])))
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({**kept, "machine": machine(), **figures, "rows": ranked}, indent=2) + "\n")
    fresh.replace(path)


def decision_ms(agents: int = 500, lines: int = 1500, count: int = 400) -> dict[str, Any]:
    """Processor time of one decision of a large campaign, ages and states different each time."""
    lots, taken, started = Random(1), [], 0
    learner = Learner()
    for n in range(8000):
        answered = lots.random() < 0.07
        learner.line_ended(n / 60, lots.gammavariate(4.0, 3.0) if answered else 25.0, answered)
    for n in range(1000):
        learner.talk_ended(n, lots.lognormvariate(4.3, 0.8))
        learner.wrap_up_ended(n, 15.0)
    chance = learner.chances.of()
    gc.freeze()  # as the daemon does: what is there by now is not looked at by every collection
    for n in range(count):
        ready, wrapping_up = lots.randrange(10, 60), lots.randrange(20, 60)
        snapshot = Snapshot(
            mode="predictive", ready=ready, lines=lines, connected=0, max_concurrent_calls=10**6, headroom=10**6,
            ringing=tuple((lots.uniform(0, 25), chance) for _ in range(lines)),
            talking=tuple(lots.expovariate(1 / 105) for _ in range(agents - ready - wrapping_up)),
            wrapping_up=tuple(lots.uniform(0, 15) for _ in range(wrapping_up)),
            pacing_ratio=10.0, budget=Budget(CAP, (Window(5000, 140),)),
        )  # fmt: skip
        if n % 100 == 0:  # the curves are drawn anew: the first decision after that is the dearest
            model = Model(learner.curves(), 2.0)
        begun = time.thread_time()  # of the processor, which others may be using too
        started += policy.decide(snapshot, model).lines
        taken.append((time.thread_time() - begun) * 1000)
    taken.sort()
    return {
        "agents": agents,
        "lines": lines,
        "decisions": count,
        "lines_started_mean": round(started / count, 1),
        "p50": round(taken[count // 2], 2),
        "p99": round(taken[count * 99 // 100], 2),
        "max": round(taken[-1], 2),
    }


@contextmanager
def _workers(jobs: int, threads: bool) -> Iterator[Pool | None]:
    """Processes that leave an interrupt to this one; or threads, each of which has a process of its own."""
    if jobs <= 1:
        yield None
        return
    if threads:
        with ThreadPool(jobs) as pool:
            yield pool
        return
    with get_context("fork").Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield pool


class Windows:
    """Runs windows in the processes of the pool, or here; the next rows' are begun before this one's are done."""

    def __init__(self, pool: Pool | None, progress: Progress, run: Callable[[Task], Outcome] = run) -> None:
        self._pool, self._progress, self._run = pool, progress, run
        self._begun: dict[tuple[Task, ...], Iterator[Outcome]] = {}
        self.bar = TaskID(0)

    def begin(self, tasks: tuple[Task, ...]) -> None:
        """So that no processor stands idle while a row's last window is run."""
        if self._pool is not None and tasks not in self._begun:
            self._begun[tasks] = self._pool.imap(self._run, tasks)

    def __call__(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        outcomes = self._begun.pop(tuple(tasks), None)
        if outcomes is None:
            outcomes = self._pool.imap(self._run, tasks) if self._pool else map(self._run, tasks)
        for outcome in outcomes:
            self._progress.advance(self.bar)
            yield outcome


def table(rows: list[dict[str, Any]]) -> Table:
    """For a person to read."""
    found = Table(title="Pacing: occupancy with at most 3 % abandoned")
    for name in (
        "world",
        "agents",
        "policy",
        "occupancy",
        "±",
        "of reference",
        "abandoned",
        "p99",
        "within",
        "windows",
    ):
        found.add_column(name, justify="left" if name in ("world", "policy") else "right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, (row["world"], row["agents"])):
            found.add_section()
        before = row["world"], row["agents"]
        error = row["occupancy_error"]
        found.add_row(
            row["world"], str(row["agents"]), row["policy"], f"{row['occupancy']:.3f}",
            "–" if error is None else f"{1.96 * error:.3f}", f"{row['fraction_of_reference']:.3f}",
            f"{row['abandonment']:.2%}", f"{row['abandonment_p99_window']:.2%}",
            f"{row['share_within_cap']:.1%}", str(row["windows"]),
            style="bold" if row["policy"] == OURS else "",
        )  # fmt: skip
    return found


def _shifts(world: str, quick: bool) -> int:
    return min(SCENARIOS[world].shifts, _QUICK_SHIFTS) if quick else SCENARIOS[world].shifts


def main(options: argparse.Namespace) -> None:
    """Measure row by row, then print what there is."""
    path = RESULTS.with_suffix(".quick.json") if options.quick else RESULTS
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    store(path, decision_ms=decision_ms())
    todo = [(*cell, count, _shifts(cell[0], options.quick)) for cell, count in cells(options).items()]
    runner = Interpreter(options.python) if options.python else run
    with (
        _workers(options.jobs, threads=bool(options.python)) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        rows_bar, windows = progress.add_task("rows", total=len(todo)), Windows(pool, progress, runner)
        for n, row in enumerate(todo):
            for following in todo[n + 1 : n + 1 + _AHEAD]:
                if following[1] != STATIC:  # which levels it tries is not known beforehand
                    windows.begin(shifts.tasks(*following))
            world, name, agents, count, _ = row
            windows.bar = progress.add_task(f"{SCENARIOS[world].about}: {name}, {agents} agents", total=count)
            store(path, shifts.measure(*row, windows))
            progress.remove_task(windows.bar)
            progress.advance(rows_bar)
    kept = json.loads(path.read_text())
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table(kept["rows"]))
    console.print(
        "A decision for {agents} agents and {lines} lines: {p50} ms, p99 {p99} ms".format(**kept["decision_ms"])
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", action="append", choices=list(SCENARIOS), help="Only this one; may be repeated.")
    parser.add_argument("--policy", action="append", choices=POLICIES, help="Only this one; may be repeated.")
    parser.add_argument("--agents", action="append", type=int, choices=AGENTS, help="Only so many; may be repeated.")
    parser.add_argument("--windows", type=int, help="Of each row.  [default: ours 1000 in M and R, else 200; 50 agents"
                        " a quarter or a fifth; 50 blocks of 30 days]")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="Processes.  [default: one per core]")
    parser.add_argument("--python", metavar="COMMAND", default=os.environ.get("WINDOWS_PYTHON"), help="What runs the"
                        " windows: pypy3 (3.11) finds the same figures in a third of the time.")  # fmt: skip
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="As QUICK=1.")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(_options())
    except KeyboardInterrupt:
        sys.exit("interrupted; the rows that were finished are kept")
