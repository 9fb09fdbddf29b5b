"""Contacts held for an agent to look at: whose turn it is, for how long, and every gate when the call is asked for."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from dialerd.core.limits import parse
from dialerd.store import agents, dnc, previews
from dialerd.store.claim import claim
from dialerd.store.queue import promote
from tests.integration.test_claim import ZONES
from tests.integration.test_settings import campaign
from tests.terms import add_contacts, open_in

NUMBERS = [f"+35840100000{n}" for n in range(1, 5)]


class Office:
    """A campaign in mode preview, two agents."""

    def __init__(self, pool: asyncpg.Pool, id_: int, people: list[int]) -> None:
        self.pool, self.id, self.people = pool, id_, people

    async def next(self, agent: int = 0, seconds: float = 60.0) -> str | None:
        judgement = await open_in(self.pool, self.id, ZONES)
        held = await previews.hold_next(self.pool, self.id, self.people[agent], judgement, seconds)
        return held.e164 if held else None

    async def call(self, agent: int = 0, **rules: Any) -> Any:
        """The number, or the gate."""
        judgement = await open_in(self.pool, self.id, rules.pop("zones", ZONES), **rules)
        found = await previews.claim_held(self.pool, self.id, self.people[agent], "n", judgement)
        return found.refusal or found.taken[0].e164

    async def skip(self, agent: int = 0, seconds: float = 0.0) -> int | None:
        return await previews.end(self.pool, 1, self.id, self.people[agent], seconds, {"why": "skipped"})

    async def state(self, e164: str) -> str:
        return str(await self.pool.fetchval(
            "SELECT c.state FROM contacts c JOIN numbers n ON n.contact_id = c.id WHERE n.e164 = $1", e164
        ))  # fmt: skip


@pytest.fixture
async def office(pool: asyncpg.Pool) -> Office:
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 2)")
    id_ = await campaign(pool, max_retries=1)
    await pool.execute("UPDATE campaigns SET state = 'active', dial_mode = 'preview'")
    await add_contacts(pool, id_, NUMBERS, ZONES)
    people = [(await agents.add(pool, 1, name, name, ["q"], "", "test")).id for name in ("aino", "eino")]
    return Office(pool, id_, people)


@pytest.mark.accepts("CAM-12")
async def test_two_agents_never_look_at_the_same_contact_and_its_call_is_the_holders(office: Office) -> None:
    found = await asyncio.gather(office.next(0), office.next(1))
    assert sorted(filter(None, found)) == NUMBERS[:2]
    assert await office.call(0) == found[0]
    assert await office.call(0) == "not_held", "once"
    assert await office.call(1) == found[1]
    row = await office.pool.fetchrow("SELECT detail FROM call_events WHERE kind = 'claimed' LIMIT 1")
    assert row["detail"]["agent_id"] in office.people and row["detail"]["zones"] == ZONES


async def test_who_asks_again_gives_back_the_one_they_had(office: Office) -> None:
    assert await office.next() == NUMBERS[0]
    assert await office.next() == NUMBERS[1]
    await promote(office.pool, office.id)
    assert await office.state(NUMBERS[0]) == "queued"
    assert await office.pool.fetchval("SELECT count(*) FROM previews") == 1


async def test_a_hold_ends_by_itself(office: Office) -> None:
    assert await office.next(seconds=0.0) == NUMBERS[0]
    assert await office.call() == "not_held"
    await promote(office.pool, office.id)
    assert await office.next(1) == NUMBERS[0]
    assert await office.skip(0) is None, "it is another agent's now"


async def test_a_skipped_contact_waits_for_its_time(office: Office) -> None:
    await office.next()
    assert await office.skip(seconds=3600) is not None
    await promote(office.pool, office.id)
    assert await office.next() == NUMBERS[1]
    wait = await office.pool.fetchval("SELECT min(next_at) FROM contacts WHERE next_at > now() + interval '5 minutes'")
    assert 3500 < (wait - datetime.now(UTC)).total_seconds() < 3700


async def test_barred_contacts_and_closed_zones_are_not_shown(office: Office) -> None:
    await dnc.add(office.pool, 1, dnc.Scope(1), NUMBERS[:1], "FI", "test", "asked for it")
    assert await office.next() == NUMBERS[1]
    judgement = await open_in(office.pool, office.id, ["Asia/Tehran"])
    assert await previews.hold_next(office.pool, office.id, office.people[1], judgement, 60) is None


async def test_an_agents_own_callback_comes_first_and_nobody_elses(office: Office) -> None:
    await office.pool.execute(
        "UPDATE contacts SET callback_at = now(), callback_agent_id = $1,"
        " rank = contact_rank('oldest', 0, 0, NULL, true, 0)"
        " WHERE id = (SELECT contact_id FROM numbers WHERE e164 = $2)", office.people[1], NUMBERS[3],
    )  # fmt: skip
    assert await office.next(0) == NUMBERS[0]
    assert await office.next(1) == NUMBERS[3]


@pytest.mark.accepts("CAM-12")
@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ("UPDATE campaigns SET state = 'paused'", "not_active"),
        ("UPDATE tenants SET enabled = false", "disabled"),
        ("UPDATE installation SET enabled = false", "disabled"),
        ("UPDATE tenants SET balance = 0", "insufficient_funds"),
        ("UPDATE trunks SET node = 'another' WHERE name = 't'", "unknown_trunk"),
        ("UPDATE trunks SET active = false WHERE name = 't'", "trunk_inactive"),
        ("UPDATE trunks SET max_calls = 0 WHERE name = 't'", "trunk_full"),
        ("UPDATE tenants SET max_calls = 0", "tenant_full"),
        ("UPDATE campaigns SET max_concurrent_calls = 0", "campaign_full"),
        ("UPDATE contacts SET attempts = 2", "max_retries"),
        ("INSERT INTO dnc_lists (tenant_id, name, kind, as_of, max_age_days)"
         " VALUES (1, 'r', 'register', now() - interval '9 days', 1)", "dnc_stale"),
        ("UPDATE previews SET until = now() - interval '1 second'", "not_held"),
    ],
)  # fmt: skip
async def test_every_gate_is_asked_when_the_call_is(office: Office, change: str, gate: str) -> None:
    await office.next()
    await office.pool.execute(change)
    assert await office.call() == gate
    assert await office.pool.fetchval("SELECT count(*) FROM attempts") == 0


@pytest.mark.accepts("CAM-12")
async def test_lists_limits_windows_and_live_calls_hold_for_the_one_contact_and_no_other_is_taken(
    office: Office,
) -> None:
    await office.next()
    assert await office.call(zones=["Asia/Tehran"]) == "outside_allowed_time_window"
    await dnc.add(office.pool, 1, dnc.Scope(1), NUMBERS[:1], "FI", "test", "meanwhile")
    assert await office.call() == "dnc"
    assert await office.state(NUMBERS[0]) == "suppressed"
    assert await office.next() == NUMBERS[1]
    assert await office.call() == NUMBERS[1]
    await office.pool.execute("UPDATE attempts SET state = 'ended', outcome = 'busy', ended_at = now()")
    await office.pool.execute("UPDATE contacts SET state = 'queued' WHERE state = 'claimed'")
    assert await office.next() == NUMBERS[1]
    assert await office.call(limits=(parse("1/24h"),)) == "1/24h/campaign/number"
    assert await office.next() == NUMBERS[2]
    other = await campaign(office.pool, "other")
    await office.pool.execute("UPDATE campaigns SET state = 'active'")
    await add_contacts(office.pool, other, [NUMBERS[2]], ZONES)
    assert len((await claim(office.pool, other, 1, "n", await open_in(office.pool, other, ZONES))).taken) == 1
    assert await office.call() == "live_call"
    assert await office.pool.fetchval("SELECT count(*) FROM attempts") == 2


async def test_a_price_is_paid_and_an_old_judgement_refused(office: Office) -> None:
    await office.pool.execute("UPDATE tenants SET balance = 10, price_attempt = 3")
    await office.next()
    judgement = await open_in(office.pool, office.id, ZONES, until=datetime.now(UTC))
    old = await previews.claim_held(office.pool, office.id, office.people[0], "n", judgement)
    assert old.refusal == "judgement_too_old"
    assert await office.call() == NUMBERS[0]
    assert await office.pool.fetchval("SELECT balance FROM tenants") == 7
