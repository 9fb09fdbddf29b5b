"""The caller-ID pool and its use, from PostgreSQL: what Redis is rebuilt from."""

from datetime import datetime, timedelta

import asyncpg

from dialerd.core.callerid import CallerId, Usage
from dialerd.store.queries import queries

_POOL = queries("callerids").pool
_USAGE = queries("callerids").usage


async def load(pool: asyncpg.Pool) -> list[CallerId]:
    """Every number of every pool, active or not."""
    return [CallerId(**row) for row in await pool.fetch(_POOL)]


async def usage(pool: asyncpg.Pool, now: datetime, reservation_seconds: int) -> list[Usage]:
    """How the attempts used each number in this hour and this day (UTC), and which live attempt has it.

    An attempt counts from its claim, moments before it was given its number.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = await pool.fetch(_USAGE, hour, hour.replace(hour=0), now - timedelta(seconds=reservation_seconds))
    return [Usage(row["id"], row["used_this_hour"], row["used_today"], row["last_used"], row["holder"]) for row in rows]
