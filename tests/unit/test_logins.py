"""Who an agent is, at the page's door and on the phone. Hashes are real; ARI is a fake that plays nothing."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from dialerd.ari.leg import Legs
from dialerd.clock import Clock
from dialerd.core import pin
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.logins import ASK_NUMBER, ASK_PIN, STANDING, WELCOME, WRONG, PhoneLogins, Pins
from tests.unit.test_conversations import NOW

CHANNEL = "1795171009.241"
HASH = pin.hashed("471199", b"s" * 16)


class SetClock(Clock):
    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Ari:
    """Every sound is over at once."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.hung_up: list[str] = []
        self.legs: Legs | None = None

    async def play(self, channel: str, playback: str, sound: str) -> None:
        self.heard.append(sound)
        assert self.legs is not None
        asyncio.get_running_loop().call_soon(self.legs.played, playback, True)

    async def stop_playing(self, playback: str) -> None: ...

    async def hang_up(self, channel: str) -> None:
        self.hung_up.append(channel)


class Door:
    """One agent, number 70, PIN 471199."""

    def __init__(self, **changes: Any) -> None:
        self.clock = SetClock()
        self.agents = Agents(self.clock, lambda *_: None)
        row = {"id": 7, "tenant_id": 1, "name": "aino", "endpoint": "aino", "queues": ["q"], "default_region": "FI",
               "state_at": NOW, "login_number": "70", "pin_hash": HASH}  # fmt: skip
        self.agents.load([row | changes])
        self.pins = Pins(self.clock, self.agents)
        self.ari = Ari()
        self.legs = self.ari.legs = Legs(self.ari)  # type: ignore[arg-type]
        self.tasks: list[asyncio.Task[None]] = []
        self.logged_in: list[tuple[str, str]] = []
        self.open = True
        self.phone = PhoneLogins(self.pins, self.legs, self.spawn, self.take, lambda: self.open)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    def take(self, agent: Agent, channel: str) -> None:
        self.logged_in.append((agent.name, channel))

    async def call(self, typed: str) -> None:
        """A call that types all of this at once, and lasts until it is decided."""
        self.phone.arrived(CHANNEL, "+358401234567")
        for key in typed:
            self.legs.pressed(CHANNEL, key)
        async with asyncio.timeout(30):
            await asyncio.gather(*self.tasks)


async def test_name_and_number_and_pin_let_in_and_nothing_else_does() -> None:
    door = Door()
    assert [await door.pins.verify(typed, "471199", "here") is not None for typed in ("aino", "70")] == [True, True]
    for typed, text in (("aino", "471198"), ("aino", ""), ("nobody", "471199"), ("", "471199"), ("7", "471199")):
        assert await door.pins.verify(typed, text, "here") is None


@pytest.mark.parametrize("changes", [{"pin_hash": None}, {"queues": []}])
async def test_an_agent_without_a_pin_or_switched_off_does_not_come_in(changes: dict[str, Any]) -> None:
    assert await Door(**changes).pins.verify("aino", "471199", "here") is None


async def test_after_five_wrong_pins_the_right_one_does_not_help_for_a_while_and_nobody_is_told() -> None:
    door = Door()
    for n in range(5):
        assert await door.pins.verify("aino", "0000", f"caller {n}") is None
    assert await door.pins.verify("aino", "471199", "another") is None
    door.clock.seconds += 301
    assert await door.pins.verify("aino", "471199", "another") is not None


async def test_a_caller_who_fails_too_often_is_refused_whatever_they_try_next() -> None:
    door = Door()
    for n in range(15):
        assert await door.pins.verify(f"name{n}", "0000", "there") is None
    with pytest.raises(AgentRefused, match="too many"):
        await door.pins.verify("aino", "471199", "there")
    assert await door.pins.verify("aino", "471199", "here") is not None


async def test_a_caller_who_types_number_and_pin_is_the_agents_leg_from_then_on() -> None:
    door = Door()
    await door.call("70#471199#")
    assert door.logged_in == [("aino", CHANNEL)]
    assert door.ari.heard == [WELCOME], "who types at once hears no prompt"
    assert door.ari.hung_up == [] and door.phone.channels() == set() and door.legs.get(CHANNEL) is None


async def test_three_wrong_tries_end_the_call() -> None:
    door = Door()
    await door.call("70#1111#99#471199##70##")
    assert door.ari.heard[-1] == WRONG and door.ari.hung_up == [CHANNEL] and door.logged_in == []


async def test_an_agent_whose_phone_stands_already_is_told_so_and_keeps_it() -> None:
    door = Door()
    agent = door.agents.named("aino")
    agent.leg = "dialerd-agent-7-00000000"
    await door.call("70#471199#")
    assert door.ari.heard == [STANDING] and door.ari.hung_up == [CHANNEL] and door.logged_in == []


async def test_a_caller_who_hangs_up_or_comes_during_a_drain_leaves_nothing() -> None:
    door = Door()
    door.phone.arrived(CHANNEL, "")
    async with asyncio.timeout(5):
        while ASK_NUMBER not in door.ari.heard:
            await asyncio.sleep(0)
    door.legs.left(CHANNEL)
    await asyncio.gather(*door.tasks)
    assert door.phone.channels() == set() and ASK_PIN not in door.ari.heard
    door.open = False
    await door.call("70#471199#")
    assert door.logged_in == [] and door.ari.hung_up == [CHANNEL]
