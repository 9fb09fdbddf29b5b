"""The manager connection against a server that misbehaves: an Originate leaves at most once, and its fate is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest
from panoramisk.actions import Action
from panoramisk.manager import Manager
from pydantic import SecretStr

from dialerd.ami.action import Originate, ValueRefused
from dialerd.ami.link import AmiLink, LinkDown
from dialerd.clock import Clock
from dialerd.config import Ami
from dialerd.core.attempt import Event, Kind
from lab.proxy import Proxy
from tests.faults.ami_server import AmiServer
from tests.faults.until import until

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
CALL = Originate(ATTEMPT, "+358401234567", "trunk-out", "direct", "+358401109999", 30)
PING_SECONDS = 0.3


class Running:
    """A link that runs, and what it told."""

    def __init__(self, port: int, ping_seconds: float = PING_SECONDS) -> None:
        self.events: list[Mapping[str, str]] = []
        self.told: list[tuple[str, Event]] = []
        self.states: list[str] = []
        config = Ami(port=port, secret=SecretStr("right"), ping_seconds=ping_seconds)
        self.link = AmiLink(config, Clock(), self.events.append, self._report, self._changed)
        self.task = asyncio.create_task(self.link.run())

    @property
    def kinds(self) -> list[Kind]:
        return [event.kind for _, event in self.told]

    def saw(self, kind: str) -> bool:
        return any(message.get("Event") == kind for message in self.events)

    async def down(self, words: str) -> None:
        await until(lambda: self.link.status.state == "down" and words in self.link.status.detail)

    def _report(self, attempt: str, event: Event) -> None:
        self.told.append((attempt, event))

    def _changed(self) -> None:
        self.states.append(self.link.status.state)


@contextlib.asynccontextmanager
async def running(port: int, ping_seconds: float = PING_SECONDS) -> AsyncIterator[Running]:
    link = Running(port, ping_seconds)
    try:
        yield link
    finally:
        link.task.cancel()
        await asyncio.wait([link.task])


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    async with AmiServer() as server:
        yield server


@pytest.fixture
async def link(server: AmiServer) -> AsyncIterator[Running]:
    async with running(server.port) as link:
        await until(lambda: link.link.up)
        yield link


# -- coming up --------------------------------------------------------------------------------------------------------


async def test_a_refused_login_names_the_fix_and_is_tried_again_and_again(server: AmiServer) -> None:
    server.secret = "another"
    async with running(server.port) as link:
        await link.down("login as 'dialerd' refused (Authentication failed)")
        assert "compare ami.secret with Asterisk's dialerd-secrets/manager.conf" in link.link.status.detail
        assert "right" not in link.link.status.detail
        with pytest.raises(LinkDown, match="refused"):
            link.link.originate(CALL)
        await until(lambda: len(server.of("Login")) >= 3)
        server.secret = "right"
        await until(lambda: link.link.up)
    assert server.of("Originate") == []


async def test_waits_grow_with_each_failure_and_begin_anew_after_a_success(
    server: AmiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    def backoff(n: int, _: float) -> float:
        failures.append(n)
        if len(failures) == 4:
            server.secret = "right"
        return 0.0

    monkeypatch.setattr("dialerd.ami.link.backoff", backoff)
    server.secret = "another"
    async with running(server.port) as link:
        await until(lambda: link.link.up)
        server.secret = "another"
        server.drop()
        await until(lambda: len(failures) >= 6)
    assert failures[:6] == [0, 1, 2, 3, 0, 1]


async def test_nothing_is_sent_before_fully_booted(server: AmiServer) -> None:
    server.boots = False
    async with running(server.port) as link:
        await until(lambda: server.of("Login"))
        server.send("Event: PeerStatus", "Peer: PJSIP/agent-1")
        await until(lambda: link.saw("PeerStatus"))
        assert not link.link.up
        with pytest.raises(LinkDown):
            link.link.originate(CALL)
        server.send("Event: FullyBooted")
        await until(lambda: link.link.up)
    assert server.of("Originate") == []


async def test_a_loss_before_fully_booted_is_noticed_at_once(server: AmiServer) -> None:
    server.boots = False
    async with running(server.port) as link:
        await until(lambda: server.of("Login"))
        server.drop()
        await link.down("closed the manager connection")
        server.boots = True
        await until(lambda: link.link.up)


async def test_a_server_that_hangs_up_at_once_is_a_loss_and_no_error(
    server: AmiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.hangs_up_at_once = True
    async with running(server.port, ping_seconds=60) as link:
        await link.down("closed the manager connection")
        server.hangs_up_at_once = False
        await until(lambda: link.link.up)
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio" and r.levelname == "ERROR"] == []


async def test_a_server_that_says_nothing_at_all_is_left(server: AmiServer) -> None:
    with Proxy(server.port) as proxy:
        proxy.silence()
        async with running(proxy.port) as link:
            await link.down("no answer in time")
            proxy.cut(refuse=False)
            proxy.heal()
            await until(lambda: link.link.up)


async def test_nobody_there_is_said_with_the_address(server: AmiServer) -> None:
    with Proxy(server.port) as proxy:
        proxy.cut()
        async with running(proxy.port) as link:
            await link.down(f"Asterisk's manager at 127.0.0.1:{proxy.port}: ")
            proxy.heal()
            await until(lambda: link.link.up)


# -- the fate of an Originate -----------------------------------------------------------------------------------------


async def test_a_drop_before_the_response_is_told_once_and_nothing_is_sent_again(
    server: AmiServer, link: Running
) -> None:
    server.on_originate = "drop"
    link.link.originate(CALL)
    await until(lambda: link.told)
    server.on_originate = "queue"
    await until(lambda: server.connections == 2 and link.link.up)
    link.link.originate(replace(CALL, attempt=ATTEMPT.replace("0199", "0200")))
    await until(lambda: Kind.SENT in link.kinds)  # whatever went before it on this connection has arrived
    assert link.kinds == [Kind.LINK_LOST, Kind.SENT]
    assert link.told[0][0] == ATTEMPT
    assert [a["ActionID"] for a in server.of("Originate")].count(ATTEMPT) == 1


async def test_the_library_left_to_itself_sends_it_twice(server: AmiServer) -> None:
    """Why the link above has a manager per connection; and proof that the count above can fail."""
    server.on_originate = "drop"
    manager = Manager(
        host="127.0.0.1", port=server.port, username="dialerd", secret="right", reconnect_timeout=0,
        loop=asyncio.get_running_loop(),
    )  # fmt: skip
    await manager.connect()
    await until(lambda: server.of("Login"))
    manager.send_action(Action({"Action": "Originate", "ActionID": ATTEMPT, "Async": "true"}))
    await until(lambda: len(server.of("Originate")) >= 2)
    manager.on_disconnect = lambda *_: None
    manager.connection_lost = lambda _: None
    manager.close()


async def test_a_drop_after_the_response_leaves_its_fate_to_reconcile(server: AmiServer, link: Running) -> None:
    server.on_originate = "drop_after_response"
    link.link.originate(CALL)
    await until(lambda: server.connections == 2 and link.link.up)
    assert link.kinds == [Kind.SENT]
    assert len(server.of("Originate")) == 1


async def test_an_originate_that_asterisk_refuses_is_refused_with_its_words(server: AmiServer, link: Running) -> None:
    server.on_originate = "Extension does not exist."
    link.link.originate(CALL)
    await until(lambda: link.told)
    assert [(a, e.kind, e.detail) for a, e in link.told] == [(ATTEMPT, Kind.REFUSED, "Extension does not exist.")]
    server.drop()
    await until(lambda: server.connections == 2 and link.link.up)
    assert link.kinds == [Kind.REFUSED]  # its fate is known: not lost


async def test_a_call_that_fails_later_is_refused_with_the_reason(server: AmiServer, link: Running) -> None:
    server.on_originate = "fail"
    link.link.originate(CALL)
    await until(lambda: len(link.told) == 2)
    assert link.kinds == [Kind.SENT, Kind.REFUSED]
    assert link.told[1][1].detail == "OriginateResponse: reason 0"


async def test_a_reply_to_an_attempt_that_is_over_is_nobodys(server: AmiServer, link: Running) -> None:
    link.link.originate(CALL)
    await until(lambda: link.kinds == [Kind.SENT])
    link.link.forget(ATTEMPT)
    server.send("Event: OriginateResponse", f"ActionID: {ATTEMPT}", "Response: Failure", "Reason: 0")
    await until(lambda: link.saw("OriginateResponse"))
    server.drop()
    await until(lambda: server.connections == 2 and link.link.up)
    assert link.kinds == [Kind.SENT]


async def test_an_originate_while_the_link_is_down_is_refused_and_never_written(server: AmiServer) -> None:
    with Proxy(server.port) as proxy:
        async with running(proxy.port) as link:
            await until(lambda: link.link.up)
            proxy.cut()
            await link.down("")
            with pytest.raises(LinkDown):
                link.link.originate(CALL)
            proxy.heal()
            await until(lambda: link.link.up)
            link.link.originate(replace(CALL, attempt=ATTEMPT.replace("0199", "0200")))
            await until(lambda: link.told)
    assert [a["ActionID"] for a in server.of("Originate")] == [ATTEMPT.replace("0199", "0200")]


async def test_a_refused_value_is_not_sent_and_leaves_nothing_behind(server: AmiServer, link: Running) -> None:
    with pytest.raises(ValueRefused):
        link.link.originate(replace(CALL, e164="+358401234567\r\nAction: Logoff"))
    server.drop()
    await until(lambda: server.connections == 2 and link.link.up)
    assert (server.of("Originate"), link.told) == ([], [])


async def test_what_the_network_still_holds_is_never_delivered_late(server: AmiServer, link: Running) -> None:
    """A manager that stops reading for a while must not find a heap of calls from before when it goes on."""
    server.pause()
    server.on_originate = "ignore"  # an answer would meet a closed socket and end it
    sent = 3000
    for n in range(sent):
        link.link.originate(replace(CALL, attempt=f"{ATTEMPT[:-4]}{n:04x}"))
    await until(lambda: server.connections == 2 and link.link.up)
    assert link.kinds == [Kind.LINK_LOST] * sent
    server.resume()
    await until(lambda: len(server.writers) == 1)  # the old connection has come to its end
    assert len(server.of("Originate")) < sent / 10


# -- staying up, and noticing the end ---------------------------------------------------------------------------------


async def test_a_server_that_answers_no_ping_is_dead_though_the_socket_stands(server: AmiServer, link: Running) -> None:
    server.answers_pings = False
    await link.down("no answer to a ping within 0.3 s")
    server.answers_pings = True
    await until(lambda: link.link.up)
    assert server.connections >= 2


async def test_a_black_hole_is_noticed_within_two_pings(server: AmiServer) -> None:
    with Proxy(server.port) as proxy:
        async with running(proxy.port) as link:
            await until(lambda: link.link.up)
            proxy.silence()
            begin = asyncio.get_running_loop().time()
            await link.down("no answer to a ping")
            assert asyncio.get_running_loop().time() - begin < 2 * PING_SECONDS + 1.0  # 1 s: a busy machine
            proxy.heal()
            await until(lambda: link.link.up)


async def test_a_link_whose_pings_are_answered_stays(server: AmiServer, link: Running) -> None:
    await until(lambda: len(server.of("Ping")) >= 4)
    assert server.connections == 1
    assert link.states == ["up"]


async def test_a_shutdown_of_asterisk_is_a_loss(server: AmiServer, link: Running) -> None:
    server.send("Event: Shutdown", "Shutdown: Cleanly", "Restart: False")
    await until(lambda: server.connections == 2 and link.link.up)
    assert "down" in link.states


async def test_bytes_may_come_one_by_one(server: AmiServer) -> None:
    with Proxy(server.port) as proxy:
        proxy.slice(1)
        async with running(proxy.port, ping_seconds=5) as link:
            await until(lambda: link.link.up)
            link.link.originate(CALL)
            server.send("Event: Hangup", f"Uniqueid: {ATTEMPT}", "Cause: 16")
            await until(lambda: link.saw("Hangup") and link.told)
    assert link.kinds == [Kind.SENT]


async def test_half_a_message_waits_for_its_other_half(server: AmiServer, link: Running) -> None:
    writer = server.writers[0]
    for piece in (b"Event: Before\r\n\r\nEvent: Hangup\r\nUniqueid: 0199a1b2-c3d4", b"-7e5f\r\nCause: 16\r\n\r\n"):
        assert not link.saw("Hangup")
        writer.write(piece)
        await until(lambda: link.saw("Before"))
    await until(lambda: link.saw("Hangup"))
    assert link.events[-1]["Uniqueid"] == "0199a1b2-c3d4-7e5f"


async def test_half_a_message_is_lost_with_its_connection(server: AmiServer, link: Running) -> None:
    server.writers[0].write(b"Event: Hangup\r\nUniq")
    await server.writers[0].drain()
    server.writers[0].close()
    await until(lambda: server.connections == 2 and link.link.up)
    server.send("Event: Later")
    await until(lambda: link.saw("Later"))
    assert not link.saw("Hangup")


@pytest.mark.parametrize("piece", [b"x" * 65536, b"Header: value\r\n" * 4096, b"\r\n\x00\xff" * 16384])
async def test_a_message_without_end_closes_the_session(server: AmiServer, link: Running, piece: bytes) -> None:
    writer, written = server.writers[0], 0
    with contextlib.suppress(ConnectionError):
        while server.connections == 1 and written < 64 << 20:
            writer.write(piece)
            await writer.drain()
            written += len(piece)
            await asyncio.sleep(0)
    assert written < 32 << 20  # the limit, and what sockets hold
    await until(lambda: server.connections == 2 and link.link.up)


async def test_garbage_between_messages_is_passed_over(server: AmiServer, link: Running) -> None:
    server.writers[0].write(b"\xff\xfe\x00\r\n\r\nno colon\r\n\r\n: \r\n\r\n\r\n\r\nEvent: After\r\nX: \xe9\r\n\r\n")
    await until(lambda: link.saw("After"))
    assert server.connections == 1


async def test_an_end_closes_the_connection_and_leaves_no_task(server: AmiServer) -> None:
    before = asyncio.all_tasks()
    async with running(server.port) as link:
        await until(lambda: link.link.up)
    await until(lambda: not server.writers)
    await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
