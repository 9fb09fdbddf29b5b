"""The claim and the record against a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from dialerd.store import dnc
from dialerd.store.claim import claim
from dialerd.store.ledger import Ledger
from dialerd.store.queries import queries
from dialerd.store.queue import promote
from tests.terms import add_contacts, open_in

ZONES = ["Europe/Helsinki"]


async def campaign(pool: asyncpg.Pool, contacts: int, **changes: Any) -> int:
    """An active campaign on trunk `t` of node `n` with that many contacts."""
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 1000) ON CONFLICT DO NOTHING")
    columns: dict[str, Any] = {
        "tenant_id": 1, "name": f"c{datetime.now(UTC).timestamp()}", "state": "active", "dial_mode": "progressive",
        "queue_name": "q", "trunk": "t", "max_concurrent_calls": 1000, **changes,
    }  # fmt: skip
    names = ", ".join(columns)
    places = ", ".join(f"${i}" for i in range(1, len(columns) + 1))
    insert = f"INSERT INTO campaigns ({names}) VALUES ({places}) RETURNING id"  # noqa: S608 - our own names
    id_: int = await pool.fetchval(insert, *columns.values())
    await add_contacts(pool, id_, [f"+35840{id_ * 100_000 + n:07}" for n in range(contacts)], ZONES)
    return id_


async def take(pool: asyncpg.Pool, id_: int, want: int, zones: list[str] = ZONES, node: str = "n") -> Any:
    return await claim(pool, id_, want, node, await open_in(pool, id_, zones))


async def test_a_claim_takes_each_contact_once_even_with_eight_claimers_at_a_time(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 200)
    results = await asyncio.gather(*(take(pool, id_, 10) for _ in range(24)))
    attempts = [taken for result in results for taken in result.taken]
    assert len(attempts) == 200
    assert len({taken.contact_id for taken in attempts}) == 200
    assert {row["state"] for row in await pool.fetch("SELECT DISTINCT state FROM contacts")} == {"claimed"}
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'claimed'") == 200


async def test_a_claim_says_which_list_each_contact_came_with(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 3)
    await pool.execute("UPDATE contacts SET list_id = nullif(id % 3, 0)")
    taken = (await take(pool, id_, 3)).taken
    assert {t.contact_id: t.list_id for t in taken} == {t.contact_id: t.contact_id % 3 or None for t in taken}
    assert len(taken) == 3


async def test_ids_are_uuids_of_version_7_in_order_of_time(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 2)
    first = (await take(pool, id_, 1)).taken[0].attempt
    await asyncio.sleep(0.002)  # the order is by the millisecond
    second = (await take(pool, id_, 1)).taken[0].attempt
    assert first[14] == second[14] == "7"
    assert first < second


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("UPDATE installation SET enabled = false", "disabled"),
        ("UPDATE tenants SET enabled = false", "disabled"),
        ("UPDATE tenants SET balance = 0", "insufficient_funds"),
        ("UPDATE tenants SET balance = 1, price_attempt = 2", "insufficient_funds"),
        ("UPDATE campaigns SET state = 'paused'", "not_active"),
        ("UPDATE campaigns SET max_concurrent_calls = 0", "campaign_full"),
        ("UPDATE trunks SET max_calls = 0", "trunk_full"),
        ("UPDATE tenants SET max_calls = 0", "tenant_full"),
        ("UPDATE trunks SET active = false", "trunk_inactive"),
        ("UPDATE trunks SET node = 'other'", "unknown_trunk"),
        ("UPDATE contacts SET state = 'waiting', next_at = now() + interval '1 hour'", "nothing_due"),
        ("UPDATE contacts SET state = 'done'", "list_used_up"),
        ("UPDATE contacts SET attempts = 4", "list_used_up"),
        ("UPDATE contacts SET zone_set = 0", "list_used_up"),
        ("UPDATE contacts SET zone_set = zone_set_of('{Europe/Helsinki,Asia/Tehran}')", "nothing_due"),
    ],
)
async def test_every_gate_refuses_by_name_and_takes_nothing(pool: asyncpg.Pool, change: str, refusal: str) -> None:
    id_ = await campaign(pool, 3)
    await pool.execute(change)
    result = await take(pool, id_, 3)
    assert (result.taken, result.refusal) == ((), refusal)
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0


async def test_a_closed_or_stale_window_takes_nothing(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 3)
    assert (await take(pool, id_, 3, zones=[])).refusal == "outside_allowed_time_window"
    await pool.execute("SELECT zone_set_of('{Asia/Tehran}')")
    assert (await take(pool, id_, 3, zones=["Asia/Tehran"])).refusal == "nothing_due"
    late = await open_in(pool, id_, ZONES, until=datetime.now(UTC) - timedelta(seconds=1))
    assert (await claim(pool, id_, 3, "n", late)).refusal == "judgement_too_old"


@pytest.mark.accepts("DNC-01")
async def test_a_number_on_a_dnc_list_is_skipped_and_the_refusal_is_on_record(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 2)
    barred = await pool.fetchval("SELECT e164 FROM numbers ORDER BY id LIMIT 1")
    await dnc.add(pool, 1, dnc.Scope(None), [barred], "FI", "test", "test")
    taken = (await take(pool, id_, 2)).taken
    assert [t.e164 for t in taken] == [await pool.fetchval("SELECT max(e164) FROM numbers")]
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE state = 'suppressed'") == 1
    note = await pool.fetchrow("SELECT detail FROM call_events WHERE kind = 'not_dialed'")
    assert (note["detail"]["rule"], note["detail"]["list"]) == ("dnc", "own")


async def test_thousands_of_barred_numbers_at_the_head_of_a_list_do_not_hold_it_up(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 3001)
    await pool.execute(
        "WITH list AS (INSERT INTO dnc_lists (name, kind) VALUES ('many', 'own') RETURNING id)"
        " INSERT INTO dnc_numbers (number, list_id)"
        " SELECT substr(e164, 2)::bigint, list.id FROM list, (SELECT e164 FROM numbers ORDER BY id LIMIT 3000) n"
    )
    taken = (await take(pool, id_, 1)).taken
    assert [t.e164 for t in taken] == [await pool.fetchval("SELECT e164 FROM numbers ORDER BY id DESC LIMIT 1")]
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE state = 'suppressed'") == 3000


async def test_a_balance_is_not_spent_twice_by_claims_on_two_trunks(pool: asyncpg.Pool) -> None:
    one, two = await campaign(pool, 20), await campaign(pool, 20, trunk="other")
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('other', 'n', 100)")
    await pool.execute("UPDATE tenants SET balance = 10, price_attempt = 1")
    results = await asyncio.gather(*(take(pool, id_, 1) for _ in range(15) for id_ in (one, two)))
    assert sum(len(result.taken) for result in results) == 10
    assert await pool.fetchval("SELECT balance FROM tenants") == 0


async def test_caps_hold_with_claims_at_the_same_instant(pool: asyncpg.Pool) -> None:
    one = await campaign(pool, 50, max_concurrent_calls=7)
    two = await campaign(pool, 50)
    await pool.execute("UPDATE trunks SET max_calls = 20")
    await asyncio.gather(*(take(pool, id_, 5) for _ in range(8) for id_ in (one, two)))
    live = {r["campaign_id"]: r["n"] for r in await pool.fetch(
        "SELECT campaign_id, count(*) AS n FROM attempts WHERE state <> 'ended' GROUP BY 1")}  # fmt: skip
    assert sum(live.values()) == 20
    assert live[one] <= 7


async def test_one_number_in_two_campaigns_is_never_called_twice_at_a_time(pool: asyncpg.Pool) -> None:
    one, two = await campaign(pool, 1), await campaign(pool, 1)
    await pool.execute("UPDATE numbers SET e164 = '+358401234567'")
    results = await asyncio.gather(take(pool, one, 1), take(pool, two, 1))
    assert sum(len(r.taken) for r in results) == 1
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE state IN ('queued', 'waiting')") == 1


async def test_attempts_are_paid_from_the_balance(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 5)
    await pool.execute("UPDATE tenants SET balance = 1.0, price_attempt = 0.4")
    assert len((await take(pool, id_, 5)).taken) == 2
    assert (await take(pool, id_, 5)).refusal == "insufficient_funds"


def ended(attempt: str, outcome: str = "busy", next_at: str | None = None, counts: bool = True) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat()
    return [
        {"event": {"tenant_id": 1, "campaign_id": 1, "attempt_id": attempt, "at": now, "kind": "ended"}},
        {"attempt": {"id": attempt, "state": "ended", "outcome": outcome, "cause": 17, "ended_at": now}},
        {"contact": {"attempt_id": attempt, "next_at": next_at, "counts": counts}},
    ]


async def test_the_end_of_an_attempt_is_written_once_and_frees_its_contact(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 1)
    attempt = (await take(pool, id_, 1)).taken[0].attempt
    ledger = Ledger("n", lambda: pool)
    task = asyncio.create_task(ledger.run())
    ledger.put(*ended(attempt, "busy", next_at=datetime.now(UTC).isoformat()))
    ledger.put(*ended(attempt, "connected"))  # a second end changes nothing
    await asyncio.wait_for(ledger.written(), 5)
    task.cancel()
    row = await pool.fetchrow("SELECT state, outcome FROM attempts")
    assert (row["state"], row["outcome"]) == ("ended", "busy")
    contact = await pool.fetchrow("SELECT state, attempts, last_outcome FROM contacts")
    assert tuple(contact) == ("waiting", 1, "busy")
    assert await promote(pool, id_) == 1
    assert len((await take(pool, id_, 1)).taken) == 1


async def test_an_attempt_that_never_left_does_not_count(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 1)
    attempt = (await take(pool, id_, 1)).taken[0].attempt
    rows = ended(attempt, "not_sent", datetime.now(UTC).isoformat(), counts=False)
    assert await pool.fetchval("SELECT record_v2(gen_random_uuid(), 'n', 1, $1)", rows)
    assert await pool.fetchval("SELECT attempts FROM contacts") == 0


async def test_a_batch_that_is_sent_again_is_not_written_again(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 1)
    attempt = (await take(pool, id_, 1)).taken[0].attempt
    send = "SELECT record_v2('00000000-0000-4000-8000-000000000001', 'n', 1, $1)"
    assert await pool.fetchval(send, ended(attempt)) is True
    assert await pool.fetchval(send, ended(attempt)) is False
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'ended'") == 1


async def test_one_refused_row_does_not_hold_up_the_others(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 1)
    attempt = (await take(pool, id_, 1)).taken[0].attempt
    ledger = Ledger("n", lambda: pool)
    ledger.put({"event": {"tenant_id": 1, "campaign_id": "x", "at": datetime.now(UTC).isoformat(), "kind": "nobody's"}})
    ledger.put(*ended(attempt))
    task = asyncio.create_task(ledger.run())
    await asyncio.wait_for(ledger.written(), 5)
    task.cancel()
    assert await pool.fetchval("SELECT state FROM attempts") == "ended"


async def test_the_record_refuses_to_be_changed(pool: asyncpg.Pool) -> None:
    await campaign(pool, 1)
    await pool.execute("INSERT INTO call_events (tenant_id, at, kind) VALUES (1, now(), 'x')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("DELETE FROM call_events")


async def test_a_stopped_campaign_is_loaded_while_attempts_of_it_live(pool: asyncpg.Pool) -> None:
    """Else a daemon that starts then takes its calls for nobody's, hangs them up and never closes them."""
    id_ = await campaign(pool, 1)
    attempt = (await take(pool, id_, 1)).taken[0].attempt
    await pool.execute("UPDATE campaigns SET state = 'stopped'")
    load = queries("terms").campaigns
    assert [row["id"] for row in await pool.fetch(load, [], True, None)] == [id_]
    await pool.execute("SELECT record_v2(gen_random_uuid(), 'n', 1, $1)", ended(attempt))
    assert await pool.fetch(load, [], True, None) == []


async def test_a_paid_claim_does_not_make_daemons_read_everything_again(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 2)
    await pool.execute("UPDATE tenants SET balance = 1.0, price_attempt = 0.4")
    heard: list[str] = []
    last = asyncio.Event()

    def hear(_c: object, _p: int, _ch: str, payload: str) -> None:
        heard.append(payload)
        if payload == "last":
            last.set()

    async with pool.acquire() as connection:
        await connection.add_listener("dialerd", hear)
        await take(pool, id_, 1)
        await pool.execute("UPDATE tenants SET enabled = false")
        await pool.execute("SELECT pg_notify('dialerd', 'last')")
        await asyncio.wait_for(last.wait(), 5)
        await connection.remove_listener("dialerd", hear)
    assert heard == ["tenants:1", "last"]
