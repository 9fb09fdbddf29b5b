"""200 calls through the dialplan door: what the carrier saw is what the log of caller IDs says, call by call."""

import asyncio
from collections import Counter

import asyncpg
import pytest
import redis

from lab.subscribers import Behaviour, number
from tests.live.manager import Manager
from tests.live.place import Place

pytestmark = pytest.mark.live

CALLS = 200
AT_ONCE = 10
OWN, TENANTS = 15, 20  # caller IDs of the campaign, and of the tenant
LIMIT = 4  # uses an hour: the pools are smaller than the demand
KINDS = {Behaviour.BUSY: "busy", Behaviour.REJECTED: "rejected", Behaviour.HANGS_UP: "answered"}
FALLBACK = "+358401109999"
ANOTHER_SYSTEM = """\
[another-system]
exten => _+X.,1,Gosub(dialerd-cid,s,1(${EXTEN},${DIALERD_CAMPAIGN}))
 same => n,GotoIf($["${CID_STATUS}" = "OK" | "${CID_STATUS}" = "FALLBACK"]?:refused)
 same => n,Set(ATTEMPT=${CUT(UNIQUEID,\\;,1)})
 same => n,Dial(PJSIP/${EXTEN}@trunk-out,30,b(dialerd-header^s^1(${ATTEMPT})))
 same => n,Hangup(${HANGUPCAUSE})
 same => n(refused),Hangup(21)
"""
LOG = """SELECT split_part(holder, '/', 2) AS call, to_e164, campaign, status, caller_id, door, released_at, result
         FROM caller_id_requests ORDER BY at"""


async def pool_of(pool: asyncpg.Pool, campaign: int | None, first: int, count: int) -> None:
    await pool.execute(
        "INSERT INTO caller_ids (tenant_id, campaign_id, e164, hourly_limit)"
        " SELECT 1, $1, '+3585055' || n, $4 FROM generate_series($2::integer, $2 + $3 - 1) AS n",
        campaign, first, count, LIMIT,
    )  # fmt: skip


async def place_calls(place: Place, campaign: int) -> dict[str, Behaviour]:
    """200 calls of another hand, some at a time: half for a campaign of ours through [dialerd-out], half of another
    system, whose own dialplan asks. Number → behaviour."""
    place.site.lab.pbx.write("extensions.d/another-system.conf", ANOTHER_SYSTEM)
    place.site.lab.pbx.cli("dialplan reload")
    kinds = list(KINDS)
    called = {number(kinds[i % len(kinds)], 5000 + i): kinds[i % len(kinds)] for i in range(CALLS)}
    everybody = list(called)
    async with Manager(place.site.lab) as manager:
        for start in range(0, CALLS, AT_ONCE):
            batch = everybody[start : start + AT_ONCE]
            for i, e164 in enumerate(batch, start):
                name, context = (campaign, "dialerd-out") if i % 2 else ("TESTCAMP", "another-system")
                await manager.send(
                    Action="Originate", ActionID=e164, Channel=f"Local/{e164}@{context}/n", Async="true",
                    Context="dialerd-safe-harbour", Exten="s", Priority="1", Timeout="20000",
                    Variable=f"DIALERD_CAMPAIGN={name}",
                )  # fmt: skip
            for e164 in batch:
                await manager.originated(e164)
            assert await asyncio.to_thread(place.site.lab.quiet, 70)
    return called


@pytest.mark.accepts("CID-13", "CID-07")
async def test_every_invite_shows_the_caller_id_that_the_log_says(place: Place) -> None:
    # The machine's noise must not decide: a call waits for its answer as long as it takes.
    place.site.lab.pbx.cli("dialplan set global DIALERD_ANSWER_SECONDS 10")
    place.site.lab.pbx.cli('dialplan set global DIALERD_AWAY_UNTIL ""')
    campaign = await place.campaign(state="completed", caller_id=FALLBACK)
    await pool_of(place.pool, campaign, 100_000, OWN)
    await pool_of(place.pool, None, 200_000, TENANTS)
    place.start()
    called = await place_calls(place, campaign)
    place.site.lab.pbx.cli("dialplan set global DIALERD_ANSWER_SECONDS 0.2")

    await place.until("SELECT count(*) FROM caller_id_requests", CALLS)
    await place.until("SELECT count(*) FROM caller_id_requests WHERE status = 'OK' AND result IS NULL", 0)
    rows = await place.pool.fetch(LOG)
    assert {row["door"] for row in rows} == {"fastagi"}
    logged = {(row["call"], row["to_e164"], row["caller_id"]) for row in rows if row["caller_id"] is not None}
    seen = {(invite.attempt, invite.number, invite.caller_id) for invite in place.all_invites()}
    assert seen == logged
    assert len(place.all_invites()) == len(seen)

    # Both pools gave all that they may; then ours fell back, and the other system's calls were not placed.
    answers = Counter((row["campaign"] == "TESTCAMP", row["status"]) for row in rows)
    half = CALLS // 2
    assert answers == {
        (False, "OK"): OWN * LIMIT, (False, "FALLBACK"): half - OWN * LIMIT,
        (True, "OK"): TENANTS * LIMIT, (True, "NONE"): half - TENANTS * LIMIT,
    }  # fmt: skip
    uses = Counter(row["caller_id"] for row in rows if row["status"] == "OK")
    assert set(uses.values()) == {LIMIT}
    for row in rows:
        if row["status"] == "OK":
            assert row["result"] == KINDS[called[row["to_e164"]]]
            assert row["released_at"] is not None
    with redis.Redis.from_url(place.site.redis.url_with_password(1)) as client:
        assert client.keys("reservation:*") == []
