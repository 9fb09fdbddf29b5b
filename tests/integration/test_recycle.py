"""Recycling: who goes back into the queue, with what, and who never does by chance."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.core.contactfile import contacts
from dialerd.core.filters import FilterRefused
from dialerd.core.limits import Limit
from dialerd.store import dnc
from dialerd.store.claim import claim
from dialerd.store.contacts import import_contacts
from dialerd.store.errors import NotFound
from dialerd.store.queue import promote
from dialerd.store.recycle import lists, recycle
from tests.integration.test_admin import Admin, runner
from tests.integration.test_settings import campaign, states
from tests.terms import add_contacts, open_in

ZONE = ["Europe/Helsinki"]
EVERYBODY = "attempts >= 0"


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def over(pool: asyncpg.Pool, campaign_id: int, name: str, outcome: str | None, **columns: Any) -> str:
    """A contact that is over; its number."""
    count = await pool.fetchval("SELECT count(*) FROM contacts")
    number = f"+3584010{count:05}"
    values = {"state": "done", "attempts": 4, "tries": {"busy": 4}, **columns}
    await add_contacts(pool, campaign_id, [number], ZONE, name=name, last_outcome=outcome, **values)
    return number


async def test_those_that_the_filter_finds_begin_anew(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await over(pool, id_, "busy", "busy")
    await over(pool, id_, "failed", "failed")
    await over(pool, id_, "barred", "dnc", state="suppressed")
    await pool.execute("UPDATE numbers SET dead = 'limit'")
    seen = await recycle(pool, 1, id_, "last_outcome in (busy, dnc)", "test", dry_run=True)
    assert (seen.contacts, seen.by_outcome) == (2, {"busy": 1, "dnc": 1})
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE state = 'waiting'") == 0
    assert await recycle(pool, 1, id_, "last_outcome in (busy, dnc)", "test") == seen
    assert await states(pool, id_) == {"busy": "waiting", "failed": "done", "barred": "waiting"}
    rows = await pool.fetch("SELECT attempts, tries FROM contacts WHERE state = 'waiting'")
    assert [(row["attempts"], row["tries"]) for row in rows] == [(0, {})] * 2
    assert await pool.fetchval("SELECT count(*) FROM numbers WHERE dead IS NULL") == 2
    event = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'contacts.recycled'")
    assert (event["by"], event["where"], event["contacts"]) == ("test", "last_outcome in (busy, dnc)", 2)
    assert await promote(pool, id_) == 2


async def test_attempts_are_kept_where_that_is_wanted(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await over(pool, id_, "busy", "busy")
    await recycle(pool, 1, id_, EVERYBODY, "test", keep_attempts=True)
    assert tuple(await pool.fetchrow("SELECT attempts, tries FROM contacts")) == (4, {"busy": 4})


@pytest.mark.parametrize("outcome", ["connected", "unknown"])
async def test_the_reached_and_the_lost_go_back_by_name_only(pool: asyncpg.Pool, outcome: str) -> None:
    id_ = await campaign(pool)
    await over(pool, id_, "one", outcome)
    for where in (EVERYBODY, "last_outcome != busy", f"not (last_outcome != {outcome})"):
        done = await recycle(pool, 1, id_, where, "test")
        assert (done.contacts, done.left) == (0, {outcome: 1})
    assert (await recycle(pool, 1, id_, f"last_outcome in ({outcome})", "test")).contacts == 1


async def test_limits_and_lists_bind_the_recycled_as_before(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, limits=("1/24h",))
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 10)")
    await pool.execute("UPDATE campaigns SET state = 'active'")
    called = await over(pool, id_, "called", "busy")
    barred = await over(pool, id_, "barred", "dnc", state="suppressed")
    await dnc.add(pool, 1, dnc.Scope(1), [barred], "FI", "test", "test")
    await pool.execute(
        "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state, outcome,"
        " claimed_at, ended_at) SELECT uuid7(), 1, $1, contact_id, id, e164, 'n', 't', 'ended', 'busy', now(), now()"
        " FROM numbers WHERE e164 = $2", id_, called,
    )  # fmt: skip
    assert (await recycle(pool, 1, id_, EVERYBODY, "test")).contacts == 2
    assert await promote(pool, id_) == 2
    judgement = await open_in(pool, id_, ZONE, (Limit(1, 86_400),))
    assert (await claim(pool, id_, 10, "n", judgement)).taken == ()
    assert await states(pool, id_) == {"called": "waiting", "barred": "suppressed"}


async def test_only_contacts_of_the_list_and_the_campaign_that_are_named(pool: asyncpg.Pool) -> None:
    id_, other = await campaign(pool), await campaign(pool, "other")
    for campaign_id, name in ((id_, "one"), (id_, "two"), (other, "one")):
        number = f"04012345{campaign_id}{len(name)}{name[0]}".replace("o", "1").replace("t", "2")
        entries = contacts([f"phone,name\n{number},{name}\n"], "FI")
        await import_contacts(pool, 1, campaign_id, entries, "test", list_name=f"{name}.csv")
    await pool.execute("UPDATE contacts SET state = 'done'")
    assert (await recycle(pool, 1, id_, EVERYBODY, "test", list_name="two.csv")).contacts == 1
    assert await states(pool, id_) == {"one": "done", "two": "waiting"}
    assert await states(pool, other) == {"one": "done"}
    assert [(each.name, each.contacts, each.open) for each in await lists(pool, 1, id_)] == [
        ("two.csv", 1, 1),
        ("one.csv", 1, 0),
    ]
    with pytest.raises(NotFound, match="no list 'three'"):
        await recycle(pool, 1, id_, EVERYBODY, "test", list_name="three")
    with pytest.raises(FilterRefused):
        await recycle(pool, 1, id_, "", "test")
    assert (await recycle(pool, 2, id_, EVERYBODY, "test")).contacts == 0


async def test_contacts_of_no_known_zone_stay_where_they_are(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await over(pool, id_, "lost", "unknown_zone", state="suppressed")
    await pool.execute("UPDATE numbers SET zone_set = 0")
    assert (await recycle(pool, 1, id_, EVERYBODY, "test")).contacts == 0


async def test_the_command_tells_what_it_would_do_and_did(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, "Alpha")
    await over(pool, id_, "busy", "busy")
    await over(pool, id_, "talked", "connected")
    command = ("campaign", "recycle", "Alpha", "--where", EVERYBODY)
    dry = (await admin(*command, "--dry-run", "--json")).json
    assert dry == {"contacts": 1, "by_outcome": {"busy": 1}, "left": {"connected": 1}, "dry_run": True}
    assert await states(pool, id_) == {"busy": "done", "talked": "done"}
    answer = await admin(*command)
    assert "the campaign is draft" in answer.err and "connected 1" in answer.out
    assert await states(pool, id_) == {"busy": "waiting", "talked": "done"}
    wrong = await admin(*command[:3], "--where", "1 = 1")
    assert (wrong.status, "column 1: a field" in wrong.err) == (1, True)
