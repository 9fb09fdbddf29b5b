"""Two companies on one installation: neither sees, changes, dials, exports or limits what is the other's.

The first half is generated: it goes over every table that there is, so a new table that is not bound to its tenant,
or that this file does not fill, fails here.
"""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.core import recording
from dialerd.core.campaign import Draft
from dialerd.core.contactfile import contacts_of
from dialerd.core.disposition import Disposition, Meaning
from dialerd.core.limits import Limit
from dialerd.core.selection import Selection
from dialerd.pacing.learner import Learner
from dialerd.pacing.snapshot import Snapshot
from dialerd.store import (
    agents,
    callerid_admin,
    campaigns,
    consents,
    contact_pages,
    dispositions,
    dnc,
    recordings,
    schedules,
    settings,
    stats,
    tenants,
)
from dialerd.store.callerid_log import RequestLog, Row
from dialerd.store.claim import claim
from dialerd.store.contacts import import_contacts
from dialerd.store.errors import NotFound
from dialerd.store.export import export_csv
from dialerd.store.pacing import DecisionLog, Kept
from dialerd.store.pool import TenantPool
from tests.terms import open_in

SHARED = "+358401234567"  # a contact of both
ZONES = ["Europe/Helsinki", "Europe/Mariehamn"]

NOBODYS = {
    "schema_migrations": "the versions of the schema",
    "zone_sets": "combinations of IANA zones; which of them a tenant's numbers use does not stand there",
    "ledger_runs": "counters of the daemons' writing",
}
INSTALLATIONS = {"installation", "trunks", "dnc_lists", "dnc_numbers", "dnc_prefixes"}  # rows that all may see
LOGS = {"call_events", "seals"}  # what happened, without foreign keys
UNBOUND = {"numbers", "attempts", "contacts_erased", "caller_id_requests"}  # of no campaign that a key would check


@dataclass(frozen=True)
class Company:
    tenant: campaigns.Tenant
    pool: TenantPool
    campaign: int
    attempt: str


async def company(pool: asyncpg.Pool, name: str) -> Company:
    """A tenant with at least one row in every table; its names are everybody's."""
    if name != "default":
        await tenants.add(pool, name, "FI", "test")
    tenant = await campaigns.tenant(pool, name)
    own = TenantPool(pool, tenant.id)
    await pool.execute("INSERT INTO trunks (name, node, max_calls, tenant_id) VALUES ($1, 'n', 9, $2)", name, tenant.id)
    draft = Draft(name="Sales", dial_mode="progressive", queue_name="sales", trunk=name)
    id_ = (await campaigns.create(own, tenant.id, draft, "test")).id
    rows = [(1, ["phone", "name"]), *((n, [f"04012345{n:02}", name]) for n in range(65, 70))]
    await import_contacts(own, tenant.id, id_, contacts_of(iter(rows), "FI"), "test")
    agent = await agents.add(own, tenant.id, "ana", f"{name}-ana", ["sales"], "", "test")
    await pool.execute(
        "INSERT INTO agent_states (tenant_id, agent_id, state, started_at) VALUES ($1, $2, 'ready', now())",
        *(tenant.id, agent.id),
    )
    await callerid_admin.add(own, tenant.id, ["+35891234567"], "FI", "test")
    await schedules.add_holiday(own, tenant.id, schedules.Holiday(date(2027, 5, 5), "day off"), "test")
    await campaigns.change(own, tenant.id, id_, "start", "test")
    first = await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))
    assert first.refusal is None
    attempt = first.taken[0].attempt
    async with own.acquire() as connection, connection.transaction():
        await consents.opt_out(connection, tenant.id, "+358401234569", "dtmf")
    await dnc.add(own, tenant.id, dnc.Scope(tenant.id), ["+358501234567"], "FI", "test", "test")
    await pool.execute(
        "INSERT INTO dnc_prefixes (prefix, list_id) SELECT 35844, id FROM dnc_lists WHERE tenant_id = $1 LIMIT 1",
        tenant.id,
    )
    sale = Disposition("sale", "Sale", Meaning.SALE, 1)
    await dispositions.put(own, tenant.id, None, sale, "test")
    await pool.execute(
        "INSERT INTO previews (contact_id, tenant_id, campaign_id, agent_id, until)"
        " SELECT max(id), $1, $2, $3, now() FROM contacts WHERE campaign_id = $2",
        *(tenant.id, id_, agent.id),
    )
    await pool.execute("INSERT INTO inputs (tenant_id, attempt_id, digits) VALUES ($1, $2, '1')", tenant.id, attempt)
    await pool.execute("SELECT seal_v1(1000)")
    await pool.execute("INSERT INTO retention (tenant_id, days) VALUES ($1, 1000)", tenant.id)
    await pool.execute("INSERT INTO call_requests (id, tenant_id, digest) VALUES (uuid7(), $1, '')", tenant.id)
    log = DecisionLog("n", lambda: pool)
    snapshot, curves = Snapshot("predictive", 1, 0, 0, 9, 9), Learner().curves()
    log.put(Kept(tenant.id, id_, datetime(2026, 11, 20, tzinfo=UTC), snapshot, curves, 2.0, 1, "why"))
    await log.flush()
    requests = RequestLog("n", lambda: pool)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    requests.put(Row(at, tenant.id, "http", "", id_, "Sales", "ana", "n/1", "", "NONE", None, None, {}, False))
    assert await requests.flush()
    name = recording.name(attempt, "0" * 16)
    await recordings.begin(pool, name, "n", "always", datetime(2026, 11, 20, tzinfo=UTC), True)
    await pool.execute("INSERT INTO contacts_erased (campaign_id, tenant_id) VALUES ($1, $2)", id_, tenant.id)
    return Company(tenant, own, id_, attempt)


@dataclass(frozen=True)
class World:
    all: asyncpg.Pool
    a: Company
    b: Company


@pytest.fixture
async def world(pool: asyncpg.Pool) -> AsyncIterator[World]:
    await dnc.add(pool, 1, dnc.Scope(None), ["+358451234567"], "FI", "test", "test")
    await pool.execute("INSERT INTO dnc_prefixes (prefix, list_id) SELECT 35845, id FROM dnc_lists")
    yield World(pool, await company(pool, "default"), await company(pool, "acme"))


async def tables(pool: Any) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await pool.fetch(
        "SELECT relname AS name, relrowsecurity AND relforcerowsecurity AS bound FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname"
    )
    return found


async def bound_tables(pool: Any) -> list[str]:
    return [row["name"] for row in await tables(pool) if row["name"] not in NOBODYS]


async def seen(pool: Any, table: str) -> dict[str, dict[str, Any]]:
    """The rows of a table that this pool sees, by where they stand."""
    rows = await pool.fetch(f"SELECT ctid::text AS at, to_jsonb(t) AS row FROM {table} t")  # noqa: S608 -- catalog names
    return {row["at"]: row["row"] for row in rows}


async def insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    made = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attgenerated <> ''", table
    )
    names = ", ".join(f'"{name}"' for name in row.keys() - {each["attname"] for each in made})
    await connection.execute(
        f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608 -- catalog names
        f" SELECT {names} FROM jsonb_populate_record(NULL::{table}, $1)",
        row,
    )


async def test_every_table_is_bound_to_its_tenant_or_holds_nothing_of_any(pool: asyncpg.Pool) -> None:
    found = await tables(pool)
    assert {row["name"] for row in found if not row["bound"]} == set(NOBODYS)
    for table in NOBODYS:
        columns = await pool.fetch("SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass", table)
        assert not {"tenant_id", "campaign_id", "e164"} & {row["attname"] for row in columns}, table
    assert not await pool.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")


async def test_a_tenant_sees_its_own_rows_in_every_table_and_none_of_another(world: World) -> None:
    for table in await bound_tables(world.all):
        everything, a, b = [await seen(pool, table) for pool in (world.all, world.a.pool, world.b.pool)]
        both = a.keys() & b.keys()
        assert everything.keys() == a.keys() | b.keys(), table
        if table in INSTALLATIONS:
            assert both, f"{table}: no row of the installation's here"
            assert all(everything[at].get("tenant_id") is None for at in both), table
        else:
            assert not both, table
        if table != "installation":
            assert a.keys() - both, f"{table}: this file does not fill it"
            assert b.keys() - both, f"{table}: this file does not fill it"


async def test_a_session_without_a_tenant_sees_nothing_and_writes_nothing(
    world: World, database: config.Postgres
) -> None:
    assert database.password is not None
    nobody = await asyncpg.connect(database.dsn, password=database.password.get_secret_value())
    await nobody.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    for table in await bound_tables(world.all):
        assert await seen(nobody, table) == {}, table
        for row in (await seen(world.all, table)).values():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await insert(nobody, table, row)
            break
        assert await nobody.execute(f"DELETE FROM {table}") == "DELETE 0", table  # noqa: S608 -- catalog names
    await nobody.close()


async def test_a_tenant_changes_no_row_of_another_in_any_table(world: World) -> None:
    for table in await bound_tables(world.all):
        mine, theirs = await seen(world.a.pool, table), await seen(world.b.pool, table)
        columns = list(next(iter(theirs.values())))
        forbidden = [at for at, row in theirs.items() if at not in mine or row.get("tenant_id", 0) is None]
        if table in INSTALLATIONS:
            forbidden += [at for at in theirs if at in mine]
        assert forbidden, table
        async with world.a.pool.acquire() as a:
            at = "ctid = ANY ($1::text[]::tid[])"
            same = f"UPDATE {table} SET {columns[-1]} = {columns[-1]} WHERE {at}"  # noqa: S608 -- catalog names
            assert await _refused(a, same, forbidden) == "UPDATE 0", table
            assert await a.execute(f"DELETE FROM {table} WHERE {at}", forbidden) == "DELETE 0", table  # noqa: S608
            for place in forbidden:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await insert(a, table, theirs[place])
        assert (await seen(world.b.pool, table)).keys() == theirs.keys(), table


async def _refused(connection: Any, statement: str, rows: list[str]) -> str:
    """What a statement says; a row that may be locked and not written (the trunk of the batches) is an error."""
    try:
        return str(await connection.execute(statement, rows))
    except asyncpg.InsufficientPrivilegeError:
        return "UPDATE 0"


async def test_a_tenant_gives_no_row_away_and_takes_no_campaign_of_another(world: World) -> None:
    for table in await bound_tables(world.all):
        row = next(iter((await seen(world.a.pool, table)).values()))
        async with world.a.pool.acquire() as a:
            if "tenant_id" in row and table not in LOGS:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await a.execute(
                        f"UPDATE {table} SET tenant_id = $1 WHERE tenant_id = $2",  # noqa: S608 -- catalog names
                        *(world.b.tenant.id, world.a.tenant.id),
                    )
            # Numbers are bound by their contact, attempts by the claim: see sql/migrations/0009_tenancy.sql.
            if "campaign_id" in row and table not in LOGS | UNBOUND:
                with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.InsufficientPrivilegeError)):
                    await a.execute(f"UPDATE {table} SET campaign_id = $1", world.b.campaign)  # noqa: S608


async def test_a_tenant_cannot_claim_what_is_anothers(world: World) -> None:
    terms = await open_in(world.all, world.b.campaign, ZONES)
    before = await seen(world.b.pool, "contacts")
    got = await claim(world.a.pool, world.b.campaign, 5, "n", terms)
    assert (got.taken, got.refusal) == ((), "not_active")
    assert await seen(world.b.pool, "contacts") == before


async def test_another_tenants_trunk_is_unknown_and_a_shared_one_is_counted_by_who_sees_all(world: World) -> None:
    await world.all.execute("UPDATE campaigns SET trunk = 'acme' WHERE id = $1", world.a.campaign)
    terms = await open_in(world.all, world.a.campaign, ZONES)
    assert (await claim(world.all, world.a.campaign, 1, "n", terms)).refusal == "unknown_trunk"
    await world.all.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('shared', 'n', 9)")
    got = await claim(world.a.pool, world.a.campaign, 1, "n", terms, trunk="shared")
    assert got.refusal == "unknown_trunk", "its cap counts calls that this session does not see"
    assert len((await claim(world.all, world.a.campaign, 1, "n", terms, trunk="shared")).taken) == 1


async def test_the_functions_of_the_store_find_nothing_of_another_tenant(world: World) -> None:
    a, b = world.a, world.b
    pool: Any = a.pool
    everything = Selection(select_all=True)
    rows = [(1, ["phone"]), (2, ["0409999999"])]
    for tenant in (a.tenant.id, b.tenant.id):  # with its own id, and with the other's
        for work in (
            campaigns.get(pool, tenant, b.campaign),
            campaigns.find(pool, tenant, str(b.campaign)),
            campaigns.change(pool, tenant, b.campaign, "stop", "test"),
            import_contacts(pool, tenant, b.campaign, contacts_of(iter(rows), "FI"), "test"),
            contact_pages.page(pool, tenant, b.campaign, 0, 10),
            stats.campaign(pool, tenant, b.campaign),
            stats.grouped(pool, tenant, b.campaign, "day", None, "UTC"),
            settings.change(pool, tenant, b.campaign, {"purpose": "service"}, "test"),
        ):
            with pytest.raises(NotFound):
                await work
        out = io.StringIO(newline="")
        assert await export_csv(pool, tenant, b.campaign, everything, out) == 0
        assert await contact_pages.by_number(pool, tenant, b.campaign, [SHARED]) == {}
    assert await campaigns.all_of(pool, b.tenant.id) == []
    assert await agents.all_of(pool, b.tenant.id) == []
    assert await callerid_admin.all_of(pool, b.tenant.id) == []
    assert await schedules.holidays(pool, b.tenant.id) == []
    assert (await stats.numbers(pool, b.tenant.id))[0] == 0
    assert sum(day.total for day in await stats.by_day(pool, b.tenant.id, 3, "UTC")) == 0
    assert {bar.scope for bar in await dnc.check(pool, b.tenant.id, "+358451234567")} == {"system"}
    assert await dnc.check(pool, b.tenant.id, "+358501234567") == []
    assert {x.scope for x in await dnc.lists(pool, b.tenant.id)} == {"system"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await dnc.add(pool, b.tenant.id, dnc.Scope(b.tenant.id), ["+358401111111"], "FI", "test", "test")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await dnc.add(pool, a.tenant.id, dnc.Scope(None), ["+358401111111"], "FI", "test", "test")
    assert (await campaigns.get(b.pool, b.tenant.id, b.campaign)).state == "active"


async def test_anothers_calls_do_not_count_and_anothers_list_does_not_bar(world: World) -> None:
    """Both have called, or barred, numbers that are the other's contacts too."""
    a, b = world.a, world.b
    live = "SELECT count(*) FROM attempts WHERE e164 = '+358401234565' AND ended_at IS NULL"
    assert await world.all.fetchval(live) == 2
    # B alone calls and bars this one; A may still call it, though it may be called but once by anybody of a tenant.
    await world.all.execute("UPDATE contacts SET state = 'done' WHERE tenant_id = $1 AND state = 'queued'", a.tenant.id)
    await world.all.execute(
        "UPDATE contacts SET state = 'queued' WHERE id IN (SELECT contact_id FROM numbers WHERE e164 = $1)", SHARED
    )
    terms = await open_in(world.all, b.campaign, ZONES)
    assert SHARED in {t.e164 for t in (await claim(world.all, b.campaign, 5, "n", terms)).taken}
    await dnc.add(world.all, b.tenant.id, dnc.Scope(b.tenant.id), [SHARED], "FI", "test", "test")
    once = (Limit(1, None, "tenant"),)
    strict = await open_in(world.all, a.campaign, ZONES, limits=once)
    assert [t.e164 for t in (await claim(world.all, a.campaign, 5, "n", strict)).taken] == [SHARED]


async def test_anothers_switch_and_money_do_not_bind(world: World) -> None:
    await tenants.switch(world.all, "acme", False, "test")
    await tenants.set_money(world.all, "acme", "test", balance=Decimal(0), price_attempt=Decimal(1))
    terms = await open_in(world.all, world.a.campaign, ZONES)
    assert len((await claim(world.all, world.a.campaign, 1, "n", terms)).taken) == 1
    refused = await claim(world.all, world.b.campaign, 1, "n", await open_in(world.all, world.b.campaign, ZONES))
    assert refused.refusal == "disabled"
    await tenants.switch(world.all, "acme", True, "test")
    refused = await claim(world.all, world.b.campaign, 1, "n", await open_in(world.all, world.b.campaign, ZONES))
    assert refused.refusal == "insufficient_funds"
