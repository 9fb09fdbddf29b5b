"""Erasure: what is old loses whose it was, what is young stays, and the chain holds through it all."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.clock import Clock
from dialerd.store import audit, retention
from dialerd.store.dnc import Scope, add
from dialerd.store.eraser import Eraser
from dialerd.store.errors import Refused
from dialerd.store.proof import proof
from tests.faults.until import until
from tests.integration.test_admin import runner
from tests.integration.test_audit import findings, seal_all, tamper
from tests.integration.test_why import NUMBER, OTHER, make

_EVENT = (
    "INSERT INTO call_events (tenant_id, attempt_id, at, kind, detail) VALUES (1, $1, now() - $2::interval, $3, $4)"
)


async def history(pool: asyncpg.Pool) -> None:
    """Three calls: two of a year ago, one of yesterday; their events, sealed; one campaign over and one active."""
    async with pool.acquire() as connection:
        await make(connection)
        for days, e164, outcome in ((400, NUMBER, "busy"), (399, NUMBER, "connected"), (1, NUMBER, "busy")):
            age = timedelta(days=days)
            id_ = await connection.fetchval(
                "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state,"
                " outcome, message, claimed_at, ended_at) SELECT uuid7(), 1, c.id, q.id, 0, $1, 'n', 't', 'ended', $2,"
                " 'a note', now() - $3::interval, now() - $3::interval FROM campaigns c, contacts q WHERE c.name = 'd'"
                " RETURNING id", e164, outcome, age,
            )  # fmt: skip
            await connection.execute("INSERT INTO inputs (tenant_id, attempt_id, digits) VALUES (1, $1, '1234')", id_)
            await connection.execute(_EVENT, id_, age, "claimed", {"zones": ["Europe/Helsinki"]})
            await connection.execute(_EVENT, id_, age, "ended", {"outcome": outcome, "number": e164})
        await connection.execute("UPDATE campaigns SET state = 'stopped', updated_at = now() - interval '400 days',"
                                 " created_at = now() - interval '400 days' WHERE name = 'c'")  # fmt: skip
        await connection.execute(
            "UPDATE contacts SET name = 'Aino', external_id = 'x1', custom = '{\"city\": \"Oulu\"}'"
        )
        await connection.execute(
            "INSERT INTO consents (tenant_id, e164, kind, source) VALUES (1, $1, 'opt_out', 'a')", NUMBER
        )
    await add(pool, 1, Scope(1), [NUMBER], "FI", "test", "the agent")
    await seal_all(pool)


async def run(pool: Any, days: int = 90) -> retention.Erased:
    await retention.set_days(pool, 1, days, "test")
    return await retention.run(pool, 1, datetime.now(UTC), "test")


async def test_what_is_old_is_erased_and_what_is_young_stays(pool: asyncpg.Pool) -> None:
    await history(pool)
    done = await run(pool)
    assert (done.attempts, done.contacts, done.events) == (2, 1, 4)
    attempts = await pool.fetch("SELECT e164, message FROM attempts ORDER BY claimed_at")
    assert attempts[0]["e164"] == attempts[1]["e164"] != NUMBER
    assert attempts[0]["e164"].startswith("~")
    assert (attempts[0]["message"], attempts[2]["e164"], attempts[2]["message"]) == (None, NUMBER, "a note")
    assert [row["digits"] for row in await pool.fetch("SELECT digits FROM inputs ORDER BY id")] == ["", "", "1234"]
    contact = await pool.fetchrow("SELECT name, external_id, custom, state FROM contacts")
    assert tuple(contact) == ("", None, {}, "done")
    assert await pool.fetchval("SELECT count(*) FROM numbers") == 0
    details = await pool.fetch("SELECT detail FROM call_events WHERE attempt_id IS NOT NULL ORDER BY id")
    assert [bool(row["detail"]) for row in details] == [False] * 4 + [True] * 2
    assert await pool.fetchval("SELECT count(*) FROM consents") == 1
    assert await pool.fetchval("SELECT count(*) FROM dnc_numbers") == 1
    again = await run(pool)
    assert (again.attempts, again.contacts, again.events) == (0, 0, 0)


async def test_the_chain_holds_through_an_erasure_before_and_after_it_is_sealed(pool: asyncpg.Pool) -> None:
    await history(pool)
    head = (await audit.heads(pool))[0]
    await run(pool)
    for _ in range(2):
        report = await audit.verify(pool, 1, (head.seq, head.hash))
        assert (report.findings, report.erased) == ([], 4)
        await seal_all(pool)
    found = await proof(pool, 1, "default", NUMBER, datetime.now(UTC))
    assert [len(found.attempts), found.seals["changed"]] == [1, 0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE call_events SET kind = 'other' WHERE detail = '{}' AND attempt_id IS NOT NULL AND kind = 'ended'",
        "UPDATE call_events SET at = at + interval '1 s' WHERE id IN (SELECT event_id FROM seals WHERE seq = 2)",
        "UPDATE call_events SET detail = '{\"x\": 1}' WHERE id IN (SELECT event_id FROM seals WHERE seq = 2)",
    ],
)
async def test_an_erased_event_that_is_changed_later_is_still_found(pool: asyncpg.Pool, statement: str) -> None:
    await history(pool)
    await run(pool)
    await seal_all(pool)
    await tamper(pool, "call_events", statement)
    assert {kind for kind, _ in await findings(pool)} == {"changed"}


async def test_an_erasure_does_not_hide_that_an_event_had_been_changed_before(pool: asyncpg.Pool) -> None:
    await history(pool)
    await tamper(pool, "call_events", "UPDATE call_events SET detail = '{\"outcome\": \"x\"}' WHERE id ="
                                      " (SELECT event_id FROM seals WHERE seq = 2)")  # fmt: skip
    await run(pool)
    assert await findings(pool) == [("changed", 2)]


async def test_an_erasure_that_is_not_on_record_is_found(pool: asyncpg.Pool) -> None:
    await history(pool)
    await tamper(pool, "seals", "UPDATE seals s SET content = event_content(salt, detail), salt = NULL"
                                " FROM call_events e WHERE e.id = s.event_id AND seq = 5")  # fmt: skip
    await tamper(pool, "call_events", "UPDATE call_events SET detail = '{}' WHERE id ="
                                      " (SELECT event_id FROM seals WHERE seq = 5)")  # fmt: skip
    assert await findings(pool) == [("erased", 5)]
    await run(pool)
    assert await findings(pool) == [("erased", 5)]


async def test_the_record_of_an_erasure_is_not_erased(pool: asyncpg.Pool) -> None:
    await history(pool)
    await run(pool)
    await seal_all(pool)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE call_events DISABLE TRIGGER USER")
        await connection.execute("UPDATE call_events SET at = at - interval '2 years'")
        await connection.execute("ALTER TABLE call_events ENABLE TRIGGER USER")
    await run(pool)
    kinds = await pool.fetch("SELECT kind FROM call_events WHERE detail <> '{}' AND at < now() - interval '1 year'")
    assert {row["kind"] for row in kinds} == {"retention.erased"}


@pytest.mark.parametrize(
    ("change", "days", "word"),
    [
        ("UPDATE campaigns SET legal_profile = 'US-FED'", 1826, "US-FED"),
        ("UPDATE campaigns SET limits = '[\"20/180d\"]'", 179, "20/180d"),
        ("UPDATE campaigns SET limits = '[\"20/ever\"]'", 30_000, "20/ever"),
        ("UPDATE campaigns SET abandon_lockout_seconds = 30 * 86400", 29, "lockout_abandon"),
    ],
)
async def test_a_setting_shorter_than_the_law_or_a_rule_asks_for_is_refused_by_name(
    pool: asyncpg.Pool, change: str, days: int, word: str
) -> None:
    async with pool.acquire() as connection:
        await make(connection)
    await pool.execute(change)
    with pytest.raises(Refused, match=word):
        await retention.set_days(pool, 1, days, "test")
    assert (await retention.show(pool, 1)).days is None
    if days < 30_000:
        assert (await retention.set_days(pool, 1, days + 1, "test")).days == days + 1


async def test_a_run_stops_when_a_campaign_has_come_that_asks_for_more(pool: asyncpg.Pool) -> None:
    await history(pool)
    await retention.set_days(pool, 1, 90, "test")
    await pool.execute("UPDATE campaigns SET legal_profile = 'US-FED' WHERE name = 'c'")
    with pytest.raises(Refused, match="US-FED"):
        await retention.run(pool, 1, datetime.now(UTC), "test")
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE e164 = $1", NUMBER) == 3


async def test_whoever_must_never_be_called_again_is_not_forgotten(pool: asyncpg.Pool) -> None:
    await history(pool)
    await pool.execute("UPDATE campaigns SET legal_profile = 'FR'")  # objections hold for ever
    await pool.execute("UPDATE attempts SET disposition = 'objection', e164 = $1 WHERE outcome = 'connected'", OTHER)
    await run(pool)
    numbers = await pool.fetch("SELECT left(e164, 1) AS sign FROM attempts ORDER BY claimed_at")
    assert [row["sign"] for row in numbers] == ["~", "+", "+"]


async def test_the_command_shows_sets_counts_and_erases(
    pool: asyncpg.Pool, tmp_path: Path, database: config.Postgres
) -> None:
    await history(pool)
    admin = runner(tmp_path / "etc", database)
    assert "for ever" in (await admin("retention", "show")).out
    assert (await admin("retention", "run", "--json")).json["before"] is None
    assert (await admin("retention", "set", "soon")).status == 2
    assert (await admin("retention", "set", "2")).status == 1  # the lockout after an abandoned call holds for three
    assert (await admin("retention", "set", "90", "--json")).json["days"] == 90
    counted = (await admin("retention", "run", "--dry-run", "--json")).json
    assert (counted["attempts"], counted["contacts"], counted["events"]) == (2, 1, 4)
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE e164 = $1", NUMBER) == 3
    done = (await admin("retention", "run", "--json")).json
    assert (done["attempts"], done["contacts"], done["events"]) == (2, 1, 4)
    assert (await admin("retention", "set", "forever", "--json")).json["days"] is None


async def test_the_daemons_task_erases_once_a_day(pool: asyncpg.Pool, capsys: pytest.CaptureFixture[str]) -> None:
    await history(pool)
    await retention.set_days(pool, 1, 90, "test")
    assert await retention.due(pool) == [1]
    task = asyncio.create_task(Eraser(lambda: pool, Clock()).run())
    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "retention.ran" in said

    await until(told, 20)
    task.cancel()
    assert await retention.due(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE e164 = $1", NUMBER) == 1
