"""The surface over a real socket: the live stream, slow and silent peers, starting and stopping."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from dialerd.core.status import LiveEvent
from dialerd.web import server
from dialerd.web.app import Bounds, create_app
from dialerd.web.server import BindFailed, serve
from tests.web.engine import BUSY_DAY, TOKEN, FakeEngine

BEARER = {"authorization": f"Bearer {TOKEN}"}
LIMIT = 10  # seconds; only a safety limit


@asynccontextmanager
async def running(engine: FakeEngine, **bounds: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(engine, TOKEN, bounds=Bounds(**bounds))
    async with (
        serve(app, "127.0.0.1", 0) as port,
        asyncio.timeout(3 * LIMIT),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT) as http,
    ):
        yield http


async def read_event(lines: AsyncIterator[str]) -> tuple[str, Any]:
    """The next event of a stream; comments are passed over, its end is ("end", None)."""
    kind = ""
    async for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        if line.startswith("data: "):
            return kind, json.loads(line.removeprefix("data: "))
    return "end", None


async def raw(http: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", http.base_url.port)


async def test_a_reader_gets_figures_at_once_and_events_as_they_happen() -> None:
    engine = FakeEngine()
    async with (
        running(engine, figures_seconds=0.01) as http,
        http.stream("GET", "/events", headers=BEARER) as s,
    ):
        assert s.headers["content-type"].startswith("text/event-stream")
        lines = s.aiter_lines()
        kind, figures = await read_event(lines)
        assert (kind, figures["node"]) == ("figures", "pbx-helsinki-1")
        engine.current = replace(BUSY_DAY, draining=True)
        engine.publish(LiveEvent("agent", {"name": "aino", "state": "ready", "reason": "a\nevent: call\ndata: {}"}))
        assert await read_event(lines) == (
            "agent",
            {"name": "aino", "state": "ready", "reason": "a\nevent: call\ndata: {}"},
        )
        kind, figures = await read_event(lines)
        assert (kind, figures["draining"]) == ("figures", True)


async def test_figures_come_only_when_they_changed_and_readers_share_the_snapshots() -> None:
    engine = FakeEngine(queue_size=500)
    async with running(engine, figures_seconds=0.2) as http:
        began = time.monotonic()
        async with (
            http.stream("GET", "/events", headers=BEARER) as a,
            http.stream("GET", "/events", headers=BEARER) as b,
        ):
            streams = [a.aiter_lines(), b.aiter_lines()]
            for lines in streams:
                assert (await read_event(lines))[0] == "figures"
            for n in range(200):
                engine.publish(LiveEvent("call", {"n": n}))
                await asyncio.sleep(0.002)
            engine.current = replace(BUSY_DAY, draining=True)
            engine.publish(LiveEvent("figures"))
            for lines in streams:
                kinds = []
                while (kind := (await read_event(lines))[0]) == "call":
                    kinds.append(kind)
                assert (kind, len(kinds)) == ("figures", 200)
        assert engine.snapshots <= (time.monotonic() - began) / 0.2 + 2


async def test_a_reader_that_lags_is_told_and_let_go() -> None:
    engine = FakeEngine(queue_size=10)
    async with running(engine) as http, http.stream("GET", "/events", headers=BEARER) as stream:
        lines = stream.aiter_lines()
        await read_event(lines)
        for n in range(50):  # in one turn of the loop: no reader could keep up
            engine.publish(LiveEvent("call", {"n": n}))
        kinds = []
        while (kind := (await read_event(lines))[0]) != "end":
            kinds.append(kind)
        assert kinds == ["call"] * 8 + ["lagged"]
    assert engine.readers == []


async def test_a_reader_whose_connection_takes_nothing_loses_its_slot() -> None:
    engine = FakeEngine(queue_size=10)
    async with running(engine, streams=1, stall_seconds=0.2) as http:
        reader, writer = await raw(http)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        await engine.subscribed.wait()
        async with asyncio.timeout(LIMIT):
            while engine.readers:
                for queue in engine.readers:
                    if not queue.full():
                        queue.put_nowait(LiveEvent("call", {"padding": "x" * 200_000}))
                await asyncio.sleep(0)
        async with asyncio.timeout(LIMIT):
            while (await first_status(http)) != 200:
                await asyncio.sleep(0.01)
        writer.close()


async def first_status(http: httpx.AsyncClient) -> int:
    async with http.stream("GET", "/events", headers=BEARER) as stream:
        return stream.status_code


async def test_one_reader_too_many_is_a_named_503() -> None:
    engine = FakeEngine()
    async with running(engine, streams=1) as http, http.stream("GET", "/events", headers=BEARER) as first:
        await read_event(first.aiter_lines())
        reply = await http.get("/events", headers=BEARER)
        assert (reply.status_code, reply.json()["error"]["reason"]) == (503, "too_many_listeners")
        assert "retry-after" in reply.headers
        assert (await http.get("/health")).status_code == 200


async def test_a_reader_that_leaves_gives_its_slot_and_its_subscription_back() -> None:
    engine = FakeEngine()
    async with running(engine, streams=1) as http:
        for _ in range(3):
            async with asyncio.timeout(LIMIT):
                while (await first_status(http)) != 200:
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(LIMIT):
            while engine.readers:
                await asyncio.sleep(0.01)


async def test_a_stream_ends_with_its_session() -> None:
    engine = FakeEngine()
    async with running(engine, heartbeat_seconds=0.05) as http:
        await http.post("/login", data={"token": TOKEN})
        async with http.stream("GET", "/events") as stream:
            lines = stream.aiter_lines()
            assert (await read_event(lines))[0] == "figures"
            page = await http.get("/", headers={"accept": "text/html"})
            csrf = page.text.split('name="csrf" value="')[1].split('"')[0]
            await http.post("/logout", data={"csrf": csrf})
            assert await read_event(lines) == ("end", None)


async def test_a_silent_stream_has_heartbeats() -> None:
    async with (
        running(FakeEngine(), heartbeat_seconds=0.05) as http,
        http.stream("GET", "/events", headers=BEARER) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith(":"):
                return
    pytest.fail("the stream ended without a heartbeat")


async def test_stopping_ends_open_streams_at_once() -> None:
    engine = FakeEngine()
    app = create_app(engine, TOKEN)
    async with httpx.AsyncClient(timeout=LIMIT) as http:
        async with serve(app, "127.0.0.1", 0) as port:
            request = http.build_request("GET", f"http://127.0.0.1:{port}/events", headers=BEARER)
            stream = await http.send(request, stream=True)
            lines = stream.aiter_lines()
            await read_event(lines)
        assert await read_event(lines) == ("end", None)
        await stream.aclose()
    assert engine.readers == []


async def test_an_address_in_use_is_a_named_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BindFailed, match=rf"127\.0\.0\.1 port {port}.*in use.*\[web\]"):
            async with serve(create_app(FakeEngine(), TOKEN), "127.0.0.1", port):
                pass
    with pytest.raises(BindFailed, match=r"nowhere\.invalid"):
        async with serve(create_app(FakeEngine(), TOKEN), "nowhere.invalid", 0):
            pass


async def test_signals_stay_with_the_daemon() -> None:
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    async with running(FakeEngine()):
        assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("head", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_peer_that_never_finishes_its_request_is_closed(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.1)
    async with running(FakeEngine()) as http:
        reader, writer = await raw(http)
        writer.write(head)
        async with asyncio.timeout(LIMIT):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"Content-Length: 10", b"x", b"408"),  # the rest never comes
        (b"Content-Length: 104857600", b"", b"413"),
        (b"Transfer-Encoding: chunked", b"ffff\r\n" + b"x" * 65535 + b"\r\nffff\r\nxx", b"413"),
        (b"X-Long: " + b"x" * 200_000, b"", b"400"),
    ],
)
async def test_a_body_that_never_ends_or_a_huge_head_is_answered_and_closed(
    head: bytes, body: bytes, status: bytes
) -> None:
    async with running(FakeEngine(), body_seconds=0.2) as http:
        reader, writer = await raw(http)
        writer.write(b"POST /login HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + body)
        async with asyncio.timeout(LIMIT):
            assert (await reader.readline()).split()[1] == status
            while True:  # closed, whether politely or with a reset
                try:
                    if not await reader.read(4096):
                        break
                except ConnectionResetError:
                    break
        writer.close()
        assert (await http.get("/health")).status_code == 200


async def test_silent_peers_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    async with running(FakeEngine()) as http:
        peers = [await raw(http) for _ in range(30)]
        async with asyncio.timeout(LIMIT):
            while (await http.get("/health")).status_code != 200:
                await asyncio.sleep(0.02)
        for _, writer in peers:
            writer.close()
