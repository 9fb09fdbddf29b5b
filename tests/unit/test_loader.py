"""The loader when PostgreSQL fails a statement and stays connected. A fake pool: the real one cannot be told to."""

import asyncio
from types import SimpleNamespace
from typing import Any

from dialerd.clock import Clock
from dialerd.config import CallerIds
from dialerd.engine.directory import Directory
from dialerd.engine.loader import Loader


class Pool:
    """Fails the first statement, as a lock or a time limit does."""

    def __init__(self) -> None:
        self.asked = 0

    async def fetch(self, *_: Any) -> list[Any]:
        self.asked += 1
        if self.asked == 1:
            raise TimeoutError
        return []


async def test_what_could_not_be_read_is_read_again_without_another_notification() -> None:
    loaded, pool = asyncio.Event(), Pool()
    config = SimpleNamespace(dialing=SimpleNamespace(grace_seconds=2.0))
    agents: Any = []
    parts: list[Any] = [config, Clock(), {}, {}, None, None, Directory(CallerIds(), agents, {}), None, loaded.set]
    loader = Loader(*parts)
    task = asyncio.create_task(loader.run(lambda: pool))
    loader.notified("campaigns:1")
    try:
        await asyncio.wait_for(loaded.wait(), 10)
    finally:
        task.cancel()
    assert pool.asked == 6  # the campaigns of caller IDs; again, and their tenants, dispositions, zone sets, campaigns
