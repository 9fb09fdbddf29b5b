"""The risk of one more line, against draws of the same moments; and what the curves say of ages."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialerd.pacing.curves import EDGES, MOMENTS, Curves, Model
from dialerd.pacing.learner import Learner
from dialerd.pacing.predictive import lines_within_risk
from dialerd.pacing.snapshot import Snapshot


def learner(wrap_up: float = 15.0) -> Learner:
    """Some hours of a usual campaign: a quarter answered after a gamma-shaped ring of 12 s, talks of 105 s."""
    lots, found = Random(1), Learner()
    for n in range(4000):
        answered = lots.random() < 0.25
        found.line_ended(n, lots.gammavariate(4.0, 3.0) if answered else 25.0, answered)
    for n in range(1000):
        found.talk_ended(n, lots.lognormvariate(4.3, 0.83))
        found.wrap_up_ended(n, wrap_up)
    return found


MODEL = Model(learner().curves(), 2.0)
BASE = Snapshot("predictive", ready=2, lines=0, connected=0, max_concurrent_calls=1000, headroom=1000)


def drawn_risk(s: Snapshot, extra: int, draws: int = 6000) -> float:
    """The same chance by lot: at each moment, how often are there no more agents than answers before this one?"""
    lots, none_left = Random(7), 0
    out = [MODEL.line(*line) for line in s.ringing] + [MODEL.new_line] * extra
    back = [MODEL.talking(age) for age in s.talking] + [MODEL.wrapping_up(age) for age in s.wrapping_up]
    for n in range(draws):
        moment = n % MOMENTS
        answers = sum(lots.random() < row[moment] for row in out) + s.waiting
        agents = sum(lots.random() < row[moment] for row in back)
        agents += sum(lots.random() < MODEL.stays[moment] for _ in range(s.ready))
        none_left += agents <= answers
    return none_left / draws


@pytest.mark.parametrize(
    "s",
    [
        replace(BASE, ringing=((1.0, 0.25), (8.0, 0.25), (20.0, 0.25)), talking=(30.0, 200.0), wrapping_up=(14.0,)),
        replace(BASE, ready=0, ringing=((5.0, 0.4),) * 4, talking=(60.0,) * 8, wrapping_up=(3.0, 9.0, 14.5), waiting=1),
        replace(BASE, ready=5, ringing=((6.0, 0.25),) * 20, talking=(45.0,) * 30, wrapping_up=(10.0,) * 5),
    ],
    ids=["few", "waiting", "many"],
)
@pytest.mark.parametrize("extra", [0, 1, 3])
def test_the_risk_is_what_drawing_gives(s: Snapshot, extra: int) -> None:
    """A risk just above lets the line through, one just below does not."""
    risk = drawn_risk(s, extra)
    margin = 0.02 + 0.1 * risk
    assert lines_within_risk(s, MODEL, min(1.0, risk + margin), 100)[0] > extra
    if risk > margin:
        assert lines_within_risk(s, MODEL, risk - margin, 100)[0] <= extra


def test_an_agent_near_the_end_of_a_wrap_up_is_worth_a_line() -> None:
    near = replace(BASE, ready=0, wrapping_up=(14.0, 14.0))
    far = replace(BASE, ready=0, talking=(5.0, 5.0))
    assert lines_within_risk(near, MODEL, 0.05, 100)[0] > lines_within_risk(far, MODEL, 0.05, 100)[0] == 0


@given(st.floats(0, 7000), st.floats(0, 90), st.floats(0, 1))
def test_every_row_is_made_of_chances_that_grow_with_time(age: float, ring: float, chance: float) -> None:
    for row in (MODEL.talking(age), MODEL.wrapping_up(age), MODEL.line(ring, chance)):
        chances, variances = row[:MOMENTS], row[MOMENTS:]
        assert all(0.0 <= value <= 1.0 for value in chances)
        assert all(a <= b + 1e-9 for a, b in pairwise(chances))
        assert all(v == pytest.approx(c * (1 - c)) for c, v in zip(chances, variances, strict=True))


def test_the_curves_know_a_fixed_wrap_up_and_a_ring_timeout() -> None:
    assert MODEL.wrapping_up(12.0)[MOMENTS // 2] > 0.9, "three seconds more"
    assert MODEL.wrapping_up(0.5)[0] < 0.1, "fourteen seconds more, and the first answers come after four"
    assert MODEL.service_seconds == pytest.approx(120, rel=0.15)
    assert MODEL.ring_seconds == pytest.approx(12, rel=0.15)
    assert sum(MODEL.line(10.0, 0.25)[:MOMENTS]) > sum(MODEL.line(24.0, 0.25)[:MOMENTS])


def test_talks_that_go_on_count_before_any_long_one_has_ended() -> None:
    """At the start of a shift only short talks have ended."""
    young = Learner()
    for n in range(10):
        young.talk_ended(n, 5.0 + n)
    alone = Model(young.curves(), 2.0).service_seconds
    assert Model(young.curves(talking=[60.0] * 40), 2.0).service_seconds > 2 * alone


def test_what_is_old_fades() -> None:
    found = learner()
    before = Model(found.curves(), 2.0).service_seconds
    for hour in range(12):
        for n in range(20):
            found.talk_ended(4000.0 + hour * 3600 + n, 20.0)
            found.wrap_up_ended(4000.0 + hour * 3600 + n, 2.0)
    assert Model(found.curves(), 2.0).service_seconds < before / 2


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 200), st.booleans()), max_size=60), st.lists(st.floats(0, 5000), max_size=30))
def test_whatever_was_seen_gives_curves_that_can_be_used(lines: list[tuple[float, bool]], talks: list[float]) -> None:
    found = Learner()
    for n, (age, answered) in enumerate(lines):
        found.line_ended(n, age, answered)
    for n, seconds in enumerate(talks):
        found.talk_ended(n, seconds)
    curves: Curves = found.curves(talking=talks)
    assert len(curves.talk) == len(EDGES) + 1
    assert all(a <= b for a, b in pairwise(curves.answers)) and curves.answers[-1] == 1.0
    model = Model(curves, 2.0)
    assert all(a <= b for a, b in pairwise(model.moments)) and model.moments[-1] < 130
    assert lines_within_risk(BASE, model, 0.05, 7)[0] >= 1
