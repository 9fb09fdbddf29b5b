"""The way through a flow, with a real PostgreSQL. ARI is a fake: the moments cannot be provoked."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from dialerd.ari.leg import Legs
from dialerd.ari.transport import AriError
from dialerd.clock import Clock
from dialerd.config import Flows
from dialerd.core import ids
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.causes import Outcome
from dialerd.core.flow import Script
from dialerd.core.flow_check import read
from dialerd.core.retry import History
from dialerd.engine.calls import Call, Calls
from dialerd.engine.ivr import Ivr
from dialerd.engine.optouts import OptOuts
from dialerd.engine.queues import Queues
from dialerd.engine.rooms import Rooms
from dialerd.engine.webhooks import Webhooks
from dialerd.store.ledger import Ledger
from tests.unit.test_conversations import campaign

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
NUMBER = "+358401234567"
FLOW = """\
[nodes.menu]
type = "menu"
prompt = "hello"
keys = { 1 = "keep", 2 = "out", 3 = "agent" }
timeout_seconds = 0.05
timeout = "end"
invalid = "keep"
[nodes.keep]
type = "set"
values = { topic = "bills" }
next = "law"
[nodes.law]
type = "menu"
prompt = "law"
barge_in = false
keys = { 5 = "end" }
timeout = "end"
retries = 0
[nodes.out]
type = "opt_out"
prompt = "thanks"
next = "end"
[nodes.agent]
type = "queue"
seconds = 7
next = "end"
[nodes.end]
type = "hangup"
"""


class Ari:
    """Plays what it is told until the test ends it; refuses the sounds that it does not have."""

    def __init__(self) -> None:
        self.playing: list[tuple[str, str]] = []
        self.missing: set[str] = set()
        self.hung_up: list[str] = []
        self.up, self.records = True, True
        self.recording: list[str] = []
        self.variables: dict[str, str] = {}
        self.rooms: list[str] = []
        self.announced = ""
        self.to_the_dialplan: list[tuple[str, str, str]] = []

    async def play(self, channel: str, playback: str, sound: str) -> None:
        if sound in self.missing:
            raise AriError(500, "POST /play", "no such sound")
        self.playing.append((sound, playback))

    async def stop_playing(self, playback: str) -> None: ...

    async def hang_up(self, channel: str) -> None:
        self.hung_up.append(channel)

    async def to_dialplan(self, channel: str) -> None:
        self.to_the_dialplan.append((channel, "", ""))

    async def to_context(self, channel: str, context: str, number: str) -> None:
        self.to_the_dialplan.append((channel, context, number))

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        self.variables[name] = value

    async def record(self, channel: str, name: str, seconds: float, silence_seconds: float) -> None:
        if not self.records:
            raise AriError(500, "POST /record", "no such folder")
        self.recording.append(name)

    async def make_bridge(self, bridge: str) -> None:
        self.rooms.append(f"make {ids.queue_node(bridge)}")

    async def play_music(self, bridge: str, music: str = "") -> None:
        self.rooms.append(f"music {music}")

    async def stop_music(self, bridge: str) -> None:
        self.rooms.append("no music")

    async def join(self, bridge: str, channel: str) -> None:
        self.rooms.append("join")

    async def leave(self, bridge: str, channel: str) -> None:
        self.rooms.append("leave")

    async def end_waiting_room(self, bridge: str) -> None:
        self.rooms.append("end")

    async def announce(self, bridge: str, playback: str, sound: str) -> None:
        self.rooms.append(sound)
        self.announced = playback


class Stage:
    """A call in its flow, with its record written to PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool, text: str = FLOW) -> None:
        self.pool: asyncpg.Pool | None = pool
        self.ari, self.calls = Ari(), Calls(lambda *_: None)
        ari: Any = self.ari
        self.legs = Legs(ari)
        self.ledger = Ledger("n", lambda: self.pool)
        trunks = {"out": SimpleNamespace(endpoint="sip-out", max_calls=1)}
        config = SimpleNamespace(trunks=trunks, dialing=SimpleNamespace(enabled=True))
        here: Any = SimpleNamespace(
            ledger=self.ledger,
            calls=self.calls,
            clock=Clock(),
            reach=self.reach,
            config=config,
            agents=(),
            campaigns={},
            thirds=Counter(),
        )
        self.here = here
        self.offered: list[Call] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.has_turn = True
        self.waits = False  # whether nobody is free for a call that is offered
        self.messages: list[Call] = []
        self.broken: list[str] = []
        self.opt_outs, self.webhooks = OptOuts(here), Webhooks(Flows(webhook_private_hosts=("127.0.0.1",)))
        self.queues = Queues(here, ari, Rooms(ari, self.spawn))
        self.ivr = Ivr(
            here, self.legs, self.offer, self.messages.append, lambda _, why: self.broken.append(why),
            lambda: None, self.opt_outs, self.webhooks, self.queues, self.turn,
        )  # fmt: skip
        flow = read(text, "f", "f.toml")
        script = Script(flow, {prompt: prompt.sound for prompt in flow.prompts()})
        now = datetime.now(UTC)
        self.call = Call(
            ATTEMPT, campaign(flow="f", flow_script=script), 1, NUMBER, History(1, {}), Facts(now, entered_at=now), 0.0
        )
        self.calls.add(self.call)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.add(asyncio.create_task(work, name=name))

    async def turn(self, trunk: str) -> bool:
        return self.has_turn

    def offer(self, call: Call) -> None:
        call.waits = self.waits
        self.offered.append(call)
        if call.waits:
            self.queues.wait(call)

    def reach(self) -> asyncpg.Pool:
        if self.pool is None:
            raise ConnectionError("PostgreSQL is not connected")
        return self.pool

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def hears(self, sound: str, times: int = 1) -> str:
        """Waits until the caller has heard the beginning of a sound so often; its playback."""
        await self.until(lambda: [s for s, _ in self.ari.playing].count(sound) >= times)
        return [playback for s, playback in self.ari.playing if s == sound][-1]

    async def over(self) -> None:
        await self.until(lambda: not self.call.in_flow)

    async def keys(self) -> list[tuple[str, str]]:
        """What is on record, in its order."""
        assert self.pool is not None
        writer = asyncio.create_task(self.ledger.run())
        await self.ledger.written()
        writer.cancel()
        rows = await self.pool.fetch("SELECT digits, node_name FROM inputs WHERE attempt_id = $1 ORDER BY id", ATTEMPT)
        return [tuple(row) for row in rows]


@pytest.mark.accepts("IVR-04", "IVR-05")
async def test_every_key_is_on_record_in_order_with_its_node_and_leads_where_it_should(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "9")  # none of the menu's: it is said again
    await stage.hears("hello", 2)
    stage.legs.pressed(ATTEMPT, "1")
    law = await stage.hears("law")
    stage.legs.pressed(ATTEMPT, "5")
    await asyncio.sleep(0)
    assert stage.call.in_flow, "without barge-in it is heard to the end"
    stage.legs.played(law, True)
    await stage.over()
    assert stage.ari.hung_up == [ATTEMPT]
    assert await stage.keys() == [("9", "menu"), ("1", "menu"), ("5", "law")]
    assert await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'flow.set'") == {
        "flow": "f", "node": "keep", "values": {"topic": "bills"}
    }  # fmt: skip


async def test_a_batch_whose_reply_was_lost_writes_its_keys_once(pool: asyncpg.Pool) -> None:
    row = {"tenant_id": 1, "attempt_id": ATTEMPT, "node_name": "menu", "at": "2026-11-20T10:00:00+00:00"}
    rows = [{"input": {**row, "digits": key}} for key in "210*#"]
    send = "SELECT record_v3('00000000-0000-4000-8000-000000000001', 'n', 1, $1)"
    assert [await pool.fetchval(send, rows), await pool.fetchval(send, rows)] == [True, False]
    assert "".join(r["digits"] for r in await pool.fetch("SELECT digits FROM inputs ORDER BY id")) == "210*#"


@pytest.mark.accepts("IVR-02")
async def test_who_presses_2_and_hangs_up_at_once_has_opted_out_all_the_same(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "2")
    stage.legs.left(ATTEMPT)
    await stage.over()
    await stage.opt_outs.written()
    rows = await pool.fetch("SELECT e164, kind, source FROM consents")
    assert [tuple(row) for row in rows] == [(NUMBER, "opt_out", "ivr:f")]
    assert await pool.fetchval("SELECT count(*) FROM dnc_numbers") == 1
    assert await stage.keys() == [("2", "menu")]


async def test_an_opt_out_while_postgresql_is_away_is_written_once_when_it_is_back(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    stage.pool = None
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "2")
    await stage.until(lambda: stage.call.flow_node == "out")
    stage.legs.left(ATTEMPT)
    written = asyncio.create_task(stage.opt_outs.written())
    await asyncio.sleep(0.05)
    assert not written.done()
    stage.pool = pool
    await asyncio.wait_for(written, 10)
    assert await pool.fetchval("SELECT count(*) FROM consents") == 1
    await stage.over()


async def test_silence_leads_to_the_timeout_after_the_retries(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    stage.ivr.begin(stage.call)
    for times in (1, 2):
        stage.legs.played(await stage.hears("hello", times), True)
    await stage.over()
    assert stage.ari.hung_up == [ATTEMPT] and len(stage.ari.playing) == 2


async def test_after_a_loss_of_ari_the_flow_goes_on_where_it_was(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "1")
    await stage.hears("law")
    stage.ivr.lost()
    await stage.over()
    stage.ivr.begin(stage.call)  # reconcile does this
    await stage.hears("law", 2)
    assert [sound for sound, _ in stage.ari.playing] == ["hello", "law", "law"]
    stage.ivr.call_ended(ATTEMPT)
    await stage.over()


async def test_a_queue_hands_the_call_over_with_its_own_limit_and_it_is_no_broadcast_any_more(
    pool: asyncpg.Pool,
) -> None:
    stage = Stage(pool)
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "3")
    await stage.until(lambda: stage.offered)
    assert (stage.call.patience_seconds, stage.call.flow_next, stage.call.in_flow) == (7, "end", False)
    handed = stage.call.facts.handed_at
    assert handed is not None and stage.legs.get(ATTEMPT) is None
    for seconds, outcome in ((1, Outcome.HUNG_UP), (3, Outcome.ABANDONED)):
        end = datetime.fromtimestamp(handed.timestamp() + seconds, UTC)
        call = Call(ATTEMPT, stage.call.campaign, 1, NUMBER, History(1, {}), stage.call.facts, 0.0)
        calls = Calls(lambda *_: None)
        calls.add(call)
        for kind in (Kind.LEFT, Kind.HUNG_UP):
            calls.learn(ATTEMPT, Event(kind, end))
        assert call.outcome is outcome


async def test_a_sound_that_asterisk_has_not_leaves_nobody_in_silence(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    stage.ari.missing = {"hello"}
    stage.ivr.begin(stage.call)
    await stage.until(lambda: stage.messages)
    assert stage.messages == [stage.call] and "node 'menu'" in stage.broken[0]
    assert stage.call.facts.handed_at is not None, "it counts as a call for which nobody came"
    await stage.over()


OUT = """\
[nodes.ask]
type = "menu"
prompt = "hello"
keys = { 1 = "say", 2 = "through" }
timeout = "end"
[nodes.say]
type = "record"
next = "again"
[nodes.again]
type = "menu"
prompt = "again"
keys = { 5 = "end" }
timeout = "end"
[nodes.through]
type = "transfer"
to = "700@out"
[nodes.end]
type = "hangup"
"""


async def test_what_is_said_has_a_name_of_ours_and_the_key_that_ends_it_answers_nothing(pool: asyncpg.Pool) -> None:
    stage = Stage(pool, OUT)
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "1")
    await stage.until(lambda: stage.ari.recording)
    [name] = stage.ari.recording
    assert ids.recorded_channel(name) == ATTEMPT
    stage.legs.pressed(ATTEMPT, "5")
    stage.legs.recorded(name, True)
    await stage.hears("again")
    assert stage.call.in_flow
    stage.legs.pressed(ATTEMPT, "5")
    await stage.over()
    assert await stage.keys() == [("1", "ask"), (name, "say"), ("5", "say"), ("5", "again")]


async def test_a_recording_that_asterisk_refuses_has_no_name_on_record_and_the_flow_goes_on(pool: asyncpg.Pool) -> None:
    stage = Stage(pool, OUT)
    stage.ari.records = False
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "1")
    await stage.hears("again")
    assert await stage.keys() == [("1", "ask")]
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'flow.not_recorded'") == 1
    stage.ivr.call_ended(ATTEMPT)
    await stage.over()


async def test_who_is_put_through_leaves_for_the_dialplan_with_trunk_and_caller_id(pool: asyncpg.Pool) -> None:
    stage = Stage(pool, OUT)
    stage.call.caller_id = "+358401109999"
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "2")
    await stage.over()
    assert stage.ari.variables == {
        "DIALERD_TRUNK": "sip-out", "DIALERD_SHOWS": "+358401109999", "DIALERD_TRANSFER_TRUNK": "out"
    }  # fmt: skip
    assert stage.calls.on_trunk("out") == 1
    assert stage.ari.to_the_dialplan == [(ATTEMPT, "dialerd-transfer", "700")]
    assert not stage.ari.hung_up and stage.call.facts.handed_at is None


@pytest.mark.parametrize("why", ["trunk_full", "trunk_busy", "disabled"])
async def test_whom_no_trunk_may_carry_hears_the_message_and_the_record_says_why(pool: asyncpg.Pool, why: str) -> None:
    stage = Stage(pool, OUT)
    stage.here.thirds["out"] = why == "trunk_full"
    stage.has_turn = why != "trunk_busy"
    stage.here.config.dialing.enabled = why != "disabled"
    stage.ivr.begin(stage.call)
    await stage.hears("hello")
    stage.legs.pressed(ATTEMPT, "2")
    await stage.over()
    assert stage.messages == [stage.call] and not stage.broken
    assert stage.ari.to_the_dialplan == [] and stage.calls.on_trunk("out") == 0
    assert await stage.keys() == [("2", "ask")]
    refused = await pool.fetchval("SELECT detail ->> 'why' FROM call_events WHERE kind = 'flow.transfer_refused'")
    assert refused == why
