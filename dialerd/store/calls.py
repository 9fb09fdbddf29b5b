"""One call as an operator asks for it: the attempt and everything that was learned about it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dialerd.store.errors import NotFound
from dialerd.store.queries import queries

_Q = queries("admin")
_CALL, _EVENTS = _Q.call, _Q.call_events


@dataclass(frozen=True, slots=True)
class Call:
    """The attempt's columns by name, and its events as {at, kind, detail} in order."""

    attempt: dict[str, Any]
    events: list[dict[str, Any]]


async def get(pool: asyncpg.Pool, tenant_id: int, attempt_id: UUID) -> Call:
    """A call by its attempt's id. Raises `NotFound`."""
    row = await pool.fetchrow(_CALL, tenant_id, attempt_id)
    if row is None:
        raise NotFound(f"there is no call {attempt_id}")
    events = await pool.fetch(_EVENTS, tenant_id, attempt_id)
    return Call(dict(row), [dict(event) for event in events])
