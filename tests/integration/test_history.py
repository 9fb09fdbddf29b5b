"""A scenario from what is on record of a campaign: made-up days whose figures are known, read back from PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.pacing.likeness import TooLittle, scenario_like
from dialerd.pacing.scenario_text import read
from dialerd.pacing.shift import agents
from dialerd.store.errors import NotFound, Refused
from dialerd.store.history import history
from tests.integration.test_admin import Admin, runner
from tests.integration.test_claim import campaign
from tests.integration.test_stats import attempt, fate

ZONE = "Europe/Helsinki"  # two hours before UTC in March, until the 29th
MONDAY = datetime(2026, 3, 16, 7, tzinfo=UTC)  # 09:00 there


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def agent(pool: asyncpg.Pool, name: str) -> int:
    id_: int = await pool.fetchval(
        "INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, $1, $1) RETURNING id", name
    )
    return id_


async def stay(pool: asyncpg.Pool, who: int, state: str, start: datetime, seconds: float, **more: Any) -> None:
    await pool.execute(
        "INSERT INTO agent_states (tenant_id, agent_id, state, attempt_id, started_at, ended_at)"
        " VALUES (1, $1, $2, $3, $4, $5)",
        who, state, more.get("attempt"), start, start + timedelta(seconds=seconds),
    )  # fmt: skip


async def two_days(pool: asyncpg.Pool) -> int:
    """Two days from 09:00 to 12:00: 60 attempts an hour, in the first hour a fifth answered, then two fifths. Talks of
    60 to 140 s, rings of 5 to 15 s, wrap-ups of 20 s. Two agents, from 10:00 on a third; one pause in ten calls."""
    id_ = await campaign(pool, 0)
    await pool.execute(
        "UPDATE campaigns SET dial_mode = 'predictive', pacing_ratio = 2.5, ring_timeout_seconds = 25, max_retries = 2,"
        " retry_delay_seconds = 1800, max_concurrent_calls = 17 WHERE id = $1",
        id_,
    )
    await fate(pool, id_, "queued", None, 40, 0)
    await fate(pool, id_, "waiting", "busy", 10, 40)
    await fate(pool, id_, "done", "connected", 30, 50)
    people = [await agent(pool, name) for name in ("ana", "bo", "cy")]
    stranger = await agent(pool, "stranger")
    for day in range(2):
        start = MONDAY + timedelta(days=day)
        for who, hours in zip(people, ((0, 3), (0, 3), (1, 3)), strict=True):
            first = start + timedelta(hours=hours[0])
            await stay(pool, who, "ready", first, (hours[1] - hours[0]) * 3600 - 300)
            await stay(pool, who, "paused", start + timedelta(hours=3, seconds=-300), 300)
            await stay(pool, who, "paused", start + timedelta(hours=3), 18 * 3600)  # nobody closed the day
        await stay(pool, stranger, "ready", start, 3 * 3600)  # of another campaign
        for hour in range(3):
            for n in range(60):
                await one(pool, id_, start + timedelta(hours=hour, minutes=n), n, 12 if hour == 0 else 24, people)
    return id_


async def one(pool: asyncpg.Pool, id_: int, at: datetime, n: int, answered: int, people: list[int]) -> None:
    """The n-th attempt of an hour; the first `answered` are answered, one of them in vain."""
    dialed = at + timedelta(seconds=0.5)
    if n >= answered:
        outcome, seconds = ("busy", 4.0) if n % 6 == 0 else ("no_answer", 25.0)
        outcome = "not_sent" if n == 59 else outcome
        await attempt(pool, id_, at, outcome, dialed_at=dialed, ended_at=dialed + timedelta(seconds=seconds))
        return
    ring = dialed + timedelta(seconds=5 + 10 * (n % 11) / 10)
    if n == 3:
        await attempt(pool, id_, at, "abandoned", dialed_at=dialed, answered_at=ring, ended_at=ring)
        return
    over = ring + timedelta(seconds=1 + 60 + 80 * (n % 5) / 4)
    times = {"dialed_at": dialed, "answered_at": ring, "connected_at": ring + timedelta(seconds=1), "ended_at": over}
    who = people[n % (2 if answered == 12 else 3)]
    await attempt(pool, id_, at, "connected", agent_id=who, **times)
    found = await pool.fetchval("SELECT id FROM attempts WHERE campaign_id = $1 AND claimed_at = $2", id_, at)
    # The agents' time is written by `two_days`, in one piece; these are only counted.
    await stay(pool, who, "on_call", over, 0, attempt=found)
    await stay(pool, who, "wrap_up", over - timedelta(seconds=20), 20, attempt=found)


async def test_the_scenario_has_the_figures_of_the_record(pool: asyncpg.Pool) -> None:
    id_ = await two_days(pool)
    s = scenario_like(await history(pool, 1, str(id_), None, ZONE))
    assert s.model_dump()["shift"] == {"start": "09:00", "end": "12:00"}
    # 59 attempts an hour count: one was not sent.
    assert s.answers.by_hour == {9: 0.2034, 10: 0.4068, 11: 0.4068}
    assert s.answers.rate == 0.339
    assert s.answers.fast_fail == 0.1129
    assert s.answers.fast_fail_seconds == pytest.approx(4.0)
    assert s.answers.machines == 0
    assert s.machine_detection is None
    assert s.ring.timeout_seconds == 25
    assert 5 <= s.ring.shares_seconds[0] < s.ring.shares_seconds[-1] <= 15
    assert (s.talk.shares_seconds[0], s.talk.shares_seconds[-1]) == (60, 140)
    assert s.talk.mean == pytest.approx(98, abs=3)
    assert set(s.wrap_up.shares_seconds) == {20.0}
    assert [(a.start, a.end) for a in agents(s)] == [(0, 10800), (0, 10800), (3600, 10800)]
    assert {a.pause_chance for a in agents(s)} == {0.0526}  # 6 pauses, 114 conversations
    assert {a.pause_seconds for a in agents(s)} == {300.0}
    assert (s.list.contacts, s.list.attempts_per_contact, s.list.retry_minutes) == (50, 3, 30)
    assert (s.pacing.mode, s.pacing.pacing_ratio, s.trunk.max_calls) == ("predictive", 2.5, 17)


async def test_of_since_only_what_came_after_counts(pool: asyncpg.Pool) -> None:
    id_ = await two_days(pool)
    h = await history(pool, 1, str(id_), MONDAY + timedelta(days=1), ZONE)
    assert sum(h.ended.values()) == 180
    s = scenario_like(h)
    assert len(agents(s)) == 3
    assert s.answers.rate == 0.339


async def test_the_law_gives_cap_and_grace_and_detection_is_taken_over(pool: asyncpg.Pool) -> None:
    id_ = await two_days(pool)
    await pool.execute(
        "UPDATE campaigns SET legal_profile = 'US-FED', machine_detection = 'drop', dial_mode = 'preview'"
        " WHERE id = $1",
        id_,
    )
    await pool.execute("UPDATE attempts SET outcome = 'machine' WHERE outcome = 'no_answer'")
    s = scenario_like(await history(pool, 1, str(id_), None, ZONE))
    assert (s.pacing.abandonment_cap, s.pacing.grace_seconds, s.pacing.mode) == (0.03, 2.0, "progressive")
    assert s.machine_detection is not None
    assert s.machine_detection.wrong == 0
    assert s.answers.machines > 0.4


async def test_too_little_is_named(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    start = MONDAY
    for n in range(99):
        await attempt(pool, id_, start + timedelta(minutes=n), "busy")
    with pytest.raises(TooLittle, match=r"99 attempts that ended and 0 conversations .* needs 100 and 20"):
        scenario_like(await history(pool, 1, str(id_), None, ZONE))
    ana = await agent(pool, "ana")
    for n in range(20):
        at = start + timedelta(minutes=n)
        times = {"answered_at": at, "connected_at": at, "ended_at": at + timedelta(seconds=60)}
        await attempt(pool, id_, at, "connected", agent_id=ana, **times)
    with pytest.raises(TooLittle, match=r"no agent of campaign .* at work"):
        scenario_like(await history(pool, 1, str(id_), None, ZONE))
    await stay(pool, ana, "ready", start, 7200)
    s = scenario_like(await history(pool, 1, str(id_), None, ZONE))
    assert s.wrap_up.shares_seconds == ()
    assert s.wrap_up.mean_seconds == 15, "no wrap-up is on record: the campaign's limit"
    with pytest.raises(NotFound):
        await history(pool, 1, "nothing", None, ZONE)
    with pytest.raises(Refused, match=r"IANA"):
        await history(pool, 1, str(id_), None, "Mars/Phobos")


async def test_the_command_writes_a_file_that_gives_the_same_figures(
    admin: Admin, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    id_ = await two_days(pool)
    file = tmp_path / "like.toml"
    shown = (await admin("simulate", "--like", str(id_), "--shifts", "2", "--write", str(file), "--json")).json
    assert shown["modes"][0]["lines"] > 40
    assert read(file.read_text(), "like").name.startswith("Like ")
    again = (await admin("simulate", str(file), "--shifts", "2", "--json")).json
    assert again == shown
    refused = await admin("simulate", "--like", str(id_), "--shifts", "1", "--write", str(file))
    assert (refused.status, "is there already" in refused.err) == (1, True)
    assert (await admin("simulate", "--like", "nothing")).status == 3
    later = await admin("simulate", "--like", str(id_), "--since", "2026-03-18")
    assert (later.status, "0 attempts that ended" in later.err) == (1, True)
    wrong = await admin("simulate", "--like", str(id_), "--since", "yesterday")
    assert (wrong.status, "7d, 12h, or a day" in wrong.err) == (2, True)


async def test_another_tenant_finds_nothing(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await two_days(pool)
    await admin("tenant", "add", "other")
    assert (await admin("--tenant", "other", "simulate", "--like", str(id_))).status == 3
