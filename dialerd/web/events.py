"""The live stream: what happened (`agent`, `call`), and the figures when they changed, at most 2 a second.

A reader costs one slot of a bounded number and one subscription; all readers together cost at most one status
snapshot per half second. A reader that stops reading is dropped: by the engine's queue with a last `lagged`,
or here, when its connection takes nothing any more.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from dialerd.clock import Clock
from dialerd.core.status import LiveEvent, to_json
from dialerd.web.errors import Problem
from dialerd.web.port import Engine

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]
compact = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one for each event


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The status at one moment; `version` changes only when something other than the time did."""

    version: int
    status: Mapping[str, Any]


class Source(Protocol):
    """Where a stream's events come from."""

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """Events from now on, queue bounded; too slow a reader may get a last `lagged`, then the end."""


class Snapshots(Protocol):
    """Where a stream's figures come from."""

    def since(self, moment: float) -> Snapshot | None:
        """A snapshot not older than `moment` (monotonic), or None when it is too early for another one."""

    def wait_seconds(self) -> float:
        """How long until another snapshot may be taken."""


class Figures:
    """Snapshots shared by all readers, at most one per `every_seconds` unless a fresh one is asked for."""

    def __init__(self, engine: Engine, clock: Clock, every_seconds: float) -> None:
        self._engine = engine
        self._clock = clock
        self._every = every_seconds
        self._taken = float("-inf")
        self._last = Snapshot(0, {})

    def fresh(self) -> Snapshot:
        """The status now."""
        status = to_json(self._engine.status())
        changed = {**status, "at": ""} != {**self._last.status, "at": ""}
        self._last = Snapshot(self._last.version + changed, status)
        self._taken = self._clock.monotonic()
        return self._last

    def since(self, moment: float) -> Snapshot | None:
        """A snapshot not older than `moment` (monotonic), or None when it is too early for another one."""
        if self._taken >= moment:
            return self._last
        return None if self.wait_seconds() > 0 else self.fresh()

    def wait_seconds(self) -> float:
        """How long until another snapshot may be taken."""
        return max(0.0, self._taken + self._every - self._clock.monotonic())


class Streams:
    """The open streams: how many there may be, and the end of all of them when the server stops."""

    def __init__(self, limit: int, heartbeat_seconds: float, stall_seconds: float) -> None:
        self.limit = limit
        self.heartbeat_seconds = heartbeat_seconds
        self.stall_seconds = stall_seconds
        self.open = 0
        self.closing = asyncio.Event()

    def close(self) -> None:
        """End every stream; new ones end at once."""
        self.closing.set()


async def until_first(*parts: Coroutine[Any, Any, Any]) -> None:
    """Runs them all until one ends; what that one raises is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class EventStream:
    """The ASGI answer that is one reader's stream; `allowed` is asked again at every heartbeat."""

    def __init__(
        self, source: Source, figures: Snapshots, streams: Streams, clock: Clock, allowed: Callable[[], bool]
    ) -> None:
        self._source = source
        self._figures = figures
        self._streams = streams
        self._clock = clock
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader leaves, lags, signs out, or the server stops."""
        streams = self._streams
        if streams.open >= streams.limit:
            full = Problem(
                503,
                "too_many_listeners",
                f"{streams.limit} live streams are open.",
                "Close one and try again.",
                {"retry-after": "10"},
            )
            await full.as_json()(scope, receive, send)
            return
        streams.open += 1
        try:
            # A reader whose connection takes nothing for `stall_seconds` is gone, whatever TCP says.
            with suppress(TimeoutError):
                async with self._source.subscribe() as events:
                    await self._send(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
                    await self._run(events, receive, send)
                    await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            streams.open -= 1

    async def _run(self, events: AsyncIterator[LiveEvent], receive: Receive, send: Send) -> None:
        async def next_event() -> LiveEvent | None:
            return await anext(events, None)

        async def disconnected() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        clock, figures, beat = self._clock, self._figures, self._streams.heartbeat_seconds
        version, dirty, last_beat = (
            0,
            clock.monotonic(),
            clock.monotonic(),
        )  # the first figures are owed at once
        is_dirty = True
        happened = asyncio.create_task(next_event())
        ends = [asyncio.create_task(disconnected()), asyncio.create_task(self._streams.closing.wait())]
        try:
            while True:
                wait = last_beat + beat - clock.monotonic()
                if is_dirty:
                    wait = min(wait, figures.wait_seconds())
                await asyncio.wait([happened, *ends], timeout=max(wait, 0), return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return
                if happened.done():
                    event = happened.result()
                    if event is None:
                        return
                    if event.kind != "figures":
                        await self._event(send, event.kind, to_json(event.data))
                    if event.kind == "lagged":
                        return
                    is_dirty, dirty = True, clock.monotonic()
                    happened = asyncio.create_task(next_event())
                if clock.monotonic() >= last_beat + beat:
                    if not self._allowed():
                        return
                    last_beat = clock.monotonic()
                    is_dirty, dirty = True, last_beat  # rates change with time alone
                    await self._write(send, ": still here\n\n")
                if is_dirty and (snapshot := figures.since(dirty)) is not None:
                    is_dirty = False
                    if snapshot.version != version:
                        version = snapshot.version
                        await self._event(send, "figures", snapshot.status)
        finally:
            for task in (happened, *ends):
                task.cancel()
            await asyncio.gather(happened, *ends, return_exceptions=True)

    async def _event(self, send: Send, kind: str, data: Mapping[str, Any]) -> None:
        # JSON escapes line ends: a name cannot begin an event of its own.
        await self._write(send, f"event: {kind}\ndata: {compact(data)}\n\n")

    async def _write(self, send: Send, text: str) -> None:
        await self._send(send, {"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        async with asyncio.timeout(self._streams.stall_seconds):
            await send(message)
