"""What a request may cost: headers, body bytes and body time are bounded before any handler runs.

The body is read here, whole, because hardly any request of ours needs more than a few kilobytes; handlers then
never wait for the network. The few paths in `larger` have a larger bound; those in `streamed` have limits of their own
and read the body themselves, once they know who sends it. Every answer gets the safety headers.
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialerd.web.errors import SAFE_HEADERS, Problem

MAX_HEADERS = 64


class Limits:
    """ASGI middleware: 408, 413 and 431 instead of work."""

    def __init__(
        self,
        app: ASGIApp,
        body_bytes: int,
        body_seconds: float,
        larger: Mapping[str, int] | None = None,
        streamed: Mapping[str, tuple[int, float]] | None = None,
    ) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._larger = dict(larger or {})  # path → bytes
        self._body_seconds = body_seconds
        self._streamed = dict(streamed or {})  # path → bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request whose body is complete and small."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            if (own := self._streamed.get(scope["path"])) is not None:
                _check_head(scope, own[0])
                await self._app(scope, _bounded(receive, *own), send_safe)
                return
            body = await self._body(scope, receive)
        except Problem as problem:
            # The rest of the body is not read: the connection cannot be used again.
            problem.headers["connection"] = "close"
            await problem.as_json()(scope, receive, send_safe)
            return
        if body is None:  # the client left
            return
        await self._app(scope, _replay(body, receive), send_safe)

    async def _body(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes | None:
        limit = self._larger.get(scope["path"], self._body_bytes)
        _check_head(scope, limit)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self._body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
                    if chunk:
                        chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise _too_slow() from None


def _check_head(scope: Scope, body_bytes: int) -> None:
    if len(scope["headers"]) > MAX_HEADERS:
        raise Problem(431, "too_many_headers", f"More than {MAX_HEADERS} headers.")
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not declared.isdigit() or int(declared[:20]) > body_bytes:
        raise _too_large(body_bytes)


def _bounded(receive: Receive, body_bytes: int, seconds: float) -> Receive:
    """A `receive` that raises `Problem` when the body gets too large or too old."""
    size, deadline = 0, asyncio.get_running_loop().time() + seconds
    more = True

    async def bounded() -> Message:
        nonlocal size, more
        if not more:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise _too_slow() from None
        size += len(message.get("body", b""))
        more = bool(message.get("more_body", False))
        if size > body_bytes:
            raise _too_large(body_bytes)
        return message

    return bounded


def _too_slow() -> Problem:
    return Problem(408, "body_too_slow", "The request's body did not arrive in time.", "", {"connection": "close"})


def _too_large(body_bytes: int) -> Problem:
    limit = f"{body_bytes // 1024} kB"
    return Problem(
        413, "body_too_large", f"The request's body is larger than {limit}.", "Send less.", {"connection": "close"}
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once and then only what comes after it: the disconnect."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay
