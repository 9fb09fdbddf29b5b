"""How many lines to start: never too many, whatever the snapshot says."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.curves import Model
from dialerd.pacing.learner import Learner
from dialerd.pacing.policy import MODES, decide
from dialerd.pacing.snapshot import Snapshot

ROOMY = Budget(0.03, (Window(1000, 20),))


def learned(answered: int = 25, of: int = 100, leaving: int = 0) -> Model:
    """A campaign some way into its day: a quarter of the lines answered after some 12 s, talks of two minutes."""
    learner = Learner()
    for n in range(of):
        learner.line_ended(n, 6.0 + n % 13 if n % of < answered else 25.0, n % of < answered)
    for n in range(answered):
        learner.talk_ended(n, 30.0 + 7 * n)
        learner.wrap_up_ended(n, 15.0)
        learner.agent_stood(10.0, n < leaving)
    assert learner.knows_enough(0)
    return Model(learner.curves(), 2.0)


MODEL = learned()
AGES = st.lists(st.floats(0, 900), max_size=30).map(tuple)
LINES = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 1)), max_size=40).map(tuple)
BUDGETS = st.builds(
    lambda cap, answers, abandoned: Budget(cap, (Window(answers, min(answers, abandoned)),)),
    st.sampled_from([0.0, 0.01, 0.03, 0.05]), st.integers(0, 5000), st.integers(0, 300),
)  # fmt: skip


def snapshots(modes: st.SearchStrategy[str], n: st.SearchStrategy[int], ages: Any, lines: Any) -> Any:
    return st.builds(
        Snapshot, mode=modes, ready=n, lines=n, connected=n, max_concurrent_calls=n, headroom=n, waiting=n,
        ringing=lines, talking=ages, wrapping_up=ages, pacing_ratio=st.floats(0, 12) | st.sampled_from([1.0, 3.0]),
        budget=st.none() | BUDGETS, serial_wait=st.none() | st.floats(-5, 100),
    )  # fmt: skip


NASTY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([-1.0, 1e308])
ABSURD = snapshots(
    st.sampled_from([*sorted(MODES), "", "PROGRESSIVE"]), st.integers(-1000, 1000),
    st.lists(NASTY, max_size=5).map(tuple), st.lists(st.tuples(NASTY, NASTY), max_size=5).map(tuple),
)  # fmt: skip
HONEST = snapshots(st.sampled_from(sorted(MODES)), st.integers(0, 60), AGES, LINES)


def progressive(**changes: Any) -> Snapshot:
    free = Snapshot("progressive", 3, 0, 0, max_concurrent_calls=100, headroom=100)
    return replace(free, **changes)


def ringing(n: int) -> tuple[tuple[float, float], ...]:
    return ((5.0, 0.25),) * n


def test_one_line_for_each_ready_agent_who_has_none() -> None:
    assert decide(progressive()).lines == 3
    assert decide(progressive(lines=2, ringing=ringing(2))).lines == 1
    assert decide(progressive(lines=3, ringing=ringing(2), waiting=1)).lines == 0


def test_lines_of_other_campaigns_of_the_same_agents_count() -> None:
    assert decide(progressive(ready=3, lines=0, ringing=ringing(3))).lines == 0


def test_a_broadcast_fills_its_channels_whatever_agents_and_budget_are() -> None:
    broadcast = Snapshot("power", 0, 4, 3, max_concurrent_calls=20, headroom=100, broadcast=True)
    assert decide(broadcast).lines == 13
    assert decide(replace(broadcast, headroom=5)).lines == 5
    assert decide(replace(broadcast, connected=30)).lines == 0
    assert decide(replace(broadcast, broadcast=False)).lines == 0


@pytest.mark.accepts("PAC-02")
def test_calls_with_agents_count_against_the_campaigns_cap() -> None:
    decision = decide(progressive(connected=98, lines=1, ringing=ringing(1)))
    assert decision.lines == 1
    assert "campaign cap of 100 leaves 1" in decision.reason


def test_the_reason_names_the_cap_that_bound() -> None:
    assert "trunk and tenant leave 2" in decide(progressive(headroom=2)).reason
    assert "campaign cap of 0 leaves 0" in decide(progressive(max_concurrent_calls=0)).reason
    assert decide(progressive(ready=0)).reason == "no agent is ready"


@pytest.mark.accepts("CAM-15")
def test_power_dials_its_ratio_and_one_each_when_the_budget_is_spent() -> None:
    power = progressive(mode="power", pacing_ratio=3.5, budget=ROOMY)
    assert decide(power).lines == 10
    assert decide(replace(power, ringing=ringing(4))).lines == 6
    spent = decide(replace(power, budget=Budget(0.03, (Window(100, 4),))))
    assert spent.lines == 3 and "budget of 3.0% abandoned calls is spent" in spent.reason
    assert decide(replace(power, budget=None)).lines == 3


@pytest.mark.accepts("CAM-14", "PAC-01")
def test_predictive_dials_more_than_one_each_and_for_agents_who_will_be_free() -> None:
    at_work = progressive(mode="predictive", pacing_ratio=3.0, budget=ROOMY)
    assert decide(at_work, MODEL).lines > 3
    soon = replace(at_work, ready=0, wrapping_up=(13.0, 13.5, 14.0))
    assert decide(soon, MODEL).lines > 0, "three agents are free before anybody answers"
    assert decide(replace(soon, wrapping_up=(), talking=(1.0, 2.0)), MODEL).lines == 0
    bound = decide(replace(at_work, pacing_ratio=1.4), MODEL)
    assert bound.lines == 4 and "1.4 lines per agent allow 4" in bound.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ready": 1}, "a single agent"),
        ({"budget": None}, "could not be read"),
        ({"budget": Budget(0.03, ())}, "could not be read"),
        ({"budget": Budget(0.03, (Window(1000, 20), Window(50, 4)))}, "is spent"),
        ({"budget": Budget(0.0, (Window(1000, 0),))}, "is spent"),
    ],
)
def test_predictive_falls_back_to_one_each_and_says_why(changes: dict[str, Any], why: str) -> None:
    decision = decide(progressive(mode="predictive", **{"budget": ROOMY, **changes}), MODEL)
    assert decision.lines == changes.get("ready", 3)
    assert why in decision.reason
    untaught = decide(progressive(mode="predictive", budget=ROOMY), None)
    assert (untaught.lines, "too few calls" in untaught.reason) == (3, True)


@pytest.mark.accepts("CAM-16", "PAC-03")
@pytest.mark.parametrize("mode", ["progressive", "predictive", "power"])
def test_one_call_at_a_time_in_every_mode(mode: str) -> None:
    serial = progressive(mode=mode, pacing_ratio=3.0, budget=ROOMY, serial_wait=0.0)
    assert decide(serial, MODEL).lines == 1
    assert decide(replace(serial, connected=1), MODEL).lines == 0
    waits = decide(replace(serial, serial_wait=4.2), MODEL)
    assert waits.lines == 0 and "the next one in 4.2 s" in waits.reason


@given(ABSURD | HONEST, st.booleans())
def test_no_snapshot_however_absurd_gives_too_many_or_less_than_none(s: Snapshot, broadcast: bool) -> None:
    decision = decide(replace(s, broadcast=broadcast), MODEL)
    assert decision.lines >= 0
    assert decision.lines <= max(0, s.headroom)
    assert decision.lines <= max(0, s.max_concurrent_calls - s.lines - s.connected)
    assert decision.reason and not re.search(r"\bnan\b", decision.reason)


@given(HONEST)
def test_without_an_agent_at_work_nothing_is_dialled(s: Snapshot) -> None:
    gone = replace(s, ready=0, talking=(), wrapping_up=())
    assert decide(gone, MODEL).lines == 0
    if s.mode != "predictive":
        assert decide(replace(s, ready=0), MODEL).lines == 0


@given(HONEST)
def test_lines_out_stay_within_what_the_mode_allows(s: Snapshot) -> None:
    out = decide(s, MODEL).lines + s.shared_lines
    bound = {"preview": 0, "progressive": s.ready, "power": int(max(1, min(10, s.pacing_ratio)) * s.ready)}
    most = bound.get(s.mode, max(s.ready, int(s.pacing_ratio * s.agents)))
    assert out <= max(most, s.shared_lines)


@settings(max_examples=200, deadline=None)
@given(HONEST, st.integers(1, 10))
def test_another_ready_agent_never_means_fewer_lines(s: Snapshot, more: int) -> None:
    assert decide(replace(s, ready=s.ready + more), MODEL).lines >= decide(s, MODEL).lines


@settings(max_examples=200, deadline=None)
@given(HONEST, LINES)
def test_more_lines_out_never_mean_more_lines(s: Snapshot, more: Any) -> None:
    fewer = replace(s, ringing=(*s.ringing, *more))
    assert decide(fewer, MODEL).lines <= decide(s, MODEL).lines


@given(HONEST)
def test_preview_and_modes_that_are_not_there_dial_nothing_by_themselves(s: Snapshot) -> None:
    for mode in ("preview", "", "PROGRESSIVE"):
        assert decide(replace(s, mode=mode), MODEL).lines == 0


@given(HONEST)
def test_agents_who_may_leave_are_counted_as_fewer(s: Snapshot) -> None:
    unsteady = learned(leaving=25)
    assert unsteady.curves.leaving > MODEL.curves.leaving
    assert decide(s, unsteady).lines <= decide(s, MODEL).lines + 1


def test_a_budget_that_is_spent_on_persons_taken_for_machines_says_so() -> None:
    reason = decide(progressive(mode="power", budget=Budget(0.03, (Window(100, 0, 20.0),)))).reason
    assert "3.0% abandoned calls is spent (-16.4 calls, with up to 20.0 persons who were taken for machines)" in reason
