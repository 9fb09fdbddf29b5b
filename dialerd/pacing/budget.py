"""How many answered calls may still be abandoned, and what risk of it a new line may carry.

A legal profile allows a share of the live answers of a window (24 hours, 30 days) to be abandoned. All that steers is
in two counts of that window, which are read from the record: what a restart forgets is nothing.
"""

from dataclasses import dataclass
from math import exp

RESERVE = 4.0  # abandoned calls that are not spent: chance makes that many more of them, now and then
_USUAL_RISK = 0.025  # near what most campaigns settle at
_HIGHEST_RISK = 0.10
_GAIN = 0.2  # each call by which the budget is off changes the risk by so much
_MOST_BELOW, _MOST_ABOVE = 20.0, 5.0  # calls; a large surplus is not spent all at once
_FEW = 1.0  # one call too many, until there are enough answers to make a share of (an invariant: cap + 1 call)


@dataclass(frozen=True, slots=True)
class Window:
    """Live answers of a window that a law looks at, and how many of them were abandoned."""

    answers: int
    abandoned: int


@dataclass(frozen=True, slots=True)
class Budget:
    """`cap`: the share that may be abandoned in each of the windows. No window: nothing is known, nothing may be
    risked."""

    cap: float
    windows: tuple[Window, ...]

    @property
    def left(self) -> float:
        """Abandoned calls that the tightest window still has room for; negative when it is overdrawn."""
        return min((self.cap * w.answers - w.abandoned for w in self.windows), default=float("-inf"))

    @property
    def spent(self) -> bool:
        """Whether no line may be risked now."""
        return self.left <= -_FEW or self.cap <= 0

    @property
    def risk(self) -> float:
        """The highest chance of being abandoned, if answered, that a new line may have."""
        if self.spent:
            return 0.0
        off = max(-_MOST_BELOW, min(_MOST_ABOVE, self.left - RESERVE))
        return min(_HIGHEST_RISK, _USUAL_RISK * exp(_GAIN * off))
