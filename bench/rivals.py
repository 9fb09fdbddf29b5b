"""Other ways of pacing, as drivers of the simulator: from their published rules, no code of theirs.

`Scored` keeps the score of each: an answered call that is not joined to an agent within two seconds is abandoned,
whatever the drop timer of the rival is.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from math import exp, floor

from dialerd.pacing.simulator import View

GRACE = 2.0  # seconds
_CLOSES_AT_HHMM = 2100  # the stock closing time; runs begin at midnight, so that it is always over ten hours away


class Scored:
    """Counts the calls joined later than the grace: the simulator counts only those that gave up."""

    beat = 0.25

    def __init__(self) -> None:
        self.late = 0
        self._waiting: deque[float] = deque()  # answered at; the longest waiting first, as they are joined

    def chance(self) -> float:
        return 0.0

    def line_ended(self, now: float, age: float, answered: bool) -> None:
        if answered:
            self._waiting.append(now)

    def joined(self, now: float) -> None:
        self.late += now - self._waiting.popleft() > GRACE + 1e-6

    def abandoned(self, now: float) -> None:
        if self._waiting:
            self._waiting.popleft()

    def talk_ended(self, now: float, seconds: float) -> None: ...

    def wrap_up_ended(self, now: float, seconds: float) -> None: ...

    def agent_stood(self, seconds: float, left: bool) -> None: ...


class Progressive(Scored):
    """One line for each free agent, at once."""

    def lines(self, view: View) -> int:
        return max(0, view.ready - len(view.ringing) - view.waiting)


class StaticLevel(Scored):
    """VICIdial's loop with a level that never changes: lines per ready agent."""

    beat = 0.5
    launch_every = 2.5
    most_at_once = 12  # five a second

    def __init__(self, level: float, available_only: bool = True) -> None:
        super().__init__()
        self.level = level
        self._available_only = available_only
        self._launch_at = 0.0

    def lines(self, view: View) -> int:
        if view.now < self._launch_at:
            return 0
        self._launch_at += self.launch_every
        talking = len(view.talking)
        if self._available_only:
            goal = round(self.level * view.ready) + talking
        else:
            goal = round(self.level * (view.ready + talking))
        in_progress = len(view.ringing) + view.waiting + talking
        return max(0, min(self.most_at_once, goal - in_progress))


class Method(Enum):
    """What is done to the level when the drop share of the day is over the limit."""

    HARD_LIMIT = auto()
    AVERAGE = auto()
    TAPERED = auto()


@dataclass(frozen=True, slots=True)
class Settings:
    """`limit`: drop share of the day. `drop_seconds`: when an answered call is dropped."""

    method: Method
    available_only: bool
    drop_seconds: float
    most: float = 3.0
    limit: float = 0.03


STOCK = Settings(Method.TAPERED, available_only=False, drop_seconds=5.0)
WELL_RUN = Settings(Method.HARD_LIMIT, available_only=True, drop_seconds=2.0)


class Vicidial(StaticLevel):
    """VICIdial's adaptive level: agents who stand idle raise it, calls that wait lower it."""

    sample_every, adapt_every, statistics_every = 1.0, 15.0, 60.0

    def __init__(self, settings: Settings) -> None:
        super().__init__(1.0, settings.available_only)
        self.settings = settings
        self._samples: deque[tuple[int, int, int]] = deque(maxlen=15)  # ready, waiting, agents
        self._sample_at, self._adapt_at, self._statistics_at = 0.0, self.adapt_every, self.statistics_every
        self._answers: deque[float] = deque()  # of the last minute
        self._drops: deque[float] = deque()
        self._day = [0, 0]  # answers, drops
        self._known_day = (0, 0)  # as of the last statistics
        self._known_minute = (0, 0)

    def lines(self, view: View) -> int:
        now = view.now
        if now >= self._sample_at:
            self._sample_at += self.sample_every
            agents = view.ready + len(view.talking) + len(view.wrapping_up)
            self._samples.append((view.ready, view.waiting, agents))
        if now >= self._statistics_at:
            self._statistics_at += self.statistics_every
            self._known_day = (self._day[0], self._day[1])
            self._known_minute = (_recent(self._answers, now), _recent(self._drops, now))
        if now >= self._adapt_at:
            self._adapt_at += self.adapt_every
            self.level = self._adapted(now)
        return super().lines(view)

    def _adapted(self, now: float) -> float:
        ready, waiting, agents = (sum(column) for column in zip(*self._samples, strict=True))
        level = self.level * (1.0 + (ready - waiting) / agents) if agents else self.level
        level = self._kept(level)
        answers, drops = self._known_minute
        if answers > 20 and drops > answers / 2:
            level = self._kept(level / 2)
        answers, drops = self._known_day
        if answers > 50 and drops > self.settings.limit * answers:
            level = self._kept(self._punished(level, now))
        return level

    def _punished(self, level: float, now: float) -> float:
        if self.settings.method is Method.HARD_LIMIT:
            return 1.0
        if self.settings.method is Method.AVERAGE:
            return level / 2
        hours, minutes = divmod(int(now) // 60 % 1440, 60)
        left = _CLOSES_AT_HHMM - (hours * 100 + minutes)  # clock times subtracted as plain integers
        return level * (1 if left > 1000 else max(1, left)) / 1000

    def _kept(self, level: float) -> float:
        return max(1.0, min(self.settings.most, level))

    def line_ended(self, now: float, age: float, answered: bool) -> None:
        super().line_ended(now, age, answered)
        if answered:
            self._answers.append(now)
            self._day[0] += 1

    def abandoned(self, now: float) -> None:
        super().abandoned(now)
        self._drops.append(now)
        self._day[1] += 1


def _recent(times: deque[float], now: float) -> int:
    while times and times[0] < now - 60.0:
        times.popleft()
    return len(times)


class OmniDialer(Scored):
    """Agents free now or within a ring time, over the answer rate; less of it as the drop rate nears the cap.

    Averages give the latest value a tenth: the drop rate the latest answer, the answer rate the share of the day so
    far at each tick. (The rule does not say what the latest value of the answer rate is. A tenth for each single call
    makes it so jumpy that most answers of fifty agents are dropped; this is the kind reading.)
    """

    beat = 1.0
    _WEIGHT = 0.1

    def __init__(self, cap: float = 0.03, ring: float = 12.0) -> None:
        super().__init__()
        self._cap, self._ring = cap, ring
        self._answer_rate, self._drop_rate = 0.25, 0.0
        self._talk, self._wrap_up, self._talks = 0.0, 0.0, 0
        self._calls = self._answers = self._over = 0

    def lines(self, view: View) -> int:
        if self._calls:
            self._answer_rate += self._WEIGHT * (self._answers / self._calls - self._answer_rate)
        self._over = self._over + 1 if self._drop_rate > self._cap else 0
        if self._calls < 50 or self._over > 5:
            return max(0, view.ready - len(view.ringing) - view.waiting)
        mean = self._talk + self._wrap_up
        soon = sum(self._free_soon(mean, view.now - since) for since in _busy(view, self._talk))
        rate = max(0.01, self._answer_rate)
        wanted = (view.ready + soon - len(view.ringing) * rate) / rate * self._boldness()
        return max(0, floor(wanted))

    def _free_soon(self, mean: float, elapsed: float) -> float:
        return 1.0 - exp(-self._ring / max(1.0, mean - elapsed))

    def _boldness(self) -> float:
        """1 up to half the cap, then in a straight line down to 0.2 at the cap."""
        over = (self._drop_rate - self._cap / 2) / (self._cap / 2)
        return 1.0 - 0.8 * max(0.0, min(1.0, over))

    def line_ended(self, now: float, age: float, answered: bool) -> None:
        super().line_ended(now, age, answered)
        self._calls += 1
        self._answers += answered

    def joined(self, now: float) -> None:
        super().joined(now)
        self._drop_rate -= self._WEIGHT * self._drop_rate

    def abandoned(self, now: float) -> None:
        super().abandoned(now)
        self._drop_rate += self._WEIGHT * (1.0 - self._drop_rate)

    def talk_ended(self, now: float, seconds: float) -> None:
        self._talks += 1
        self._talk += (seconds - self._talk) * max(self._WEIGHT, 1.0 / self._talks)

    def wrap_up_ended(self, now: float, seconds: float) -> None:
        self._wrap_up += (seconds - self._wrap_up) * max(self._WEIGHT, 1.0 / max(1, self._talks))


def _busy(view: View, talk: float) -> Iterable[float]:
    """Since when each busy agent is so; one in wrap-up, as if after a talk of mean length."""
    yield from view.talking.values()
    yield from (since - talk for since in view.wrapping_up.values())
