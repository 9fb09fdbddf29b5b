"""The pacing of one campaign as it goes on: what it has learned, and the decisions that follow. Daemon and simulator
drive this same object. Times are seconds by a clock that never goes back.
"""

from collections.abc import Hashable

from dialerd.pacing import policy
from dialerd.pacing.curves import Curves, Model
from dialerd.pacing.learner import Learner
from dialerd.pacing.snapshot import Decision, Snapshot

_GROWN = 1.1  # the curves are drawn anew when there is a tenth more to draw them from
_AT_LEAST_EVERY = 600.0
_CHANCE_EVERY = 10.0


class Pilot:
    """`grace`: seconds that an answered call may wait for an agent (the legal profile's)."""

    def __init__(self, grace: float) -> None:
        self.learner = Learner()
        self._grace = grace
        self._model: Model | None = None
        self._drawn_at = self._asked_at = float("-inf")
        self._drawn_from = 0.0

    @property
    def grace(self) -> float:
        """Seconds."""
        return self._grace

    @grace.setter
    def grace(self, seconds: float) -> None:
        if seconds != self._grace:
            self._grace, self._model = seconds, None

    def decide(self, now: float, snapshot: Snapshot, segment: Hashable = None) -> Decision:
        """How many lines to start; `segment`: the list that is being dialled."""
        return policy.decide(snapshot, self.model(now, snapshot, segment) if snapshot.mode == "predictive" else None)

    def chance(self, segment: Hashable = None) -> float:
        """The chance of being answered that a line which is started now has; to be kept with the line."""
        return self.learner.chances.of(segment)

    def model(self, now: float, snapshot: Snapshot, segment: Hashable = None) -> Model | None:
        """What there is to predict from; None: too little. Drawn anew as it grows."""
        learner = self.learner
        if self._model is None and not learner.knows_enough(snapshot.shared_lines):
            return None
        if self._model is None or learner.answers > self._drawn_from * _GROWN or now > self._drawn_at + _AT_LEAST_EVERY:
            self._model = Model(learner.curves(segment, snapshot.talking, snapshot.wrapping_up), self._grace)
            self._drawn_at, self._drawn_from, self._asked_at = now, float(learner.answers), now
        elif now > self._asked_at + _CHANCE_EVERY:
            self._model = self._model.with_chance(round(learner.chances.of(segment), 4))
            self._asked_at = now
        return self._model

    @property
    def last(self) -> Model | None:
        """What the last decision was made from."""
        return self._model

    @property
    def curves(self) -> Curves | None:
        """What the last decision was made from."""
        return None if self._model is None else self._model.curves
