"""A campaign's queue beside the claim: who goes back into it when the time has come, and whom the filter holds.

Nobody whom the filter leaves out is in the queue, at no moment: while a filter is being changed nobody enters, those
whom the new one leaves out are taken out first, then it is stored, and then the others may come (`store.settings`).
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg

from dialerd.core import filters
from dialerd.store.filter_sql import condition
from dialerd.store.queries import queries

_Q = queries("queue")
_SHARE, _TAKE, _FILTER, _PROMOTE, _IDS, _JUDGE = (
    _Q.share_filter,
    _Q.take_filter,
    _Q.filter,
    _Q.promote,
    _Q.ids,
    _Q.judge,
)
_MARK = "true /* filter */"
_MOST = 5_000  # contacts at once
_BATCH = 2_000


async def promote(pool: asyncpg.Pool, campaign_id: int) -> int:
    """Puts due contacts back into the queue, or aside where the filter leaves them out; how many are queued."""
    async with pool.acquire() as connection:
        return await promote_on(connection, campaign_id)


async def promote_on(connection: Any, campaign_id: int) -> int:
    """The same over a connection that is the caller's."""
    async with connection.transaction():
        if not await connection.fetchval(_SHARE, campaign_id):
            return 0
        query, parameters = await _by_filter(connection, _PROMOTE, campaign_id)
        rows = await connection.fetch(query, campaign_id, _MOST, *parameters)
    return sum(row["state"] == "queued" for row in rows)


async def apply_filter(pool: asyncpg.Pool, campaign_id: int) -> None:
    """Judges the queue and those held anew, by the filter and the order that are stored now; in batches.

    Gives way to whoever changes the filter meanwhile.
    """
    async for ids in _batches(pool, campaign_id, ("queued", "held")):
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_SHARE, campaign_id):
                return
            query, parameters = await _by_filter(connection, _JUDGE, campaign_id)
            await connection.execute(query, campaign_id, ids, *parameters)


async def hold_by(pool: asyncpg.Pool, connection: Any, campaign_id: int, text: str) -> None:
    """Takes out of the queue whom a filter that is about to be stored leaves out. From here to the end of the
    transaction of `connection`, nobody enters the queue."""
    await connection.execute(_TAKE, campaign_id)
    query, parameters = with_filter(_JUDGE, filters.parse(text) if text else None, 3)
    async for ids in _batches(pool, campaign_id, ("queued",)):
        await pool.execute(query, campaign_id, ids, *parameters)


def with_filter(query: str, tree: filters.Filter | None, first: int) -> tuple[str, list[Any]]:
    """A query with the condition of a filter in its place, and the parameters of that, $first and so on."""
    text, parameters = condition(tree, first)
    return query.replace(_MARK, text), parameters


async def _by_filter(connection: Any, query: str, campaign_id: int) -> tuple[str, list[Any]]:
    """The query with the campaign's filter; one that cannot be read, of another version, lets nobody through."""
    text = await connection.fetchval(_FILTER, campaign_id)
    try:
        return with_filter(query, filters.parse(text) if text else None, 3)
    except filters.FilterRefused:
        return query.replace(_MARK, "false"), []


async def _batches(pool: asyncpg.Pool, campaign_id: int, states: Sequence[str]) -> AsyncIterator[list[int]]:
    """The ids of a campaign's contacts that are in these states now."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        cursor = await connection.cursor(_IDS, campaign_id, states)
        while rows := await cursor.fetch(_BATCH):
            yield [row["id"] for row in rows]
