"""Robot agents: they sit at dialerd's web surface and behave as agents do. Their phones are the carrier's business.

A robot wants to be in the state it was told last, and repeats what it asked for when nothing came of it: lost events,
refused requests and a daemon that was away only cost time.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random

import aiohttp

_REQUEST_SECONDS = 12.0  # a little more than the surface gives its engine
_SILENCE_SECONDS = 60.0  # the stream says "still here" much more often
_RECONNECT_SECONDS = 0.5
_PATIENCE_SECONDS = 5.0  # how long a robot waits for something to come of what it asked


@dataclass(frozen=True, slots=True)
class Habits:
    """How robots spend their day: chances from 0 to 1, times in seconds (means, spread evenly by half)."""

    wrap_up_seconds: float = 3.0
    pause_chance: float = 0.05  # after a call
    pause_seconds: float = 8.0
    hangup_chance: float = 0.2  # that the agent, not the customer, ends a call
    talk_seconds: float = 10.0  # how long into the call that happens
    seed: int = 1


@dataclass(slots=True)
class Seen:
    """What all robots did so far."""

    connects: int = 0
    calls: int = 0
    wrap_ups: int = 0
    pauses: int = 0
    hangups: int = 0
    refused: int = 0  # requests that were answered with an error, or not at all
    streams: int = 0  # times that the event stream was opened


class Robots:
    """`async with asyncio.TaskGroup() as g: g.create_task(robots.run(stop))`; `seen` may be read at any time."""

    def __init__(self, url: str, token: str, names: Sequence[str], habits: Habits | None = None) -> None:
        """`url` is dialerd's web address without a slash at the end, `token` its bearer token."""
        self.seen = Seen()
        self._url = url
        self._login = {"Authorization": f"Bearer {token}"}
        habits = habits or Habits()
        self._robots = {name: _Robot(name, habits, self) for name in names}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Calls in progress are left as they are."""
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        async with aiohttp.ClientSession(headers=self._login, timeout=timeout) as session:
            tasks = [asyncio.create_task(self._listen(session))]
            tasks += [asyncio.create_task(robot.live(session)) for robot in self._robots.values()]
            stopped = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopped}:
                    task.result()  # a robot never ends by itself: this raises why
            finally:
                for task in (stopped, *tasks):
                    task.cancel()
                await asyncio.gather(stopped, *tasks, return_exceptions=True)

    async def ask(self, session: aiohttp.ClientSession, name: str, verb: str, **fields: str) -> bool:
        """POST one agent verb; whether it was taken."""
        try:
            async with session.post(f"{self._url}/agents/{name}/{verb}", json=fields) as answer:
                taken = answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            taken = False
        self.seen.refused += not taken
        return taken

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._stream(session)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _stream(self, session: aiohttp.ClientSession) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS, sock_read=_SILENCE_SECONDS)
        async with session.get(f"{self._url}/events", timeout=timeout) as stream:
            stream.raise_for_status()
            self.seen.streams += 1
            # the stream is open before the list is asked for: no change falls between the two
            async with session.get(f"{self._url}/agents") as answer:
                answer.raise_for_status()
                for agent in (await answer.json())["agents"]:
                    self._told(agent)
            async for kind, data in _events(stream.content):
                if kind == "agent":
                    self._told(json.loads(data))

    def _told(self, agent: dict[str, str]) -> None:
        robot = self._robots.get(agent["name"])
        if robot is not None:
            robot.told(agent["state"])


class _Robot:
    """One agent: knows its state, and does what an agent does in it."""

    def __init__(self, name: str, habits: Habits, all_: Robots) -> None:
        self._name = name
        self._habits = habits
        self._all = all_
        self._lots = Random(f"{habits.seed}-{name}")
        self._state = "unknown"
        self._changed = asyncio.Event()

    def told(self, state: str) -> None:
        """The daemon's word on this agent."""
        if state != self._state:
            self._state = state
            self._all.seen.calls += state == "on_call"
            self._changed.set()

    async def live(self, session: aiohttp.ClientSession) -> None:
        """Act in each state as it comes, again when nothing comes of it."""
        while True:
            self._changed.clear()
            acts = {
                "offline": self._connect,
                "wrap_up": self._wrap_up,
                "paused": self._come_back,
                "on_call": self._talk,
            }
            act = acts.get(self._state)
            if act is not None:
                await act(session)
                await self._stays(_PATIENCE_SECONDS)
            else:
                await self._changed.wait()

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        if await self._all.ask(session, self._name, "connect"):
            self._all.seen.connects += 1

    async def _wrap_up(self, session: aiohttp.ClientSession) -> None:
        if not await self._stays(self._about(self._habits.wrap_up_seconds)):
            return
        self._all.seen.wrap_ups += 1
        if self._lots.random() < self._habits.pause_chance:
            if await self._all.ask(session, self._name, "pause", reason="break"):
                self._all.seen.pauses += 1
        else:
            await self._all.ask(session, self._name, "ready")

    async def _come_back(self, session: aiohttp.ClientSession) -> None:
        if await self._stays(self._about(self._habits.pause_seconds)):
            await self._all.ask(session, self._name, "ready")

    async def _talk(self, session: aiohttp.ClientSession) -> None:
        if self._lots.random() >= self._habits.hangup_chance:
            await self._changed.wait()
            return
        if not await self._stays(self._about(self._habits.talk_seconds)):
            return
        if await self._all.ask(session, self._name, "hangup"):
            self._all.seen.hangups += 1

    async def _stays(self, seconds: float) -> bool:
        """Whether the state is still the same after that time; returns at once when it changes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        return not self._changed.is_set()

    def _about(self, mean: float) -> float:
        return mean * (0.5 + self._lots.random())


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[tuple[str, str]]:
    """The (event, data) pairs of a server-sent stream."""
    kind, data = "message", ""
    while line := await stream.readline():
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text:
            if data:
                yield kind, data
            kind, data = "message", ""
        elif text.startswith("event:"):
            kind = text[6:].strip()
        elif text.startswith("data:"):
            data += text[5:].strip()
