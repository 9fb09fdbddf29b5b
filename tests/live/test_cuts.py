"""The connections to Asterisk cut at each step of a call: before, in and after the Originate, while it rings, while it
is joined, and with a call in every other step at once.

The names in brackets are the rows of the fault matrix. The invariants are asserted at the end of each test by `place`.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dialerd.core.ids import is_attempt
from lab.proxy import Proxy
from lab.site import Site
from lab.subscribers import Behaviour
from tests.live.place import Place, subscribers

pytestmark = pytest.mark.live

RECOVERY_SECONDS = 30
END = b"\r\n\r\n"  # of a message of AMI, and of the head of a request of ARI


@pytest.fixture
def ami(site: Site) -> Iterator[Proxy]:
    """Between dialerd and the manager interface. (Asked for before `place`, so that it outlives its daemon.)"""
    with Proxy(site.lab.ami_port) as proxy:
        yield proxy


@pytest.fixture
def ari(site: Site) -> Iterator[Proxy]:
    """Between dialerd and ARI."""
    with Proxy(site.lab.ports.ari) as proxy:
        yield proxy


@pytest.fixture
def postgres(site: Site) -> Iterator[Proxy]:
    """Between dialerd and PostgreSQL."""
    with Proxy(site.lab.ports.postgres) as proxy:
        yield proxy


def link(place: Place, name: str) -> str:
    """A link's state as `/health` shows it."""
    return str((place.daemon.health() or {}).get(name))


def until_link(place: Place, name: str, state: str) -> None:
    place.wait(lambda: link(place, name) == state, RECOVERY_SECONDS, f"{name} {state}")


async def agree(place: Place) -> None:
    """The calls that PostgreSQL has as live are those that Asterisk has."""
    live = {str(row["id"]) for row in await place.pool.fetch("SELECT id FROM attempts WHERE state <> 'ended'")}
    there = {channel.uniqueid for channel in place.site.lab.pbx.channels() if is_attempt(channel.uniqueid)}
    assert live == there


# -- the Originate and its answers ---------------------------------------------------------------------------------


async def test_an_originate_that_never_left_is_not_sent_and_may_be_tried_again(
    ami: Proxy, postgres: Proxy, place: Place
) -> None:
    """[F1] AMI goes between the claim's commit and the last look at the lists, for which the daemon still waits."""
    dsn = place.site.postgres.dsn(place.site.database).replace(str(place.site.lab.ports.postgres), str(postgres.port))
    place.configure(ami={"port": ami.port, "ping_seconds": 1.0}, postgres={"dsn": dsn})
    await place.campaign(Behaviour.PERSON, state="paused")
    names = await place.agents(1)
    place.start()
    place.connect(names)
    with subscribers(place, TALK_MS=1000):
        postgres.delay(0.3)
        await place.pool.execute("UPDATE campaigns SET state = 'active'")
        await place.until("SELECT count(*) FROM attempts", 1)
        ami.cut()
        postgres.heal()
        await place.until_outcomes(not_sent=1)
        assert place.invites() == []
        why = await place.pool.fetchval("SELECT detail ->> 'detail' FROM call_events WHERE kind = 'not_sent'")
        assert why == "not dialled any more: ami_down"
        ami.heal()
        await place.until_outcomes(not_sent=1, connected=1)
    assert len(place.invites()) == 1


@dataclass(frozen=True, slots=True)
class Step:
    """AMI is cut when `says` has come by, and is away until the call has gone on to `then`, or has ended (None)."""

    says: bytes
    lost: bool  # the message that says so does not arrive either
    then: str | None


STEPS = (
    Step(b"Message: Originate successfully queued", True, "connected"),
    Step(b"Message: Originate successfully queued", False, "connected"),
    Step(b"Event: DialState", False, "connected"),
    Step(b"DialStatus: ANSWER", True, "connected"),
    Step(b"Event: OriginateResponse", True, "connected"),
    Step(b"Event: Hangup", True, None),
)


async def test_a_call_goes_on_and_ends_as_it_did_wherever_ami_goes_in_it(ami: Proxy, place: Place) -> None:
    """[F2, F3] One call after the other, each cut at its own step: it is answered, joined and ended without AMI."""
    place.configure(ami={"port": ami.port, "ping_seconds": 1.0})
    names = await place.agents(1)
    place.start()
    place.connect(names)
    with subscribers(place, TALK_MS=1500):
        for n, step in enumerate(STEPS, start=1):
            sprung = ami.cut_after(step.says, "down", pass_it=not step.lost, through=END)
            await place.campaign(Behaviour.PERSON)
            assert await asyncio.to_thread(sprung.wait, 10), f"{step.says!r} never came by"
            ami.cut()
            if step.then is not None:
                place.wait(lambda then=step.then: place.calls() == {then: 1}, 10, f"{step}: {step.then}")
                await agree(place)
                place.wait(lambda: place.agent(names[0])["state"] == "wrap_up" or not place.calls(), 10, f"{step}: its end")
            ami.heal()
            await place.until_outcomes(connected=n)
            until_link(place, "ami", "ok")
            place.wait(lambda: place.agent(names[0])["state"] == "ready", 10, f"{step}: the agent ready")
    assert len(place.invites()) == len(STEPS)


async def test_a_call_that_failed_unseen_is_closed_and_not_dialled_again(ami: Proxy, place: Place) -> None:
    """[F3] The line was busy, and nobody told: whatever the retry rule says, zero times beats twice."""
    place.configure(ami={"port": ami.port, "ping_seconds": 1.0})
    await place.campaign(Behaviour.BUSY, max_retries=3, retry_delay_seconds=0)
    names = await place.agents(1)
    place.start()
    sprung = ami.cut_after(b"Message: Originate successfully queued", "down", through=END)
    place.connect(names)
    assert await asyncio.to_thread(sprung.wait, 10)
    await place.until_outcomes(unknown=1)
    assert len(place.invites()) == 1
    assert await place.pool.fetchval("SELECT state FROM contacts") == "done"
