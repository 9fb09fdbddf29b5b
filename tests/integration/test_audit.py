"""The sealed record: whatever is done to it behind dialerd's back, `audit verify` names it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dialerd import config
from dialerd.core.seal import canonical
from dialerd.store import audit
from dialerd.store.sealer import Sealer
from tests.faults.until import until
from tests.integration.test_admin import runner

_ADD = "INSERT INTO call_events (tenant_id, at, kind, detail) VALUES ($1, now(), $2, $3)"


async def write(pool: asyncpg.Pool, count: int = 10, tenant: int = 1) -> None:
    """Events, each in a transaction of its own."""
    for n in range(count):
        await pool.execute(
            _ADD, tenant, "test", {"n": n, "name": 'Ääkkönen "quoted"\n', "": [1.50, None, {"b": 1, "a": 2}]}
        )


async def seal_all(pool: asyncpg.Pool) -> int:
    total = 0
    while sealed := await audit.seal(pool, 7):
        total += sealed
    return total


async def tamper(pool: asyncpg.Pool, table: str, *statements: str) -> None:
    """What the owner of the database can do, triggers or not."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def findings(pool: asyncpg.Pool, tenant: int = 1) -> list[tuple[str, int | None]]:
    return [(f.kind, f.seq) for f in (await audit.verify(pool, tenant)).findings]


async def test_an_untouched_record_is_found_whole(pool: asyncpg.Pool) -> None:
    await write(pool)
    assert await seal_all(pool) == 10
    report = await audit.verify(pool, 1)
    assert (report.ok, report.events, report.unsealed, report.erased) == (True, 10, 0, 0)
    await write(pool, 2)
    report = await audit.verify(pool, 1)
    assert (report.ok, report.events, report.unsealed) == (True, 10, 2)


@pytest.mark.parametrize(
    ("table", "statements", "expected"),
    [
        ("call_events", ["UPDATE call_events SET detail = detail || '{\"n\": 77}' WHERE id = #5"], [("changed", 5)]),
        ("call_events", ["UPDATE call_events SET at = at - interval '1 us' WHERE id = #5"], [("changed", 5)]),
        ("call_events", ["UPDATE call_events SET kind = 'other' WHERE id = #5"], [("changed", 5)]),
        ("call_events", ["UPDATE call_events SET campaign_id = 9 WHERE id = #5"], [("changed", 5)]),
        ("call_events", ["UPDATE call_events SET attempt_id = gen_random_uuid() WHERE id = #5"], [("changed", 5)]),
        ("call_events", ["UPDATE call_events SET xid = '1' WHERE id = #5"], [("changed", 5)]),
        ("call_events", ["DELETE FROM call_events WHERE id = #5"], [("missing", 5)]),
        ("call_events", ["DELETE FROM call_events WHERE id = #10"], [("missing", 10)]),
        (
            "call_events",
            ["INSERT INTO call_events (tenant_id, at, kind, xid)"
             " SELECT 1, now(), 'test', xid FROM call_events WHERE id = #5"],
            [("inserted", None)],
        ),
        (
            "call_events",
            ["UPDATE call_events a SET detail = b.detail FROM call_events b"
             " WHERE (a.id, b.id) IN ((#4, #5), (#5, #4))"],
            [("changed", 4), ("changed", 5)],
        ),
        ("seals", ["UPDATE seals SET salt = uuid_send(gen_random_uuid()) WHERE seq = 5"], [("changed", 5)]),
        ("seals", ["UPDATE seals SET hash = sha256(hash) WHERE seq = 5"], [("broken", 5), ("broken", 6)]),
        ("seals", ["UPDATE seals SET digest = sha256(digest) WHERE seq = 5"], [("broken", 5), ("changed", 5)]),
        ("seals", ["DELETE FROM seals WHERE seq = 5"], [("missing", 5), ("inserted", None)]),
        (
            "seals",
            ["UPDATE seals SET seq = seq + 100 WHERE seq IN (4, 5)",
             "UPDATE seals SET seq = 109 - seq WHERE seq > 100"],
            [("broken", 4), ("broken", 5), ("disorder", 5), ("broken", 6)],
        ),
    ],
)  # fmt: skip
async def test_whatever_is_changed_behind_the_seals_is_named(
    pool: asyncpg.Pool, table: str, statements: list[str], expected: list[tuple[str, int | None]]
) -> None:
    await write(pool)
    await seal_all(pool)
    events = [row["event_id"] for row in await pool.fetch("SELECT event_id FROM seals ORDER BY seq")]
    await tamper(pool, table, *(re.sub(r"#(\d+)", lambda m: str(events[int(m[1]) - 1]), each) for each in statements))
    assert await findings(pool) == expected


async def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_noted(
    pool: asyncpg.Pool, tmp_path: Path, database: config.Postgres
) -> None:
    admin = runner(tmp_path / "etc", database)
    await write(pool)
    await seal_all(pool)
    head = (await admin("audit", "head")).out.strip()
    assert (await admin("audit", "verify", "--expect", head, "--json")).json["ok"]
    await tamper(pool, "call_events", "UPDATE call_events SET detail = '{}' WHERE id = 3")
    await tamper(pool, "seals", "DELETE FROM seals")
    await seal_all(pool)
    assert (await admin("audit", "verify")).status == 0
    answer = await admin("audit", "verify", "--expect", head, "--json")
    assert (answer.status, json.loads(answer.out)["findings"][0]["kind"]) == (1, "rewritten")
    await tamper(pool, "seals", "DELETE FROM seals WHERE seq > 8")
    assert "rewritten" in (await admin("audit", "verify", "--expect", head)).out
    assert (await admin("audit", "verify", "--expect", "8")).status == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE call_events SET detail = '{}'",
        "DELETE FROM call_events",
        "TRUNCATE call_events",
        "UPDATE seals SET hash = digest",
        "UPDATE seals SET salt = NULL, content = digest",
        "DELETE FROM seals",
        "TRUNCATE seals",
        "SET dialerd.erasing = 'on'; DELETE FROM call_events",
        "SET dialerd.erasing = 'on'; DELETE FROM seals",
        "SET dialerd.erasing = 'on'; UPDATE call_events SET kind = 'x'",
        "SET dialerd.erasing = 'on'; UPDATE call_events SET kind = 'x', detail = '{}'",
        "SET dialerd.erasing = 'on'; UPDATE seals SET hash = digest, salt = NULL, content = digest",
    ],
)
async def test_events_and_seals_are_append_only(pool: asyncpg.Pool, statement: str) -> None:
    await write(pool, 3)
    await seal_all(pool)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await pool.execute(statement)
    assert (await audit.verify(pool, 1)).ok


async def test_with_eight_writers_at_work_every_event_is_sealed_once_and_in_order(pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")

    async def writer(number: int) -> None:
        for n in range(40):
            async with pool.acquire() as connection, connection.transaction():
                for _ in range(n % 3 + 1):
                    await connection.execute(_ADD, n % 2 + 1, "test", {"by": number})
                    await connection.execute("SELECT pg_sleep(random() * 0.004)")

    writers = [asyncio.create_task(writer(n)) for n in range(8)]
    sealed = 0
    while not all(task.done() for task in writers):
        sealed += sum(await asyncio.gather(audit.seal(pool, 50), audit.seal(pool, 50)))
    await asyncio.gather(*writers)
    during = sealed
    sealed += await seal_all(pool)
    assert 0 < during <= sealed == await pool.fetchval("SELECT count(*) FROM call_events") == 8 * 79
    for tenant in (1, 2):
        report = await audit.verify(pool, tenant)
        assert (report.findings, report.unsealed) == ([], 0)
        assert report.events == await pool.fetchval("SELECT count(*) FROM call_events WHERE tenant_id = $1", tenant)


async def test_an_event_whose_transaction_is_open_holds_back_what_began_after_it(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_ADD, 1, "early", {})
        await write(pool, 1)
        assert await seal_all(pool) == 0
    assert await seal_all(pool) == 2
    kinds = await pool.fetch("SELECT kind FROM seals JOIN call_events e ON e.id = event_id ORDER BY seq")
    assert [row["kind"] for row in kinds] == ["early", "test"]


async def test_a_tenant_sees_its_own_seals_only(pool: asyncpg.Pool, tmp_path: Path, database: config.Postgres) -> None:
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    await write(pool, 2)
    await write(pool, 3, tenant=2)
    await seal_all(pool)
    admin = runner(tmp_path / "etc", database)
    assert (await admin("--tenant", "other", "audit", "head")).out.startswith("3:")
    assert (await admin("audit", "verify", "--json")).json["events"] == 2


async def test_the_daemons_task_seals_what_is_written_and_puts_the_head_into_the_log(pool: asyncpg.Pool) -> None:
    await write(pool, 3)
    answers: list[Any] = [None, pool]
    structlog.reset_defaults()  # another test may have turned the level up
    with capture_logs() as lines:
        task = asyncio.create_task(Sealer(lambda: answers.pop(0) if len(answers) > 1 else pool).run())
        await until(lambda: any(line["event"] == "record.sealed" for line in lines), 20)
        task.cancel()
    assert lines[-1]["head"] == f"3:{(await audit.heads(pool))[0].hash}"


_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=6),
)


async def test_the_canonical_text_is_what_postgresql_prints_however_it_was_rendered(pool: asyncpg.Pool) -> None:
    texts = ["1.500", "-0.0", "1e20", "1.0e-7", '{"b": 1.10, "aa": 2, "a": [1E2]}']

    @given(_json)
    def gather(value: object) -> None:
        texts.append(json.dumps(value, ensure_ascii=len(texts) % 2 == 0))

    gather()
    ask = "SELECT t::jsonb::text AS text FROM unnest($1::text[]) WITH ORDINALITY AS x (t, n) ORDER BY n"
    for given_text, row in zip(texts, await pool.fetch(ask, texts), strict=True):
        assert canonical(row["text"]) == row["text"]
        if not any(c in given_text for c in ".eE"):
            rendered = json.dumps(json.loads(given_text), sort_keys=True, separators=(",", ":"))
            assert canonical(rendered) == row["text"]
