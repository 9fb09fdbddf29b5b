"""One reader's live stream: each event of a source as it comes, without delay: an agent's views, a call's status."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from dialerd.core.status import AgentRefused, LiveEvent
from dialerd.web.errors import Problem
from dialerd.web.events import HEADERS, Streams, compact, until_first


class LiveStream:
    """The ASGI answer. `events`: as the engine gives them; `told(event)`: what goes out as its data; `allowed` is asked
    again at every heartbeat."""

    def __init__(
        self,
        events: Callable[[], AbstractAsyncContextManager[AsyncIterator[LiveEvent]]],
        told: Callable[[LiveEvent], Any],
        streams: Streams,
        allowed: Callable[[], bool],
    ) -> None:
        self._events = events
        self._told = told
        self._streams = streams
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader leaves, lags, is not allowed any more, or the server stops."""
        streams = self._streams
        if streams.open >= streams.limit:
            full = Problem(503, "too_many_listeners", f"{streams.limit} live streams are open.", "Close one.")
            await full.as_json()(scope, receive, send)
            return
        streams.open += 1
        try:
            with suppress(TimeoutError):
                async with self._events() as events:
                    await self._send(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
                    await self._run(events, receive, send)
                    await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except AgentRefused as refused:
            problem = Problem(409, refused.reason, str(refused))
            await problem.as_json()(scope, receive, send)
        finally:
            streams.open -= 1

    async def _run(self, events: AsyncIterator[LiveEvent], receive: Receive, send: Send) -> None:
        async def write() -> None:
            async for event in events:
                data = compact(self._told(event))
                await self._write(send, f"event: {event.kind}\ndata: {data}\n\n")

        async def disconnected() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def beat() -> None:
            while self._allowed():
                await asyncio.sleep(self._streams.heartbeat_seconds)
                await self._write(send, ": still here\n\n")

        await until_first(write(), disconnected(), beat(), self._streams.closing.wait())

    async def _write(self, send: Send, text: str) -> None:
        await self._send(send, {"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        async with asyncio.timeout(self._streams.stall_seconds):
            await send(message)
