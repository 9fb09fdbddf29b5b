"""What a dialplan may look up of a number, against a real PostgreSQL: only what is proven counts as clear."""

import asyncio

import asyncpg
import pytest

from dialerd.core.hours import NO_CAMPAIGN, UNKNOWN, Hours
from dialerd.engine.directory import Caller
from dialerd.engine.lookups import Lookups
from dialerd.store import dnc
from dialerd.store.dnc import Scope
from tests.terms import add_contacts

NUMBER = "+358401234567"


@pytest.fixture
def lookups(pool: asyncpg.Pool) -> Lookups:
    return Lookups(lambda: pool)


async def campaign(pool: asyncpg.Pool, name: str, tenant: int = 1) -> int:
    id_: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk)"
        " VALUES ($1, $2, 'active', 'progressive', 'q', 't') RETURNING id", tenant, name,
    )  # fmt: skip
    return id_


async def bar(
    pool: asyncpg.Pool, scope: Scope, *numbers: str, name: str = "own", prefixes: tuple[str, ...] = ()
) -> None:
    await dnc.add(pool, scope.tenant_id or 1, scope, numbers, "FI", "test", "source", name, prefixes)


async def test_a_number_is_clear_until_a_list_of_its_scope_has_it(lookups: Lookups, pool: asyncpg.Pool) -> None:
    spring, autumn = await campaign(pool, "Spring"), await campaign(pool, "autumn-1")
    assert await lookups.dnc_lists("040 1234567", "Spring") == ()
    await bar(pool, Scope(1, autumn), NUMBER, name="autumn only")
    assert await lookups.dnc_lists(NUMBER, "Spring") == ()
    assert await lookups.dnc_lists(NUMBER, "autumn-1") == ("autumn only",)
    assert await lookups.dnc_lists(NUMBER, str(autumn)) == ("autumn only",)
    await bar(pool, Scope(1), NUMBER)
    await bar(pool, Scope(None), name="register", prefixes=("+35840",))
    assert await lookups.dnc_lists(NUMBER, str(spring)) == ("own", "register")
    assert await lookups.dnc_lists(NUMBER, "") == ("own", "register")


async def test_another_systems_campaign_is_bound_by_every_list_of_the_tenant(
    lookups: Lookups, pool: asyncpg.Pool
) -> None:
    """It may be a slip of the pen for one of ours, so the stricter holds; with no campaign only the tenant's do."""
    await bar(pool, Scope(1, await campaign(pool, "Spring")), NUMBER)
    assert await lookups.dnc_lists(NUMBER, "TESTCAMP") == ("own",)
    assert await lookups.dnc_lists(NUMBER, "") == ()


async def test_another_tenants_lists_and_contacts_are_not_told(pool: asyncpg.Pool) -> None:
    lookups = Lookups(lambda: pool, "default")
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    theirs = await campaign(pool, "Theirs", other)
    await bar(pool, Scope(other), NUMBER)
    await add_contacts(pool, theirs, [NUMBER], ["Europe/Helsinki"], name="Anna")
    for name in ("", "TESTCAMP"):
        assert await lookups.dnc_lists(NUMBER, name) == ()
        assert await lookups.contact_info(NUMBER, name) is None
    assert await lookups.dnc_lists(NUMBER, "Theirs") == ("own",)


async def test_what_cannot_be_proven_is_unknown(lookups: Lookups, pool: asyncpg.Pool) -> None:
    assert await Lookups(lambda: None).dnc_lists(NUMBER, "") is None
    assert await Lookups(lambda: pool, "no such tenant").dnc_lists(NUMBER, "") is None
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    for tenant in (1, other):
        await campaign(pool, "Spring", tenant)
    assert await lookups.dnc_lists(NUMBER, "Spring") is None  # whose?
    assert await lookups.dnc_lists(NUMBER, "") is None
    assert await Lookups(lambda: pool, "other").dnc_lists(NUMBER, "") == ()


async def test_a_list_that_is_too_old_clears_nobody_and_still_bars(lookups: Lookups, pool: asyncpg.Pool) -> None:
    await bar(pool, Scope(1), NUMBER)
    await pool.execute("UPDATE dnc_lists SET as_of = now() - interval '40 days', max_age_days = 31")
    assert await lookups.dnc_lists(NUMBER, "") == ("own",)
    assert await lookups.dnc_lists("+358407654321", "") is None


@pytest.mark.parametrize(
    "text",
    [
        "500&PJSIP/itsp/14165551212", "1555@evil", "1555;phone-context=x", "1555?X-H=1", "sip:1555", "%0d%0a",
        "1555|30", "1555,30,g", "1555^x", "(1555)", "١٢٣٤٥٦٧", "１２３４５６７", "+88216123456", "+9791234567",
        "911", "112", "999", "+35860012345678901234", "", "   ", "\x00", "0" * 20, "' OR 1=1--",
    ],
)  # fmt: skip
async def test_what_is_no_number_that_may_be_called_is_neither_clear_nor_anybody(lookups: Lookups, text: str) -> None:
    assert await lookups.dnc_lists(text, "") is None
    assert await lookups.contact_info(text, "") is None


async def test_all_spellings_of_a_number_are_one(lookups: Lookups, pool: asyncpg.Pool) -> None:
    await bar(pool, Scope(1), NUMBER)
    for text in (NUMBER, "00358401234567", "0401234567", "040-123 4567", "+358 40 1234567"):
        assert await lookups.dnc_lists(text, "") == ("own",)


async def test_the_newest_contact_with_a_number_is_told(lookups: Lookups, pool: asyncpg.Pool) -> None:
    assert await lookups.contact_info(NUMBER, "") is None
    spring, autumn = await campaign(pool, "Spring"), await campaign(pool, "Autumn")
    await add_contacts(pool, spring, [NUMBER], ["Europe/Helsinki"], name="Anna", attempts=2, last_outcome="busy")
    await add_contacts(pool, autumn, [NUMBER], ["Europe/Helsinki"], name="Anna Autumn")
    found = await lookups.contact_info("0401234567", "Spring")
    assert found is not None
    assert {key: found[key] for key in ("campaign_id", "name", "state", "attempts", "last_outcome")} == {
        "campaign_id": spring, "name": "Anna", "state": "queued", "attempts": 2, "last_outcome": "busy"
    }  # fmt: skip
    for name in ("Autumn", "", "TESTCAMP"):
        newest = await lookups.contact_info(NUMBER, name)
        assert newest is not None
        assert newest["name"] == "Anna Autumn"


async def test_a_flood_of_questions_leaves_connections_to_the_claims_and_a_stuck_database_answers_in_a_second(
    lookups: Lookups, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE campaigns, tenants IN ACCESS EXCLUSIVE MODE")
        asked = [asyncio.create_task(lookups.dnc_lists(NUMBER, "Spring")) for _ in range(50)]
        async with asyncio.timeout(5):
            while await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < 2:
                await asyncio.sleep(0.01)
        assert await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == 2
        async with asyncio.timeout(5):
            assert set(await asyncio.gather(*asked)) == {None}
    assert await lookups.dnc_lists(NUMBER, "") == ()


async def test_the_hours_are_those_of_the_campaign_and_of_its_number(pool: asyncpg.Pool) -> None:
    open_, shut = await campaign(pool, "Open"), await campaign(pool, "Shut")
    await pool.execute("UPDATE campaigns SET skip_holidays = false")
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, d, '00:00', '24:00' FROM generate_series(1, 7) d", open_
    )
    await pool.execute("UPDATE campaigns SET legal_profile = 'no such profile' WHERE id = $1", shut)
    by_hand = Caller(1, open_, None, "FI")
    asked = Lookups(lambda: pool, caller=lambda campaign, agent: by_hand if agent == "aino" else None)
    found = await asked.hours(NUMBER, "Open", "")
    assert (found.campaign, found.closed) == (str(open_), "")
    assert (await asked.hours("040 1234567", "", "aino")).closed == ""
    assert (await asked.hours(NUMBER, "Shut", "aino")).closed == "unknown_profile"
    assert await asked.hours(NUMBER, "", "nobody") == Hours("", NO_CAMPAIGN)
    assert await asked.hours(NUMBER, "TESTCAMP", "aino") == Hours("", NO_CAMPAIGN)
    assert await asked.hours("112", "Open", "") == Hours("", UNKNOWN)
    await pool.execute("UPDATE campaigns SET state = 'paused' WHERE id = $1", open_)
    assert await asked.hours(NUMBER, "Open", "") == Hours(str(open_), "campaign_paused")
    await pool.execute("UPDATE campaigns SET state = 'completed'")
    await pool.execute("UPDATE tenants SET enabled = false")
    assert await asked.hours(NUMBER, "Open", "") == Hours(str(open_), "disabled")


async def test_hours_that_cannot_be_found_out_are_unknown(pool: asyncpg.Pool) -> None:
    assert await Lookups(lambda: None).hours(NUMBER, "Spring", "") == Hours("", UNKNOWN)
