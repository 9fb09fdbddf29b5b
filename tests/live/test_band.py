"""A predictive campaign on real Asterisk does what the simulator says of the same set-up."""

import asyncio
from datetime import UTC, datetime
from random import Random

import pytest

from lab.band import Band, LabWorld, measured, simulated
from lab.subscribers import Behaviour, Subscribers
from tests.live.place import Place, robots, subscribers

pytestmark = pytest.mark.live

MIX = {Behaviour.PERSON: 35.0, Behaviour.BUSY: 30.0, Behaviour.NO_ANSWER: 35.0}
SECONDS, AGENTS, RATIO, RING_TIMEOUT, WRAP_UP = 75.0, 6, 3.0, 5, 1.0
SLACK = 0.03  # of occupancy: events, HTTP and a robot's reaction, a few times a second on a busy machine


async def test_occupancy_and_abandonment_are_as_the_simulator_has_them(place: Place) -> None:
    lots = Random(7)
    contacts = lots.choices(list(MIX), list(MIX.values()), k=300)
    campaign = await place.campaign(
        *contacts, state="paused", dial_mode="predictive", pacing_ratio=RATIO, ring_timeout_seconds=RING_TIMEOUT,
        wrap_up_seconds=60,
    )  # fmt: skip
    names = await place.agents(AGENTS)
    place.start()
    with subscribers(place, RING_MS=2000, TALK_MS=8000):
        async with robots(place, names, WRAP_UP):
            ready = lambda: all(place.agent(name)["state"] == "ready" for name in names)  # noqa: E731
            await asyncio.to_thread(place.wait, ready, 20, "every agent ready")
            since = datetime.now(UTC)
            await place.pool.execute("UPDATE campaigns SET state = 'active' WHERE id = $1", campaign)
            await asyncio.sleep(SECONDS)  # what is measured is this time
            await place.pool.execute("UPDATE campaigns SET state = 'paused' WHERE id = $1", campaign)
            await asyncio.to_thread(place.wait, lambda: not place.calls(), 30, "no live call")
    found = await measured(place.pool, since, SECONDS)
    world = LabWorld(Subscribers(mix=MIX, ring_seconds=2.0, talk_seconds=8.0), RING_TIMEOUT, WRAP_UP)
    runs = simulated(world, AGENTS, SECONDS, RATIO, 200)
    # What any of the runs has come to, and a call more or less: one in twenty of our own would fall out of a 95 % band.
    occupancy = Band.of([run.occupancy for run in runs], 1.0)
    abandonment = Band.of([run.abandonment for run in runs], 1.0)
    assert occupancy.holds(found.occupancy, SLACK), (found, occupancy)
    assert abandonment.holds(found.abandonment, 1 / max(1, found.answers)), (found, abandonment)
