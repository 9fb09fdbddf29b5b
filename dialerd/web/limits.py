"""What a request may cost: headers, body bytes and body time are bounded before any handler runs.

The body is read here, whole, because hardly a request of ours needs more than a few hundred bytes; handlers then
never wait for the network. The few paths that take lists have a larger bound. Every answer gets the safety headers.
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
        self, app: ASGIApp, body_bytes: int, body_seconds: float, larger: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._larger = dict(larger or {})  # path → bytes
        self._body_seconds = body_seconds

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
        if len(scope["headers"]) > MAX_HEADERS:
            raise Problem(431, "too_many_headers", f"More than {MAX_HEADERS} headers.")
        limit = self._larger.get(scope["path"], self._body_bytes)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared[:20]) > limit:
            raise _too_large(limit)
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
            raise Problem(408, "body_too_slow", "The request's body did not arrive in time.") from None


def _too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"The request's body is larger than {limit // 1024} kB.", "Send less.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once and then only what comes after it: the disconnect."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay
