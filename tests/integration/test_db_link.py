"""The link to PostgreSQL: when it counts as up."""

import asyncio
from datetime import datetime, timedelta

from dialerd.clock import Clock
from dialerd.config import Postgres
from dialerd.store.link import DbLink


class FastClock(Clock):
    """An hour ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1)


async def test_with_clocks_apart_the_link_is_never_up_not_even_for_a_moment(database: Postgres) -> None:
    """[F21] Windows are judged by our clock: one that is wrong must not open the gate until it is noticed."""
    loaded: list[object] = []
    refused = asyncio.Event()

    async def on_up(pool: object) -> None:
        loaded.append(pool)

    def on_change() -> None:
        if loaded or "apart" in link.status.detail:
            refused.set()

    link = DbLink(database, FastClock(), on_up, lambda _: None, on_change)
    task = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(refused.wait(), 10)
    finally:
        task.cancel()
    assert loaded == []
    assert link.status.state == "down"
