"""Live events to whoever listens: page, board, robots. A slow listener is dropped, never waited for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dialerd.core.status import EventKind, LiveEvent

_QUEUE = 1000  # events a listener may be behind


class Bus:
    """`publish` never waits. A listener that falls behind gets a last `lagged`."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[LiveEvent]] = set()

    def publish(self, kind: EventKind, data: Mapping[str, Any] | None = None) -> None:
        """Tells every listener."""
        event = LiveEvent(kind, data or {})
        for queue in list(self._listeners):
            if queue.qsize() >= _QUEUE:
                self._listeners.discard(queue)
                queue.put_nowait(LiveEvent("lagged"))
            else:
                queue.put_nowait(event)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """The events from now on."""
        queue: asyncio.Queue[LiveEvent] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield _drain(queue)
        finally:
            self._listeners.discard(queue)


async def _drain(queue: asyncio.Queue[LiveEvent]) -> AsyncIterator[LiveEvent]:
    while True:
        event = await queue.get()
        yield event
        if event.kind == "lagged":
            return
