"""`dialer-admin simulate`: what would happen if. Shifts on a virtual clock, paced by the daemon's own code."""

import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from os import nice
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import Progress

from dialerd.cli import picture
from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.clock import Clock
from dialerd.core import words
from dialerd.pacing.likeness import scenario_like
from dialerd.pacing.outlook import Figures, curves, figures
from dialerd.pacing.scenario import Mode, Scenario
from dialerd.pacing.scenario_text import ScenarioRefused, read, write
from dialerd.pacing.shift import shift
from dialerd.pacing.simulator import Run
from dialerd.paths import shipped
from dialerd.store import stats
from dialerd.store.history import history

_MAX_BYTES = 1_000_000
_AGO = re.compile(r"([1-9][0-9]{0,3})([hd])\Z", re.ASCII)
_MODES: tuple[Mode, ...] = get_args(Mode)
_SEEDS = 1_000_000  # more than there are shifts, so that seeds 1 and 2 have none in common


def example() -> str:
    """The campaign file that is shipped, with a word on each key."""
    return (shipped("docs") / "simulate.toml").read_text(encoding="utf-8")


def register(cli: click.Group) -> None:
    """Add this file's command."""

    @command(cli, "simulate")
    @click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--like", metavar="CAMPAIGN", help="Instead of FILE: as this campaign was, by what is on record.")
    @click.option("--since", help="Of --like: 7d, 12h, or a day as in 2026-03-23.  [default: all of it]")
    @click.option("--write", "target", type=click.Path(path_type=Path), help="Of --like: write it to this new file.")
    @click.option("--shifts", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many to run.")
    @click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Other seed, other luck.")
    @click.option("--mode", type=click.Choice(_MODES), help="Instead of the file's.")
    @click.option("--compare", is_flag=True, help="All modes side by side; power at the file's pacing_ratio.")
    @click.option("--picture", "image", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: .svg or .png.")
    @click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processors to use.")
    @click.option("--example", "wants_example", is_flag=True, help="Print a FILE to begin with, and end.")
    async def simulate(
        session: Session,
        as_json: bool,
        file: Path | None,
        like: str | None,
        since: str | None,
        target: Path | None,
        shifts: int,
        seed: int,
        mode: Mode | None,
        compare: bool,
        image: Path | None,
        jobs: int,
        wants_example: bool,
    ) -> None:
        """What would happen if: run the campaign that FILE describes, on a virtual clock, with the pacing that the
        daemon uses. Nobody is called. docs/simulate.md says how to read what it shows.

        Each shift begins with nothing learned. The same file, seed and number of shifts give the same figures.
        """
        if wants_example:
            click.echo(example(), nl=False)
            return
        if (file is None) == (like is None):
            raise click.UsageError("either a FILE or --like CAMPAIGN (--example prints a file to begin with)")
        if like is None and (since or target):
            raise click.UsageError("--since and --write belong to --like")
        if mode and compare:
            raise click.UsageError("either --mode or --compare")
        if image:
            picture.check(image)
        scenario = _from_file(file) if file else await _from_record(session, like or "", since)
        if target:
            _keep(target, write(scenario))
        modes = _MODES if compare else (mode or scenario.pacing.mode,)
        # Nothing else waits for this thread: while it reckons, only Ctrl+C has anything to say.
        results = [
            Result(each, runs) for each, runs in zip(modes, _run(scenario, modes, shifts, seed, jobs), strict=True)
        ]
        if image:
            drawn = next((r for r in results if r.mode == scenario.pacing.mode), results[0])
            picture.draw(image, scenario, drawn.mode, curves(scenario, drawn.runs), shifts)
            say(f"written to {image}: {drawn.mode}")
        _show(scenario, [figures(scenario, result.mode, result.runs) for result in results], seed, as_json)


@dataclass(frozen=True, slots=True)
class Result:
    """The shifts of one mode."""

    mode: Mode
    runs: Sequence[Run]


def _from_file(file: Path) -> Scenario:
    with file.open("rb") as source:
        content = source.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ScenarioRefused(f"{file}: larger than {_MAX_BYTES:,} bytes")
    try:
        return read(content.decode("utf-8-sig"), str(file))
    except UnicodeDecodeError as error:
        raise ScenarioRefused(f"{file}: not UTF-8 at byte {error.start}") from None


async def _from_record(session: Session, campaign: str, since: str | None) -> Scenario:
    async with session.tenant() as (pool, tenant):
        zone = await stats.zone_of(pool, tenant.id)
        found = await history(pool, tenant.id, campaign, _start(since, zone), zone)
    # The rate of a trunk is known to the node that has it, and to nobody else.
    trunk = session.config.trunks.get(found.trunk)
    return scenario_like(replace(found, calls_per_second=trunk.calls_per_second if trunk else None))


def _start(text: str | None, zone: str) -> datetime | None:
    if text is None:
        return None
    now = Clock().now()
    if match := _AGO.match(text):
        return now - timedelta(**{{"h": "hours", "d": "days"}[match[2]]: int(match[1])})
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise click.UsageError(f"--since {text[:40]!r}: 7d, 12h, or a day as in 2026-03-23") from None


def _keep(target: Path, text: str) -> None:
    """Writes a file that is not there yet."""
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ScenarioRefused(f"{target} is there already: --write makes a new file") from None
    say(f"written to {target}")


def _run(scenario: Scenario, modes: Sequence[Mode], shifts: int, seed: int, jobs: int) -> list[list[Run]]:
    """The shifts of each mode, each mode with the same seeds."""
    tasks = [(mode, seed * _SEEDS + n) for mode in modes for n in range(shifts)]
    # Not forked: the loop of this process must not go on in another one. With a low priority: a machine that dials has
    # better things to do.
    workers = ProcessPoolExecutor(jobs, get_context("spawn"), partial(nice, 10)) if jobs > 1 else nullcontext()
    found: list[Run] = []
    console = Console(stderr=True)
    with workers as pool, Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("simulating", total=len(tasks))
        for run in (pool.map if pool else map)(partial(_one, scenario), tasks):
            found.append(run)
            progress.advance(bar)
    return [found[n * shifts : (n + 1) * shifts] for n in range(len(modes))]


def _one(scenario: Scenario, task: tuple[Mode, int]) -> Run:
    return shift(scenario, *task)


def _show(scenario: Scenario, found: Sequence[Figures], seed: int, as_json: bool) -> None:
    if as_json:
        document = {"scenario": scenario.model_dump(mode="json", by_alias=True), "seed": seed, "modes": found}
        show_json(document)
        return
    cap, shifts = words.percent(scenario.pacing.abandonment_cap), found[0].shifts
    rows = [
        ("agents' time in talk and wrap-up", *(words.percent(f.occupancy) for f in found)),
        ("  in 19 of 20 shifts at least", *(words.percent(f.occupancy_p5) for f in found)),
        (f"abandoned, of live answers (cap {cap})", *(_share(f.abandonment) for f in found)),
        ("  in 19 of 20 shifts at most", *(_share(f.abandonment_p95) for f in found)),
        ("  shifts above the cap", *(f"{round(f.over_cap * shifts)} of {shifts}" for f in found)),
        ("live answers per agent and hour", *(_decimal(f.live_answers_per_agent_hour) for f in found)),
        ("conversations per agent and hour", *(_decimal(f.talks_per_agent_hour) for f in found)),
        ("conversations", *(_whole(f.talks) for f in found)),
        ("lines dialled", *(_whole(f.lines) for f in found)),
        ("lines dialled per hour", *(_whole(f.calls_per_hour) for f in found)),
        ("most calls at once on the trunk", *(_whole(f.peak_calls) for f in found)),
        ("list used up", *(_used_up(f) for f in found)),
    ]
    show_table((scenario.name, *(f.mode.upper() for f in found)), rows)
    say(f"{shifts} {'shift' if shifts == 1 else 'shifts'} of {scenario.shift.seconds / 3600:g} hours; averages of a "
        f"shift unless it says otherwise; seed {seed}")  # fmt: skip


def _used_up(f: Figures) -> str:
    if f.contacts_left is None:
        return "it has no end"
    if f.used_up_at is None:
        return f"no: {_whole(f.contacts_left)} left"
    shifts = round(f.used_up * f.shifts)
    return f"at {f.used_up_at}" + ("" if shifts == f.shifts else f", in {shifts} of {f.shifts} shifts")


def _share(value: float | None) -> str:
    """Abandonment, to a hundredth of a percent: what is just above a cap must be seen to be."""
    return "–" if value is None else f"{100 * value:.2f} %"


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"
