"""Contacts of a campaign as a program reads them: page by page, or by number."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from dialerd.store.errors import NotFound
from dialerd.store.queries import queries

_Q = queries("contacts")
_PAGE, _EXISTS = _Q.page, _Q.campaign_exists


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A contact with its numbers in order; `next_at` while it waits for another try."""

    id: int
    campaign_id: int
    external_id: str | None
    name: str
    priority: int
    custom: dict[str, Any]
    state: str
    attempts: int
    last_outcome: str | None
    created_at: datetime
    next_at: datetime | None
    numbers: tuple[str, ...]


async def page(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, after: int, limit: int) -> list[ContactRow]:
    """At most `limit` contacts with ids above `after`, in order. Raises `NotFound`."""
    if not await pool.fetchval(_EXISTS, tenant_id, campaign_id):
        raise NotFound(f"there is no campaign {campaign_id}")
    return await _rows(pool, tenant_id, campaign_id, None, after, limit)


async def by_number(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, numbers: Collection[str]
) -> dict[str, ContactRow]:
    """The campaign's contacts that have one of these numbers (E.164), by number."""
    rows = await _rows(pool, tenant_id, campaign_id, list(numbers), 0, len(numbers))
    return {number: row for row in rows for number in row.numbers}


async def _rows(pool: asyncpg.Pool, *parameters: Any) -> list[ContactRow]:
    return [ContactRow(**{**row, "numbers": tuple(row["numbers"])}) for row in await pool.fetch(_PAGE, *parameters)]
