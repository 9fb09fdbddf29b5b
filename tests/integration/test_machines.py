"""What machine detection leaves in PostgreSQL: verdict, cause and time, and who corrected it; each batch once."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.clock import Clock
from dialerd.core.machines import Tally, lost
from dialerd.engine.bookkeeper import Bookkeeper
from dialerd.engine.calls import Calls
from dialerd.engine.campaign import from_row
from dialerd.store import pacing, queries, stats
from tests.integration.test_admin import runner
from tests.integration.test_dispositions import talked
from tests.integration.test_pacing_store import _nodes as nodes
from tests.integration.test_pacing_store import attempt
from tests.integration.test_settings import campaign

RECORD = queries.queries("engine").record


async def write(pool: asyncpg.Pool, run: uuid.UUID, batch: int, *rows: dict[str, Any]) -> None:
    await pool.execute(RECORD, run, "n", batch, list(rows))


def said(attempt: str, meaning: str, **more: Any) -> dict[str, Any]:
    return {"disposition": {
        "attempt_id": attempt, "at": "2026-11-25T12:00:00+00:00", "by": "api", "agent_id": None, "code": meaning,
        "meaning": meaning, "message": None, "contact": "done", "next_at": None, "number": "same", "callback": False,
        **more,
    }}  # fmt: skip


async def test_cause_and_time_of_a_verdict_are_kept_and_not_lost_by_a_row_that_knows_less(pool: asyncpg.Pool) -> None:
    _, attempt = await talked(pool)
    run = uuid.uuid4()
    known = {"machine": {"attempt_id": attempt, "cause": "LONGGREETING-1520-1500", "seconds": 1.75}}
    less = {"machine": {"attempt_id": attempt, "cause": None, "seconds": None}}
    await write(pool, run, 1, known)
    await write(pool, run, 2, less)
    row = await pool.fetchrow("SELECT machine_cause, machine_seconds, machine_corrected FROM attempts")
    assert tuple(row) == ("LONGGREETING-1520-1500", 1.75, False)


async def test_a_disposition_of_that_meaning_corrects_the_verdict_and_the_first_word_holds(pool: asyncpg.Pool) -> None:
    _, attempt = await talked(pool)
    await write(pool, uuid.uuid4(), 1, said(attempt, "machine"), said(attempt, "sale"))
    assert await pool.fetchval("SELECT machine_corrected FROM attempts") is True


async def test_a_word_that_came_too_late_corrects_nothing(pool: asyncpg.Pool) -> None:
    _, attempt = await talked(pool)
    await write(pool, uuid.uuid4(), 1, said(attempt, "sale"), said(attempt, "machine"))
    row = await pool.fetchrow("SELECT disposition, machine_corrected FROM attempts")
    assert tuple(row) == ("sale", False)


@pytest.mark.parametrize(
    ("meaning", "said_by_agent", "heard"),
    [
        ("machine", True, True),
        ("machine", False, None),
        ("sale", True, False),
        ("sale", False, None),
        ("sale", None, None),
    ],
)
async def test_what_an_agent_says_of_a_machine_is_kept_and_what_the_limit_says_is_not(
    pool: asyncpg.Pool, meaning: str, said_by_agent: bool | None, heard: bool | None
) -> None:
    _, attempt = await talked(pool)
    await pool.execute("UPDATE attempts SET machine = 'MACHINE'")
    found = {"machine": {"attempt_id": attempt, "cause": None, "seconds": None, "checked": True}}
    word = said(attempt, meaning, **({} if said_by_agent is None else {"said": said_by_agent}))
    await write(
        pool, uuid.uuid4(), 1, found, word, said(attempt, "machine" if meaning == "sale" else "sale", said=True)
    )
    row = await pool.fetchrow("SELECT machine_checked, machine_said, machine_corrected FROM attempts")
    assert tuple(row) == (True, heard, meaning == "machine")


async def ended(pool: asyncpg.Pool, id_: int, count: int, outcome: str, ago: float = 1.0, **columns: Any) -> None:
    """So many machines, by the verdict, that answered so many hours ago."""
    at = datetime.now(UTC) - timedelta(hours=ago)
    for _ in range(count):
        await attempt(
            pool, id_, outcome=outcome, machine="MACHINE", answered_at=at, claimed_at=at, ended_at=at, **columns
        )


async def checks(pool: asyncpg.Pool, id_: int) -> None:
    """Of ten that were checked eight were machines; on one of them the agent left a message."""
    agent = await pool.fetchval("INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, 'a', 'a') RETURNING id")
    heard = {"machine_checked": True, "agent_id": agent}
    await ended(pool, id_, 7, "connected", machine_said=True, machine_corrected=True, **heard)
    await ended(pool, id_, 1, "message_left", **heard)
    await ended(pool, id_, 2, "connected", machine_said=False, **heard)
    await ended(pool, id_, 1, "connected", **heard)
    await ended(pool, id_, 1, "abandoned", machine_checked=True)
    await ended(pool, id_, 2, "connected", machine_said=False, agent_id=agent)  # by way of its flow: no lot


async def test_the_figures_tell_how_often_a_person_is_taken_for_a_machine(
    pool: asyncpg.Pool, database: config.Postgres, tmp_path: Path
) -> None:
    id_ = await campaign(pool, name="Alpha")
    await ended(pool, id_, 30, "machine")
    await ended(pool, id_, 10, "message_left")
    before = await stats.machines(pool, 1, id_, None)
    assert (before.unheard, before.checked, before.false_positives) == (40, 0, None)
    assert (before.false_positives_at_most, before.lost_at_most) == (1.0, 40.0)
    await checks(pool, id_)
    told = await stats.machines(pool, 1, id_, None)
    assert (told.unheard, told.checked, told.checked_persons, told.false_positives) == (40, 10, 2, 0.2)
    assert told.lost_at_most == lost(40, 10, 2) == pytest.approx(40 * told.false_positives_at_most, abs=0.01)
    shown = (await runner(tmp_path / "etc", database)("campaign", "machines", "Alpha", "--json")).json
    assert {name: shown[name] for name in ("unheard", "checked", "checked_persons", "lost_at_most")} == {
        "unheard": 40, "checked": 10, "checked_persons": 2, "lost_at_most": told.lost_at_most
    }  # fmt: skip


async def test_machines_are_counted_from_each_start_on_and_from_an_index_alone(pool: asyncpg.Pool) -> None:
    id_, other = await campaign(pool, name="Alpha"), await campaign(pool, name="Beta")
    now = datetime.now(UTC)
    await ended(pool, id_, 3, "machine", ago=1)
    await ended(pool, id_, 2, "message_left", ago=30)
    await ended(pool, id_, 1, "hung_up", ago=1)  # it was for an agent: an answer
    await ended(pool, id_, 1, "machine", ago=1, batch_id=uuid.uuid4())
    await ended(pool, other, 5, "machine", ago=1)
    await checks(pool, id_)
    await attempt(pool, id_, outcome="connected", machine="HUMAN", machine_corrected=True, answered_at=now)
    day, month = now - timedelta(hours=24), now - timedelta(days=30)
    assert await pacing.machines(pool, id_, [day, month], month) == Tally((3, 5), (8, 8), 10, 2)
    assert await pacing.machines(pool, id_, [day], now) == Tally((3,), (8,), 0, 0), "no check since then"
    assert await pacing.machines(pool, id_, [], month) == Tally((), (), 0, 0)
    await pool.execute(
        "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state, outcome,"
        " claimed_at, answered_at, ended_at, machine) SELECT uuid7(), 1, $1, -n, -n, '+358401234567', 'n', 't',"
        " 'ended', 'machine', at, at, at, (ARRAY['MACHINE', 'HUMAN'])[1 + n % 2]"
        " FROM generate_series(1, 40000) AS n, LATERAL (SELECT now() - n * interval '1 minute' AS at) AS x", other,
    )  # fmt: skip
    await pool.execute("VACUUM ANALYZE attempts")
    plan = await pool.fetchval("EXPLAIN (FORMAT JSON) " + pacing._MACHINES, other, [day], day)
    scans = [node for node in nodes(json.loads(plan)[0]["Plan"]) if node.get("Relation Name") == "attempts"]
    assert [(node["Node Type"], node["Index Name"]) for node in scans] == [("Index Only Scan", "attempts_machines")] * 2


@pytest.mark.parametrize("profile", ["UK", None])
async def test_the_budget_shrinks_by_those_who_were_taken_for_machines_where_the_law_counts_them(
    pool: asyncpg.Pool, profile: str | None
) -> None:
    """The daemon's own way from the record to the budget."""
    id_ = await campaign(pool, name="Alpha", legal_profile=profile, machine_detection="drop")
    for _ in range(100):
        at = datetime.now(UTC) - timedelta(hours=1)
        await attempt(pool, id_, outcome="connected", answered_at=at, claimed_at=at, ended_at=at)
    await ended(pool, id_, 20, "machine")
    row = next(row for row in await pool.fetch(queries.queries("terms").campaigns, [id_], False, datetime.now(UTC)))
    found = from_row(row, 2.0)
    node: Any = SimpleNamespace(
        clock=Clock(), config=SimpleNamespace(node="n"), reach=lambda: pool, pool=lambda: pool,
        calls=Calls(lambda *_: None), ledger=SimpleNamespace(ending=frozenset()), campaigns={id_: found},
    )  # fmt: skip
    keeper = Bookkeeper(node, lambda: None)

    async def left() -> float:
        await keeper._read(found)
        budget = found.book.budget(node.clock.monotonic(), found.allowance.cap)
        assert budget is not None and budget.spent(5) == (budget.left < 0)
        return budget.left

    unchecked, counted = await left(), profile == "UK"
    assert unchecked == pytest.approx(0.03 * 120 - 20 if counted else 3.0)
    found.book.count_machine("one more")
    assert await left() == pytest.approx(0.03 * 120 - 20 if counted else 3.0), (
        "it has ended, and is on record or nowhere"
    )
    await ended(pool, id_, 300, "connected", machine_checked=True, machine_said=True, machine_corrected=True)
    more = 3.0 - (0.97 * lost(20, 300, 0) if counted else 0.0)  # those were machines, and no live answers
    assert await left() == pytest.approx(more)
