"""The agent's phone dies while an answered person is being joined to it, and both hang up in the same instant.

Everybody is a tone: what each person heard is the first witness, Asterisk's bridges while it happens are the second.
The names in brackets are the rows of the fault matrix. The invariants are asserted at the end of each test by `place`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import aiohttp
import pytest

from dialerd.core.ids import agent_of, is_attempt
from lab.proxy import Proxy
from lab.subscribers import Behaviour, draw
from tests.live.place import Place, robots, subscribers
from tests.live.test_agents import is_logged, post
from tests.tones import Tones, agent_hz, quiet_seconds, timeline, tones

pytestmark = pytest.mark.live

CALLS, SEED = 24, 27
RING_MS, TALK_SECONDS, JITTER_SECONDS = 400, 0.6, 0.05
SILENT_SECONDS = 3.0  # at most: the grace of two, and the time that a join and its failure take
KNOWN = {f"agent-{n}": agent_hz(f"agent-{n}") for n in range(1, 7)}


@dataclass(frozen=True, slots=True)
class Blow:
    """What happens to a call `after` its answer (in seconds; before, when negative): the phone of the agent who is to
    have it dies, and, if `both`, the person hangs up as well."""

    after: float
    both: bool


async def strike(place: Place, heard: Tones, number: str, answered: float, blow: Blow) -> None:
    """One blow; `answered`: when the person lifts the receiver, by the wall clock."""
    await asyncio.sleep(answered + blow.after - 0.02 - time.time())
    victim = await asyncio.to_thread(next_agent, place)
    await asyncio.sleep(answered + blow.after - time.time())
    if blow.both:
        heard.hang_up(number)
    if victim is not None:
        heard.hang_up(victim)


def next_agent(place: Place) -> str | None:
    """Who gets the next call: the ready one who is longest idle."""
    ready = [agent for agent in place.daemon.status()["agents"] if agent["state"] == "ready"]
    return str(min(ready, key=lambda agent: agent["since"])["name"]) if ready else None


async def strike_all(place: Place, heard: Tones, lots: Random) -> None:
    """A blow for every call as it comes; ends with the last one."""
    under_way: list[asyncio.Task[None]] = []
    while len(under_way) < CALLS:
        for invite in place.invites()[len(under_way) :]:
            rings = (draw(1, "ring", invite.number) + 5000) * RING_MS / 10_000_000
            blow = Blow(lots.uniform(-JITTER_SECONDS, JITTER_SECONDS), lots.random() < 0.3)
            under_way.append(asyncio.create_task(strike(place, heard, invite.number, invite.at + rings, blow)))
        await asyncio.sleep(0.01)
    await asyncio.gather(*under_way)


@asynccontextmanager
async def watched(place: Place) -> AsyncIterator[list[set[str]]]:
    """The calls in each agent's bridge, whenever it was more than one."""
    crowds: list[set[str]] = []
    lab = place.site.lab
    login = {"Authorization": aiohttp.encode_basic_auth(lab.ari_username, lab.ari_password)}

    async def look(session: aiohttp.ClientSession) -> None:
        while True:
            async with session.get(f"{lab.ari_url}/bridges") as answer:
                for bridge in await answer.json():
                    calls = {channel for channel in bridge["channels"] if is_attempt(channel)}
                    if agent_of(bridge["id"]) is not None and len(calls) > 1:
                        crowds.append(calls)
            await asyncio.sleep(0.02)

    async with aiohttp.ClientSession(headers=login) as session:
        task = asyncio.create_task(look(session))
        try:
            yield crowds
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("milliseconds", [0, 60], ids=["at_once", "slow_network"])
async def test_whoever_loses_the_agent_in_the_join_gets_the_next_one_or_the_message(
    place: Place, milliseconds: int
) -> None:
    """[F27] Phones die from 50 ms before the answer to 50 ms after it, and some people hang up with them. With a slow
    network to ARI every one of these is in the middle of a join."""
    with Proxy(place.site.lab.ports.ari) as ari, tones(place) as heard, subscribers(place, RING_MS=RING_MS):
        # No reconcile on the timer: it would make good in a second what the events must.
        place.configure(ari={"url": f"http://127.0.0.1:{ari.port}/ari"}, dialing={"reconcile_seconds": 60.0})
        await place.campaign(*[Behaviour.PERSON] * CALLS)
        names = await place.agents(6)
        place.start()
        ari.delay(milliseconds / 1000)
        async with watched(place) as crowds, robots(place, names, 0.1, TALK_SECONDS):
            async with asyncio.timeout(60):
                await strike_all(place, heard, Random(SEED))
            await place.until("SELECT count(*) FROM attempts WHERE state <> 'ended'", 0)
        ari.heal()
        await place.finish()
        outcomes = await place.outcomes()
        assert outcomes.keys() <= {"connected", "abandoned", "hung_up"}, outcomes
        assert crowds == [], "two people with one agent"
        assert not is_logged(place, "agent.bridge_failed", 1), "a phone that came back had nowhere to stand"
        assert is_logged(place, "-[leg_down]-> offline", CALLS // 3), "too few phones died for this to prove anything"
        for invite in place.invites():
            sound = heard.samples(invite.number)
            assert quiet_seconds(sound) <= SILENT_SECONDS, (invite, timeline(sound, KNOWN))


async def test_an_agent_whose_phone_died_is_back_while_the_person_talks_to_the_next_one(place: Place) -> None:
    """[F27] Asterisk keeps the name of a bridge as long as the person lives who was moved out of it (22.10)."""
    place.configure(dialing={"reconcile_seconds": 1.0})
    await place.campaign(Behaviour.PERSON, Behaviour.PERSON)
    first, second = await place.agents(2)
    with subscribers(place, TALK_MS=60_000):
        place.start()
        place.connect([first])
        place.wait(lambda: place.agent(first)["state"] == "on_call", 15, "a conversation")
        await place.pool.execute("UPDATE campaigns SET state = 'paused'")
        place.wait(lambda: place.daemon.status()["campaigns"][0]["state"] == "paused", 10, "the pause")
        place.connect([second])
        place.site.lab.phone_hang_up(first)
        place.wait(lambda: place.agent(first)["state"] == "offline", 10, "the first one's phone dead")
        place.wait(lambda: place.agent(second)["state"] == "on_call", 10, "the second one with the person")
        place.connect([first])
        await place.pool.execute("UPDATE campaigns SET state = 'active'")
        place.wait(lambda: place.agent(first)["state"] == "on_call", 15, "the first one with another person")
        for name in (first, second):
            await post(place, f"/agents/{name}/hangup")
        await place.until_outcomes(connected=2)
    assert not is_logged(place, "reconcile.failed", 1)
