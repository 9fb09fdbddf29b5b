"""A scenario like a past campaign: its figures, put into the form that is simulated. Where they come from is the
store's matter (`store/history.py`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from dialerd.core.causes import LIVE_ANSWERS, Outcome
from dialerd.pacing.scenario import MOST_AGENTS, Scenario, clock

LEAST_ATTEMPTS, LEAST_TALKS = 100, 20
_FAST = frozenset({Outcome.BUSY, Outcome.REJECTED, Outcome.INVALID, Outcome.FAILED})
_NO_CALL = frozenset({Outcome.NOT_SENT, Outcome.UNKNOWN})  # nothing rang, or nobody knows
_LEAST_OF_HOUR = 30  # attempts; an hour with fewer has the answer rate of all
_SCARCE = 0.01  # an hour with fewer of the attempts is not part of the shift


class TooLittle(ValueError):
    """The record does not hold enough of the campaign; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class History:
    """What is on record of a campaign.

    `ended`: (hour of the day, outcome) → attempts. `rings` (of answered calls), `talks`, `wrap_ups`: seconds, the mean
    of each equal share of them, ascending. `agents`: hour of the day → how many were there on average, pauses included.
    `pauses`, `pause_seconds`: how many and how long on average, `handled`: the calls that these agents had.
    `contacts_left`: still to be called, `contacts`: all. `cap`: share of live answers, `grace_seconds`: of the profile.
    `max_calls`, `calls_per_second`: of `trunk` and campaign; None: not known.
    """

    name: str
    mode: str
    pacing_ratio: float
    ring_timeout_seconds: float
    wrap_up_seconds: float
    detects_machines: bool
    attempts_per_contact: int
    retry_seconds: float
    ended: Mapping[tuple[int, str], int]
    fast_fail_seconds: float | None
    rings: tuple[float, ...]
    talks: tuple[float, ...]
    wrap_ups: tuple[float, ...]
    agents: Mapping[int, float]
    handled: int
    pauses: int
    pause_seconds: float
    contacts_left: int
    contacts: int
    cap: float | None = None
    grace_seconds: float | None = None
    trunk: str = ""
    max_calls: int | None = None
    calls_per_second: float | None = None


def scenario_like(h: History) -> Scenario:
    """The scenario. Raises `TooLittle`."""
    calls = {key: n for key, n in h.ended.items() if key[1] not in _NO_CALL}
    total, talks = sum(calls.values()), _of(calls, {Outcome.CONNECTED})
    if total < LEAST_ATTEMPTS or talks < LEAST_TALKS:
        raise TooLittle(
            f"campaign {h.name!r} has {total} attempts that ended and {talks} conversations on record in that time; a "
            f"likeness needs {LEAST_ATTEMPTS} and {LEAST_TALKS}: take a longer --since, or write a file (--example)"
        )
    hours = _hours(h, calls, total)
    if not hours:
        raise TooLittle(
            f"no agent of campaign {h.name!r} is on record as at work while it dialled: take another --since, or write "
            "a file (--example)"
        )
    start, end = min(hours), max(hours) + 1
    timeout = h.ring_timeout_seconds
    rings = _shares(h.rings, 0.0, timeout - 0.5) or {"mean_seconds": timeout / 2}
    optional = {
        "machine_detection": {"wrong": 0.0} if h.detects_machines else None,  # what was seen is after its verdicts
        "wrap_up": _shares(h.wrap_ups, 0.0, 7200.0) or {"mean_seconds": min(7200.0, h.wrap_up_seconds)},
    }
    return Scenario.model_validate({
        "name": f"Like {h.name}"[:100],
        "shift": {"start": clock(start * 60), "end": f"{end:02}:00"},
        "agents": tuple(_groups(h, hours, start, end)),
        "answers": _answers(h, calls, total),
        "list": {"contacts": max(1, h.contacts_left or h.contacts),
                 "attempts_per_contact": min(100, h.attempts_per_contact),
                 "retry_minutes": round(min(1440.0, h.retry_seconds / 60), 2)},
        "ring": {**rings, "timeout_seconds": timeout},
        "talk": _shares(h.talks, 1.0, 7200.0),
        "pacing": _pacing(h),
        "trunk": {key: value for key, value in (("max_calls", h.max_calls), ("calls_per_second", h.calls_per_second))
                  if value},
        **{key: value for key, value in optional.items() if value is not None},
    })  # fmt: skip


def _of(calls: Mapping[tuple[int, str], int], outcomes: Iterable[str], hour: int | None = None) -> int:
    wanted = set(outcomes)
    return sum(n for (at, outcome), n in calls.items() if outcome in wanted and hour in (None, at))


def _hours(h: History, calls: Mapping[tuple[int, str], int], total: int) -> dict[int, int]:
    """Hour of the day → agents, where the campaign dialled and somebody was there."""
    dialled = {hour: sum(n for (at, _), n in calls.items() if at == hour) for hour, _ in calls}
    here = {hour: round(h.agents.get(hour, 0.0)) for hour, n in dialled.items() if n >= _SCARCE * total}
    return {hour: min(count, MOST_AGENTS) for hour, count in here.items() if count > 0}


def _groups(h: History, hours: Mapping[int, int], start: int, end: int) -> Iterable[dict[str, object]]:
    """Groups of agents who come and go together: the n-th agent is there in every hour that has as many."""
    spans: list[tuple[int, int]] = []
    for n in range(1, max(hours.values()) + 1):
        for here, run in groupby(range(start, end), key=lambda hour: hours.get(hour, 0) >= n):
            if here:
                these = list(run)
                spans.append((these[0], these[-1] + 1))
    pauses: dict[str, object] = {}
    if h.pauses and h.handled:
        share = min(1.0, h.pauses / h.handled)
        pauses = {"pause_share": round(share, 4), "pause_seconds": round(max(1.0, h.pause_seconds), 1)}
    for first, after in sorted(set(spans)):
        yield {"from": f"{first:02}:00", "to": f"{after:02}:00", "count": spans.count((first, after)), **pauses}


def _answers(h: History, calls: Mapping[tuple[int, str], int], total: int) -> dict[str, object]:
    by_hour = {}
    for hour in sorted({hour for hour, _ in calls}):
        of_hour = sum(n for (at, _), n in calls.items() if at == hour)
        if of_hour >= _LEAST_OF_HOUR:
            by_hour[f"{hour:02}:00"] = round(_of(calls, LIVE_ANSWERS, hour) / of_hour, 4)
    others = {
        "fast_fail": _of(calls, _FAST) / total,
        "machines": _of(calls, {Outcome.MACHINE, Outcome.MESSAGE_LEFT}) / total,
    }
    rate = round(_of(calls, LIVE_ANSWERS) / total, 4)
    # An hour with many answers has fewer of the others, which are known of all hours together only.
    room = 1 - max(rate, *by_hour.values())
    squeeze = min(1.0, room / max(1e-9, sum(others.values())))
    shares = {key: int(share * squeeze * 10_000) / 10_000 for key, share in others.items()}
    fails = h.fast_fail_seconds
    seconds = {} if fails is None else {"fast_fail_seconds": round(min(120.0, max(0.1, fails)), 1)}
    return {"rate": rate, "by_hour": by_hour, **shares, **seconds}


def _shares(means: tuple[float, ...], low: float, high: float) -> dict[str, object]:
    """As seen, within what a scenario may hold; of one value only there is nothing to spread."""
    found = tuple(round(min(high, max(low, mean)), 2) for mean in means)
    if len(found) == 1:
        return {"mean_seconds": found[0], "variation": 0.0}
    return {"shares_seconds": found} if found else {}


def _pacing(h: History) -> dict[str, object]:
    found: dict[str, object] = {
        "mode": h.mode if h.mode in ("predictive", "power") else "progressive",  # preview: agents dial, one line each
        "pacing_ratio": min(10.0, max(1.0, h.pacing_ratio)),
    }
    if h.cap is not None:
        found["abandonment_cap"] = h.cap
    if h.grace_seconds is not None:
        found["grace_seconds"] = min(60.0, h.grace_seconds)
    return found
