"""Webhooks against a server of the tests' own, on a loopback address that has to be allowed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from dialerd import config
from dialerd.engine import webhooks
from dialerd.engine.webhooks import Post, Webhooks


@asynccontextmanager
async def server(answer: bytes, hold: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers every connection with the same bytes; its port, and the requests that came."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        with suppress(ConnectionError):
            writer.write(answer)
            while hold:
                writer.write(b"x" * 65_536)
                await writer.drain()
            await writer.drain()
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1], asked
    finally:
        running.close()


async def told(url: str, allowed: tuple[str, ...] = ("127.0.0.1", "localhost"), seconds: float = 5.0) -> int | str:
    """What came of one post."""
    hooks = Webhooks(
        config.Flows(webhook_hosts=("hooks.example.com",), webhook_private_hosts=allowed, webhook_seconds=seconds)
    )
    came: asyncio.Future[int | str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(hooks.run())
    try:
        hooks.put(Post(url, {"call_id": "x"}, came.set_result))
        async with asyncio.timeout(10):
            return await came
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_post_carries_json_and_its_answers_status_is_kept() -> None:
    async with server(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, asked):
        assert await told(f"http://127.0.0.1:{port}/hook?x=1") == 204
    assert asked[0].startswith(b"POST /hook?x=1 HTTP/1.1\r\n") and b"application/json" in asked[0]


async def test_a_redirect_is_not_followed() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, inner):
        redirect = f"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with server(redirect) as (first, _asked):
            assert await told(f"http://127.0.0.1:{first}/") == 307
        assert inner == []


async def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """[bad input 49] DNS rebinding: the name looks public when the flow is checked."""
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        loop = asyncio.get_running_loop()

        async def rebound(*_: object, **__: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", rebound)
        assert "private address" in str(await told(f"https://hooks.example.com:{port}/"))
        assert asked == []


async def test_an_answer_that_never_ends_is_not_read() -> None:
    """[bad input 50]"""
    async with server(b"HTTP/1.1 200 OK\r\n\r\n", hold=True) as (port, _):
        assert await told(f"http://127.0.0.1:{port}/") == 200


async def test_a_server_that_does_not_answer_costs_its_time_and_no_more() -> None:
    async with server(b"") as (port, _):
        assert isinstance(await told(f"http://127.0.0.1:{port}/"), str)
    assert isinstance(await told("http://127.0.0.1:1/"), str)


def test_beyond_the_bound_a_post_is_dropped_and_says_so() -> None:
    hooks = Webhooks(config.Flows())
    came: list[int | str] = []
    for _ in range(webhooks._WAITING + 3):
        hooks.put(Post("https://h.example.com/", {}, came.append))
    assert came == ["dropped: too many wait"] * 3
