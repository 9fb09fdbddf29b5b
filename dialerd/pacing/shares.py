"""Whose turn it is, when several campaigns dial for the same agents or over the same trunk.

Each campaign has a level: the lines that it started lately, faded with a half-life, divided by its weight. Whoever has
the lowest level is asked first, takes what it may, and rises. While all have work, lines are so shared out by weight.
Everybody with work is asked in every round: what the first one leaves the next one may take.

A campaign that had nothing to dial gathers no credit: when it comes back it begins at the level of the lowest of those
who dial for the same agents. Where two share a trunk only, the half-life bounds what the quieter one is ahead.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

_HALF_LIFE = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Claimant:
    """A campaign that has work. `group`: those who dial for the same agents; `away`: its turn is not over yet, it is
    not asked now."""

    id: int
    weight: float = 1.0
    group: Hashable = None
    away: bool = False


@dataclass(slots=True)
class Shares:
    """The levels of all campaigns of a node. Times are seconds by a clock that never goes back."""

    _lines: dict[int, float] = field(default_factory=dict)
    _present: frozenset[int] = frozenset()  # who had work in the last round
    _faded: float | None = None

    def order(self, now: float, claimants: Iterable[Claimant]) -> list[int]:
        """Who is asked, the one that is owed most first. To be called in every round, with all that have work."""
        self._fade(now)
        known = {c.id: c for c in claimants}
        old = [c for c in known.values() if c.id in self._present]
        for c in known.values():
            if c.id not in self._present:
                lowest = min((self._level(o) for o in old if o.group == c.group), default=0.0)
                self._lines[c.id] = max(self._lines.get(c.id, 0.0), lowest * c.weight)
        self._present = frozenset(known)
        asked = [c for c in known.values() if not c.away]
        # Half a line more: where each would be in the middle of its next one, else the lightest are asked too often.
        return [c.id for c in sorted(asked, key=lambda c: (self._level(c, 0.5), c.id))]

    def started(self, campaign: int, lines: int) -> None:
        """It started so many."""
        self._lines[campaign] = self._lines.get(campaign, 0.0) + lines

    def _level(self, c: Claimant, more: float = 0.0) -> float:
        return (self._lines.get(c.id, 0.0) + more) / max(c.weight, 1e-9)

    def _fade(self, now: float) -> None:
        if self._faded is not None:
            keep = 0.5 ** ((now - self._faded) / _HALF_LIFE)
            self._lines = {id_: n * keep for id_, n in self._lines.items() if n * keep > 1e-3}
        self._faded = now
