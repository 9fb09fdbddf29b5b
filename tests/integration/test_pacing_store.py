"""What pacing reads of the record and leaves in it, against a real PostgreSQL."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.core.causes import LIVE_ANSWERS
from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.curves import Curves, Model
from dialerd.pacing.kept import curves_json, curves_of, snapshot_json, snapshot_of
from dialerd.pacing.learner import Learner
from dialerd.pacing.policy import decide
from dialerd.pacing.snapshot import Snapshot
from dialerd.pacing.warm import teach
from dialerd.store import pacing
from dialerd.store.pacing import DecisionLog, Kept
from tests.integration.test_admin import Admin, runner
from tests.integration.test_claim import campaign

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GRACE = 2.0
ROOMY = Budget(0.03, (Window(1000, 20), Window(30_000, 700)))


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


def learned(answers: int = 40) -> Curves:
    """Of a campaign some way into its day."""
    learner = Learner()
    for n in range(4 * answers):
        learner.line_ended(n, 6.0 + n % 13 if n % 4 == 0 else 25.0, n % 4 == 0)
    for n in range(answers):
        learner.talk_ended(n, 30.0 + 7 * n)
        learner.wrap_up_ended(n, 15.0)
    return learner.curves()


CURVES = learned()


def busy(lots: Random) -> Snapshot:
    """Some moment of a predictive campaign; ages are whole milliseconds, as the daemon's."""
    talking, wrapping_up = (tuple(round(lots.uniform(0, 300), 3) for _ in range(lots.randrange(12))) for _ in range(2))
    ringing = tuple((round(lots.uniform(0, 25), 3), round(lots.random(), 4)) for _ in range(lots.randrange(20)))
    return Snapshot(
        "predictive", lots.randrange(6), len(ringing), len(talking), 100, 100, lots.randrange(2), ringing, talking,
        wrapping_up, pacing_ratio=3.0, budget=lots.choice([ROOMY, None]), serial_wait=lots.choice([None, 0.0, 1.25]),
    )  # fmt: skip


def made(campaign_id: int, at: datetime, snapshot: Snapshot, curves: Curves | None = CURVES) -> Kept:
    decision = decide(snapshot, None if curves is None else Model(curves, GRACE))
    return Kept(1, campaign_id, at, snapshot, curves, GRACE, decision.lines, decision.reason)


def idle(campaign_id: int, at: datetime, lines: int = 0, reason: str = "none") -> Kept:
    return Kept(1, campaign_id, at, Snapshot("progressive", 0, 0, 0, 9, 9), None, GRACE, lines, reason)


async def attempt(pool: asyncpg.Pool, campaign_id: int, **columns: Any) -> str:
    """An attempt that has ended, unless `columns` says otherwise."""
    values = {
        "tenant_id": 1, "campaign_id": campaign_id, "contact_id": -1, "number_id": -1, "e164": "+358401234567",
        "node": "n", "trunk": "t", "state": "ended", "outcome": "no_answer", "claimed_at": NOW,
        "ended_at": NOW + timedelta(seconds=30), **columns,
    }  # fmt: skip
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    id_: str = await pool.fetchval(
        f"INSERT INTO attempts (id, {', '.join(values)}) VALUES (uuid7(), {places}) RETURNING id::text",  # noqa: S608
        *values.values(),
    )
    return id_


# -- the budget's counts


async def test_live_answers_are_counted_from_each_start_on(pool: asyncpg.Pool) -> None:
    id_, other = await campaign(pool, 0), await campaign(pool, 0)
    hours = [("connected", 1), ("connected", 30), ("abandoned", 2), ("abandoned", 800), ("hung_up", 3), ("machine", 1)]
    for outcome, ago in [*hours, ("no_answer", 1)]:
        answered = None if outcome == "no_answer" else NOW - timedelta(hours=ago)
        await attempt(pool, id_, outcome=outcome, answered_at=answered)
    await attempt(pool, id_, outcome=None, state="connected", ended_at=None, answered_at=NOW)
    await attempt(pool, other, outcome="abandoned", answered_at=NOW)
    batch = await pool.fetchval("SELECT gen_random_uuid()")
    await attempt(pool, id_, outcome="connected", answered_at=NOW, batch_id=batch)
    starts = [NOW - timedelta(hours=24), NOW - timedelta(days=30), NOW - timedelta(days=400), NOW]
    found = await pacing.windows(pool, id_, starts)
    assert found == [Window(3, 1), Window(4, 1), Window(5, 2), Window(0, 0)]
    assert await pacing.windows(pool, id_, [NOW - timedelta(hours=1)]) == [Window(1, 0)], (
        "its first moment belongs to it"
    )
    assert await pacing.windows(pool, id_, []) == []


async def test_the_counts_come_from_an_index_of_live_answers_alone(pool: asyncpg.Pool) -> None:
    definition = await pool.fetchval("SELECT pg_get_indexdef('attempts_answers'::regclass)")
    assert {outcome for outcome in LIVE_ANSWERS if f"'{outcome}'" in definition} == LIVE_ANSWERS
    id_ = await campaign(pool, 0)
    await pool.execute(
        "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state, outcome,"
        " claimed_at, answered_at, ended_at) SELECT uuid7(), 1, $1, -n, -n, '+358401234567', 'n', 't', 'ended',"
        " (ARRAY['connected', 'no_answer', 'busy', 'abandoned'])[1 + n % 4], at, at, at"
        " FROM generate_series(1, 40000) AS n, LATERAL (SELECT $2::timestamptz - n * interval '1 minute' AS at) AS x",
        id_, NOW,
    )  # fmt: skip
    await pool.execute("VACUUM ANALYZE attempts")
    since = NOW - timedelta(hours=24)
    plan = await pool.fetchval("EXPLAIN (ANALYZE, FORMAT JSON) " + pacing._WINDOWS, id_, [since])
    scans = [node for node in _nodes(json.loads(plan)[0]["Plan"]) if node.get("Relation Name") == "attempts"]
    assert [(node["Node Type"], node["Index Name"]) for node in scans] == [("Index Only Scan", "attempts_answers")]
    assert scans[0]["Actual Rows"] == 720, "only the answers of the day are looked at, not those before"
    assert await pacing.windows(pool, id_, [since]) == [Window(720, 360)]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for inner in plan.get("Plans", []) for found in _nodes(inner))]


# -- what a learner is taught


async def test_the_history_tells_lines_talks_and_wrap_ups_oldest_first(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    agent = await pool.fetchval("INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, 'a', 'a') RETURNING id")
    now = datetime.now(UTC)

    def at(seconds: float) -> datetime:
        return now - timedelta(minutes=10) + timedelta(seconds=seconds)

    talked = await attempt(
        pool, id_, outcome="connected", claimed_at=at(0), dialed_at=at(1), answered_at=at(13), connected_at=at(14),
        ended_at=at(74), agent_id=agent, list_id=7,
    )  # fmt: skip
    for state, start, end, whose in (
        ("on_call", at(14), at(74), talked), ("wrap_up", at(74), at(89), talked), ("ready", at(89), at(91), None),
        ("wrap_up", at(95), None, talked),
    ):  # fmt: skip
        await pool.execute(
            "INSERT INTO agent_states (tenant_id, agent_id, state, attempt_id, started_at, ended_at)"
            " VALUES (1, $1, $2, $3, $4, $5)",
            *(agent, state, whose, start, end),
        )
    await attempt(pool, id_, outcome="no_answer", claimed_at=at(20), dialed_at=None, ended_at=at(45))
    await attempt(
        pool, id_, outcome="machine", claimed_at=at(30), dialed_at=at(30), answered_at=at(36), ended_at=at(40)
    )
    await attempt(
        pool, id_, outcome="abandoned", claimed_at=at(50), dialed_at=at(51), answered_at=at(59), ended_at=at(62)
    )
    for outcome in ("not_sent", "unknown"):
        await attempt(pool, id_, outcome=outcome, claimed_at=at(5), ended_at=at(6))
    await attempt(pool, id_, outcome=None, state="ringing", claimed_at=at(60), ended_at=None, contact_id=-5)
    await attempt(pool, id_, claimed_at=at(7), batch_id=await pool.fetchval("SELECT gen_random_uuid()"))
    past = await pacing.history(pool, id_, at(-60), 100)
    lines = [(p.line_seconds, p.answered, p.talk_seconds, p.wrap_up_seconds, p.list_id) for p in past]
    assert lines == [(13, True, 60, 15, 7), (25, False, None, None, None), (10, False, None, None, None),
                     (8, True, None, None, None)]  # fmt: skip
    assert past[0].started_at == at(1)
    assert [round(p.ago) for p in past] == pytest.approx([587, 555, 560, 541], abs=2)
    assert [p.line_seconds for p in await pacing.history(pool, id_, at(-60), 2)] == [10, 8], "the last ones"
    assert len(await pacing.history(pool, id_, at(40), 100)) == 1
    learner = Learner()
    teach(learner, past, 1000.0)
    assert (learner.lines, learner.answers, learner.talks) == (4, 2, 1)


async def test_who_hung_up_before_machine_detection_was_over_was_no_answer_to_learn_from(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    await pool.execute("UPDATE campaigns SET machine_detection = 'drop' WHERE id = $1", id_)
    start = datetime.now(UTC) - timedelta(minutes=10)
    for verdict in (None, "HUMAN"):
        await attempt(
            pool, id_, outcome="hung_up", claimed_at=start, dialed_at=start, answered_at=start + timedelta(seconds=9),
            ended_at=start + timedelta(seconds=11), machine=verdict,
        )  # fmt: skip
    past = await pacing.history(pool, id_, start - timedelta(hours=1), 100)
    assert sorted(row.answered for row in past) == [False, True]


# -- decisions that are kept


async def rows(pool: asyncpg.Pool) -> list[tuple[datetime, int, str]]:
    return [tuple(row) for row in await pool.fetch("SELECT at, lines, reason FROM pacing_decisions ORDER BY at")]


async def test_what_went_through_the_database_is_the_same_to_the_last_bit(pool: asyncpg.Pool) -> None:
    lots = Random(7)
    floats = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1e22, -0.0, 1 / 3, float("inf"), 123456.789]
    odd = replace(
        busy(lots),
        talking=tuple(floats),
        wrapping_up=tuple(lots.random() * 10 ** lots.randrange(-30, 30) for _ in range(200)),
    )
    for snapshot in [odd, *(busy(lots) for _ in range(20))]:
        back = await pool.fetchval("SELECT $1::jsonb", snapshot_json(snapshot))
        assert repr(snapshot_of(back)) == repr(snapshot)
    assert curves_of(await pool.fetchval("SELECT $1::jsonb", curves_json(CURVES))) == CURVES


async def test_one_decision_a_second_is_kept_the_last_that_started_lines(pool: asyncpg.Pool) -> None:
    id_, other = await campaign(pool, 0), await campaign(pool, 0)
    log = DecisionLog("n", lambda: pool)
    for second, tenth, lines in ((0, 1, 2), (0, 5, 1), (0, 9, 0), (1, 0, 0), (1, 4, 0), (2, 3, 0), (2, 4, 3)):
        log.put(idle(id_, NOW + timedelta(seconds=second, milliseconds=100 * tenth), lines, f"{second}.{tenth}"))
    log.put(idle(other, NOW, 1, "the other's"))
    await log.flush()
    await log.flush()
    assert [reason for *_, reason in await rows(pool)] == ["the other's", "0.5", "1.4", "2.4"]
    told = await pacing.latest(pool, 1, id_, NOW, 2)
    assert [(each.at, each.node, each.lines) for each in told] == [
        (NOW + timedelta(seconds=1.4), "n", 0), (NOW + timedelta(seconds=2.4), "n", 3),
    ]  # fmt: skip


async def test_a_model_is_written_once_and_again_only_to_say_that_it_is_in_use(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await campaign(pool, 0)
    other = replace(CURVES, chance=0.9)
    log = DecisionLog("n", lambda: pool)
    for n in range(6):
        log.put(made(id_, NOW + timedelta(seconds=n), busy(Random(n)), CURVES if n % 3 else other))
        await log.flush()
    models = await pool.fetch("SELECT digest, at, curves FROM pacing_models ORDER BY at")
    assert [(row["at"], curves_of(row["curves"])) for row in models] == [
        (NOW, other),
        (NOW + timedelta(seconds=1), CURVES),
    ]
    monkeypatch.setattr(pacing, "_MODEL_AGAIN_SECONDS", -1.0)
    for n in (7, 8):
        log.put(made(id_, NOW + timedelta(seconds=n), busy(Random(n))))
        await log.flush()
    assert await pool.fetchval("SELECT max(at) FROM pacing_models") == NOW + timedelta(seconds=8)


async def test_decisions_wait_for_the_database_up_to_a_bound_and_are_written_once(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "_MOST", 10)
    id_ = await campaign(pool, 0)
    there: list[asyncpg.Pool | None] = [None]
    log = DecisionLog("n", lambda: there[0])
    for n in range(13):
        log.put(idle(id_, NOW + timedelta(seconds=n)))
        await log.flush()
    assert (await rows(pool), log.dropped) == ([], 3)
    there[0] = pool
    await log.flush()
    kept = await rows(pool)
    assert [at for at, *_ in kept] == [NOW + timedelta(seconds=n) for n in range(3, 13)]
    log.put(idle(id_, NOW + timedelta(seconds=12)))  # as after a lost answer to the commit
    await log.flush()
    assert await rows(pool) == kept


async def test_what_is_refused_or_belongs_to_nothing_holds_nothing_up(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    log = DecisionLog("n", lambda: pool)
    log.put(idle(id_ + 1000, NOW))  # a campaign that was deleted meanwhile
    log.put(idle(id_, NOW))
    await log.flush()
    assert len(await rows(pool)) == 1
    log.put(replace(idle(id_, NOW + timedelta(seconds=1)), reason="nul \0"))
    log.put(idle(id_, NOW + timedelta(seconds=2)))
    await log.flush()
    assert ([at.second for at, *_ in await rows(pool)], log.dropped) == ([0, 2], 1)


async def test_the_task_writes_by_itself_and_removes_what_is_old(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "_PASS_SECONDS", 0.02)
    monkeypatch.setattr(pacing, "_FORGET_BATCH", 2)
    id_ = await campaign(pool, 0)
    log = DecisionLog("n", lambda: pool)
    now = datetime.now(UTC)
    for days in (40.0, 35.0, 34.0, 33.0, 32.0, 29.0, 0.0):
        log.put(made(id_, now - timedelta(days=days), busy(Random(int(days))), replace(CURVES, chance=days / 100)))
    await log.flush()
    log.put(idle(id_, now + timedelta(seconds=1)))
    task = asyncio.create_task(log.run())
    async with asyncio.timeout(10):
        while [(now - at).days for at, *_ in await rows(pool)] != [29, 0, -1]:
            await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await pool.fetchval("SELECT count(*) FROM pacing_models") == 2


# -- at the command line


async def test_decisions_are_shown_and_made_again(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0, name="Alpha")
    log = DecisionLog("n", lambda: pool)
    lots, now = Random(3), datetime.now(UTC)
    for n in range(700):  # more than a page
        log.put(made(id_, now - timedelta(seconds=3000 - n), busy(lots), lots.choice([CURVES, None])))
    log.put(made(id_, now - timedelta(hours=5), busy(lots)))
    await log.flush()
    shown = await admin("pacing", "show", "Alpha", "--limit", "3", "--json")
    assert [each["reason"] for each in shown.json["decisions"]] == [reason for *_, reason in (await rows(pool))[-3:]]
    table = await admin("pacing", "show", str(id_))
    assert (table.status, "REASON" in table.out, "ready" in table.out) == (0, True, True)
    again = await admin("pacing", "replay", "Alpha", "--since", "2h", "--json")
    assert again.json == {"campaign": id_, "same": 700, "different": 0, "differences": []}
    assert "700 of 700 decisions come out the same" in again.err
    assert "701 of 701" in (await admin("pacing", "replay", "Alpha")).err
    assert "no decision in that time" in (await admin("pacing", "show", "Alpha", "--since", "1s")).err
    assert (await admin("pacing", "show", "Beta")).status == 3
    assert (await admin("pacing", "show", "Alpha", "--since", "soon")).status == 2


async def test_a_replay_finds_every_record_that_was_changed(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0, name="Alpha")
    log = DecisionLog("n", lambda: pool)
    now = datetime.now(UTC)
    for n in range(10):
        log.put(made(id_, now - timedelta(seconds=600 - n), busy(Random(n)), CURVES if n < 5 else None))
    await log.flush()
    change = "UPDATE pacing_decisions SET {} WHERE at = (SELECT at FROM pacing_decisions ORDER BY at OFFSET $1 LIMIT 1)"
    await pool.execute(change.format("lines = lines + 1"), 9)
    await pool.execute(change.format("reason = reason || '.'"), 8)
    await pool.execute(change.format("snapshot = snapshot - 'ready'"), 7)
    await pool.execute("DELETE FROM pacing_models")
    found = await admin("pacing", "replay", "Alpha", "--json")
    assert found.status == 1
    said = json.loads(found.out)
    assert (said["same"], said["different"], len(said["differences"])) == (2, 8, 8)
    assert [("model" in d["words"], "broken" in d["words"]) for d in said["differences"]] == (
        [(True, False)] * 5 + [(False, True)] + [(False, False)] * 2
    )
    assert said["differences"][-1]["again"]["lines"] == said["differences"][-1]["lines"] - 1
    text = await admin("pacing", "replay", "Alpha")
    assert (text.status, "2 of 10 decisions" in text.err, "AGAIN" in text.out) == (1, True, True)


async def test_another_tenants_decisions_are_not_shown(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    log = DecisionLog("n", lambda: pool)
    log.put(idle(id_, datetime.now(UTC)))
    await log.flush()
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    assert (await admin("--tenant", "other", "pacing", "show", str(id_))).status == 3
