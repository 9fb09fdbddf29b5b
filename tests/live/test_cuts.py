"""The connections to Asterisk cut at each step of a call: before, in and after the Originate, while it rings, while it
is joined, and with a call in every other step at once.

The names in brackets are the rows of the fault matrix. The invariants are asserted at the end of each test by `place`.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dialerd.core.ids import is_attempt
from lab.proxy import Proxy
from lab.subscribers import Behaviour, number
from tests.live.hearing import Words, heard
from tests.live.place import Place, subscribers
from tests.live.test_agents import is_logged, post
from tests.live.test_heard import ACME, ALONE

pytestmark = pytest.mark.live

PERSON = Behaviour.PERSON
RECOVERY_SECONDS = 30
END = b"\r\n\r\n"  # of a message of AMI, and of the head of a request of ARI


def until_link(place: Place, name: str, state: str) -> None:
    place.wait(lambda: place.link(name) == state, RECOVERY_SECONDS, f"{name} {state}")


async def agree(place: Place) -> None:
    """The calls that PostgreSQL has as live are those that Asterisk has."""
    live = {str(row["id"]) for row in await place.pool.fetch("SELECT id FROM attempts WHERE state <> 'ended'")}
    there = {channel.uniqueid for channel in place.site.lab.pbx.channels() if is_attempt(channel.uniqueid)}
    assert live == there


# -- the Originate and its answers ---------------------------------------------------------------------------------


async def test_an_originate_that_never_left_is_not_sent_and_may_be_tried_again(ami: Proxy, place: Place) -> None:
    """[F1] AMI goes between the claim's commit and the Originate, while the caller ID is looked for."""
    port = place.site.lab.ports.redis
    with Proxy(port) as redis:
        url = place.site.redis.url.replace(str(port), str(redis.port)).removesuffix("/0") + "/1"
        place.configure(ami={"port": ami.port, "ping_seconds": 1.0}, redis={"url": url})
        await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, '+358401108888')")
        await place.campaign(PERSON)
        names = await place.agents(1)
        place.start()
        redis.delay(0.5)
        place.connect(names)
        await place.until("SELECT count(*) FROM attempts", 1)
        ami.cut()
        redis.heal()
        await place.until_outcomes(not_sent=1)
        assert place.invites() == []
        why = await place.pool.fetchval("SELECT detail ->> 'detail' FROM call_events WHERE kind = 'not_sent'")
        assert why == "not dialled any more: ami_down"
        again = await place.pool.fetchrow("SELECT state, next_at > now() AS later, attempts FROM contacts")
        assert tuple(again) == ("waiting", True, 0)
        ami.heal()
        await place.finish()


@dataclass(frozen=True, slots=True)
class Step:
    """AMI is cut when `says` comes by, and is away until the person talks to an agent, if they are to."""

    says: bytes
    lost: bool  # the message that says so does not arrive either
    joins: bool = True


STEPS = (
    Step(b"Message: Originate successfully queued", lost=True),
    Step(b"Message: Originate successfully queued", lost=False),
    Step(b"Event: DialState", lost=False),
    Step(b"DialStatus: ANSWER", lost=True),
    Step(b"Event: Hangup", lost=True, joins=False),
)


async def test_a_call_goes_on_wherever_ami_goes_in_it_and_one_that_failed_unseen_is_not_dialled_again(
    ami: Proxy, place: Place
) -> None:
    """[F2, F3] One call after the other, each cut at its own step: it is answered, joined and ended without AMI. The
    last one was busy, and nobody told: whatever its retry rule says, zero times beats twice."""
    place.configure(ami={"port": ami.port, "ping_seconds": 1.0}, dialing={"reconcile_seconds": 1.0})
    names = await place.agents(1)
    place.start()
    place.connect(names)
    with subscribers(place, TALK_MS=1000):
        for n, step in enumerate(STEPS, start=1):
            sprung = ami.cut_after(step.says, "down", pass_it=not step.lost, through=END)
            await place.campaign(PERSON)
            assert await asyncio.to_thread(sprung.wait, 10), f"{step.says!r} never came by"
            ami.cut()
            if step.joins:
                place.wait(lambda: place.calls() == {"connected": 1}, 10, "a conversation without AMI")
                await agree(place)
            ami.heal()
            await place.until_outcomes(connected=n)
            until_link(place, "ami", "ok")
            place.wait(lambda: place.agent(names[0])["state"] == "ready", 10, f"{step}: the agent ready")
    sprung = ami.cut_after(STEPS[1].says, "down", through=END)
    busy = await place.campaign(Behaviour.BUSY, max_retries=3, retry_delay_seconds=0)
    assert await asyncio.to_thread(sprung.wait, 10)
    await place.until_outcomes(connected=len(STEPS), unknown=1)
    assert await place.pool.fetchval("SELECT state FROM contacts WHERE campaign_id = $1", busy) == "done"
    assert len(place.invites()) == len(STEPS) + 1


# -- the join ------------------------------------------------------------------------------------------------------


async def test_a_join_whose_request_or_answer_is_lost_is_made_good_before_the_person_wonders(
    ari: Proxy, place: Place
) -> None:
    """[F7] The agent is reserved. The request does not arrive; its answer does not; and with it the websocket goes."""
    place.configure(ari={"url": f"http://127.0.0.1:{ari.port}/ari"})
    (name,) = await place.agents(1)
    place.start()
    place.connect([name])
    with subscribers(place, TALK_MS=1500):
        for n, (arrives, all_) in enumerate([(False, False), (True, False), (False, True)], start=1):
            sprung = ari.cut_after(b"/addChannel", "up", pass_it=arrives, through=END)
            await place.campaign(PERSON)
            assert await asyncio.to_thread(sprung.wait, 10)
            if all_:
                ari.cut(refuse=False)
            await place.until_outcomes(connected=n)
            until_link(place, "ari", "ok")
            place.wait(lambda: place.agent(name)["state"] == "ready", 10, "the agent ready")
    waited = "SELECT max(extract(epoch FROM connected_at - answered_at))::float FROM attempts"
    assert await place.pool.fetchval(waited) < 2.0


# -- with a call in each step --------------------------------------------------------------------------------------

QUEUES = ("talk", "talk", "talk", "ring", "detect", "leave")
TALKS, HOLDS, WRAPS_UP, RINGS, DETECTS, LEAVES = (f"agent-{n}" for n in range(1, 7))
MESSAGE_SECONDS = 2.5
MENU = """\
[nodes.ask]
type = "menu"
prompt = "demo-thanks"
keys = { 2 = "bye" }
timeout = "bye"
timeout_seconds = 2
retries = 0
[nodes.bye]
type = "hangup"
"""


class Scene:
    """Somebody in each step: talking, on hold, an agent in wrap-up, in a flow, in our message, ringing, in AMD()."""

    def __init__(self, place: Place, words: Words) -> None:
        self.place = place
        self._words = words
        self.left = self.message = ""  # who hears our message, and its text

    def agent(self, name: str, state: str) -> None:
        self.place.wait(lambda: self.place.agent(name)["state"] == state, 15, f"{name} {state}")

    async def begin(self) -> None:
        """Everybody is where they should be."""
        place = self.place
        (self._words.flows / "menu.toml").write_text(MENU)
        await place.campaign(*[PERSON] * 3, queue_name="talk", wrap_up_seconds=60)
        left = await place.campaign(PERSON, queue_name="leave", **ACME)
        self.left, self.message = number(PERSON, left * 100), self._words.message(left)
        names = await place.agents(len(QUEUES))
        await place.pool.executemany(
            "UPDATE agent_queues SET queue_name = $2 WHERE agent_id = (SELECT id FROM agents WHERE name = $1)",
            list(zip(names, QUEUES, strict=True)),
        )
        place.start()
        self.rings(1_000)
        place.connect(names)
        place.wait(lambda: place.calls().get("ringing") == 4, 10, "four ringing lines")
        self.rings(500)
        await post(place, f"/agents/{LEAVES}/pause", reason="lunch")
        for name in (TALKS, HOLDS, WRAPS_UP):
            self.agent(name, "on_call")
        await post(place, f"/agents/{HOLDS}/hold")
        await post(place, f"/agents/{WRAPS_UP}/hangup")
        self.agent(WRAPS_UP, "wrap_up")
        place.wait(lambda: is_logged(place, "call.nobody_free", 1), 15, "our message")
        await place.campaign(PERSON, flow="menu", **ALONE)
        place.wait(lambda: is_logged(place, "flow.node", 1), 15, "somebody in the flow")
        self.rings(2_500)
        await place.campaign(PERSON, queue_name="ring", wrap_up_seconds=60)
        place.wait(lambda: place.calls().get("ringing") == 1, 10, "a ringing line")
        self.rings(500)
        await place.campaign(PERSON, queue_name="detect", machine_detection="drop", wrap_up_seconds=60)
        place.wait(lambda: self.is_in("AMD", 1), 10, "a call in AMD()")

    def rings(self, milliseconds: int) -> None:
        """How long people let it ring from now on."""
        self.place.site.lab.carrier.cli(f"dialplan set global RING_MS {milliseconds}")

    def is_in(self, application: str, count: int) -> bool:
        return [c.application for c in self.place.site.lab.pbx.channels()].count(application) == count

    async def stands(self) -> None:
        """Whoever talked talks, whoever was on hold is, and so on; Asterisk and PostgreSQL say the same."""
        self.agent(TALKS, "on_call")
        self.agent(HOLDS, "on_call")
        self.agent(WRAPS_UP, "wrap_up")
        view = await asyncio.to_thread(self.place.daemon.get, f"/agents/{HOLDS}/view")
        assert view["on_hold"]
        await agree(self.place)
        await post(self.place, f"/agents/{HOLDS}/unhold")
        for name in (TALKS, HOLDS):
            attempt = self.place.agent(name)["attempt"]
            row = await self.place.pool.fetchrow("SELECT channel_id, bridge_id FROM agents WHERE name = $1", name)
            inside = {c.uniqueid for c in self.place.site.lab.pbx.channels() if c.bridge == row["bridge_id"]}
            assert inside == {attempt, row["channel_id"]}

    async def end(self, **outcomes: int) -> None:
        """Agents hang up; the machine hangs up on its own."""
        for name in (TALKS, HOLDS, RINGS, DETECTS):
            if self.place.agent(name)["state"] == "on_call":
                await post(self.place, f"/agents/{name}/hangup")
        await self.place.until_outcomes(**outcomes)


@pytest.fixture
def scene(ami: Proxy, ari: Proxy, place: Place, tmp_path: Path) -> Iterator[Scene]:
    words = Words(
        place, tmp_path, MESSAGE_SECONDS,
        ami={"port": ami.port, "ping_seconds": 1.0}, ari={"url": f"http://127.0.0.1:{ari.port}/ari"},
    )  # fmt: skip
    with subscribers(place, TALK_MS=60_000):
        yield Scene(place, words)


async def test_whatever_step_a_call_is_in_it_survives_a_reset_of_ari_and_new_answers_hear_the_message(
    scene: Scene, ari: Proxy, place: Place
) -> None:
    """[F7] Who answers while ARI is away, and whose AMD() ends then, hears the dialplan's message."""
    with heard(place) as ears:
        await scene.begin()
        ari.cut()
        place.wait(lambda: scene.is_in("Playback", 1), 10, "the message after AMD()")
        until_link(place, "ari", "down")
        place.wait(lambda: scene.is_in("Playback", 2), 10, "the message after the answer")
        ari.heal()
        until_link(place, "ari", "ok")
        await scene.stands()
        await scene.end(connected=3, abandoned=3, played=1)
    assert ears.seconds(scene.left, scene.message) > MESSAGE_SECONDS * 1.5, "it was said again"


async def test_whatever_step_a_call_is_in_it_survives_a_clean_close_of_the_websocket_and_then_the_loss_of_ami(
    scene: Scene, ami: Proxy, place: Place
) -> None:
    """[F8, F4] Asterisk says goodbye, and is there again at once; then AMI falls silent, without a FIN: answers are
    joined, calls end, agents wrap up."""
    await scene.begin()
    place.site.lab.pbx.cli("ari shutdown websocket sessions")
    place.wait(lambda: is_logged(place, "ari.link state=down", 1), 10, "the loss to be noticed")
    until_link(place, "ari", "ok")
    assert place.calls().get("ringing") == 1
    ami.silence()
    for name in (DETECTS, RINGS):
        scene.agent(name, "on_call")
    await post(place, f"/agents/{RINGS}/hangup")
    scene.agent(RINGS, "wrap_up")
    until_link(place, "ami", "down")
    ami.heal()
    await scene.stands()
    until_link(place, "ami", "ok")
    await scene.end(connected=5, abandoned=1, played=1)
