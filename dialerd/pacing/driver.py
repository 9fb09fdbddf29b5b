"""Our own pacing as a driver of the simulator: the daemon's pilot, its budget kept from what happens in the run."""

from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.pilot import Pilot
from dialerd.pacing.simulator import View
from dialerd.pacing.snapshot import Snapshot

_DAY = 86400.0


class Paced:
    """`cap`: share of live answers that may be abandoned in 24 hours and in `window_days`."""

    def __init__(
        self, mode: str = "predictive", cap: float = 0.03, grace: float = 2.0, ratio: float = 3.0,
        max_calls: int = 1_000_000, beat: float = 0.5,
    ) -> None:  # fmt: skip
        self.pilot = Pilot(grace)
        self.beat = beat
        self.answers = self.given_up = 0
        self._mode, self._cap, self._ratio, self._max_calls = mode, cap, ratio, max_calls
        self._chance = 0.0

    def lines(self, view: View) -> int:
        now = view.now
        snapshot = Snapshot(
            mode=self._mode,
            ready=view.ready,
            lines=len(view.ringing) + view.waiting,
            connected=len(view.talking),
            max_concurrent_calls=self._max_calls,
            headroom=self._max_calls,
            waiting=view.waiting,
            ringing=tuple([(now - started, chance) for started, chance in view.ringing.values()]),
            talking=tuple([now - since for since in view.talking.values()]),
            wrapping_up=tuple([now - since for since in view.wrapping_up.values()]),
            pacing_ratio=self._ratio,
            budget=Budget(self._cap, (Window(self.answers, self.given_up),)),
        )
        wanted = self.pilot.decide(now, snapshot).lines
        if wanted:
            self._chance = self.pilot.chance()
        return wanted

    def chance(self) -> float:
        return self._chance

    def line_ended(self, now: float, age: float, answered: bool) -> None:
        self.pilot.learner.line_ended(now, age, answered)

    def joined(self, now: float) -> None:
        self.answers += 1

    def abandoned(self, now: float) -> None:
        self.answers += 1
        self.given_up += 1

    def talk_ended(self, now: float, seconds: float) -> None:
        self.pilot.learner.talk_ended(now, seconds)

    def wrap_up_ended(self, now: float, seconds: float) -> None:
        self.pilot.learner.wrap_up_ended(now, seconds)

    def agent_stood(self, seconds: float, left: bool) -> None:
        self.pilot.learner.agent_stood(seconds, left)
