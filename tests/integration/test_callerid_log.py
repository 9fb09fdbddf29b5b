"""The log of requests for a caller ID, and what a rebuild reads from it, in a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from dialerd.core.callerid import CallEnd, CallerId, Usage
from dialerd.store import callerid_log, callerids
from dialerd.store.callerid_log import RequestLog, Row
from tests.integration.test_claim import campaign

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
E164 = "+14155550101"
TO = "+12125550199"


async def number(pool: asyncpg.Pool, campaign_id: int | None = None, e164: str = E164) -> int:
    id_: int = await pool.fetchval(
        "INSERT INTO caller_ids (tenant_id, campaign_id, e164) VALUES (1, $1, $2) RETURNING id", campaign_id, e164
    )
    return id_


def row(cid: int | None, holder: str, age: timedelta = timedelta(), **changes: Any) -> Row:
    """A foreign call's request that got a number, so long before NOW."""
    values: dict[str, Any] = {
        "at": NOW - age, "tenant_id": 1, "door": "fastagi", "peer": "192.0.2.7", "campaign_id": None,
        "campaign": "SALES1", "agent": "1001", "holder": holder, "to_e164": TO, "status": "OK" if cid else "NONE",
        "caller_id_id": cid, "caller_id": E164 if cid else None, "reasons": {}, "again": False,
    }  # fmt: skip
    return Row(**{**values, **changes})


async def stored(pool: asyncpg.Pool, holder: str) -> asyncpg.Record:
    found = await pool.fetch("SELECT * FROM caller_id_requests WHERE holder = $1", holder)
    assert len(found) == 1
    return found[0]


@pytest.fixture
def log(pool: asyncpg.Pool) -> RequestLog:
    return RequestLog("node-a", lambda: pool)


async def test_every_number_is_loaded_with_its_limits(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    tenants, own = await number(pool), await number(pool, id_)
    await pool.execute(
        "UPDATE caller_ids SET carrier = 'x', meta = $2, resting_until = $3 WHERE id = $1", own, {"a": 1}, NOW
    )
    assert await callerids.load(pool) == [
        CallerId(tenants, 1, None, E164, 100, 1000),
        CallerId(own, 1, id_, E164, 100, 1000, carrier="x", meta={"a": 1}, resting_until=NOW),
    ]


async def test_more_numbers_than_are_read_at_a_time_are_all_loaded(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO caller_ids (tenant_id, e164) SELECT 1, '+1415555' || lpad(n::text, 4, '0')"
        " FROM generate_series(0, 2499) AS n"
    )
    assert len({row.id for row in await callerids.load(pool)}) == 2500


@pytest.mark.accepts("CID-03")
async def test_a_request_and_the_end_of_its_call_are_one_row(pool: asyncpg.Pool, log: RequestLog) -> None:
    cid = await number(pool)
    log.put(row(cid, "a"))
    log.put(row(None, "b", reasons={"reserved": 3}))
    log.release("a", NOW + timedelta(seconds=9), CallEnd("answered", 7.5))
    assert await log.flush()
    a, b = await stored(pool, "a"), await stored(pool, "b")
    assert (a["at"], a["node"], a["peer"], a["campaign"], a["agent"]) == (NOW, "node-a", "192.0.2.7", "SALES1", "1001")
    assert (a["caller_id_id"], a["caller_id"], a["result"], a["talk_seconds"]) == (cid, E164, "answered", 7.5)
    assert a["released_at"] == NOW + timedelta(seconds=9)
    assert (b["status"], b["reasons"], b["released_at"]) == ("NONE", {"reserved": 3}, None)


@pytest.mark.parametrize("at_once", [False, True])
async def test_how_a_call_ended_may_be_told_later_and_is_not_taken_back(
    pool: asyncpg.Pool, log: RequestLog, at_once: bool
) -> None:
    """The dialplan's `h` releases without a word, then the engine says how it ended; then a stranger repeats it."""
    cid = await number(pool)
    log.put(row(cid, "a"))
    log.put(row(cid, "a", again=True))
    for seconds, end in ((5, None), (6, CallEnd("busy")), (7, CallEnd("answered", 1.0)), (8, None)):
        log.release("a", NOW + timedelta(seconds=seconds), end)
        assert at_once or await log.flush()
    assert await log.flush()
    first = await pool.fetchrow("SELECT * FROM caller_id_requests WHERE holder = 'a' AND NOT again")
    assert (first["released_at"], first["result"]) == (NOW + timedelta(seconds=5), "busy")
    assert await pool.fetchval("SELECT released_at FROM caller_id_requests WHERE again") is None


async def test_a_holder_that_comes_back_is_released_where_it_was_asked_last(
    pool: asyncpg.Pool, log: RequestLog
) -> None:
    cid = await number(pool)
    log.put(row(cid, "a", timedelta(seconds=60)))
    log.put(row(cid, "a", timedelta(seconds=20)))
    log.release("a", NOW - timedelta(seconds=30), CallEnd("busy"))
    log.release("a", NOW, CallEnd("no_answer"))
    assert await log.flush()
    found = await pool.fetch("SELECT result FROM caller_id_requests ORDER BY at")
    assert [r["result"] for r in found] == ["busy", "no_answer"]


@pytest.mark.parametrize("written", [True, False])
async def test_uses_of_this_hour_and_day_are_counted_and_the_live_call_has_the_number(
    pool: asyncpg.Pool, log: RequestLog, written: bool
) -> None:
    cid, never = await number(pool), await number(pool, e164="+14155550102")
    log.put(row(cid, "yesterday", timedelta(hours=10)))
    log.put(row(cid, "earlier", timedelta(hours=2)))
    log.put(row(cid, "long", timedelta(minutes=20)))
    log.put(row(cid, "live", timedelta(seconds=40)))
    log.put(row(cid, "live", timedelta(seconds=30), again=True))
    log.put(row(None, "refused", timedelta(seconds=20)))
    if written:
        assert await log.flush()
    assert await log.usage(NOW, 300) == [Usage(cid, 2, 3, NOW - timedelta(seconds=40), "live")]
    log.release("live", NOW, None)
    if written:
        assert await log.flush()
    assert await log.usage(NOW, 300) == [Usage(cid, 2, 3, NOW - timedelta(seconds=40), None)]
    assert never


async def test_just_after_midnight_a_call_of_yesterday_still_has_its_number(
    pool: asyncpg.Pool, log: RequestLog
) -> None:
    cid = await number(pool)
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    log.put(row(cid, "live", NOW - midnight + timedelta(seconds=20)))
    assert await log.flush()
    usages = await log.usage(midnight + timedelta(seconds=5), 300)
    assert usages == [Usage(cid, 0, 0, midnight - timedelta(seconds=20), "live")]


async def test_whom_a_person_saw_last_is_known_before_it_is_written(pool: asyncpg.Pool, log: RequestLog) -> None:
    id_ = await campaign(pool, 0)
    first, second = await number(pool), await number(pool, e164="+14155550102")
    assert await log.last_shown(1, id_, TO) is None
    log.put(row(first, "a", timedelta(seconds=20), campaign_id=id_))
    assert await log.flush()
    assert await log.last_shown(1, id_, TO) == first
    log.put(row(second, "b", campaign_id=id_))
    log.put(row(None, "c", campaign_id=id_))
    assert await log.last_shown(1, id_, TO) == second
    assert await log.last_shown(1, id_ + 1, TO) is None


async def test_while_the_database_is_away_rows_wait_and_beyond_the_bound_the_oldest_go(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callerid_log, "MOST", 50)
    cid = await number(pool)
    away = True
    log = RequestLog("node-a", lambda: None if away else pool)
    writing = asyncio.create_task(log.run())
    for i in range(60):
        log.put(row(cid, f"call-{i}"))
    for i in range(60):
        log.release(f"call-{i}", NOW, None)
    assert not await log.flush()
    with pytest.raises(ConnectionError):
        await log.usage(NOW, 300)
    assert (log.waiting, log.dropped) == (100, 20)
    away = False
    async with asyncio.timeout(20):
        while log.waiting:
            await asyncio.sleep(0.02)
    writing.cancel()
    assert await pool.fetchval("SELECT array_agg(holder ORDER BY id) FROM caller_id_requests") == [
        f"call-{i}" for i in range(10, 60)
    ]
    assert await pool.fetchval("SELECT count(*) FROM caller_id_requests WHERE released_at IS NOT NULL") == 50


class LosesTheReply:
    """A pool whose first write is carried out, and whose reply to it is lost."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.lost = False

    async def execute(self, *args: Any) -> Any:
        done = await self._pool.execute(*args)
        if not self.lost:
            self.lost = True
            raise ConnectionResetError("the reply was lost")
        return done

    async def fetch(self, *args: Any) -> Any:
        return await self._pool.fetch(*args)


async def test_a_batch_whose_reply_was_lost_is_written_once(pool: asyncpg.Pool) -> None:
    cid = await number(pool)
    losing: Any = LosesTheReply(pool)
    log = RequestLog("node-a", lambda: losing)
    log.put(row(cid, "a"))
    log.put(row(cid, "b"))
    assert not await log.flush()
    log.put(row(cid, "c"))
    (usage,) = await log.usage(NOW, 300)
    assert usage.used_today == 3  # not five: what is in doubt is cleared up first
    assert await log.flush()
    assert await pool.fetchval("SELECT count(*) FROM caller_id_requests") == 3


async def test_hostile_texts_are_kept_inert_and_take_no_other_row_with_them(
    pool: asyncpg.Pool, log: RequestLog
) -> None:
    cid = await number(pool)
    hostile = ["'); DROP TABLE attempts; --", "nul\0nul", "\ud800", "x" * 100_000, "{}\r\n", "١٢٣"]
    for i, text in enumerate(hostile):
        log.put(row(cid, f"h{i}", campaign=text, agent=text, peer=text))
    log.put(row(cid, "bad", tenant_id=999_999))
    log.put(row(cid, "good"))
    log.release("nul\0nul", NOW, CallEnd("answered", float("nan")))
    log.release("good", NOW, CallEnd("no such word"))
    log.release("h0", NOW, CallEnd("busy"))
    assert await log.flush()
    assert await pool.fetchval("SELECT count(*) FROM caller_id_requests") == len(hostile) + 1
    assert await pool.fetchval("SELECT max(length(campaign)) FROM caller_id_requests") == 150
    assert (await stored(pool, "h0"))["result"] == "busy"
    assert log.dropped == 2


async def test_nobodys_request_is_seen_by_no_tenant(pool: asyncpg.Pool, log: RequestLog) -> None:
    log.put(row(None, "whose?", tenant_id=None, reasons={"unknown_campaign": 1}))
    assert await log.flush()
    assert (await stored(pool, "whose?"))["tenant_id"] is None
    policy = await pool.fetchval("SELECT qual FROM pg_policies WHERE tablename = 'caller_id_requests'")
    for session, sees in (("1", False), ("all", True), ("", False)):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL dialerd.tenant = '{session}'")
            seen = await connection.fetchval(f"SELECT count(*) FROM caller_id_requests WHERE {policy}")  # noqa: S608
            assert bool(seen) is sees, session


async def test_old_requests_are_removed_and_sooner_where_the_tenant_keeps_less(
    pool: asyncpg.Pool, log: RequestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callerid_log, "_FORGET_BATCH", 2)
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    await pool.execute("INSERT INTO retention (tenant_id, days) VALUES ($1, 30), (1, NULL)", other)
    for n, days in enumerate((1, 40, 89, 91, 92, 93, 300)):
        log.put(row(None, f"ours-{n}", timedelta(days=days)))
        log.put(row(None, f"theirs-{n}", timedelta(days=days), tenant_id=other))
    assert await log.flush()
    await callerid_log.forget(pool, NOW)
    left = [r["holder"] for r in await pool.fetch("SELECT holder FROM caller_id_requests ORDER BY holder")]
    assert left == ["ours-0", "ours-1", "ours-2", "theirs-0"]
