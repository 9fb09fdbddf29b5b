"""Statistics: every figure by hand, and that they add up while claims and ends are written."""

import asyncio
import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.core.causes import Outcome
from dialerd.store import stats
from dialerd.store.claim import claim
from dialerd.store.errors import NotFound, Refused
from tests.integration.test_admin import Admin, runner
from tests.integration.test_claim import ZONES, campaign
from tests.integration.test_tenants import end
from tests.terms import add_contacts, open_in

DIALLED = [o.value for o in Outcome if o is not Outcome.RETURNED]  # how calls end that we make


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def fate(pool: asyncpg.Pool, id_: int, state: str, outcome: str | None, n: int, first: int) -> None:
    """`n` contacts in that state, with numbers from `first` on."""
    numbers = [f"+35841{id_ * 100_000 + i:07}" for i in range(first, first + n)]
    await add_contacts(pool, id_, numbers, ZONES, state=state, last_outcome=outcome)


async def attempt(pool: asyncpg.Pool, id_: int, claimed_at: datetime, outcome: str | None, **columns: Any) -> None:
    """An attempt as the record leaves it, of any contact."""
    over = {} if outcome is None else {"state": "ended", "outcome": outcome, "ended_at": claimed_at, **columns}
    row = {"tenant_id": 1, "campaign_id": id_, "contact_id": 0, "number_id": 0, "e164": "+358401", "node": "n",
           "trunk": "t", "claimed_at": claimed_at, **columns, **over}  # fmt: skip
    names, places = ", ".join(row), ", ".join(f"${i}" for i in range(1, len(row) + 1))
    await pool.execute(
        f"INSERT INTO attempts (id, {names}) VALUES (uuid7(), {places})",  # noqa: S608 -- our own names
        *row.values(),
    )


async def the_example(pool: asyncpg.Pool) -> int:
    """A thousand contacts, 245 of them called in four hours: the older API's example."""
    id_ = await campaign(pool, 0)
    fates = [("queued", None, 700), ("waiting", "busy", 30), ("held", None, 20), ("claimed", None, 5)]
    fates += [("done", "connected", 175), ("done", "abandoned", 2), ("done", "hung_up", 3), ("done", "no_answer", 40)]
    fates += [("done", "machine", 5), ("done", "busy", 13), ("done", "rejected", 2), ("suppressed", "dnc", 2)]
    fates += [("done", "invalid", 2), ("suppressed", "unknown_zone", 1)]
    first = 0
    for state, outcome, n in fates:
        await fate(pool, id_, state, outcome, n, first)
        first += n
    return id_


@pytest.mark.accepts("CAM-07", "RPT-01", "RPT-02", "RPT-03")
async def test_the_example_of_the_older_api_comes_out_to_the_digit(pool: asyncpg.Pool) -> None:
    id_ = await the_example(pool)
    start = await pool.fetchval("SELECT now()") - timedelta(hours=4)
    for i in range(240):
        talk = {
            "answered_at": start + timedelta(minutes=i),
            "ended_at": start + timedelta(minutes=i, seconds=100 + i % 3),
        }
        await attempt(pool, id_, start + timedelta(minutes=i), "connected", **talk)
    for n, state in enumerate(["ready", "ready", "on_call", "reserved", "wrap_up", "paused", "offline"]):
        agent = await pool.fetchval(
            "INSERT INTO agents (tenant_id, name, endpoint, state) VALUES (1, $1, $1, $2) RETURNING id", f"a{n}", state
        )
        await pool.execute("INSERT INTO agent_queues VALUES ($1, 'q'), ($1, 'another')", agent)
    got = asdict(await stats.campaign(pool, 1, id_))
    assert 61.0 < got.pop("calls_per_hour") <= 61.25, "now() went on a little since"
    assert got == {
        "campaign_id": id_, "total_contacts": 1000, "pending_calls": 750, "active_calls": 5, "completed_calls": 245,
        "answered_calls": 180, "no_answer": 45, "busy": 15, "failed": 5, "answer_rate": 73.47,
        "average_duration": 101.0, "agents_available": 2, "agents_busy": 3,
    }  # fmt: skip


async def test_nights_do_not_count_as_hours_of_dialling(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    await fate(pool, id_, "done", "busy", 120, 0)
    start = await pool.fetchval("SELECT now()") - timedelta(days=3)
    for day in range(2):
        for minute in range(0, 51, 5):  # 50 minutes, and of the pause after them ten
            await attempt(pool, id_, start + timedelta(days=day, minutes=minute), "busy")
    assert (await stats.campaign(pool, 1, id_)).calls_per_hour == 60.0


async def test_an_empty_campaign_has_figures_too(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    got = await stats.campaign(pool, 1, id_)
    assert (got.total_contacts, got.answer_rate, got.average_duration, got.calls_per_hour) == (0, 0.0, 0.0, 0.0)
    with pytest.raises(NotFound):
        await stats.campaign(pool, 1, id_ + 1)
    with pytest.raises(NotFound):
        await stats.grouped(pool, 1, id_ + 1, "day", None, "UTC")


@pytest.mark.accepts("RPT-02")
async def test_the_figures_add_up_at_every_moment_while_calls_begin_and_end(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 400)
    outcomes = DIALLED
    done = asyncio.Event()

    async def work(dice: random.Random) -> None:
        while True:
            taken = (await claim(pool, id_, dice.randint(1, 4), "n", await open_in(pool, id_, ZONES))).taken
            if not taken:
                return
            rows = [row for t in taken for row in end(t.attempt, dice.choice(outcomes), 30.0)]
            await pool.execute("SELECT record_v2(gen_random_uuid(), 'n', 1, $1)", rows)

    async def look() -> int:
        looks = 0
        while looks < 200 or not done.is_set():
            s = await stats.campaign(pool, 1, id_)
            assert s.total_contacts == 400 == s.pending_calls + s.active_calls + s.completed_calls
            assert s.completed_calls == s.answered_calls + s.no_answer + s.busy + s.failed
            assert min(asdict(s).values()) >= 0
            table = await stats.grouped(pool, 1, id_, "outcome", None, "UTC")
            for group in (*table.groups, table.total):
                parts = (
                    group.connected,
                    group.abandoned,
                    group.hung_up,
                    group.played,
                    group.machines,
                    group.busy,
                    group.no_answer,
                )
                assert group.attempts == group.in_progress + sum(parts) + group.failed
            assert sum(g.attempts for g in table.groups) == table.total.attempts
            looks += 1
        return looks

    looking = asyncio.create_task(look())
    await asyncio.gather(*(work(random.Random(seed)) for seed in range(4)))
    done.set()
    assert await looking >= 200
    got = await stats.campaign(pool, 1, id_)
    assert (got.pending_calls, got.active_calls, got.completed_calls) == (0, 0, 400)


async def attempts_of_a_week(pool: asyncpg.Pool) -> int:
    id_ = await campaign(pool, 0)
    agents = [
        await pool.fetchval("INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, $1, $1) RETURNING id", name)
        for name in ("ana", "bo")
    ]
    lists = [
        await pool.fetchval(
            "INSERT INTO lists (tenant_id, campaign_id, name, imported_by) VALUES (1, $1, $2, 't') RETURNING id",
            id_,
            name,
        )
        for name in ("spring", "spring", "autumn")
    ]
    dice = random.Random(7)
    start = datetime(2026, 3, 23, 8, tzinfo=UTC)
    for i in range(300):
        at = start + timedelta(minutes=dice.randrange(7 * 24 * 60))
        outcome = dice.choice([*DIALLED, None])
        talk: dict[str, Any] = {}
        if outcome == "connected":
            talk = {
                "answered_at": at,
                "ended_at": at + timedelta(seconds=dice.randrange(300)),
                "agent_id": dice.choice(agents),
            }
        more = {"list_id": dice.choice([*lists, None]), "caller_id": dice.choice(["+3581", "+3582", None])}
        state = {} if outcome else {"state": "dialing", "e164": f"+35850{i:07}", "contact_id": i + 1}
        await attempt(pool, id_, at, outcome, cost=Decimal(dice.randrange(9999)) / 10000, **talk, **more, **state)
    return id_


@pytest.mark.parametrize("by", stats.BY)
async def test_the_total_is_the_sum_of_the_groups(pool: asyncpg.Pool, by: str) -> None:
    id_ = await attempts_of_a_week(pool)
    table = await stats.grouped(pool, 1, id_, by, None, "Europe/Helsinki")
    assert table.total.attempts == 300
    for field in stats.Group.__dataclass_fields__:
        if field != "name":
            assert sum(getattr(g, field) for g in table.groups) == getattr(table.total, field), field
    names = {
        "hour": {f"{h:02}:00" for h in range(24)},
        "day": {f"2026-03-{d}" for d in range(23, 31)},
        "list": {"spring", "autumn", "(none)"},
        "caller-id": {"+3581", "+3582", "(none)"},
        "agent": {"ana", "bo", "(none)"},
        "outcome": {*DIALLED, "in_progress"},
    }
    assert {g.name for g in table.groups} == names[by]
    paid = await pool.fetchval("SELECT sum(cost) FROM attempts")
    assert table.total.cost == paid


async def test_a_day_is_the_zones_and_what_is_too_much_comes_as_one_group(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await campaign(pool, 0)
    for hour in (20, 21, 22, 23):  # of 28 March 2026: 22 UTC is midnight in Helsinki
        await attempt(pool, id_, datetime(2026, 3, 28, hour, tzinfo=UTC), "busy", caller_id=f"+{hour}")
    table = await stats.grouped(pool, 1, id_, "day", None, "Europe/Helsinki")
    assert [(g.name, g.attempts) for g in table.groups] == [("2026-03-28", 2), ("2026-03-29", 2)]
    since = datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert (await stats.grouped(pool, 1, id_, "day", since, "UTC")).total.attempts == 1
    monkeypatch.setattr(stats, "MAX_GROUPS", 3)
    table = await stats.grouped(pool, 1, id_, "caller-id", None, "UTC")
    assert [(g.name, g.attempts) for g in table.groups] == [("+20", 1), ("+21", 1), ("+22", 1), (stats.OTHERS, 1)]
    assert table.total.attempts == 4
    for by, zone in (("week", "UTC"), ("day", "Mars/Phobos"), ("day", "x'; DROP")):
        with pytest.raises(Refused):
            await stats.grouped(pool, 1, id_, by, None, zone)


async def test_the_command_shows_the_same_table(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await attempts_of_a_week(pool)
    table = await stats.grouped(pool, 1, id_, "agent", None, "Europe/Helsinki")
    shown = (await admin("stats", str(id_), "--by", "agent", "--json")).json
    assert shown == {"campaign_id": id_, **table.as_dict()}
    some = (await admin("stats", str(id_), "--by", "day", "--since", "2026-03-28", "--zone", "UTC", "--json")).json
    assert [g["name"] for g in some["groups"]] == ["2026-03-28", "2026-03-29", "2026-03-30"]
    text = (await admin("stats", str(id_), "--by", "agent")).out
    assert "ABANDONED" in text
    assert text.splitlines()[-1].startswith("total")
    assert (await admin("stats", "nothing")).status == 3
    assert (await admin("stats", str(id_), "--zone", "Nowhere/Here")).status == 1


@pytest.mark.accepts("RPT-04")
async def test_numbers_by_status_and_calls_by_day_in_percent(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    ends: list[tuple[str, str | None, str | None]]
    ends = [("queued", None, None), ("waiting", "busy", None), ("done", "connected", None), ("suppressed", "dnc", None)]
    ends += [("done", "connected", "not_interested"), ("done", "no_answer", "power_off"), ("done", "no_answer", None)]
    ends += [("done", "hung_up", None)]
    for first, (state, outcome, disposition) in enumerate(ends):
        await add_contacts(
            pool, id_, [f"+35842000000{first}"], ZONES, state=state, last_outcome=outcome, last_disposition=disposition
        )
    total, shares = await stats.numbers(pool, 1)
    assert total == 8
    assert {s.status: (s.count, s.percentage) for s in shares} == {
        "IN_QUEUE": (2, 25.0), "MISSED": (1, 12.5), "CONNECTED": (1, 12.5), "FAILED": (0, 0.0),
        "NOT_INTERESTED": (1, 12.5), "HANGUP": (1, 12.5), "DISCONNECTED": (0, 0.0), "BUSY": (0, 0.0),
        "POWER_OFF": (1, 12.5), "BANNED": (1, 12.5), "UNKNOWN": (0, 0.0),
    }  # fmt: skip
    now = await pool.fetchval("SELECT now()")
    for outcome in ("busy", "busy", "no_answer", "not_sent"):
        await attempt(pool, id_, now, outcome)
    await attempt(pool, id_, now - timedelta(days=2), "connected")
    await attempt(pool, id_, now - timedelta(days=3), "connected")
    days = await stats.by_day(pool, 1, 3, "Pacific/Auckland")
    assert [day.total for day in days] == [1, 0, 3]
    assert {s.status: (s.count, s.percentage) for s in days[2].statuses if s.count} == {
        "MISSED": (1, 33.33),
        "BUSY": (2, 66.67),
    }
    assert [s.status for s in days[1].statuses] == [s.status for s in shares], (
        "a day without calls has all statuses too"
    )
    with pytest.raises(Refused):
        await stats.by_day(pool, 1, 367, "UTC")


async def test_days_and_hours_are_those_of_the_tenants_region(pool: asyncpg.Pool) -> None:
    assert await stats.zone_of(pool, 1) == "Europe/Helsinki"
    await pool.execute("UPDATE tenants SET default_region = 'ES'")
    assert await stats.zone_of(pool, 1) == "Europe/Madrid"
