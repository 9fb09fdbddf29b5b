"""One call's status as it changes: what is now, each change, and the end; as server-sent events and over a WebSocket.

Nothing is polled: the changes are the engine's own events. All readers share the bounded number of live streams; one
that takes nothing is dropped, here or by the engine's queue.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from dialerd.clock import Clock
from dialerd.core.attempt import State
from dialerd.core.callstatus import Seen
from dialerd.core.causes import Outcome
from dialerd.core.status import LiveEvent
from dialerd.web.app import Surface, Visitor
from dialerd.web.errors import Problem
from dialerd.web.events import compact, until_first
from dialerd.web.port import CallDesk
from dialerd.web.requests import same_origin

_OVER, _GOING_AWAY, _POLICY = 1000, 1001, 1008  # close codes; over: the call is


class Changes:
    """A call's status in the older API's names, as events `call`. `seen`: as PostgreSQL has it; `again` asks it anew.

    Ends with the call, and when its reader lags."""

    def __init__(self, desk: CallDesk, clock: Clock, seen: Seen, again: Callable[[], Awaitable[Seen]]) -> None:
        self._desk = desk
        self._clock = clock
        self._seen = seen
        self._again = again

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """Subscribed first and asked then: nothing falls between."""
        async with self._desk.subscribe() as events:
            yield self._run(events)

    async def _run(self, events: AsyncIterator[LiveEvent]) -> AsyncIterator[LiveEvent]:
        try:
            seen = await self._now()
        except Problem:  # PostgreSQL went away since the first look: the reader asks again, and is told so
            return
        yield self._told(seen)
        while seen.ended_at is None and (event := await anext(events, None)) is not None:
            if event.kind != "call" or event.data["attempt"] != seen.call_id:
                continue
            before, seen = seen, _after(seen, event.data)
            if seen.status != before.status:
                yield self._told(seen)

    async def _now(self) -> Seen:
        if self._seen.ended_at is not None:
            return self._seen
        live = await self._desk.now(self._seen.call_id)
        return await self._again() if live is None else _after(self._seen, live)

    def _told(self, seen: Seen) -> LiveEvent:
        return LiveEvent("call", seen.view(self._clock.now()))


def _after(seen: Seen, data: Mapping[str, Any]) -> Seen:
    outcome = Outcome(data["outcome"]) if data["outcome"] else None
    times = {"answered_at": data["answered_at"], "ended_at": data["ended_at"]}
    return replace(seen, state=State(data["state"]), outcome=outcome, **times)


class CallSocket:
    """The WebSocket. It wants the token in the header, or a session's cookie from our own page, never a token in the
    address; whoever is refused is told so instead of the handshake. The client has nothing to say."""

    def __init__(self, surface: Surface, changes: Callable[[], Awaitable[Changes]]) -> None:
        self._surface = surface
        self._changes = changes

    async def run(self, websocket: WebSocket) -> None:
        """From the handshake to the close."""
        streams = self._surface.streams
        try:
            if not same_origin(websocket):
                raise Problem(403, "cross_site", "This did not come from dialerd's own page.")
            visitor = self._surface.visitor(websocket)
            changes = await self._changes()
            if streams.open >= streams.limit:
                raise Problem(503, "too_many_listeners", f"{streams.limit} live streams are open.", "Close one.")
        except Problem as problem:
            await websocket.send_denial_response(problem.as_json())
            return
        streams.open += 1
        try:
            with suppress(WebSocketDisconnect, TimeoutError):
                await websocket.accept()
                code = await self._stream(websocket, visitor, changes)
                await websocket.close(code)
        finally:
            streams.open -= 1

    async def _stream(self, websocket: WebSocket, visitor: Visitor, changes: Changes) -> int:
        streams, code = self._surface.streams, _GOING_AWAY

        async def write(events: AsyncIterator[LiveEvent]) -> None:
            nonlocal code
            async for event in events:
                async with asyncio.timeout(streams.stall_seconds):
                    await websocket.send_text(compact(event.data))
                if event.data["is_completed"]:
                    code = _OVER

        async def listen() -> None:
            nonlocal code
            if (await websocket.receive())["type"] == "websocket.disconnect":
                raise WebSocketDisconnect
            code = _POLICY

        async def watch() -> None:
            while self._surface.still(visitor):  # noqa: ASYNC110 - sessions end by time, without an event
                await asyncio.sleep(streams.heartbeat_seconds)

        async with changes.subscribe() as events:
            await until_first(write(events), listen(), watch(), streams.closing.wait())
        return code
