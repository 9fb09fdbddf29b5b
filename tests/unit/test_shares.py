"""Campaigns that share agents: by weight while all have work, nobody starved, nobody ahead for having rested."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialerd.pacing.shares import Claimant, Shares

WEIGHTS = st.lists(st.floats(0.5, 10), min_size=2, max_size=6)
ROUND_SECONDS = 0.25


def dial(shares: Shares, claimants: list[Claimant], rounds: int, lots: Random, start: float = 0.0) -> Counter[int]:
    """In some rounds a few agents get free, and whoever is asked first dials for them all."""
    got: Counter[int] = Counter()
    for n in range(rounds):
        free = lots.choice([0, 0, 1, 1, 2, 4])
        for id_ in shares.order(start + n * ROUND_SECONDS, claimants):
            shares.started(id_, free)
            got[id_] += free
            free = 0
    return got


@settings(max_examples=40)
@given(WEIGHTS, st.integers(0, 1000))
def test_while_all_have_work_lines_are_shared_out_by_weight(weights: list[float], seed: int) -> None:
    claimants = [Claimant(n, weight) for n, weight in enumerate(weights)]
    got = dial(Shares(), claimants, 4000, Random(seed))
    for claimant in claimants:
        expected = claimant.weight / sum(weights)
        assert got[claimant.id] / got.total() == pytest.approx(expected, abs=0.015)


@given(WEIGHTS, st.integers(0, 1000), st.lists(st.booleans(), min_size=6, max_size=6))
def test_everybody_with_work_is_asked_in_every_round(weights: list[float], seed: int, away: list[bool]) -> None:
    """So nobody starves for having been left out, and nothing that anybody could use is left unused."""
    shares, lots = Shares(), Random(seed)
    for n in range(50):
        claimants = [Claimant(id_, w, away=away[id_] and n % 2 == 0) for id_, w in enumerate(weights)]
        asked = shares.order(float(n), claimants)
        assert sorted(asked) == [c.id for c in claimants if not c.away]
        if asked:
            shares.started(asked[0], lots.randrange(100))


@given(st.integers(1, 20_000), st.floats(1, 100_000), st.floats(0.5, 10))
def test_whoever_had_nothing_to_dial_has_gathered_no_credit(lines: int, rest: float, weight: float) -> None:
    shares = Shares()
    shares.order(0.0, [Claimant(1), Claimant(2)])
    for n in range(10):
        shares.order(rest * n / 10, [Claimant(1)])
        shares.started(1, lines)
    both = [Claimant(1), Claimant(2, weight)]
    first = shares.order(rest, both)
    ahead = 0
    while first[0] == 2:
        ahead += 1
        shares.started(2, 1)
        first = shares.order(rest, both)
    assert ahead <= weight / 2 + 1


def test_it_begins_with_the_lowest_of_its_own_group() -> None:
    shares = Shares()
    quiet, busy, back = Claimant(1, group="a"), Claimant(2, group="b"), Claimant(3, group="b")
    shares.order(0.0, [quiet, busy])
    shares.started(2, 100)
    assert shares.order(0.0, [quiet, busy, back]) == [1, 2, 3]


def test_one_whose_claim_is_under_way_keeps_its_place() -> None:
    shares = Shares()
    shares.order(0.0, [Claimant(1), Claimant(2)])
    shares.started(2, 10)
    assert shares.order(1.0, [Claimant(1, away=True), Claimant(2)]) == [2]
    shares.started(2, 10)
    assert shares.order(2.0, [Claimant(1), Claimant(2)]) == [1, 2]


@given(WEIGHTS, st.integers(0, 1000))
@settings(max_examples=20)
def test_nobody_with_work_waits_long_while_others_dial(weights: list[float], seed: int) -> None:
    """However heavy the others are: within as many lines as its weight's share says, and a few more."""
    lots, shares = Random(seed), Shares()
    claimants = [Claimant(n, weight) for n, weight in enumerate(weights)]
    waited = Counter[int]()
    for n in range(3000):
        first = shares.order(n * ROUND_SECONDS, claimants)[0]
        taken = lots.choice([1, 2])
        shares.started(first, taken)
        waited.update({c.id: taken for c in claimants})
        waited[first] = 0
        assert all(waited[c.id] <= 4 * sum(weights) / c.weight + 8 for c in claimants)
