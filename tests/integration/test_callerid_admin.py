"""`dialer-admin cid`: pools kept from the command line, and the choice explained without being made."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio

from dialerd import config
from dialerd.core.callerid_file import MAX_ROWS, entries_of
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect
from dialerd.paths import shipped
from dialerd.store import callerid_admin, callerids
from dialerd.store.callerid_log import RequestLog
from dialerd.store.listfile import read_rows
from tests.integration.test_admin import Admin, runner

EXAMPLE = shipped("docs") / "example_caller_ids.csv"


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres, redis_settings: config.Redis) -> Admin:
    run = runner(tmp_path / "etc", database)
    assert redis_settings.password is not None
    (tmp_path / "etc" / "conf.d" / "redis.toml").write_text(
        f"[redis]\nurl = '{redis_settings.url}'\npassword = '{redis_settings.password.get_secret_value()}'\n"
    )
    (tmp_path / "etc" / "conf.d" / "redis.toml").chmod(0o600)
    return run


@pytest_asyncio.fixture
async def live(pool: asyncpg.Pool, redis_settings: config.Redis) -> AsyncIterator[CallerIds]:
    """What a daemon beside the command has."""
    client = connect(redis_settings)
    requests = RequestLog("node-a", lambda: pool)
    yield CallerIds(client, 300, lambda: requests.usage(datetime.now(UTC), 300))
    await client.aclose()


@pytest.mark.accepts("CID-11")
async def test_the_shipped_example_is_imported_once_and_reported_row_by_row(admin: Admin, tmp_path: Path) -> None:
    first = (await admin("cid", "import", str(EXAMPLE), "--json")).json
    assert (first["rows"], first["added"], first["refused"]) == (7, 7, {})
    assert first["report"][0] == {"row": 2, "caller_id": "+12125550142", "result": "added", "reason": ""}
    again = (await admin("cid", "import", str(EXAMPLE), "--json")).json
    assert (again["added"], again["updated"], again["unchanged"]) == (0, 0, 7)
    changed = tmp_path / "changed.csv"
    changed.write_text("caller_id;carrier\n+12125550142;New\n=cmd();x\n")
    report = tmp_path / "report.csv"
    third = await admin("cid", "import", str(changed), "--report", str(report))
    assert "row 3: characters '=cmd()' (refused)" in third.err
    assert report.read_text().splitlines()[1:] == ["2,'+12125550142,updated,", "3,'=cmd(),refused,characters"]
    (entry,) = (await admin("cid", "list", "--search", "0142", "--json")).json["caller_ids"]
    assert (entry["carrier"], entry["meta"]) == ("New", {"state": "NY", "type": "landline"})


async def test_an_import_goes_into_a_campaigns_own_pool(admin: Admin) -> None:
    await admin("campaign", "create", "Ventas", "--queue", "sales", "--trunk", "trunk-out")
    await admin("cid", "import", str(EXAMPLE), "--campaign", "Ventas")
    assert (await admin("cid", "import", str(EXAMPLE), "--json")).json["added"] == 7  # the tenant's is another pool
    assert len((await admin("cid", "list", "--campaign", "Ventas", "--json")).json["caller_ids"]) == 7
    assert (await admin("cid", "import", str(EXAMPLE), "--campaign", "nobody")).status == 3
    several = await admin("cid", "delete", "+12125550142")
    assert several.status == 1
    assert "several pools" in several.err


async def test_a_file_that_is_none_changes_nothing_and_says_why(admin: Admin, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("caller_id,limit\n+12125550142,5\n")
    answer = await admin("cid", "import", str(file))
    assert (answer.status, answer.out) == (1, "")
    assert "no column is called 'limit'" in answer.err


async def test_ten_thousand_rows_are_one_transaction_in_batches(pool: asyncpg.Pool, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    rows = "".join(f'+1{415 + n // 10_000}555{n % 10_000:04},One,,1000,100,"{{""n"": {n}}}"\n' for n in range(10_000))
    file.write_text("caller_id,carrier,area_code,daily_limit,hourly_limit,meta_json\n" + rows + "x,,,,,\n")
    told: list[str] = []
    entries = entries_of(read_rows(file), "US")
    report = await callerid_admin.put_file(pool, 1, None, entries, "test", lambda *row: told.append(row[2]))
    assert (report.added, report.refused, len(told)) == (10_000, {"characters": 1}, 10_001)
    file.write_text("caller_id\n+12125550142\n" + "x\n" * MAX_ROWS)
    with pytest.raises(ValueError, match="split the file"):
        await callerid_admin.put_file(pool, 1, None, entries_of(read_rows(file), "US"), "test")
    assert await pool.fetchval("SELECT count(*) FROM caller_ids") == 10_000


@pytest.mark.accepts("USR-07")
async def test_numbers_are_switched_and_deleted_by_id_or_number(admin: Admin, pool: asyncpg.Pool) -> None:
    added = (await admin("cid", "add", "+12125550142", "+14155550123", "--meta", '{"a": 1}', "--json")).json
    first, second = (entry["id"] for entry in added["caller_ids"])
    assert [entry["meta"] for entry in added["caller_ids"]] == [{"a": 1}, {"a": 1}]
    off = (await admin("cid", "deactivate", str(first), "+1 415 555 0123", "--json")).json["caller_ids"]
    assert [(entry["id"], entry["active"]) for entry in off] == [(first, False), (second, False)]
    assert (await admin("cid", "activate", str(second))).err == "caller ID +14155550123 is active\n"
    assert len((await admin("cid", "list", "--inactive", "--json")).json["caller_ids"]) == 1
    assert (await admin("cid", "delete", str(second))).status == 0
    assert (await admin("cid", "delete", str(second))).status == 3
    assert (await admin("cid", "delete", "x'; DROP TABLE caller_ids")).status == 3
    assert await pool.fetchval("SELECT count(*) FROM caller_ids") == 1
    assert (await admin("cid", "add", "+12125550143", "--meta", "{")).status == 2
    assert (await admin("cid", "add", "+12125550143", "--meta", "[1]")).status == 1
    assert (await admin("callerid", "list")).status == 0  # as it was called before


@pytest.mark.accepts("CID-03", "CID-08")
async def test_simulate_says_which_number_and_why_each_other_one_is_not(
    admin: Admin, pool: asyncpg.Pool, live: CallerIds, redis_settings: config.Redis
) -> None:
    async def row(e164: str, **columns: object) -> int:
        values = {"tenant_id": 1, "e164": e164, **columns}
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        insert = f"INSERT INTO caller_ids ({', '.join(values)}) VALUES ({places}) RETURNING id"  # noqa: S608 -- ours
        id_: int = await pool.fetchval(insert, *values.values())
        return id_

    now = datetime.now(UTC)
    best, held = await row("+12125550101"), await row("+12125550102")
    await row("+12125550103", active=False)
    await row("+12125550104", resting_until=now + timedelta(days=1))
    await row("+12125550105", daily_limit=0)
    await row("+12125550106", hourly_limit=0)
    far = await row("+14155550107")
    live.load(await callerids.load(pool))
    first = await live.select(1, 0, "+12125550199", "holder-1", None, now)
    second = await live.select(1, 0, "+12125550199", "holder-2", None, now)
    assert {first.cid_id, second.cid_id} == {best, held}
    await live.release("holder-1" if first.cid_id == best else "holder-2", now)
    client = redis.asyncio.Redis.from_url(
        redis_settings.url, password=redis_settings.password and redis_settings.password.get_secret_value()
    )
    before = await client.dbsize()

    answer = (await admin("cid", "simulate", "--to", "+1 212 555 0199", "--campaign", "theirs", "--json")).json

    assert (answer["status"], answer["caller_id"], answer["uses_from"]) == ("OK", "+12125550101", "redis")
    why = {each["caller_id"][-3:]: (each["near_as"], each["why"]) for each in answer["candidates"]}
    assert why == {
        "101": ("same area", ""),
        "107": ("same country", "farther away"),
        "102": ("same area", "reserved"),
        "103": ("same area", "inactive"),
        "104": ("same area", "resting"),
        "105": ("same area", "daily_limit"),
        "106": ("same area", "hourly_limit"),
    }
    assert [each["used_this_hour"] for each in answer["candidates"][:1]] == [1]
    assert await client.dbsize() == before  # nothing is reserved
    await client.aclose()
    assert far


async def test_simulate_shows_a_table_and_works_without_redis(admin: Admin, tmp_path: Path) -> None:
    await admin("cid", "add", "+12125550142")
    (tmp_path / "etc" / "conf.d" / "redis.toml").write_text("[redis]\nurl = 'redis://127.0.0.1:1/0'\n")
    answer = await admin("cid", "simulate", "--to", "+12125550199", "--campaign", "theirs")
    assert answer.status == 0, answer.err
    assert "(taken)" in answer.out
    assert "uses and reservations are PostgreSQL's" in answer.err
    assert "no campaign of ours is called 'theirs'" in answer.err
    assert (await admin("cid", "simulate", "--to", "911")).status == 1
