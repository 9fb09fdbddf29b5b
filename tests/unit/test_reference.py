"""The reference solves its decision process right: closed forms, published values, and what must hold of any answer."""

import pytest

from bench.reference import Chain, Markov, reference

# Chance, ring, service, patience, agents: the best occupancy, computed independently by value iteration.
TABLE = [
    ((0.25, 12, 120, 2, 2), 0.754), ((0.25, 12, 120, 2, 5), 0.797), ((0.25, 12, 120, 2, 10), 0.845),
    ((0.25, 12, 120, 2, 20), 0.894), ((0.25, 12, 120, 2, 50), 0.942), ((0.10, 12, 120, 2, 5), 0.743),
    ((0.10, 12, 120, 2, 10), 0.823), ((0.10, 12, 120, 2, 20), 0.884), ((0.50, 12, 120, 2, 5), 0.856),
    ((0.50, 12, 120, 2, 10), 0.877), ((0.50, 12, 120, 2, 20), 0.907), ((0.25, 12, 60, 2, 5), 0.717),
    ((0.25, 12, 60, 2, 10), 0.800), ((0.25, 12, 60, 2, 20), 0.870), ((0.25, 12, 240, 2, 5), 0.871),
    ((0.25, 12, 240, 2, 10), 0.892), ((0.25, 12, 240, 2, 20), 0.919), ((0.25, 12, 240, 2, 50), 0.952),
    ((0.25, 18.45, 120, 2, 5), 0.744), ((0.25, 18.45, 120, 2, 10), 0.813), ((0.25, 18.45, 120, 2, 20), 0.875),
    ((0.25, 18.45, 120, 2, 50), 0.932), ((0.10, 12, 120, 0, 5), 0.738), ((0.10, 12, 120, 0, 10), 0.816),
    ((0.10, 12, 120, 0, 20), 0.876),
]  # fmt: skip


def world(chance: float, ring: float, service: float, patience: float, agents: int) -> Markov:
    return Markov(agents, chance, ring, service, patience)


@pytest.mark.parametrize(("numbers", "occupancy"), TABLE)
def test_agrees_with_the_table(numbers: tuple[float, float, float, float, int], occupancy: float) -> None:
    assert reference(world(*numbers)).occupancy == pytest.approx(occupancy, abs=0.001)


@pytest.mark.parametrize("agents", [1, 2, 7])
@pytest.mark.parametrize("chance", [0.1, 0.25, 0.5])
def test_one_line_for_each_free_agent_has_a_closed_form(agents: int, chance: float) -> None:
    point = Chain(Markov(agents, chance)).progressive()
    assert point.busy == pytest.approx(120 / (120 + 12 / chance), abs=1e-9)
    assert point.given_up == pytest.approx(0, abs=1e-9)
    assert point.answers == pytest.approx(point.busy * agents / 120, abs=1e-9)  # who is answered is served


@pytest.mark.parametrize("numbers", [numbers for numbers, _ in TABLE[::4]])
def test_dials_the_more_the_more_are_free_and_nothing_for_none(numbers: tuple[float, float, float, float, int]) -> None:
    levels = reference(world(*numbers)).levels
    assert levels[0] == 0
    assert len(levels) == numbers[-1] + 1
    assert list(levels) == sorted(levels)


@pytest.mark.parametrize("cap", [0.005, 0.01, 0.03, 0.1])
def test_meets_the_cap_exactly(cap: float) -> None:
    assert reference(Markov(5), cap).abandonment == pytest.approx(cap, abs=1e-9)


def test_a_higher_cap_more_agents_and_patience_never_cost_occupancy() -> None:
    by_cap = [reference(Markov(5), cap).occupancy for cap in (0.001, 0.01, 0.03, 0.1)]
    by_agents = [reference(Markov(agents)).occupancy for agents in (1, 2, 3, 5, 10)]
    by_patience = [reference(Markov(5, patience=patience)).occupancy for patience in (0, 1, 2, 5)]
    for rising in (by_cap, by_agents, by_patience):
        assert rising == sorted(rising)
        assert rising[0] < rising[-1]


def test_many_agents_and_rare_answers_are_solved_as_surely() -> None:
    found = reference(Markov(30, 0.10, 20.4))  # where nearly all agents are busy, few states are ever seen
    assert reference(Markov(20, 0.10, 20.4)).occupancy < found.occupancy < reference(Markov(30, 0.20, 20.4)).occupancy
    assert found.abandonment == pytest.approx(0.03, abs=1e-6)


def test_no_policy_of_the_same_kind_with_the_cap_kept_does_better() -> None:
    chain = Chain(Markov(5))
    best = reference(Markov(5))
    for x in range(1, 6):
        for more in (-1, 1):
            levels = [*best.levels[:x], max(0, best.levels[x] + more), *best.levels[x + 1 :]]
            point, _ = chain.evaluate(chain.up_to(levels), 0.0, best.occupancy)
            assert point.over(0.03) > 0 or point.busy < best.occupancy
