"""A scenario like a past campaign: what the record may hold, however odd, gives a scenario that can be run."""

from dataclasses import replace

import pytest

from dialerd.pacing.likeness import History, TooLittle, scenario_like
from dialerd.pacing.scenario_text import read, write
from dialerd.pacing.shift import agents, shift

PAST = History(
    name="Spring", mode="predictive", pacing_ratio=3.0, ring_timeout_seconds=25, wrap_up_seconds=15,
    detects_machines=False, attempts_per_contact=4, retry_seconds=300,
    ended={(9, "connected"): 30, (9, "no_answer"): 60, (9, "busy"): 10, (10, "connected"): 40, (10, "no_answer"): 60},
    fast_fail_seconds=3.0, rings=(6.0, 12.0), talks=(30.0, 90.0, 200.0), wrap_ups=(15.0,), agents={9: 4.4, 10: 5.6},
    handled=70, pauses=7, pause_seconds=240.0, contacts_left=900, contacts=2000,
)  # fmt: skip


def test_whoever_is_there_for_both_hours_is_one_agent() -> None:
    s = scenario_like(PAST)
    assert sorted((a.start, a.end) for a in agents(s)) == [(0, 7200)] * 4 + [(3600, 7200)] * 2
    assert (s.list.contacts, s.answers.by_hour, s.answers.rate) == (900, {9: 0.3, 10: 0.4}, 0.35)
    assert shift(s, "progressive", 1).total.lines > 100


@pytest.mark.parametrize(
    "odd",
    [
        {"ended": {(9, "connected"): 99, (9, "machine"): 1, (10, "busy"): 60, (10, "machine"): 30}},
        {"ended": {(9, "connected"): 200, (9, "not_sent"): 50, (9, "unknown"): 3}, "detects_machines": True},
        {"agents": {9: 5000.0, 10: 0.2}},
        {"agents": {9: 2.0, 23: 3.0}, "ended": {(9, "connected"): 60, (23, "busy"): 60}},
        {"rings": (), "talks": (), "wrap_ups": (), "fast_fail_seconds": None, "ring_timeout_seconds": 5},
        {"rings": (90.0, 900.0), "talks": (0.0, 90_000.0), "wrap_ups": (0.0, 0.0), "fast_fail_seconds": 9999.0},
        {"contacts_left": 0, "contacts": 0, "attempts_per_contact": 101, "retry_seconds": 10**9},
        {"pauses": 500, "handled": 3, "pause_seconds": 0.0, "mode": "preview", "pacing_ratio": 0.0},
        {"pauses": 5, "handled": 0, "max_calls": 0, "calls_per_second": 0.5, "cap": 1.0, "grace_seconds": 120.0},
        {"name": "x" * 300},
    ],
)
def test_what_is_odd_gives_a_scenario_all_the_same(odd: dict[str, object]) -> None:
    s = scenario_like(replace(PAST, **odd))  # type: ignore[arg-type]
    assert read(write(s), "f") == s


@pytest.mark.parametrize(
    "lacking",
    [
        {"ended": {(9, "connected"): 99}},
        {"ended": {(9, "connected"): 19, (9, "busy"): 500}},
        {"ended": {(9, "connected"): 50, (9, "not_sent"): 500}},
        {"agents": {}},
        {"agents": {9: 0.4, 15: 7.0}},
    ],
)
def test_too_little_is_too_little(lacking: dict[str, object]) -> None:
    with pytest.raises(TooLittle, match="'Spring'"):
        scenario_like(replace(PAST, **lacking))  # type: ignore[arg-type]
