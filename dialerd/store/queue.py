"""A campaign's queue beside the claim: contacts whose time has come go back into it."""

import asyncpg

from dialerd.store.queries import queries

_PROMOTE = queries("engine").promote
_MOST = 5_000  # at once


async def promote(pool: asyncpg.Pool, campaign_id: int) -> int:
    """Puts due contacts back into the queue; how many."""
    return len(await pool.fetch(_PROMOTE, campaign_id, _MOST))
