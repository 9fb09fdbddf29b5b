"""A campaign on a virtual clock: agents, lines and people, dialled by any driver, event by event.

The driver is asked after everything that happens, but not more often than its `beat`; ours is the daemon's own pacing
code (`driver.py`). The same seed gives the same run.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Protocol

from dialerd.pacing.bucket import HELD_BEAT, Bucket
from dialerd.pacing.calllist import CallList
from dialerd.pacing.world import World

_TICK = 1.0


@dataclass(frozen=True, slots=True)
class Presence:
    """An agent's day: here between two seconds; after a call a pause with that chance, of that mean length."""

    start: float = 0.0
    end: float = float("inf")
    pause_chance: float = 0.0
    pause_seconds: float = 300.0


@dataclass(slots=True)
class View:
    """What a driver sees. Values of `ringing`: started at, chance of an answer as the driver said then; of `talking`
    and `wrapping_up`: since when."""

    now: float = 0.0
    ready: int = 0
    ringing: dict[int, tuple[float, float]] = field(default_factory=dict)
    waiting: int = 0
    talking: dict[int, float] = field(default_factory=dict)
    wrapping_up: dict[int, float] = field(default_factory=dict)


class Driver(Protocol):
    """A way of pacing. It is told what happens, and asked how many lines to start."""

    beat: float  # seconds between two questions, at least

    def lines(self, view: View) -> int:
        """How many lines to start now."""

    def chance(self) -> float:
        """What it thinks of a line that is started now; kept with the line."""

    def line_ended(self, now: float, age: float, answered: bool) -> None: ...

    def joined(self, now: float) -> None: ...

    def abandoned(self, now: float) -> None: ...

    def talk_ended(self, now: float, seconds: float) -> None: ...

    def wrap_up_ended(self, now: float, seconds: float) -> None: ...

    def agent_stood(self, seconds: float, left: bool) -> None: ...


@dataclass(slots=True)
class Slice:
    """What happened in one slice of the run. Seconds are of agents."""

    present: float = 0.0
    busy: float = 0.0
    lines: int = 0
    answers: int = 0
    abandoned: int = 0


@dataclass(slots=True)
class Run:
    """What a run gave. `emptied_at`: when the list was used up; None: it was not. `left`: contacts still to be called
    at the end."""

    slices: list[Slice]
    slice_seconds: float
    peak_calls: int = 0
    emptied_at: float | None = None
    left: float = 0.0

    @property
    def total(self) -> Slice:
        """All of it."""
        whole = Slice()
        for part in self.slices:
            whole.present += part.present
            whole.busy += part.busy
            whole.lines += part.lines
            whole.answers += part.answers
            whole.abandoned += part.abandoned
        return whole

    @property
    def occupancy(self) -> float:
        """Share of logged-in time that agents talked or wrapped up."""
        total = self.total
        return total.busy / total.present if total.present else 0.0

    @property
    def abandonment(self) -> float:
        """Abandoned share of the live answers."""
        total = self.total
        return total.abandoned / total.answers if total.answers else 0.0


class _What(Enum):
    TICK = auto()
    ASK = auto()
    LINE = auto()
    GIVEN_UP = auto()
    TALK = auto()
    WRAP_UP = auto()
    COMES = auto()
    GOES = auto()


class Simulation:
    """One run. `calls_per_second` and `max_calls`: what the trunk carries; `contacts`: how long the list is; `attempts`
    and `retry_seconds`: how often each of them is called, and the pause before the next time."""

    def __init__(
        self,
        world: World,
        agents: Sequence[Presence],
        driver: Driver,
        seed: int,
        seconds: float,
        slice_seconds: float = 600.0,
        calls_per_second: float = float("inf"),
        max_calls: float = float("inf"),
        contacts: float = float("inf"),
        attempts: int = 1,
        retry_seconds: float = 0.0,
    ) -> None:
        self._world, self._agents, self._driver = world, agents, driver
        self._lots = Random(seed)
        self._end, self._slice_seconds = seconds, slice_seconds
        self._max_calls = max_calls
        self._list = CallList(contacts, attempts, retry_seconds)
        self._view = View()
        self._events: list[tuple[float, int, _What, int]] = []
        self._sequence = 0
        self._free: deque[tuple[int, float]] = deque()  # agent, since
        self._present: set[int] = set()
        self._waiting: dict[int, None] = {}  # lines in the order of their answers
        self._answered: dict[int, bool] = {}  # what will become of a line
        self._line = 0
        self._bucket = None if calls_per_second == float("inf") else Bucket(calls_per_second)
        self._ask_from = 0.0
        self._asking = False
        self._slices = [Slice() for _ in range(int(-(-seconds // slice_seconds)))]
        self._peak = 0
        self._emptied_at: float | None = None
        self._slice = self._slices[0]
        self._slice_end = slice_seconds

    def run(self) -> Run:
        """From 0 to `seconds`."""
        for agent, day in enumerate(self._agents):
            self._at(max(0.0, day.start), _What.COMES, agent)
            if day.end < self._end:
                self._at(day.end, _What.GOES, agent)
        self._at(0.0, _What.TICK, 0)
        handlers = {
            _What.LINE: self._line_ends, _What.GIVEN_UP: self._given_up, _What.TALK: self._talk_ends,
            _What.WRAP_UP: self._free_again, _What.COMES: self._comes, _What.GOES: self._goes,
        }  # fmt: skip
        view, events = self._view, self._events
        while True:
            at, _, what, which = heapq.heappop(events)
            if at >= self._end:
                self._pass(self._end)
                return Run(self._slices, self._slice_seconds, self._peak, self._emptied_at, self._list.left)
            self._pass(at)
            if what is _What.TICK:
                self._at(at + _TICK, _What.TICK, 0)
            elif what is _What.ASK:
                self._asking = False
            else:
                handlers[what](which)
            if at >= self._ask_from:
                self._ask(view)
            elif not self._asking:
                self._asking = True
                self._at(self._ask_from, _What.ASK, 0)

    def _at(self, at: float, what: _What, which: int) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (at, self._sequence, what, which))

    def _pass(self, to: float) -> None:
        """Time goes by: agents stand, talk, wrap up."""
        view = self._view
        present, busy = len(self._present), len(view.talking) + len(view.wrapping_up)
        while to > self._slice_end:
            self._spend(self._slice_end - view.now, present, busy)
            view.now = self._slice_end
            self._slice_end += self._slice_seconds
            self._slice = self._slices[min(len(self._slices) - 1, int(view.now / self._slice_seconds + 1e-9))]
        self._spend(to - view.now, present, busy)
        view.now = to

    def _spend(self, seconds: float, present: int, busy: int) -> None:
        self._slice.present += seconds * present
        self._slice.busy += seconds * busy

    def _ask(self, view: View) -> None:
        self._ask_from = view.now + self._driver.beat
        asked = self._driver.lines(view)
        wanted = min(asked, self._room(view.now))
        if self._bucket is not None and (let_out := self._bucket.available(view.now)) < wanted:
            wanted = let_out
            self._ask_when_one_more_may_go(view.now, wanted, self._bucket)
        for _ in range(wanted):
            self._line += 1
            self._list.take(self._line)
            fate = self._world.line(view.now, self._lots)
            view.ringing[self._line] = (view.now, self._driver.chance())
            self._answered[self._line] = fate.answered
            self._at(view.now + fate.seconds, _What.LINE, self._line)
        if wanted > 0:
            self._slice.lines += wanted
            if self._bucket is not None:
                self._bucket.take(wanted)
            self._peak = max(self._peak, len(view.ringing) + len(view.talking) + view.waiting)
        if self._emptied_at is None and self._list.used_up:
            self._emptied_at = view.now

    def _room(self, now: float) -> int:
        view = self._view
        room = min(self._max_calls - len(view.ringing) - len(view.talking) - view.waiting, self._list.room(now))
        return int(max(0, min(room, 1_000_000)))

    def _ask_when_one_more_may_go(self, now: float, taken: int, bucket: Bucket) -> None:
        """The trunk's rate holds lines back: as the daemon does, ask again before the beat is over."""
        again = now + max(HELD_BEAT, bucket.next_in() + taken / bucket.rate)
        self._ask_from = min(self._ask_from, again)
        if not self._asking:
            self._asking = True
            self._at(again, _What.ASK, 0)

    def _line_ends(self, line: int) -> None:
        view = self._view
        started, _ = view.ringing.pop(line)
        answered = self._answered.pop(line)
        self._list.line_ended(view.now, line, answered)
        self._driver.line_ended(view.now, view.now - started, answered)
        if not answered:
            return
        self._slice.answers += 1
        if self._free:
            agent, since = self._free.popleft()
            self._driver.agent_stood(view.now - since, left=False)
            self._join(agent)
        else:
            self._waiting[line] = None
            view.waiting += 1
            self._at(view.now + self._world.patience(self._lots), _What.GIVEN_UP, line)

    def _join(self, agent: int) -> None:
        view = self._view
        view.ready = len(self._free)
        view.talking[agent] = view.now
        self._driver.joined(view.now)
        self._at(view.now + self._world.talk(self._lots), _What.TALK, agent)

    def _given_up(self, line: int) -> None:
        if line in self._waiting:
            del self._waiting[line]
            self._view.waiting -= 1
            self._slice.abandoned += 1
            self._driver.abandoned(self._view.now)

    def _talk_ends(self, agent: int) -> None:
        view = self._view
        self._driver.talk_ended(view.now, view.now - view.talking.pop(agent))
        seconds = self._world.wrap_up(self._lots)
        view.wrapping_up[agent] = view.now
        if seconds > 0:
            self._at(view.now + seconds, _What.WRAP_UP, agent)
        else:
            self._free_again(agent)

    def _free_again(self, agent: int) -> None:
        view, day = self._view, self._agents[agent]
        self._driver.wrap_up_ended(view.now, view.now - view.wrapping_up.pop(agent))
        if agent not in self._present:
            return
        if view.now >= day.end:
            self._leave(agent)
        elif day.pause_chance and self._lots.random() < day.pause_chance:
            self._leave(agent)
            self._at(view.now + self._lots.expovariate(1 / day.pause_seconds), _What.COMES, agent)
        else:
            self._stand(agent)

    def _stand(self, agent: int) -> None:
        """Free: the call that has waited longest, else the end of the row."""
        if self._waiting:
            del self._waiting[next(iter(self._waiting))]
            self._view.waiting -= 1
            self._join(agent)
        else:
            self._free.append((agent, self._view.now))
            self._view.ready = len(self._free)

    def _comes(self, agent: int) -> None:
        if self._view.now < self._agents[agent].end:
            self._present.add(agent)
            self._stand(agent)

    def _goes(self, agent: int) -> None:
        """A free agent goes at once; one at work after the call."""
        for place, (free, since) in enumerate(self._free):
            if free == agent:
                del self._free[place]
                self._view.ready = len(self._free)
                self._driver.agent_stood(self._view.now - since, left=True)
                self._leave(agent)
                return

    def _leave(self, agent: int) -> None:
        self._present.discard(agent)
