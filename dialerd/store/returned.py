"""Whom we called, looked up by the number that calls back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from dialerd.core.seller import Seller
from dialerd.store.queries import queries

_Q = queries("returned")
_LAST_CALL, _TAKE = _Q.last_call, _Q.take


@dataclass(frozen=True, slots=True)
class LastCall:
    """The last attempt to a number, and what its campaign has for them. `seller` None: it names none."""

    attempt: str
    tenant_id: int
    campaign_id: int
    e164: str
    to_agents: bool
    seller: Seller | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The attempt of a returned call; `attempts` and `tries` of the contact, as `core.retry` counts them."""

    attempt_id: str
    contact_id: int
    e164: str
    attempts: int
    tries: Mapping[str, Any]
    claimed_at: datetime


async def last_call(pool: asyncpg.Pool, e164: str, caller_ids: Sequence[str], days: int) -> LastCall | None:
    """The last attempt of the last `days` days that dialled a number and showed one of these caller IDs."""
    row = await pool.fetchrow(_LAST_CALL, e164, caller_ids, days)
    if row is None:
        return None
    about = row["attempt"], row["tenant_id"], row["campaign_id"], row["e164"], row["returned"] == "agents"
    if row["seller_name"] is None:
        return LastCall(*about, None)
    return LastCall(
        *about, Seller(row["seller_name"], row["seller_number"], row["message_language"], row["opt_out_key"])
    )


async def take(pool: asyncpg.Pool, last: str, node: str) -> Taken | None:
    """Writes the attempt of a call that returns the attempt `last`, for this node's agents. None: the person is in a
    live call already, or is not among the contacts any more."""
    row = await pool.fetchrow(_TAKE, UUID(last), node)
    return Taken(**row) if row is not None else None
