"""Recycling: contacts that are over go back into the queue, chosen by a filter.

Limits and do-not-call lists bind them as before: the claim counts attempts, and those stay in the record.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from dialerd.core import filters
from dialerd.store.errors import NotFound
from dialerd.store.queries import queries
from dialerd.store.queue import with_filter

_Q = queries("queue")
_OVER, _RECYCLE, _LISTS, _LISTS_NAMED = _Q.over, _Q.recycle, _Q.lists, _Q.lists_named
_ADD_EVENT, _NOTIFY = queries("admin").add_event, queries("contacts").notify
_BATCH = 2_000

# Somebody was talked to, or nobody knows what happened (rule 1): only whoever names them calls them again.
BY_NAME_ONLY = frozenset({"connected", "unknown"})


@dataclass(frozen=True, slots=True)
class List:
    """An import; `open` contacts of it are not over yet."""

    id: int
    name: str
    contacts: int
    imported_at: datetime
    imported_by: str
    open: int


@dataclass(frozen=True, slots=True)
class Recycled:
    """Contacts by their last outcome ("none": never dialled). `left`: those that pass the filter, and whose outcome it
    does not name although it has to."""

    contacts: int
    by_outcome: dict[str, int]
    left: dict[str, int]


async def lists(pool: asyncpg.Pool, tenant_id: int, campaign_id: int) -> list[List]:
    """Where a campaign's contacts came from, newest first."""
    return [List(**row) for row in await pool.fetch(_LISTS, tenant_id, campaign_id)]


async def recycle(
    pool: asyncpg.Pool,
    tenant_id: int,
    campaign_id: int,
    where: str,
    by: str,
    list_name: str | None = None,
    keep_attempts: bool = False,
    dry_run: bool = False,
) -> Recycled:
    """Put those back whom `where` finds; in batches, each audited with its change. With `dry_run` nothing changes.

    Contacts whose last outcome is in `BY_NAME_ONLY` stay where they are unless the filter names that outcome with `=`
    or `in`. Raises `core.filters.FilterRefused`, `NotFound` (no such list).
    """
    tree = filters.parse(where)
    barred = BY_NAME_ONLY - filters.outcomes_named(tree)
    list_ids = None
    if list_name is not None:
        list_ids = [row["id"] for row in await pool.fetch(_LISTS_NAMED, tenant_id, campaign_id, list_name)]
        if not list_ids:
            raise NotFound(f"the campaign has no list {list_name!r}: see 'contacts lists'")
    done: Counter[str] = Counter()
    left: Counter[str] = Counter()
    detail = {"by": by, "where": where, "list": list_name, "keep_attempts": keep_attempts}
    query, parameters = with_filter(_OVER, tree, 4)
    async with pool.acquire() as reading, reading.transaction(readonly=True):
        cursor = await reading.cursor(query, tenant_id, campaign_id, list_ids, *parameters)
        while rows := await cursor.fetch(_BATCH):
            left.update(row["last_outcome"] for row in rows if row["last_outcome"] in barred)
            good = [row for row in rows if row["last_outcome"] not in barred]
            if dry_run or not good:
                done.update(row["last_outcome"] or "none" for row in good)
                continue
            async with pool.acquire() as writing, writing.transaction():
                ids = [row["id"] for row in good]
                back = await writing.fetch(_RECYCLE, tenant_id, campaign_id, ids, keep_attempts)
                event = {**detail, "contacts": len(back)}
                await writing.execute(_ADD_EVENT, tenant_id, campaign_id, "contacts.recycled", event)
                await writing.execute(_NOTIFY, campaign_id)
            done.update(row["last_outcome"] or "none" for row in back)
    return Recycled(done.total(), dict(done), dict(left))
