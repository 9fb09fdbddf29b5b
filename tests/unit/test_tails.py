"""Tails of a binomial against sums in exact fractions, and which of many tests are believed."""

from fractions import Fraction
from math import comb

import pytest

from dialerd.core.tails import at_least, at_most, believed


def exact(first: int, last: int, n: int, chance: Fraction) -> float:
    return float(sum(comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(first, last + 1)))


@pytest.mark.parametrize(
    ("n", "chance", "seen"),
    [(240, Fraction(24, 100), 31), (50, Fraction(1, 10), 0), (1000, Fraction(1, 5), 150), (400, Fraction(1, 50), 20)],
)
def test_both_tails_are_those_of_the_binomial(n: int, chance: Fraction, seen: int) -> None:
    mean, variance = float(n * chance), float(n * chance * (1 - chance))
    assert at_most(seen, mean, variance) == pytest.approx(exact(0, seen, n, chance), rel=1e-6)
    assert at_least(seen, mean, variance, n) == pytest.approx(exact(seen, n, n, chance), rel=1e-6, abs=1e-15)


def test_without_variance_nothing_is_said() -> None:
    assert at_most(0, 0.0, 0.0) == at_least(3, 0.0, 0.0, 10) == at_most(5, 5.0, 0.0) == 1.0


def test_a_count_beyond_the_binomial_of_that_variance_is_rare_and_not_impossible() -> None:
    # Mean 2 and variance 1: a binomial of 4. Seven of a hundred calls is more than it can give.
    assert 0.0 < at_least(7, 2.0, 1.0, 100) < 0.01


def test_chances_grow_with_what_is_seen() -> None:
    rising = [at_most(seen, 40.0, 30.0) for seen in range(90)]
    assert rising == sorted(rising) and rising[0] < 1e-9 and rising[-1] > 0.999
    falling = [at_least(seen, 40.0, 30.0, 500) for seen in range(120)]
    assert falling == sorted(falling, reverse=True) and falling[0] == 1.0 and falling[-1] < 1e-30


def test_benjamini_and_hochberg() -> None:
    chances = {"a": 0.001, "b": 0.012, "c": 0.03, "d": 0.2}
    assert believed(chances, 0.05) == {"a", "b", "c"}
    assert believed(chances, 0.01) == {"a"}
    # One that alone would not be believed is, with enough of its like beside it.
    assert believed({"a": 0.02, "b": 0.04}, 0.05) == {"a", "b"}
    assert believed({}, 0.05) == frozenset()
