"""Terms for tests that claim: open for a minute in the zones named, in the version that the database has now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from dialerd.core.limits import Limit, Lockout
from dialerd.core.schedule import Schedule
from dialerd.core.terms import Judgement, Terms


async def open_in(
    pool: asyncpg.Pool,
    campaign_id: int,
    zones: list[str],
    limits: tuple[Limit, ...] = (),
    lockouts: tuple[Lockout, ...] = (),
    until: datetime | None = None,
) -> Judgement:
    """A judgement under which every zone set within `zones` is open."""
    version = await pool.fetchval(
        "SELECT t.schedule_version || '.' || c.version FROM campaigns c JOIN tenants t ON t.id = c.tenant_id"
        " WHERE c.id = $1",
        campaign_id,
    )
    sets = await pool.fetch("SELECT id FROM zone_sets WHERE zones <@ $1 AND zones <> '{}'", zones)
    terms = Terms(Schedule(()), limits, lockouts, version)
    return Judgement(terms, tuple(row["id"] for row in sets), until or datetime.now(UTC) + timedelta(minutes=1))


async def add_contacts(
    pool: asyncpg.Pool, campaign_id: int, numbers: list[str], zones: list[str], **columns: Any
) -> None:
    """Contacts of one number each, in order, ready to be claimed; `columns` as in the table contacts."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", ${place}" for place in range(4, 4 + len(columns)))
    await pool.execute(
        f"""WITH given AS (SELECT e164, n, nextval(pg_get_serial_sequence('contacts', 'id')) AS id
                           FROM unnest($2::text[]) WITH ORDINALITY AS x (e164, n) ORDER BY n),
                 made AS (INSERT INTO contacts (id, tenant_id, campaign_id, zone_set{names}) OVERRIDING SYSTEM VALUE
                          SELECT given.id, c.tenant_id, c.id, $3{values} FROM given, campaigns c WHERE c.id = $1
                          RETURNING id)
            INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164, zone_set)
            SELECT c.tenant_id, c.id, given.id, given.e164, $3 FROM given JOIN made USING (id), campaigns c
            WHERE c.id = $1""",  # noqa: S608 -- our own names
        campaign_id, numbers, await pool.fetchval("SELECT zone_set_of($1)", zones), *columns.values(),
    )  # fmt: skip
