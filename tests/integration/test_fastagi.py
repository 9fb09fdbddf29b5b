"""The FastAGI server against clients that behave, that break, and that attack; each time somebody else is served."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from click.testing import CliRunner
from structlog.testing import capture_logs

from dialerd import __version__, config
from dialerd.cli.main import cli
from dialerd.core.callerid import CallEnd, Request, Selection, Status
from dialerd.core.hours import Hours
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.paths import shipped
from tests.agi_client import AgiClient, ask, encoded, headers, until

ARGS = ("+14155559999", "7", "anna")
ATTEMPT = "0f8fad5b-d9cb-469f-a165-70867728950e"


class OneNumberDesk:
    """Answers everyone with the same number, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.released: list[tuple[str, CallEnd | None]] = []
        self.selection = Selection(Status.OK, "+14155550101", 12)
        self.lists: tuple[str, ...] | None = ()
        self.open = Hours("7", "")
        self.contact: Mapping[str, Any] | None = None

    async def next_cid(self, request: Request) -> Selection:
        self.asked.append(request)
        return self.selection

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        self.released.append((holder, end))
        return True

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        return self.lists

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        return self.open

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        return self.contact


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """The log lines of this test, whatever another test has configured."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def desk() -> OneNumberDesk:
    return OneNumberDesk()


async def started(desk: OneNumberDesk, **settings: float) -> FastAgiServer:
    server = FastAgiServer(
        config.FastAgi.model_construct(**{**config.FastAgi().model_dump(), "port": 0, **settings}),
        verbs.load(shipped("agi")),
        desk,
    )
    await server.start()
    return server


@pytest_asyncio.fixture
async def server(desk: OneNumberDesk) -> AsyncIterator[FastAgiServer]:
    server = await started(desk, timeout_seconds=0.5)
    yield server
    await until(lambda: server.connections == 0)
    await server.stop()


async def served(port: int) -> None:
    """A normal request gets its normal answer."""
    assert (await ask(port, headers(args=ARGS)))["CID_STATUS"] == "OK"


async def test_the_channel_learns_its_caller_id(server: FastAgiServer, desk: OneNumberDesk) -> None:
    assert await ask(server.port, headers(args=ARGS)) == {
        "CALLERID(num)": "+14155550101",
        "CID_NUMBER": "+14155550101",
        "CID_NATIONAL": "4155550101",
        "CID_ID": "12",
        "CID_REASON": "",
        "CID_STATUS": "OK",
    }
    assert desk.asked == [Request(*ARGS, "1772442000.7", "fastagi", "127.0.0.1")]


async def test_the_far_half_of_a_local_pair_asks_for_its_attempt(server: FastAgiServer, desk: OneNumberDesk) -> None:
    await ask(server.port, headers(args=ARGS, uniqueid=f"{ATTEMPT};2"))
    assert desk.asked[0].holder == ATTEMPT


async def test_nothing_free_is_said_with_its_reasons(server: FastAgiServer, desk: OneNumberDesk) -> None:
    desk.selection = Selection(Status.NONE, None, None, {"reserved": 3, "hourly_limit": 2})
    variables = await ask(server.port, headers(args=ARGS))
    assert variables["CID_STATUS"] == "NONE"
    assert variables["CID_REASON"] == "hourly_limit=2 reserved=3"
    assert "CALLERID(num)" not in variables


async def test_a_name_in_another_encoding_is_no_trouble(server: FastAgiServer) -> None:
    fields = headers(args=ARGS, calleridname="Jos\xe9 \xff\xfe \x85")
    variables = await ask(server.port, fields, lambda command: b"200 result=1 (caf\xe9 \xff (a) (b))\n")
    assert variables["CID_STATUS"] == "OK"


def with_header(line: bytes) -> bytes:
    return encoded(headers(args=ARGS))[:-1] + line + b"\n\n"


REFUSED: Mapping[str, bytes] = {
    "a line without a colon": with_header(b"agi_foo"),
    "a foreign header": with_header(b"X-Foo: bar"),
    "agi_uniqueid twice": with_header(b"agi_uniqueid: 1772442000.8"),
    "agi_arg_1 a thousand times": with_header(b"\n".join([b"agi_arg_1: x"] * 1000)),
    "ten thousand headers": with_header(b"\n".join(b"agi_arg_%d: x" % i for i in range(4, 10_000))),
    "headers of 1 MB in lines": with_header(b"\n".join(b"agi_x%d: " % i + b"x" * 10_000 for i in range(100))),
    "one line of 1 MB": with_header(b"agi_x: " + b"x" * 1_000_000),
    "1 MB without any line end": b"x" * 1_000_000,
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": b"\0" * 5000 + b"\n\n",
    "only a blank line": b"\n",
    "an unknown verb": encoded(headers("no-such-verb", ARGS)),
    "a path as the verb": encoded(headers("../agi/next-cid", ARGS)),
    "a file as the verb": encoded(headers("next-cid.py", ARGS)),
    "an encoded path as the verb": encoded(headers("..%2fnext-cid", ARGS)),
    "a Python name as the verb": encoded(headers("__class__", ARGS)),
    "the verb's module name as the verb": encoded(headers("next_cid", ARGS)),
    "an empty verb": encoded(headers("", ARGS)),
    "no campaign": encoded(headers(args=("+14155559999",))),
    "a command in the campaign": encoded(headers(args=("+14155559999", '7" x', "anna"))),
    "a command in the agent": encoded(headers(args=("+14155559999", "7", "anna\r"))),
    "a release of nothing that is an id": encoded(headers("release-cid", ("*",))),
    "no uniqueid": encoded(headers(args=ARGS, uniqueid="")),
    "a uniqueid of 1000 characters": encoded(headers(args=ARGS, uniqueid="1" * 1000)),
    "a uniqueid with a key in it": encoded(headers(args=ARGS, uniqueid="1 reservation:1")),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_request_that_asterisk_would_not_send_is_closed(
    server: FastAgiServer, desk: OneNumberDesk, what: str
) -> None:
    client = await AgiClient.connect(server.port)
    await client.send(REFUSED[what])
    assert await client.closed(5)
    assert desk.asked == []
    await served(server.port)


@pytest.mark.parametrize("sent", [b"", b"agi_network: yes\n", b"agi_network: yes", encoded(headers(args=ARGS))[:-1]])
async def test_a_client_that_says_too_little_and_goes_frees_its_place(server: FastAgiServer, sent: bytes) -> None:
    client = await AgiClient.connect(server.port)
    await client.send(sent)
    client.writer.write_eof()
    assert await client.closed(5)
    gone = await AgiClient.connect(server.port)
    await gone.send(sent)
    gone.close()
    await served(server.port)


@pytest.mark.parametrize("sent", [b"", b"agi_network: yes\n", encoded(headers(args=ARGS))[:-1]])
async def test_a_client_that_falls_silent_is_closed(server: FastAgiServer, sent: bytes) -> None:
    client = await AgiClient.connect(server.port)
    await client.send(sent)
    await served(server.port)
    assert await client.closed(5)


async def test_with_the_settings_as_shipped_a_silent_client_is_closed_after_5_seconds(desk: OneNumberDesk) -> None:
    server = await started(desk)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    client = await AgiClient.connect(server.port)
    assert await client.closed(6)
    assert loop.time() - begun > 4
    await server.stop()


async def test_a_client_that_sends_a_byte_at_a_time_has_no_more_time_than_others(server: FastAgiServer) -> None:
    client = await AgiClient.connect(server.port)

    async def drip() -> None:
        for byte in encoded(headers(args=ARGS)):
            await client.send(bytes([byte]))
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    await served(server.port)
    assert await client.closed(5)
    dripping.cancel()


async def test_500_at_once_are_all_served(server: FastAgiServer) -> None:
    fields = headers(args=ARGS)
    answers = await asyncio.gather(*(ask(server.port, fields) for _ in range(500)))
    assert all(answer["CID_STATUS"] == "OK" for answer in answers)


async def test_400_silent_clients_do_not_keep_others_from_being_served(desk: OneNumberDesk) -> None:
    server = await started(desk, timeout_seconds=3)
    silent = await asyncio.gather(*(AgiClient.connect(server.port) for _ in range(400)))
    await until(lambda: server.connections == 400)
    await asyncio.gather(*(served(server.port) for _ in range(50)))
    for client in silent:
        client.close()
    await until(lambda: server.connections == 0)
    await server.stop()


async def test_more_clients_than_allowed_are_closed_at_once(desk: OneNumberDesk) -> None:
    server = await started(desk, max_connections=10, timeout_seconds=30)
    silent = await asyncio.gather(*(AgiClient.connect(server.port) for _ in range(10)))
    await until(lambda: server.connections == 10)
    assert await (await AgiClient.connect(server.port)).closed(5)
    silent[0].close()
    await until(lambda: server.connections == 9)
    await served(server.port)
    for client in silent:
        client.close()
    await server.stop()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"garbage\n", "not a reply"),
        (b"\n", "not a reply"),
        (b"200 nothing\n", "not a result"),
        (b"x" * 1_000_000, "a line of more than"),
        (b"HANGUP\n" * 100, "lines without end"),
        (b"100 Trying...\n" * 100, "lines without end"),
        (b"520-Invalid command syntax.\n" + b"Usage\n" * 1000, "more than"),
        (b"510 Invalid or unknown command\n", "510"),
        (b"511 Command Not Permitted on a dead channel\n", "the channel is gone"),
        (b"HANGUP\n200 result=0\n", "the channel is gone"),
        (b"520-Invalid command syntax.\nUsage: X\n520 End of proper usage.\n", "520"),
        (b"", "closed"),
    ],
)
async def test_a_reply_that_is_none_ends_this_conversation_only(
    server: FastAgiServer, logged: list[MutableMapping[str, Any]], reply: bytes, why: str
) -> None:
    client = await AgiClient.connect(server.port)
    await client.send(encoded(headers(args=ARGS)))
    assert (await client.reader.readline()).startswith(b'EXEC MSet "CALLERID(num)=')
    await client.send(reply)
    if why == "closed":
        client.writer.write_eof()
    await served(server.port)
    assert b"EXEC" not in await client.rest()
    client.close()
    await until(lambda: server.connections == 0)
    assert why in str(logged)


async def test_no_reply_at_all_ends_the_conversation(
    server: FastAgiServer, logged: list[MutableMapping[str, Any]]
) -> None:
    client = await AgiClient.connect(server.port)
    await client.send(encoded(headers(args=ARGS)))
    await served(server.port)
    assert (await client.reader.readline()).startswith(b"EXEC MSet")
    assert await client.closed(5)
    assert "no reply within" in str(logged)


async def test_a_hangup_before_the_reply_ends_the_conversation(
    server: FastAgiServer, logged: list[MutableMapping[str, Any]]
) -> None:
    """The reply after HANGUP belongs to the command before it: nothing more is sent to a dead channel."""
    await ask(server.port, headers(args=ARGS), lambda command: b"100 Trying...\nHANGUP\n200 result=1\n")
    assert "the channel is gone" in str(logged)


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ((), None),
        (("ANSWER", "12"), CallEnd("answered", 12.0)),
        (("answered", "3.5"), CallEnd("answered", 3.5)),
        (("ANSWER", ""), CallEnd("answered")),
        (("BUSY", "0"), CallEnd("busy")),
        (("NOANSWER",), CallEnd("no_answer")),
        (("rejected",), CallEnd("rejected")),
        (("", "12"), None),
        (("bu'sy", "1e99"), None),
        (("NOANSWER", "", "21"), CallEnd("rejected")),
        (("CHANUNAVAIL", "", "127", "608"), CallEnd("rejected")),
        (("ANSWER", "-1"), CallEnd("answered")),
    ],
)
async def test_a_release_may_say_how_the_call_ended(
    server: FastAgiServer, desk: OneNumberDesk, said: tuple[str, ...], end: CallEnd | None
) -> None:
    assert await ask(server.port, headers("release-cid", ("1772442000.7", *said))) == {}
    assert desk.released == [("1772442000.7", end)]


@pytest.mark.parametrize("caller_id", ['1" x', "1\n2", "1\r", "${EXTEN}", "1,2", "١٢٣", "1\0"])
async def test_a_value_that_could_end_a_command_never_reaches_asterisk(
    server: FastAgiServer, desk: OneNumberDesk, caller_id: str
) -> None:
    desk.selection = Selection(Status.OK, caller_id, 1)
    assert await ask(server.port, headers(args=ARGS)) == {}


async def test_a_verb_that_fails_ends_its_own_conversation_only(server: FastAgiServer, desk: OneNumberDesk) -> None:
    desk.selection = None  # type: ignore[assignment]
    assert await ask(server.port, headers(args=ARGS)) == {}
    desk.selection = Selection(Status.OK, "+14155550101", 12)
    await served(server.port)


async def test_a_stop_waits_for_conversations_and_then_ends_them(desk: OneNumberDesk) -> None:
    server = await started(desk, timeout_seconds=30)
    client = await AgiClient.connect(server.port)
    await client.send(encoded(headers(args=ARGS)))
    await client.reader.readline()
    await server.stop(0.1)
    assert server.connections == 0
    assert await client.closed(5)


async def test_a_ping_is_answered_whatever_the_desk_can_do(server: FastAgiServer, desk: OneNumberDesk) -> None:
    assert await ask(server.port, headers("ping")) == {"DIALERD_VERSION": __version__, "DIALERD": "ok"}
    assert desk.asked == []


@pytest.mark.parametrize(
    ("lists", "status", "names"),
    [
        ((), "CLEAR", ""),
        (None, "UNKNOWN", ""),
        (("own", "Do not call"), "LISTED", "own Do_not_call"),
        (('a" x', "b,c=d", "${SHELL(id)}", "\n200 result=0", "علی"), "LISTED", "a_x bcd SHELLid 200_result0 unnamed"),
        (("x" * 500,) * 20, "LISTED", " ".join(["x" * 40] * 5)[:200]),
    ],
)
async def test_a_dialplan_learns_which_lists_bar_a_number(
    server: FastAgiServer, desk: OneNumberDesk, lists: tuple[str, ...] | None, status: str, names: str
) -> None:
    desk.lists = lists
    answer = await ask(server.port, headers("dnc-check", ("+14155559999", "7")))
    assert {name: answer[name] for name in ("DNC_STATUS", "DNC_LISTS")} == {"DNC_STATUS": status, "DNC_LISTS": names}


@pytest.mark.parametrize(
    ("hours", "status", "reason", "again"),
    [
        (Hours("7", ""), "OPEN", "", ""),
        (Hours("7", "holiday", datetime(2026, 12, 28, 6, tzinfo=UTC)), "CLOSED", "holiday", "2026-12-28T06:00:00Z"),
        (Hours("7", "disabled"), "CLOSED", "disabled", ""),
        (Hours("7", "unknown"), "UNKNOWN", "unknown", ""),
        (Hours("", "no_campaign"), "UNKNOWN", "no_campaign", ""),
    ],
)
async def test_a_dialplan_learns_whether_the_hour_allows_a_call(
    server: FastAgiServer, desk: OneNumberDesk, hours: Hours, status: str, reason: str, again: str
) -> None:
    desk.open = hours
    answer = await ask(server.port, headers("dnc-check", ("+14155559999", "7", "anna")))
    assert (answer["WINDOW_STATUS"], answer["WINDOW_REASON"], answer["WINDOW_NEXT"]) == (status, reason, again)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Anna", "Anna"),
        ('"Bob" <1>\nVariable: DNC_OK=1', "Bob 1Variable DNC_OK1"),
        ("a,__X=1", "a__X1"),
        ("علی", ""),
        (None, ""),
    ],
)
async def test_a_dialplan_learns_who_a_number_is_and_no_name_can_harm_it(
    server: FastAgiServer, desk: OneNumberDesk, name: str | None, told: str
) -> None:
    desk.contact = {
        "contact_id": 5, "campaign_id": 7, "name": name, "state": "queued", "attempts": 0, "last_outcome": None,
    }  # fmt: skip
    assert await ask(server.port, headers("contact-info", ("+14155559999",))) == {
        "CONTACT_ID": "5", "CONTACT_NAME": told, "CONTACT_STATE": "queued", "CONTACT_ATTEMPTS": "0",
        "CONTACT_LAST_OUTCOME": "", "CONTACT_CAMPAIGN": "7", "CONTACT_STATUS": "FOUND",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["dnc-check", "contact-info"])
@pytest.mark.parametrize("campaign", ['7" x', "a b", "x" * 65, "../x", "7\r"])
async def test_a_campaign_that_is_no_name_ends_the_conversation(
    server: FastAgiServer, verb: str, campaign: str
) -> None:
    assert await ask(server.port, headers(verb, ("+14155559999", campaign))) == {}


def test_dialer_admin_asks_whether_the_server_is_there(tmp_path: Path) -> None:
    async def serve(port_of: list[int], stop: asyncio.Event) -> None:
        server = await started(OneNumberDesk())
        port_of.append(server.port)
        await stop.wait()
        await server.stop()

    def ping(port: int) -> Any:
        return CliRunner().invoke(cli, ["--config", str(config_file), "agi", "ping", "--port", str(port), "--json"])

    async def both() -> list[Any]:
        port_of: list[int] = []
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(port_of, stop))
        await until(lambda: bool(port_of))
        there = await asyncio.to_thread(ping, port_of[0])
        stop.set()
        await serving
        return [there, await asyncio.to_thread(ping, port_of[0])]

    config_file = tmp_path / "dialerd.toml"
    config_file.touch(mode=0o600)
    config_file.write_text('[ami]\nsecret = "x"\n[ari]\npassword = "x"\n[web]\ntoken = "x"\n')
    there, gone = asyncio.run(both())
    assert there.exit_code == 0
    assert f'"version": "{__version__}"' in there.stdout
    assert gone.exit_code == 4
    assert "127.0.0.1" in gone.stderr
