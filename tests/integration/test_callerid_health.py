"""The health of caller IDs on a real database: the query against the rule, rests and their record, the commands."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.clock import Clock
from dialerd.config import CallerIds
from dialerd.core.callerid import Rule, Usage, refusal
from dialerd.core.callerid_health import FEW, Cell, figures
from dialerd.core.nearness import distance, levels
from dialerd.engine.health import CallerIdHealth
from dialerd.store import callerid_health as store
from dialerd.store import callerids
from dialerd.store.audit import seal, verify
from tests.integration.test_admin import Admin, runner
from tests.integration.test_settings import campaign

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
DAY = timedelta(days=1)
Call = tuple[int, datetime, int | None, str, str, str | None, float | None]


class Still(Clock):
    """A clock that is moved by hand."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def number(pool: asyncpg.Pool, e164: str, campaign_id: int | None = None) -> int:
    query = "INSERT INTO caller_ids (tenant_id, campaign_id, e164) VALUES (1, $1, $2) RETURNING id"
    return int(await pool.fetchval(query, campaign_id, e164))


async def log(pool: asyncpg.Pool, calls: list[Call], **columns: Any) -> None:
    """Calls as the log has them: number's id, time, campaign, its name, destination, result, seconds talked."""
    values = {"status": "OK", "again": False} | columns
    rows = [(*call, f"n/{place}", values["status"], values["again"]) for place, call in enumerate(calls)]
    await pool.execute(
        """INSERT INTO caller_id_requests (tenant_id, node, door, caller_id_id, at, campaign_id, campaign, to_e164,
                                           result, talk_seconds, holder, status, again)
           SELECT 1, 'n', 'http', * FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[],
               $6::text[], $7::real[], $8::text[], $9::text[], $10::boolean[])""",
        *([row[place] for row in rows] for place in range(10)),
    )


def alike(cid: int, answered: int, of: int, at: datetime = NOW - DAY, talk: float = 60.0) -> list[Call]:
    """Calls of a number to one area, the first of them answered."""
    return [
        (cid, at, None, "sales", f"+35840{1000000 + n}", *(("answered", talk) if n < answered else ("no_answer", None)))
        for n in range(of)
    ]


async def pool_of_six(pool: asyncpg.Pool, at: datetime = NOW - DAY) -> list[int]:
    """Six numbers of the tenant's pool; the first has half the answers of the others."""
    ids = [await number(pool, f"+35850300000{n}") for n in range(6)]
    await log(pool, alike(ids[0], 60, 600, at) + [call for cid in ids[1:] for call in alike(cid, 120, 600, at)])
    return ids


def daemon(pool: asyncpg.Pool, clock: Clock, **settings: Any) -> CallerIdHealth:
    return CallerIdHealth(CallerIds(**settings), clock, lambda: pool)


async def events(pool: asyncpg.Pool) -> list[tuple[str, dict[str, Any]]]:
    rows = await pool.fetch("SELECT kind, detail FROM call_events WHERE kind LIKE 'caller_id.%' ORDER BY id")
    return [(row["kind"], row["detail"]) for row in rows]


async def test_the_query_says_what_the_rule_says(pool: asyncpg.Pool) -> None:
    dice = random.Random(7)
    own = await campaign(pool, "Own")
    of_tenant = ["+14155550101", "+12125550102", "+13105550103", "+358401234567", "+358501234567"]
    known = {await number(pool, e164): (e164, 0) for e164 in of_tenant}
    known |= {await number(pool, e164, own): (e164, own) for e164 in ("+14155550104", "+12135550105", "+441632960001")}
    starts = ["+1415555", "+1212555", "+1518555", "+1213555", "+35840123", "+3589612", "+3585012", "+44163296"]
    calls: list[Call] = []
    for _ in range(6000):
        cid = dice.choice(list(known))
        ours = known[cid][1] or None
        result = dice.choice(["answered", "answered", "no_answer", "busy", "rejected", "failed", "unknown", None])
        talk = dice.choice([None, 2.0, 5.9, 6.0, 60.0]) if result == "answered" else None
        start = dice.choices(starts, [20, 20, 1, 10, 10, 1, 5, 5])[0]
        at = NOW - timedelta(seconds=dice.randrange(3 * 86400))
        calls.append(
            (cid, at, ours, "" if ours else dice.choice("ab"), f"{start}{dice.randrange(1000):04}", result, talk)
        )
    await log(pool, calls)
    await log(pool, calls[:500], again=True)
    await log(pool, calls[:500], status="NONE")
    await log(pool, [(call[0], NOW - 8 * DAY, *call[2:]) for call in calls[:500]])

    counts: dict[tuple[Any, ...], Counter[str]] = {}
    for cid, at, ours, name, to, result, talk in calls:
        if result in (None, "unknown"):
            continue
        there = levels(to)
        slot = (ours or name, int(at.timestamp()) // 21600, distance(levels(known[cid][0]), there))
        count = counts.setdefault((cid, known[cid][1], there[0], there[-2], slot), Counter())
        count.update(calls=1, answered=result == "answered", rejected=result == "rejected")
        count.update(timed=talk is not None, short=talk is not None and talk < 6)
    cells = [
        Cell(*key, *(count[name] for name in ("calls", "answered", "rejected", "timed", "short")))
        for key, count in counts.items()
    ]
    expected, found = figures(cells), await store.traffic(pool, NOW)
    assert found.keys() == expected.keys() == known.keys()
    for cid in known:
        assert found[cid].calls == expected[cid].calls
        for name in ("answered", "rejected", "short"):
            for field in ("of", "seen", "expected", "variance", "weight", "own"):
                ours, theirs = (getattr(getattr(each[cid], name), field) for each in (found, expected))
                assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9), (cid, name, field)
        assert {a.area: (a.calls, a.answered) for a in found[cid].areas} == {
            a.area: (a.calls, a.answered) for a in expected[cid].areas
        }
    into = Counter[Any]()
    for each in cells:
        into[each.pool, each.area] += each.calls
    assert min(into.values()) < FEW < max(into.values())  # both kinds of areas were there


async def test_it_rests_comes_back_and_is_judged_by_what_came_after(pool: asyncpg.Pool) -> None:
    ids = await pool_of_six(pool)
    clock = Still()
    task = daemon(pool, clock)
    await task.look(pool)
    row = await pool.fetchrow("SELECT * FROM caller_ids WHERE id = $1", ids[0])
    assert (row["resting_since"], row["resting_until"], row["rests"]) == (NOW, NOW + DAY, 1)
    assert row["health"]["state"] == "resting" and row["health"]["answered"]["seen"] == 60
    loaded = {each.id: each for each in await callerids.load(pool)}
    refused = {cid: refusal(loaded[cid], Usage(cid), NOW) for cid in ids}
    assert refused == {ids[0]: Rule.RESTING, **dict.fromkeys(ids[1:])}
    assert refusal(loaded[ids[0]], Usage(ids[0]), NOW + DAY) is None

    clock.at = NOW + DAY / 2
    await task.look(pool)  # nothing new: it rests on
    clock.at = NOW + DAY + timedelta(minutes=5)
    await task.look(pool)
    row = await pool.fetchrow("SELECT resting_until, rests, health FROM caller_ids WHERE id = $1", ids[0])
    assert (row["health"]["state"], row["health"]["calls"], row["rests"]) == ("unknown", 0, 1)
    assert row["resting_until"] == NOW + DAY

    later = clock.at + timedelta(minutes=1)
    fresh = alike(ids[0], 60, 600, later) + [call for cid in ids[1:] for call in alike(cid, 120, 600, later)]
    await log(pool, fresh)
    clock.at += timedelta(hours=1)
    await task.look(pool)
    row = await pool.fetchrow("SELECT resting_until, rests FROM caller_ids WHERE id = $1", ids[0])
    assert (row["resting_until"], row["rests"]) == (clock.at + 3 * DAY, 2)

    told = await events(pool)
    assert [kind for kind, _ in told] == ["caller_id.rested", "caller_id.returned", "caller_id.rested"]
    assert told[0][1]["caller_id"] == "+358503000000" and told[0][1]["why"].startswith("answered: 60 of 600 calls")
    assert (told[0][1]["rests"], told[2][1]["rests"]) == (1, 2)
    while await seal(pool, 100):
        pass
    assert (await verify(pool, 1)).found == 0


async def test_a_verdict_tells_no_daemon_and_a_rest_tells_every_one(
    pool: asyncpg.Pool, database: config.Postgres
) -> None:
    ids = await pool_of_six(pool)
    heard: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(
        database.dsn, password=database.password and database.password.get_secret_value()
    )
    try:
        await connection.add_listener("dialerd", lambda _c, _p, _ch, payload: heard.put_nowait(payload))
        task = daemon(pool, Still())
        await task.look(pool)
        await pool.execute("SELECT pg_notify('dialerd', 'the end')")
        async with asyncio.timeout(10):
            assert [await heard.get(), await heard.get()] == [f"caller_ids:{ids[0]}", "the end"]
    finally:
        await connection.close()
    assert {row["state"] for row in await pool.fetch("SELECT health ->> 'state' AS state FROM caller_ids")} == {
        "resting",
        "healthy",
    }
    await task.look(pool)  # the calls of the number that rests do not count any more, for nobody
    before = await pool.fetch("SELECT id, xmin::text FROM caller_ids ORDER BY id")
    await task.look(pool)
    assert await pool.fetch("SELECT id, xmin::text FROM caller_ids ORDER BY id") == before  # nothing was written again


async def test_switched_off_it_is_shown_as_suspect_and_goes_on(pool: asyncpg.Pool) -> None:
    ids = await pool_of_six(pool)
    await daemon(pool, Still(), rest_labelled=False).look(pool)
    row = await pool.fetchrow("SELECT resting_until, health FROM caller_ids WHERE id = $1", ids[0])
    assert (row["resting_until"], row["health"]["state"]) == (None, "suspect")
    assert row["health"]["why"].endswith("does not rest: resting is switched off")
    assert await events(pool) == []


async def test_two_nodes_at_once_send_it_to_rest_once(pool: asyncpg.Pool) -> None:
    ids = await pool_of_six(pool)
    await asyncio.gather(*(daemon(pool, Still()).look(pool) for _ in range(3)))
    assert [kind for kind, _ in await events(pool)] == ["caller_id.rested"]
    assert await pool.fetchval("SELECT rests FROM caller_ids WHERE id = $1", ids[0]) == 1


async def test_a_rest_that_the_page_took_away_is_not_begun_again_for_the_old_calls(pool: asyncpg.Pool) -> None:
    ids = await pool_of_six(pool)
    clock = Still()
    await daemon(pool, clock).look(pool)
    await pool.execute("UPDATE caller_ids SET resting_until = NULL WHERE id = $1", ids[0])
    clock.at += timedelta(minutes=10)
    await daemon(pool, clock).look(pool)
    row = await pool.fetchrow("SELECT resting_until, health FROM caller_ids WHERE id = $1", ids[0])
    assert (row["resting_until"], row["health"]["state"]) == (clock.at, "unknown")


async def test_an_operator_sees_why_and_can_rest_and_wake(admin: Admin, pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    ids = await pool_of_six(pool, now - DAY)
    never = (await admin("cid", "health", "--json")).json["caller_ids"]
    assert {line["state"] for line in never} == {""}
    await daemon(pool, Still(now)).look(pool)
    table = await admin("cid", "health")
    first = table.out.splitlines()[1]
    assert first.startswith("+358503000000") and "60 of 600" in first and "resting" in first
    assert "where its pool would have had 120" in first
    lines = (await admin("cid", "health", "--state", "resting", "--json")).json["caller_ids"]
    assert [(line["id"], line["health"]["sign"]) for line in lines] == [(ids[0], "answered")]

    woken = await admin("cid", "wake", "+358503000000", "--json")
    assert (woken.json["state"], woken.json["resting_until"]) == ("unknown", None)
    await daemon(pool, Still(datetime.now(UTC))).look(pool)
    assert await pool.fetchval("SELECT health ->> 'state' FROM caller_ids WHERE id = $1", ids[0]) == "unknown"
    again = await admin("cid", "wake", str(ids[0]))
    assert (again.status, "it does not rest" in again.err) == (1, True)

    rested = (await admin("cid", "rest", str(ids[3]), "--for", "12h", "--json")).json
    until = datetime.fromisoformat(rested["resting_until"])
    assert rested["state"] == "resting" and timedelta(hours=11) < until - now < timedelta(hours=13)
    assert await pool.fetchval("SELECT rests FROM caller_ids WHERE id = $1", ids[3]) == 0  # none of its own doing
    assert [kind for kind, _ in await events(pool)] == [
        "caller_id.rested",
        "caller_id.returned",
        "caller_id.rested",
    ]
    assert all(detail["by"] for _, detail in await events(pool))
    assert (await admin("cid", "rest", "+358409999999")).status == 3
    assert (await admin("cid", "rest", str(ids[3]), "--for", "soon")).status == 2
