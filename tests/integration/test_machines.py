"""What machine detection leaves in PostgreSQL: verdict, cause and time, and who corrected it; each batch once."""

import uuid
from typing import Any

import asyncpg

from dialerd.store import queries
from tests.integration.test_dispositions import talked

RECORD = queries.queries("engine").record


async def write(pool: asyncpg.Pool, run: uuid.UUID, batch: int, *rows: dict[str, Any]) -> None:
    await pool.execute(RECORD, run, "n", batch, list(rows))


def said(attempt: str, meaning: str) -> dict[str, Any]:
    return {"disposition": {
        "attempt_id": attempt, "at": "2026-11-25T12:00:00+00:00", "by": "api", "agent_id": None, "code": meaning,
        "meaning": meaning, "message": None, "contact": "done", "next_at": None, "number": "same", "callback": False,
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
