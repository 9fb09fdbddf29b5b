"""One call through the claim, against a real PostgreSQL: this contact and no other, or a named gate and no trace."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from dialerd.core import phone
from dialerd.core.singlecall import CallRefused, Placed, Wanted
from dialerd.store import previews, single, terms
from dialerd.store.claim import Claimed, claim
from dialerd.store.errors import NotFound
from dialerd.store.queries import queries
from tests.terms import add_contacts, open_in

HELSINKI, OTHER = "+358401234567", "+358401234568"
ZONES = ["Europe/Helsinki", "Europe/Mariehamn"]

# What shuts a gate, and the gate's name.
GATES = {
    "UPDATE installation SET enabled = false": "disabled",
    "UPDATE tenants SET enabled = false": "disabled",
    "UPDATE campaigns SET state = 'paused'": "not_active",
    "UPDATE tenants SET balance = 1, price_attempt = 2": "insufficient_funds",
    "UPDATE trunks SET active = false WHERE name = 't'": "trunk_inactive",
    "UPDATE trunks SET max_calls = 0 WHERE name = 't'": "trunk_full",
    "UPDATE tenants SET max_calls = 0": "tenant_full",
    "UPDATE campaigns SET max_concurrent_calls = 0": "campaign_full",
    "DELETE FROM campaign_windows": "no_window",
    "UPDATE campaigns SET limits = '[\"1/24h/tenant\"]'": "1/24h/tenant/number",
    "INSERT INTO dnc_lists (name, kind, as_of, max_age_days) VALUES ('old', 'register', '2020-01-01', 3)": "dnc_stale",
    "WITH l AS (INSERT INTO dnc_lists (name, kind) VALUES ('own', 'own') RETURNING id)"
    " INSERT INTO dnc_numbers (number, list_id) SELECT 358401234567, id FROM l": "dnc",
}
COUNTS = """SELECT (SELECT count(*) FROM contacts), (SELECT count(*) FROM attempts), (SELECT count(*) FROM call_events),
                   (SELECT sum(balance) FROM tenants), (SELECT count(*) FROM call_requests WHERE dry_e164 IS NULL)"""


async def always(pool: asyncpg.Pool, campaign: int) -> None:
    await pool.execute("DELETE FROM campaign_windows WHERE campaign_id = $1", campaign)
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", campaign
    )
    await pool.execute("UPDATE campaigns SET skip_holidays = false WHERE id = $1", campaign)


@pytest.fixture
async def campaign(pool: asyncpg.Pool) -> int:
    """The tenant's for single calls, open at any hour."""
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 10)")
    id_ = await single.campaign_for(pool, 1, "t")
    await always(pool, id_)
    return id_


def wanted(e164: str = HELSINKI, **more: Any) -> Wanted:
    return Wanted(phone.parse(e164, "FI"), **more)


async def take(
    pool: asyncpg.Pool, campaign: int, what: Wanted, tenant: int = 1, dry_run: bool = False
) -> tuple[Placed, Claimed | None]:  # fmt: skip
    zones, now = await single.zone_set(pool, what.number), datetime.now(UTC)
    judgement = await terms.judged(pool, campaign, now)
    return await single.take(pool, tenant, campaign, what, zones, "n", judgement, now, dry_run)


async def refusal(pool: asyncpg.Pool, campaign: int, what: Wanted, **more: Any) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        await take(pool, campaign, what, **more)
    return caught.value


async def end(pool: asyncpg.Pool, outcome: str) -> None:
    """All live calls end like that, and their contacts are done."""
    await pool.execute("UPDATE attempts SET state = 'ended', outcome = $1, ended_at = now()", outcome)
    await pool.execute("UPDATE contacts SET state = 'done' WHERE state = 'claimed'")


async def test_the_campaign_for_single_calls_is_made_once_and_is_never_used_up(pool: asyncpg.Pool) -> None:
    made = await asyncio.gather(*(single.campaign_for(pool, 1, "t") for _ in range(4)))
    assert len(set(made)) == 1
    await pool.execute(queries("engine").complete, made[0])
    row = await pool.fetchrow("SELECT name, state, dial_mode, max_retries FROM campaigns WHERE id = $1", made[0])
    assert tuple(row) == ("single calls", "active", "preview", 0)


async def test_without_a_trunk_or_with_the_name_taken_no_campaign_is_made(pool: asyncpg.Pool) -> None:
    with pytest.raises(CallRefused) as caught:
        await single.campaign_for(pool, 1, None)
    assert caught.value.reason == "unknown_trunk"
    await pool.execute(
        "INSERT INTO campaigns (tenant_id, name, dial_mode, queue_name, trunk)"
        " VALUES (1, 'single calls', 'power', 'q', 't')"
    )
    with pytest.raises(CallRefused) as caught:
        await single.campaign_for(pool, 1, "t")
    assert caught.value.reason == "campaign_name_taken"


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("shut", GATES, ids=[*map(str, range(len(GATES)))])
async def test_a_shut_gate_is_named_and_leaves_no_trace(
    pool: asyncpg.Pool, campaign: int, shut: str, dry_run: bool
) -> None:
    await pool.execute(
        "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state, outcome,"
        " claimed_at, ended_at) VALUES (uuid7(), 1, $1, 0, 0, $2, 'n', 'x', 'ended', 'busy', now(), now())",
        *(campaign, HELSINKI),
    )
    await pool.execute(shut)
    before = await pool.fetchrow(COUNTS)
    refused = await refusal(pool, campaign, wanted(key="k"), dry_run=dry_run)
    assert (refused.kind, refused.reason) == ("refused", GATES[shut])
    assert await pool.fetchrow(COUNTS) == before
    assert await single.known(pool, 1, wanted(key="k")) is None


async def test_a_window_that_is_shut_now_says_when_it_opens(pool: asyncpg.Pool, campaign: int) -> None:
    day = datetime.now(UTC).isoweekday() % 7 + 2
    await pool.execute("UPDATE campaign_windows SET opens = '10:00', closes = '10:01'")
    await pool.execute("DELETE FROM campaign_windows WHERE weekday <> $1", (day - 1) % 7 + 1)
    refused = await refusal(pool, campaign, wanted())
    assert refused.reason in ("outside_allowed_time_window", "no_window")
    assert refused.until is not None and refused.until > datetime.now(UTC)


async def test_a_number_of_no_known_zone_is_refused(pool: asyncpg.Pool, campaign: int) -> None:
    await single.zone_set(pool, phone.parse(OTHER, "FI"))  # somewhere the campaign may call
    nowhere = Wanted(phone.Number("+870773123456", "001", ()))
    assert (await refusal(pool, campaign, nowhere)).reason == "unknown_zone"


async def test_a_number_is_called_again_whatever_became_of_it_before_but_not_while_it_is_called(
    pool: asyncpg.Pool, campaign: int
) -> None:
    _, first = await take(pool, campaign, wanted())
    assert first is not None
    assert (await refusal(pool, campaign, wanted())).reason == "claimed"
    await end(pool, "invalid")
    await pool.execute("UPDATE numbers SET dead = 'invalid'")
    placed, again = await take(pool, campaign, wanted())
    assert again is not None and placed.call_id == again.attempt != first.attempt
    assert (again.contact_id, again.attempts) == (first.contact_id, 1)
    assert await pool.fetchval("SELECT claimed_at FROM attempts WHERE id = $1::uuid", again.attempt) == placed.at


@pytest.fixture
async def listed(pool: asyncpg.Pool, campaign: int) -> int:
    """Another campaign, with three contacts of its own."""
    id_: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk, max_retries)"
        " VALUES (1, 'list', 'active', 'preview', 'q', 't', 0) RETURNING id"
    )
    await always(pool, id_)
    await add_contacts(pool, id_, [OTHER, HELSINKI, "+358401234569"], ZONES)
    return id_


@pytest.mark.accepts("ORI-01", "ORI-02")
async def test_of_a_campaigns_contacts_the_one_that_is_meant_is_claimed_past_those_before_it(
    pool: asyncpg.Pool, listed: int
) -> None:
    contact = await pool.fetchval("SELECT contact_id FROM numbers WHERE e164 = $1", HELSINKI)
    about = {"campaign_id": listed, "contact_id": contact}
    for wrong in (wanted(OTHER, **about), wanted(HELSINKI, **about | {"contact_id": contact + 1})):
        with pytest.raises(NotFound):
            await take(pool, listed, wrong)
    _, claimed = await take(pool, listed, wanted(**about))
    assert claimed is not None and (claimed.e164, claimed.for_agent) == (HELSINKI, None)
    await end(pool, "busy")
    assert (await refusal(pool, listed, wanted(**about))).reason == "done"
    states = [row["state"] for row in await pool.fetch("SELECT state FROM contacts ORDER BY id")]
    assert states == ["queued", "done", "queued"]


async def test_a_contact_of_a_list_keeps_its_retry_time_its_filter_and_its_agents_hold(
    pool: asyncpg.Pool, listed: int
) -> None:
    contact = await pool.fetchval("SELECT contact_id FROM numbers WHERE e164 = $1", HELSINKI)
    what = wanted(campaign_id=listed, contact_id=contact)
    for state in ("waiting", "held", "suppressed"):
        await pool.execute(
            "UPDATE contacts SET state = $2, next_at = now() + interval '1 hour' WHERE id = $1", contact, state
        )
        assert (await refusal(pool, listed, what)).reason == state
    await pool.execute("UPDATE contacts SET state = 'queued' WHERE id = $1", contact)
    await pool.execute("UPDATE numbers SET dead = 'dnc' WHERE contact_id = $1", contact)
    await pool.execute("UPDATE contacts SET position = 5 WHERE id = $1", contact)
    assert (await refusal(pool, listed, what)).reason == "other_number"
    await pool.execute("UPDATE numbers SET dead = NULL WHERE contact_id = $1", contact)
    agent = await pool.fetchval(
        "INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, 'aino', 'aino') RETURNING id"
    )
    await pool.execute("UPDATE contacts SET state = 'done' WHERE id <> $1", contact)
    await pool.execute("UPDATE contacts SET position = 0 WHERE id = $1", contact)
    judgement = await open_in(pool, listed, ZONES)
    assert await previews.hold_next(pool, listed, agent, judgement, 60) is not None
    assert (await refusal(pool, listed, what)).reason == "waiting"
    assert (await previews.claim_held(pool, listed, agent, "n", judgement)).taken[0].for_agent == agent


async def test_a_key_is_one_call_however_many_ask_at_once_and_another_request_with_it_is_refused(
    pool: asyncpg.Pool, campaign: int
) -> None:
    found = await asyncio.gather(*(take(pool, campaign, wanted(key="k")) for _ in range(5)))
    assert len({placed.call_id for placed, _ in found}) == len({placed.at for placed, _ in found}) == 1
    assert sum(claimed is not None for _, claimed in found) == sum(not placed.again for placed, _ in found) == 1
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 1
    refused = await refusal(pool, campaign, wanted(OTHER, key="k"))
    assert (refused.kind, refused.reason) == ("invalid", "key_reused")
    await pool.execute("UPDATE call_requests SET at = now() - interval '3 days'")
    assert (await take(pool, campaign, wanted(OTHER, key="k")))[1] is not None


async def test_a_key_is_its_tenants_own(pool: asyncpg.Pool, campaign: int) -> None:
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    theirs = await single.campaign_for(pool, other, "t")
    await always(pool, theirs)
    mine, _ = await take(pool, campaign, wanted(key="k"))
    await end(pool, "busy")
    placed, claimed = await take(pool, theirs, wanted(key="k"), tenant=other)
    assert claimed is not None and placed.call_id != mine.call_id
    with pytest.raises(NotFound):
        await take(pool, campaign, wanted(key="j"), tenant=other)


@pytest.mark.accepts("ORI-15")
async def test_a_dry_run_decides_everything_and_costs_nothing(pool: asyncpg.Pool, campaign: int) -> None:
    await pool.execute("UPDATE tenants SET balance = 10, price_attempt = 3")
    await pool.execute("UPDATE campaigns SET limits = '[\"1/24h/tenant\"]'")
    before = await pool.fetchrow(COUNTS)
    placed, claimed = await take(pool, campaign, wanted(key="k"), dry_run=True)
    assert claimed is None and placed.dry_run
    again, _ = await take(pool, campaign, wanted(key="k"), dry_run=True)
    assert (again.call_id, again.again) == (placed.call_id, True)
    assert (await take(pool, campaign, wanted(), dry_run=True))[0].call_id != placed.call_id  # no limit is used up
    assert await pool.fetchrow(COUNTS) == before
    found = await single.dry_call(pool, 1, UUID(placed.call_id))
    assert (found.e164, found.dry_run) == (HELSINKI, True)
    with pytest.raises(NotFound):
        await single.dry_call(pool, 2, UUID(placed.call_id))
    assert (await take(pool, campaign, wanted()))[1] is not None
    assert await pool.fetchval("SELECT balance FROM tenants") == 7


async def test_the_claim_of_a_list_takes_as_many_as_before(pool: asyncpg.Pool, listed: int) -> None:
    taken = (await claim(pool, listed, 2, "n", await open_in(pool, listed, ZONES))).taken
    assert [each.e164 for each in taken] == [OTHER, HELSINKI]
