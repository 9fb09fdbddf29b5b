"""What a number of simulated shifts say together: the figures of the table, and the curves of the picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialerd.pacing.scenario import Mode, Scenario, clock
from dialerd.pacing.simulator import Run, Slice

LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all shifts of one mode. Rates are ratios, None where there is nothing to divide by.

    `occupancy`: share of their time (pauses left out) that agents talk or wrap up, `_p5`: at least that in 19 of 20
    shifts. `abandonment`: abandoned of the live answers of all shifts, `_p95`: at most that in 19 of 20 shifts;
    `over_cap`: share of the shifts that were above the cap. Per shift: `lines`, `live_answers`, `talks`.
    `peak_calls`: at once on the trunk, the most that was seen. `used_up`: share of the shifts that saw the end of the
    list, `used_up_at`: the local time of it, in the middle one of those; `contacts_left`: per shift, None of a list
    without end.
    """

    mode: str
    shifts: int
    occupancy: float | None
    occupancy_p5: float | None
    abandonment: float | None
    abandonment_p95: float | None
    over_cap: float
    live_answers_per_agent_hour: float | None
    talks_per_agent_hour: float | None
    calls_per_hour: float
    lines: float
    live_answers: float
    talks: float
    peak_calls: int
    used_up: float
    used_up_at: str | None
    contacts_left: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A curve at one moment, over all shifts."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Curves:
    """One point per slice of the shift, None where there was nothing to divide by. `occupancy` is of the slice,
    `abandonment` of everything since the shift began, as the cap is; `agents`: at work, pauses left out."""

    occupancy: tuple[Point | None, ...]
    abandonment: tuple[Point | None, ...]
    agents: tuple[float, ...]


def figures(scenario: Scenario, mode: Mode, runs: Sequence[Run]) -> Figures:
    """The table's column of this mode; at least one run."""
    total = _sum([run.total for run in runs])
    talks, agent_hours = total.answers - total.abandoned, total.present / 3600
    rates = [run.abandonment for run in runs]
    emptied = [run.emptied_at for run in runs if run.emptied_at is not None]
    endless = scenario.list.contacts is None
    return Figures(
        mode=mode,
        shifts=len(runs),
        occupancy=_ratio(total.busy, total.present),
        occupancy_p5=quantile([run.occupancy for run in runs], LOW) if total.present else None,
        abandonment=_ratio(total.abandoned, total.answers),
        abandonment_p95=quantile(rates, HIGH) if total.answers else None,
        over_cap=sum(rate > scenario.pacing.abandonment_cap for rate in rates) / len(runs),
        live_answers_per_agent_hour=_ratio(total.answers, agent_hours),
        talks_per_agent_hour=_ratio(talks, agent_hours),
        calls_per_hour=total.lines / len(runs) / (scenario.shift.seconds / 3600),
        lines=total.lines / len(runs),
        live_answers=total.answers / len(runs),
        talks=talks / len(runs),
        peak_calls=max(run.peak_calls for run in runs),
        used_up=len(emptied) / len(runs),
        used_up_at=clock(scenario.shift.start + quantile(emptied, MIDDLE) / 60) if emptied else None,
        contacts_left=None if endless else sum(run.left for run in runs) / len(runs),
    )


def curves(scenario: Scenario, runs: Sequence[Run]) -> Curves:
    """The picture's curves; at least one run."""
    width = runs[0].slice_seconds
    lengths = [min(width, scenario.shift.seconds - n * width) for n in range(len(runs[0].slices))]
    days = [run.slices for run in runs]
    since_start = [[_sum(day[: n + 1]) for n in range(len(day))] for day in days]
    return Curves(
        occupancy=_points(days, lambda s: _ratio(s.busy, s.present)),
        abandonment=_points(since_start, lambda s: _ratio(s.abandoned, s.answers)),
        agents=tuple(
            sum(part.present for part in parts) / len(runs) / length
            for length, *parts in zip(lengths, *days, strict=True)
        ),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Of at least one value, straight between those that lie next to it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _points(days: Sequence[Sequence[Slice]], of: Callable[[Slice], float | None]) -> tuple[Point | None, ...]:
    found: list[Point | None] = []
    for parts in zip(*days, strict=True):
        values = [value for value in map(of, parts) if value is not None]
        found.append(Point(*(quantile(values, share) for share in (LOW, MIDDLE, HIGH))) if values else None)
    return tuple(found)


def _sum(parts: Sequence[Slice]) -> Slice:
    return Slice(*(sum(getattr(part, name) for part in parts) for name in Slice.__slots__))


def _ratio(of: float, whole: float) -> float | None:
    return of / whole if whole else None
