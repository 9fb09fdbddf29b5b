"""The share of lines that a person answers: careful at first, close later, quick when it jumps."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.pacing.chance import Chance, Chances


def told(chance: Chance, share: float, lines: int, seed: int = 1) -> Chance:
    lots = Random(seed)
    for _ in range(lines):
        chance.learn(lots.random() < share)
    return chance


@given(st.lists(st.booleans(), max_size=300))
def test_it_is_always_a_share_and_the_careful_one_is_the_higher(answers: list[bool]) -> None:
    chance = Chance()
    for answered in answers:
        chance.learn(answered)
        assert 0.0 < chance.mean < 1.0
        assert chance.mean <= chance.careful <= 1.0


@pytest.mark.parametrize("share", [0.05, 0.25, 0.6])
def test_it_comes_close_and_less_careful_with_what_it_has_seen(share: float) -> None:
    early, late = told(Chance(), share, 30), told(Chance(), share, 3000)
    assert late.mean == pytest.approx(share, abs=0.04)
    assert late.careful - late.mean < early.careful - early.mean


@pytest.mark.parametrize(("before", "after"), [(0.25, 0.5), (0.25, 0.125), (0.1, 0.2)])
def test_a_jump_is_noticed_within_some_two_hundred_lines(before: float, after: float) -> None:
    chance = told(Chance(), before, 3000)
    steady = chance.changes
    told(chance, after, 250, seed=2)
    assert chance.changes > steady
    assert abs(chance.mean - after) < abs(chance.mean - before)


def test_what_does_not_change_is_seldom_taken_for_a_change() -> None:
    assert told(Chance(), 0.25, 10_000).changes <= 8


def test_segments_are_told_apart_as_far_as_they_differ() -> None:
    chances, lots = Chances(), Random(3)
    for n in range(3000):
        segment = "good" if n % 2 else "bad"
        chances.learn(lots.random() < (0.4 if n % 2 else 0.1), segment)
    assert chances.of("good") == pytest.approx(0.4, abs=0.08)
    assert chances.of("bad") == pytest.approx(0.1, abs=0.05)
    assert chances.of("new") == chances.of() == chances.whole.careful


def test_only_so_many_segments_are_kept() -> None:
    chances = Chances()
    for n in range(1000):
        chances.learn(n % 4 == 0, n)
    assert len(chances._segments) == 200


def test_a_fall_is_not_taken_for_a_deeper_one_than_it_is() -> None:
    """A share that is thought too low dials too many lines; what forty lines say is rough."""
    lowest = []
    for seed in range(30):
        chance = told(Chance(), 0.25, 2000, seed)
        lots = Random(1000 + seed)
        seen = 1.0
        for _ in range(400):
            chance.learn(lots.random() < 0.125)
            seen = min(seen, chance.careful)
        lowest.append(seen)
    assert sorted(lowest)[3] > 0.095, "in nine of ten runs never three quarters of what it is"


def test_a_list_that_comes_in_clumps_is_counted_with_more_answers_and_an_even_one_is_not() -> None:
    lots, even, clumps = Random(4), Chance(), Chance()
    for n in range(4000):
        if n % 50 == 0:
            share = lots.choice((0.125, 0.375))
        even.learn(lots.random() < 0.25)
        clumps.learn(lots.random() < share)
    assert clumps.careful >= 1.5 * clumps.mean
    assert even.careful <= 1.1 * even.mean
