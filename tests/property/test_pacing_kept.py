"""A decision that is kept is the same decision: nothing is lost on the way to JSON and back."""

import json
from dataclasses import fields, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.curves import EDGES, Curves, Model
from dialerd.pacing.kept import curves_json, curves_of, digest, replay, snapshot_json, snapshot_of
from dialerd.pacing.policy import MODES, decide
from dialerd.pacing.snapshot import Snapshot

ANY = st.floats()  # NaN, infinities and −0 as well
AGES = st.floats(0, 7200).map(lambda seconds: round(seconds, 3))  # as the daemon has them
SHARES = st.floats(0, 1)
COUNTS = st.integers(0, 100)
BUDGETS = st.none() | st.builds(
    Budget, cap=st.floats(0, 0.2) | ANY,
    windows=st.lists(
        st.builds(Window, answers=st.integers(0, 10**7), abandoned=st.integers(0, 10**5),
                  lost=st.just(0.0) | st.floats(0, 1e6).map(lambda n: round(n, 3))),
        max_size=3,
    ).map(tuple),
)  # fmt: skip
RATIOS = st.floats(1, 10) | st.sampled_from([1.0, 3.0])


def snapshots(ages: Any, chances: Any, ratios: Any, counts: Any, modes: Any) -> st.SearchStrategy[Snapshot]:
    return st.builds(
        Snapshot, mode=modes, ready=counts, lines=counts, connected=counts, max_concurrent_calls=counts,
        headroom=counts, waiting=counts, ringing=st.lists(st.tuples(ages, chances), max_size=20).map(tuple),
        talking=st.lists(ages, max_size=20).map(tuple), wrapping_up=st.lists(ages, max_size=10).map(tuple),
        pacing_ratio=ratios, budget=BUDGETS, serial_wait=st.none() | ages,
    )  # fmt: skip


HONEST = snapshots(AGES, SHARES, RATIOS, COUNTS, st.sampled_from(sorted(MODES)))
ABSURD = snapshots(ANY, ANY, ANY, st.integers(-(10**6), 10**6), st.text(max_size=10))


@st.composite
def curves(draw: Any) -> Curves:
    """Such as a learner may draw: shares that grow to 1, chances per second that are never 0."""

    def cumulative() -> tuple[float, ...]:
        return (*sorted(draw(st.lists(st.floats(0.01, 0.99).map(lambda x: round(x, 6)), max_size=40))), 1.0)

    def hazards() -> tuple[float, ...]:
        chance = st.floats(0.001, 0.5).map(lambda x: round(x, 7))
        return tuple(draw(st.lists(chance, min_size=len(EDGES) + 1, max_size=len(EDGES) + 1)))

    return Curves(
        round(draw(st.floats(0.01, 0.9)), 4), cumulative(), cumulative(), hazards(), hazards(),
        draw(st.sampled_from([0.0, 0.0001, 0.01])),
    )  # fmt: skip


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@given(ABSURD | HONEST)
def test_a_snapshot_comes_back_exactly(snapshot: Snapshot) -> None:
    back = snapshot_of(through_json(snapshot_json(snapshot)))
    assert repr(back) == repr(snapshot)  # equality does not tell −0 from 0, and no NaN is equal to itself
    assert set(snapshot_json(snapshot)) == {field.name for field in fields(Snapshot)}


@given(curves())
def test_curves_come_back_exactly_and_have_a_name_of_their_own(known: Curves) -> None:
    back = curves_of(through_json(curves_json(known)))
    assert back == known
    assert digest(back) == digest(known)
    assert digest(replace(known, chance=known.chance + 0.0001)) != digest(known)
    assert set(curves_json(known)) == {field.name for field in fields(Curves)}


@settings(deadline=None)
@given(HONEST | ABSURD, st.none() | curves(), st.sampled_from([0.5, 2.0, 3.7]))
def test_a_replay_decides_the_same_byte_for_byte(snapshot: Snapshot, known: Curves | None, grace: float) -> None:
    made = decide(snapshot, None if known is None else Model(known, grace))
    data = None if known is None else through_json(curves_json(known))
    assert replay(through_json(snapshot_json(snapshot)), data, grace) == made


@settings(deadline=None)
@given(HONEST, curves(), SHARES)
def test_a_model_that_has_served_others_decides_as_a_fresh_one(
    snapshot: Snapshot, known: Curves, chance: float
) -> None:
    """The daemon asks a model again and again, and lends its memory to the next one; a replay begins anew."""
    busy = replace(snapshot, mode="predictive", budget=Budget(0.03, (Window(1000, 20),)))
    used = Model(known, 2.0)
    decide(replace(busy, ready=busy.ready + 3, talking=(*busy.talking, 7.0)), used)
    other = used.with_chance(round(chance, 4))
    assert decide(busy, used) == replay(snapshot_json(busy), curves_json(known), 2.0)
    assert decide(busy, other) == replay(snapshot_json(busy), curves_json(other.curves), 2.0)
