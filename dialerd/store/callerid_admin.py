"""The pools of caller IDs as an operator sees and changes them; what choosing one needs is in `callerids`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from dialerd.core import phone
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("admin")
_ADD, _ALL, _ADD_EVENT = _Q.add_caller_id, _Q.caller_ids, _Q.add_event
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,64}\Z")
MAX_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """A number of ours that may be shown; `campaign` is None in the tenant's own pool."""

    id: int
    e164: str
    carrier: str
    area_code: str
    daily_limit: int
    hourly_limit: int
    active: bool
    campaign: str | None


async def add(
    pool: asyncpg.Pool,
    tenant_id: int,
    numbers: Sequence[str],
    default_region: str,
    by: str,
    campaign_id: int | None = None,
    carrier: str = "",
    area_code: str = "",
    daily_limit: int = 1000,
    hourly_limit: int = 100,
) -> list[PoolEntry]:
    """Put numbers into a pool: all of them, or none. Raises `core.phone.NumberRefused`, or `Refused`."""
    wanted = [phone.parse(number, default_region).e164 for number in numbers]
    if not (0 <= daily_limit <= MAX_LIMIT and 0 <= hourly_limit <= MAX_LIMIT):
        raise Refused(f"limits go from 0 to {MAX_LIMIT}")
    if not (_TEXT.match(carrier) and _TEXT.match(area_code)):
        raise Refused("carrier and area code: at most 64 characters, no control characters")
    try:
        async with pool.acquire() as connection, connection.transaction():
            ids = set()
            for e164 in wanted:
                row = (tenant_id, campaign_id, e164, carrier, area_code, daily_limit, hourly_limit)
                ids.add(await connection.fetchval(_ADD, *row))
                detail = {"caller_id": e164, "by": by}
                await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "caller_id.added", detail)
    except asyncpg.UniqueViolationError:
        raise Refused(f"{e164} is in this pool already") from None
    return [entry for entry in await all_of(pool, tenant_id) if entry.id in ids]


async def all_of(pool: asyncpg.Pool, tenant_id: int) -> list[PoolEntry]:
    """The tenant's caller IDs, the tenant's own pool first."""
    return [PoolEntry(**row) for row in await pool.fetch(_ALL, tenant_id)]
