"""How many answered calls may still be abandoned, and what risk of it a new line may carry.

A legal profile allows a share of the live answers of a window (24 hours, 30 days) to be abandoned. All that steers is
in two counts of that window, which are read from the record: what a restart forgets is nothing.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

# Near what campaigns settle at: the more agents, the smaller the risk of one line that makes the same share of all.
_USUAL_RISK, _USUAL_AGENTS, _USUAL_POWER = 0.018, 20, 0.4
_HIGHEST_RISK = 0.10
# Each call by which the budget is off changes the risk by so much, as a power of e. With many agents calls come in
# swarms, and one of them means less.
_GAIN, _GAIN_AGENTS = 0.3, 5
_MOST_BELOW, _MOST_ABOVE = 16.0, 5.0  # calls; a large surplus is not spent all at once
# Chance makes more or fewer abandoned calls than the risk says, the more of them the more (as the root of their
# number): so much of the budget is not meant to be spent.
_RESERVE, _RESERVE_BY_ROOT = 3.0, 0.2  # calls
# Nothing may be risked with less than this left. At first, when there are too few answers to make a share of, that is
# one call too many (an invariant: cap + 1 call); once so many calls may be abandoned, or one for every two agents, it
# is so many that the lines which are still out then, and may be abandoned together, do not overdraw it.
_LEAST_AT_FIRST, _LEAST, _ALLOWED, _ALLOWED_BY_AGENT = -1.0, 1.5, 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """Live answers of a window that a law looks at, and how many of them were abandoned. `lost`: persons who were taken
    for machines, an estimate that is in neither of the counts; 0 where the law says nothing of them."""

    answers: int
    abandoned: int
    lost: float = 0.0

    def allowed(self, cap: float) -> float:
        """Calls that may be abandoned."""
        return cap * (self.answers + self.lost)

    def left(self, cap: float) -> float:
        """How many more may be; negative when it is overdrawn."""
        return self.allowed(cap) - self.abandoned - self.lost


@dataclass(frozen=True, slots=True)
class Budget:
    """`cap`: the share that may be abandoned in each of the windows. No window: nothing is known, nothing may be
    risked."""

    cap: float
    windows: tuple[Window, ...]

    @property
    def left(self) -> float:
        """Abandoned calls that the tightest window still has room for; negative when it is overdrawn."""
        return min((w.left(self.cap) for w in self.windows), default=float("-inf"))

    def spent(self, agents: int) -> bool:
        """Whether no line may be risked now, with so many agents at work."""
        return self.cap <= 0 or not self.windows or any(self._is_spent(window, agents) for window in self.windows)

    def risk(self, agents: int) -> float:
        """The highest chance of being abandoned, if answered, that a new line may have; of so many agents at work."""
        if self.spent(agents):
            return 0.0
        usual = _USUAL_RISK * exp(_USUAL_POWER * log(_USUAL_AGENTS / max(2, agents)))
        gain = _GAIN * min(1.0, sqrt(_GAIN_AGENTS / max(1, agents)))
        return min(_HIGHEST_RISK, usual * exp(gain * min(self._off(window) for window in self.windows)))

    def _is_spent(self, window: Window, agents: int) -> bool:
        allowed = window.allowed(self.cap)
        grown = min(1.0, allowed / max(_ALLOWED, _ALLOWED_BY_AGENT * agents))
        return window.left(self.cap) <= _LEAST_AT_FIRST + (_LEAST - _LEAST_AT_FIRST) * grown

    def _off(self, window: Window) -> float:
        """Calls by which the budget is over (positive) or under what it should be."""
        off = window.left(self.cap) - _RESERVE - _RESERVE_BY_ROOT * sqrt(window.allowed(self.cap))
        return max(-_MOST_BELOW, min(_MOST_ABOVE, off))
