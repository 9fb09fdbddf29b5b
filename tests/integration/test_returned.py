"""Whom we called, and the attempt that a returned call becomes, with a real PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.causes import Outcome
from dialerd.core.retry import History, after
from dialerd.core.seller import Seller
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.returned import spellings
from dialerd.store import returned, stats
from dialerd.store.claim import claim
from tests.integration.test_claim import ZONES, campaign
from tests.terms import open_in
from tests.unit.test_conversations import campaign as live

OURS = "+358401100000"


async def called(pool: asyncpg.Pool, outcome: str = "no_answer", **changes: Any) -> tuple[int, str, str]:
    """Somebody whom we called, and how that ended: campaign, attempt and number."""
    id_ = await campaign(pool, 1)
    await pool.execute("UPDATE campaigns SET seller_name = 'Acme', opt_out_key = '9' WHERE id = $1", id_)
    [taken] = (await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))).taken
    columns = {"state": "ended", "outcome": outcome, "ended_at": datetime.now(UTC), "caller_id": OURS, **changes}
    names = ", ".join(f"{name} = ${i}" for i, name in enumerate(columns, 2))
    await pool.execute(f"UPDATE attempts SET {names} WHERE id = $1", UUID(taken.attempt), *columns.values())  # noqa: S608
    await pool.execute("UPDATE contacts SET state = 'waiting', next_at = now() + interval '1 hour'")
    return id_, taken.attempt, taken.e164


async def test_the_last_call_is_known_by_both_numbers_and_only_so_long(pool: asyncpg.Pool) -> None:
    id_, attempt, e164 = await called(pool)
    found = await returned.last_call(pool, e164, [OURS], 30)
    assert found is not None
    assert (found.attempt, found.campaign_id, found.e164, found.to_agents) == (attempt, id_, e164, False)
    assert found.seller == Seller("Acme", None, "en", "9")
    assert await returned.last_call(pool, e164, ["+358401100001"], 30) is None
    assert await returned.last_call(pool, "+358449999999", [OURS], 30) is None
    await pool.execute("UPDATE attempts SET claimed_at = now() - interval '31 days'")
    assert await returned.last_call(pool, e164, [OURS], 30) is None
    await pool.execute("UPDATE attempts SET claimed_at = now() - interval '1 day', outcome = 'not_sent'")
    assert await returned.last_call(pool, e164, [OURS], 30) is None


@pytest.mark.parametrize("dialled", ["0401100000", "358401100000", "+358401100000", "00358401100000"])
def test_a_caller_id_is_known_however_the_trunk_spells_it(dialled: str) -> None:
    assert OURS in spellings(dialled, "FI")
    assert spellings("", "FI") == [] and spellings("1 OR 1=1", "FI") == []


async def test_a_returned_call_is_one_live_attempt_and_never_a_second_one(pool: asyncpg.Pool) -> None:
    id_, attempt, e164 = await called(pool)
    taken = await returned.take(pool, attempt, "n")
    assert taken is not None and taken.e164 == e164
    assert await returned.take(pool, attempt, "n") is None, "the person is in a live call"
    assert await returned.take(pool, "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "n") is None
    await pool.execute("UPDATE contacts SET state = 'queued', next_at = now()")
    assert (await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))).taken == (), "nor called meanwhile"
    found = await returned.last_call(pool, e164, [OURS], 30)
    assert found is not None and found.attempt == attempt, "it is no call of ours"


@pytest.mark.parametrize("talked", [True, False])
async def test_its_end_is_in_no_figure_of_dialled_calls_and_only_a_talk_ends_the_contact(
    pool: asyncpg.Pool, talked: bool
) -> None:
    id_, attempt, e164 = await called(pool, "abandoned", answered_at=datetime.now(UTC))
    before = await stats.grouped(pool, 1, id_, "outcome", None, "UTC")
    taken = await returned.take(pool, attempt, "n")
    assert taken is not None
    facts = Facts(taken.claimed_at, sent=True, answered_at=taken.claimed_at, entered_at=taken.claimed_at)
    if talked:
        facts = replace(facts, connected_at=taken.claimed_at)
    call = Call(
        taken.attempt_id, replace(live(), id=id_), taken.contact_id, e164, History(taken.attempts, taken.tries), facts,
        0.0, returns=attempt,
    )  # fmt: skip
    at = taken.claimed_at + timedelta(seconds=30)
    call.facts = replace(call.facts, hung_up_at=at, left_at=at)
    assert call.outcome is Outcome.RETURNED
    retry = after(call.outcome, call.history, call.campaign.retry, at)
    rows = record.ended(call, Event(Kind.HUNG_UP, at), call.outcome, retry, at)
    assert await pool.fetchval("SELECT record_v4(gen_random_uuid(), 'n', 1, $1)", rows)
    assert await stats.grouped(pool, 1, id_, "outcome", None, "UTC") == before
    assert await pool.fetchval("SELECT state FROM contacts") == ("done" if talked else "waiting")
    row = await pool.fetchrow("SELECT outcome, returns::text FROM attempts WHERE id = $1", UUID(taken.attempt_id))
    assert tuple(row) == ("returned", attempt)
