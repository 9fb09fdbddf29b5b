"""What PostgreSQL's attempts say of the caller IDs' use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from dialerd.core.callerid import CallerId, Usage
from dialerd.store import callerids
from tests.integration.test_claim import campaign, take

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
E164 = "+14155550101"


async def attempt(pool: asyncpg.Pool, id_: int, age: timedelta, caller_id: str | None, ended: bool = True) -> str:
    """An attempt of a campaign, claimed that long before NOW."""
    taken: Any = (await take(pool, id_, 1)).taken[0]
    await pool.execute(
        """UPDATE attempts SET claimed_at = $2, caller_id = $3, state = CASE WHEN $4 THEN 'ended' ELSE 'dialing' END,
                  outcome = CASE WHEN $4 THEN 'busy' END, ended_at = CASE WHEN $4 THEN now() END
           WHERE id = $1::uuid""",
        taken.attempt,
        NOW - age,
        caller_id,
        ended,
    )
    return str(taken.attempt)


async def number(pool: asyncpg.Pool, campaign_id: int | None, e164: str = E164) -> int:
    id_: int = await pool.fetchval(
        "INSERT INTO caller_ids (tenant_id, campaign_id, e164) VALUES (1, $1, $2) RETURNING id", campaign_id, e164
    )
    return id_


async def test_every_number_is_loaded_with_its_limits(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    tenants, own = await number(pool, None), await number(pool, id_)
    assert await callerids.load(pool) == [
        CallerId(tenants, 1, None, E164, 100, 1000, True),
        CallerId(own, 1, id_, E164, 100, 1000, True),
    ]


async def test_attempts_of_this_hour_and_day_are_counted_and_the_live_one_has_the_number(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 10)
    cid = await number(pool, None)
    await attempt(pool, id_, timedelta(hours=10), E164)  # yesterday
    await attempt(pool, id_, timedelta(hours=2), E164)
    await attempt(pool, id_, timedelta(minutes=20), E164, ended=False)  # its reservation is over
    await attempt(pool, id_, timedelta(seconds=50), None)
    live = await attempt(pool, id_, timedelta(seconds=40), E164, ended=False)
    last = NOW - timedelta(seconds=40)
    assert await callerids.usage(pool, NOW, 300) == [Usage(cid, 2, 3, last, live)]


async def test_a_number_in_two_pools_is_counted_where_it_was_used(pool: asyncpg.Pool) -> None:
    with_own, without = await campaign(pool, 5), await campaign(pool, 5)
    tenants, own = await number(pool, None), await number(pool, with_own)
    await attempt(pool, with_own, timedelta(minutes=1), E164)
    await attempt(pool, with_own, timedelta(minutes=2), E164)
    await attempt(pool, without, timedelta(minutes=3), E164)
    used = {usage.cid_id: usage.used_today for usage in await callerids.usage(pool, NOW, 300)}
    assert used == {tenants: 1, own: 2}


async def test_just_after_midnight_a_call_of_yesterday_still_has_its_number(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 1)
    cid = await number(pool, None)
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    live = await attempt(pool, id_, NOW - midnight + timedelta(seconds=20), E164, ended=False)
    usages = await callerids.usage(pool, midnight + timedelta(seconds=5), 300)
    assert usages == [Usage(cid, 0, 0, midnight - timedelta(seconds=20), live)]
