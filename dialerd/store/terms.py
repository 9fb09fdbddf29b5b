"""The terms of campaigns and the zone sets, as they are in PostgreSQL now."""

import asyncio
from datetime import datetime

import asyncpg

from dialerd.core.terms import Judgement, Terms, ZoneSets, judge
from dialerd.places.terms import of_campaign
from dialerd.places.zones import country_of
from dialerd.store.errors import NotFound
from dialerd.store.queries import queries

_Q = queries("terms")
_CAMPAIGNS, _ZONE_SETS = _Q.campaigns, _Q.zone_sets


async def zone_sets(pool: asyncpg.Pool) -> ZoneSets:
    """Every combination of zones that a number here may lie in."""
    return {row["id"]: tuple(row["zones"]) for row in await pool.fetch(_ZONE_SETS)}


async def of(pool: asyncpg.Pool, campaign_id: int, now: datetime) -> Terms:
    """A campaign's terms. Raises `NotFound`."""
    row = await pool.fetchrow(_CAMPAIGNS, [campaign_id], False, now)
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    return await asyncio.to_thread(of_campaign, row)


async def judged(pool: asyncpg.Pool, campaign_id: int, now: datetime) -> Judgement:
    """Where the campaign may call now, for one claim. Raises `NotFound`."""
    terms, sets = await of(pool, campaign_id, now), await zone_sets(pool)
    return await asyncio.to_thread(judge, terms, sets, country_of(), now)
