"""Whether Redis is there, asked every second: nothing of it tells us when a server goes silent."""

import asyncio
from collections.abc import Callable

import structlog
from redis.asyncio import Redis

from dialerd.clock import Clock
from dialerd.core.status import Link
from dialerd.live.connection import problem

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 1.0


class RedisLink:
    """The state of Redis; `on_change` is called when it changes."""

    def __init__(self, client: Redis, clock: Clock, on_change: Callable[[], None]) -> None:
        self._client = client
        self._clock = clock
        self._on_change = on_change
        self.status = Link("redis", "connecting", clock.now())

    @property
    def up(self) -> bool:
        return self.status.state == "up"

    async def run(self) -> None:
        """Asks; ends only by cancellation."""
        while True:
            detail = await problem(self._client)
            state = "down" if detail else "up"
            if state != self.status.state:
                self.status = Link("redis", "down" if detail else "up", self._clock.now(), detail or "")
                (log.warning if detail else log.info)("redis.link", state=state, detail=detail or "")
                self._on_change()
            await asyncio.sleep(_PROBE_SECONDS)
