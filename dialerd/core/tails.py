"""How probable it is that chance alone did what was seen: tails of a binomial, and which of many tests to believe.

Pure arithmetic. A count is a sum of independent calls of different chances, of which mean and variance are known; the
binomial that has the same two is taken for it.
"""

from collections.abc import Hashable, Mapping
from math import exp, lgamma, log, log1p
from typing import TypeVar

_K = TypeVar("_K", bound=Hashable)
_STEPS = 2000  # of the continued fraction; it needs about sqrt(n) of them, and fewer far from the mean
_PRECISION = 1e-12
_TINY = 1e-300


def at_most(seen: float, mean: float, variance: float) -> float:
    """The chance of `seen` or fewer. 1.0 where nothing can be said (no variance)."""
    n, chance = _binomial(mean, variance)
    if n <= 0 or seen >= n:
        return 1.0
    return _beta(n - seen, seen + 1.0, 1.0 - chance)


def at_least(seen: float, mean: float, variance: float, of: float) -> float:
    """The chance of `seen` or more out of `of`. 1.0 where nothing can be said (no variance)."""
    n, chance = _binomial(mean, variance)
    if n <= 0 or seen <= 0:
        return 1.0
    if seen > n:
        # More than that binomial can give: the one of all calls, which is never below the truth so far out (Hoeffding).
        n, chance = max(of, seen), mean / max(of, seen)
    return _beta(seen, n - seen + 1.0, chance)


def believed(chances: Mapping[_K, float], share: float) -> frozenset[_K]:
    """Of many tests those to believe, so that on average at most `share` of what is believed is chance
    (Benjamini-Hochberg). Where nothing is there to be found, the chance of believing anything is at most `share`."""
    ordered = sorted(chances.items(), key=lambda item: item[1])
    last = 0
    for rank, (_, chance) in enumerate(ordered, 1):
        if chance <= share * rank / len(ordered):
            last = rank
    return frozenset(key for key, _ in ordered[:last])


def _binomial(mean: float, variance: float) -> tuple[float, float]:
    """Number and chance of the binomial with this mean and variance; the number need not be whole. (0, 0): none."""
    if mean <= 0 or variance <= 0:
        return 0.0, 0.0
    chance = max(1e-6, 1.0 - variance / mean)
    return mean / chance, chance


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b): P(X >= a) of a binomial of a + b - 1 with chance x."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return min(1.0, front * _fraction(a, b, x) / a)
    return max(0.0, 1.0 - front * _fraction(b, a, 1.0 - x) / b)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for term in (even, odd):
            d = 1.0 / _not_zero(1.0 + term * d)
            c = _not_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
