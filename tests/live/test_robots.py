"""Robot agents against the real web surface; the engine behind it plays the agents' states."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dialerd.core.status import AgentRefused, AgentStatus, LiveEvent
from dialerd.web.app import Bounds, create_app
from dialerd.web.server import serve
from lab.robots import Habits, Robots
from tests.web.engine import BUSY_DAY, TOKEN, FakeEngine

NAMES = ["agent-1", "agent-2", "agent-3"]
QUICK = Habits(wrap_up_seconds=0.05, pause_seconds=0.05, talk_seconds=0.05)


class OneDay(FakeEngine):
    """Agents whose states follow the robots' wishes."""

    def __init__(self) -> None:
        offline = (AgentStatus(name, "offline", datetime.now(UTC)) for name in NAMES)
        super().__init__(replace(BUSY_DAY, agents=tuple(offline)))

    def state(self, name: str) -> str:
        return next(a.state for a in self.current.agents if a.name == name)

    def put(self, name: str, state: str) -> None:
        agents = tuple(replace(a, state=state) if a.name == name else a for a in self.current.agents)
        self.current = replace(self.current, agents=agents)
        self.publish(LiveEvent("agent", {"name": name, "state": state, "attempt": None}))

    async def agent_connect(self, name: str) -> None:
        await super().agent_connect(name)
        self.put(name, "connecting")
        self.put(name, "ready")

    async def agent_ready(self, name: str) -> None:
        await super().agent_ready(name)
        self.put(name, "ready")

    async def agent_pause(self, name: str, reason: str) -> None:
        await super().agent_pause(name, reason)
        self.put(name, "paused")

    async def agent_hangup(self, name: str) -> None:
        with suppress(AgentRefused):
            await super().agent_hangup(name)
        self.put(name, "wrap_up")


async def comes_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def engine() -> OneDay:
    return OneDay()


async def a_day(engine: OneDay, habits: Habits, plot: Callable[[Robots], object]) -> Robots:
    """Run the robots while `plot` goes on, and stop them."""
    app = create_app(engine, TOKEN, bounds=Bounds(figures_seconds=0.01))
    async with serve(app, "127.0.0.1", 0) as port:
        robots = Robots(f"http://127.0.0.1:{port}", TOKEN, NAMES, habits)
        stop = asyncio.Event()
        running = asyncio.create_task(robots.run(stop))
        try:
            await comes_true(lambda: all(engine.state(n) == "ready" for n in NAMES))
            await plot(robots)  # type: ignore[misc]
        finally:
            stop.set()
            await asyncio.wait_for(running, 5)
        app.state.streams.close()
    return robots


async def test_robots_connect_and_take_call_after_call(engine: OneDay) -> None:
    async def plot(_: Robots) -> None:
        for _round in range(5):
            for name in NAMES:
                engine.put(name, "reserved")
                engine.put(name, "on_call")
            await comes_true(lambda: all(engine.state(n) == "ready" for n in NAMES))

    robots = await a_day(engine, replace(QUICK, hangup_chance=1, pause_chance=0), plot)
    assert (robots.seen.connects, robots.seen.calls, robots.seen.wrap_ups) == (3, 15, 15)
    assert (robots.seen.hangups, robots.seen.pauses, robots.seen.refused) == (15, 0, 0)


async def test_a_robot_that_does_not_hang_up_waits_for_the_customer_to(engine: OneDay) -> None:
    async def plot(_: Robots) -> None:
        engine.put("agent-1", "on_call")
        engine.put("agent-1", "wrap_up")
        await comes_true(lambda: engine.state("agent-1") == "ready")

    robots = await a_day(engine, replace(QUICK, hangup_chance=0, pause_chance=0), plot)
    assert (robots.seen.hangups, robots.seen.wrap_ups) == (0, 1)


async def test_robots_pause_between_calls_and_come_back(engine: OneDay) -> None:
    async def plot(robots: Robots) -> None:
        engine.put("agent-2", "wrap_up")
        await comes_true(lambda: robots.seen.pauses == 1 and engine.state("agent-2") == "ready")

    await a_day(engine, replace(QUICK, pause_chance=1), plot)
    assert ("pause", "agent-2", "break") in engine.asked


async def test_a_phone_that_went_away_is_connected_again(engine: OneDay) -> None:
    async def plot(_: Robots) -> None:
        engine.put("agent-3", "offline")
        await comes_true(lambda: engine.asked.count(("connect", "agent-3")) == 2)

    await a_day(engine, QUICK, plot)


async def test_robots_find_their_way_after_the_stream_broke(engine: OneDay) -> None:
    """The change falls into the gap: only the list of agents can tell it."""

    async def plot(robots: Robots) -> None:
        for reader in list(engine.readers):
            engine.readers.remove(reader)
            reader.put_nowait(None)
        engine.put("agent-1", "wrap_up")
        await comes_true(lambda: robots.seen.streams == 2 and engine.state("agent-1") == "ready")

    await a_day(engine, replace(QUICK, pause_chance=0), plot)
