"""The budget of abandoned calls: what may be risked follows from two counts, and never more than the cap affords."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.pacing.budget import Budget, Window

WINDOWS = st.builds(lambda answers, part: Window(answers, int(answers * part)), st.integers(0, 50_000), st.floats(0, 1))
BUDGETS = st.builds(
    lambda cap, windows: Budget(cap, tuple(windows)), st.floats(0, 0.2), st.lists(WINDOWS, min_size=1, max_size=3)
)
AGENTS = st.integers(0, 2000)


def test_on_its_way_the_risk_is_a_few_hundredths() -> None:
    assert 0.005 < Budget(0.03, (Window(1000, 25),)).risk(20) < 0.03
    assert Budget(0.03, (Window(1000, 5),)).risk(20) > Budget(0.03, (Window(1000, 25),)).risk(20)


def test_the_tightest_window_counts() -> None:
    day, month = Window(200, 6), Window(10_000, 100)
    assert Budget(0.03, (day, month)).risk(10) == Budget(0.03, (day,)).risk(10)
    assert Budget(0.03, (day, month)).left == pytest.approx(0.0)


def test_at_the_start_one_call_may_be_abandoned_and_not_two() -> None:
    assert Budget(0.03, (Window(0, 0),)).risk(10) > 0
    assert Budget(0.03, (Window(5, 1),)).risk(10) > 0
    assert Budget(0.03, (Window(5, 2),)).spent(10)


def test_once_there_is_a_share_to_speak_of_risks_end_before_it_is_above_the_cap() -> None:
    assert Budget(0.03, (Window(1000, 30),)).spent(10)
    assert Budget(0.03, (Window(1000, 29),)).spent(10)
    assert not Budget(0.03, (Window(1000, 28),)).spent(10)


@given(BUDGETS, AGENTS)
def test_the_risk_is_a_small_share_and_none_when_the_budget_is_spent(budget: Budget, agents: int) -> None:
    assert 0.0 <= budget.risk(agents) <= 0.1
    if any(w.abandoned >= budget.cap * w.answers + 1 for w in budget.windows) or budget.cap == 0:
        assert budget.spent(agents) and budget.risk(agents) == 0.0


@given(BUDGETS, AGENTS)
def test_one_more_abandoned_call_never_raises_the_risk(budget: Budget, agents: int) -> None:
    first, *rest = budget.windows
    worse = Budget(budget.cap, (Window(first.answers + 1, first.abandoned + 1), *rest))
    assert worse.risk(agents) <= budget.risk(agents) + 1e-12


def test_without_a_count_nothing_may_be_risked() -> None:
    assert Budget(0.03, ()).spent(10) and Budget(0.03, ()).risk(10) == 0.0


def test_persons_who_were_taken_for_machines_are_answers_that_were_abandoned() -> None:
    plain, lost = Budget(0.03, (Window(1010, 20),)), Budget(0.03, (Window(1000, 10, 10.0),))
    assert lost.left == pytest.approx(plain.left)
    assert lost.risk(10) == pytest.approx(plain.risk(10)) and not lost.spent(10)
    assert Budget(0.03, (Window(1000, 10, 25.0),)).spent(10)


@given(st.builds(Budget, st.floats(0.001, 0.9), st.tuples(WINDOWS)), st.floats(0.1, 1000), st.integers(1, 500))
def test_the_more_of_them_the_smaller_the_risk(budget: Budget, more: float, agents: int) -> None:
    (window,) = budget.windows
    worse = Budget(budget.cap, (replace(window, lost=window.lost + more),))
    assert worse.risk(agents) <= budget.risk(agents) and worse.left < budget.left
