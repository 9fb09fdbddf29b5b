"""Tenants and their money: what an operator sets, what claims and ends charge, and that nothing is lost between."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from dialerd import config
from dialerd.core.money import AmountRefused, amount
from dialerd.store import tenants
from dialerd.store.claim import claim
from dialerd.store.errors import NotFound, Refused
from tests.integration.test_admin import Admin, runner
from tests.integration.test_claim import ZONES, campaign, take
from tests.terms import open_in


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def events(pool: asyncpg.Pool) -> list[tuple[int, str]]:
    return [tuple(row) for row in await pool.fetch("SELECT tenant_id, kind FROM call_events ORDER BY id")]


async def test_a_tenants_calls_at_a_time_are_limited_at_the_command_line(admin: Admin, pool: asyncpg.Pool) -> None:
    assert (await admin("tenant", "set", "default", "--max-calls", "40", "--json")).json["max_calls"] == 40
    shown = await admin("tenant", "list")
    assert "MAX CALLS" in shown.out and " 40 " in shown.out
    both = await admin("tenant", "set", "default", "--max-calls", "none", "--price-attempt", "0.01", "--json")
    assert (both.json["max_calls"], both.json["price_attempt"]) == (None, "0.0100")
    for wrong, status in (("-1", 2), ("many", 2), ("1000001", 1)):
        assert (await admin("tenant", "set", "default", "--max-calls", wrong)).status == status
    details = await pool.fetch("SELECT detail FROM call_events WHERE kind = 'tenant.max_calls' ORDER BY id")
    assert [(row["detail"]["from"], row["detail"]["to"]) for row in details] == [(None, 40), (40, None)]


async def test_a_tenants_calls_over_all_trunks_and_campaigns_never_exceed_its_limit(pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE tenants SET max_calls = 7")
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('u', 'n', 1000)")
    ids = [await campaign(pool, 10), await campaign(pool, 10, trunk="u"), await campaign(pool, 10)]
    handed = await claim(pool, ids[0], 4, "batch", await open_in(pool, ids[0], ZONES), trunk="batch", batch=uuid4())
    assert len(handed.taken) == 4, "hand-outs are no calls: neither counted nor held back"
    done = await asyncio.gather(*(take(pool, id_, 2) for id_ in ids * 4))
    taken = [each.attempt for result in done for each in result.taken]
    assert len(taken) == 7
    assert {result.refusal for result in done if not result.taken} == {"tenant_full"}
    await pool.execute(
        "UPDATE attempts SET state = 'ended', outcome = 'busy', ended_at = now() WHERE id = $1::uuid", taken[0]
    )
    assert [len((await take(pool, ids[1], 5)).taken) for _ in range(2)] == [1, 0]
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    theirs = await campaign(pool, 5, tenant_id=other)
    assert len((await take(pool, theirs, 5)).taken) == 5, "another tenant's calls are its own"


@pytest.mark.parametrize("text", ["-1", "1e6", "0.00001", "NaN", "Infinity", "1_0", "", "ten", "١"])
def test_a_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountRefused):
        amount(text)


async def test_a_tenants_life_at_the_command_line(admin: Admin, pool: asyncpg.Pool) -> None:
    made = (await admin("tenant", "add", "acme", "--region", "es", "--json")).json
    assert (made["default_region"], made["balance"], made["enabled"]) == ("ES", None, True)
    set_ = await admin(
        "tenant", "set", "acme", "--price-attempt", "0.01", "--price-minute", "0.1", "--balance", "5", "--json"
    )
    assert (set_.json["balance"], set_.json["price_attempt"], set_.json["price_minute"]) == (
        "5.0000",
        "0.0100",
        "0.1000",
    )
    assert (await admin("tenant", "credit", "acme", "2.5", "--json")).json["balance"] == "7.5000"
    off = await admin("tenant", "disable", "acme", "--json")
    assert off.json["enabled"] is False
    assert "0 in progress" in off.err
    assert (await admin("tenant", "enable", "acme", "--json")).json["enabled"] is True
    assert [t["name"] for t in (await admin("tenant", "list", "--json")).json["tenants"]] == ["acme", "default"]
    assert (await admin("tenant", "set", "acme", "--balance", "none", "--json")).json["balance"] is None
    refused = await admin("tenant", "credit", "acme", "1")
    assert (refused.status, "--balance 0" in refused.err) == (1, True)
    assert (await admin("tenant", "add", "acme")).status == 1
    assert (await admin("tenant", "show", "nobody")).status == 3
    assert (await admin("tenant", "set", "acme", "--price-minute", "0.00001")).status == 2
    assert [kind for _, kind in await events(pool)] == [
        "tenant.added",
        "tenant.prices",
        "tenant.credited",
        "tenant.disabled",
        "tenant.enabled",
        "tenant.prices",
    ]
    detail = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'tenant.credited'")
    assert (detail["from"], detail["to"], detail["by"][:13]) == ("5.0000", "7.5000", "dialer-admin:")


async def test_the_installations_switch_stops_everybody_and_each_tenants_record_says_so(
    admin: Admin, pool: asyncpg.Pool
) -> None:
    await tenants.add(pool, "acme", "FI", "test")
    id_ = await campaign(pool, 3)
    assert len((await take(pool, id_, 1)).taken) == 1
    off = (await admin("switch", "off", "--json")).json
    assert off == {"enabled": False, "changed": True, "live_calls": 1}
    assert (await take(pool, id_, 1)).refusal == "disabled"
    assert (await admin("switch", "off", "--json")).json["changed"] is False
    assert (await admin("switch", "show", "--json")).json == {"enabled": False, "disabled_tenants": []}
    assert (await admin("switch", "on", "--json")).json["enabled"] is True
    assert len((await take(pool, id_, 1)).taken) == 1, "its version changed, and with it the judgement"
    ours = [event for event in await events(pool) if event[1].startswith("installation.")]
    assert sorted(ours) == [(t, f"installation.{word}") for t in (1, 2) for word in ("disabled", "enabled")]


async def test_what_is_no_tenant_is_refused_by_name(pool: asyncpg.Pool) -> None:
    for name, region in (("", "FI"), ("a b", "FI"), ("acme", "XX"), ("default", "FI")):
        with pytest.raises(Refused):
            await tenants.add(pool, name, region, "test")
    with pytest.raises(NotFound):
        await tenants.switch(pool, "nobody", False, "test")
    assert await events(pool) == []


START, PER_ATTEMPT, PER_MINUTE = Decimal("20"), Decimal("0.1"), Decimal("0.37")


async def paid_campaigns(pool: asyncpg.Pool, contacts: int) -> list[int]:
    found = [await campaign(pool, contacts), await campaign(pool, contacts, trunk="other")]
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('other', 'n', 1000)")
    await tenants.set_money(pool, "default", "test", balance=START, price_attempt=PER_ATTEMPT, price_minute=PER_MINUTE)
    return found


def end(attempt: str, outcome: str, talk: float | None) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    answered = None if talk is None else (now - timedelta(seconds=talk)).isoformat()
    word = {"id": attempt, "state": "ended", "outcome": outcome, "answered_at": answered, "ended_at": now.isoformat()}
    return [{"attempt": word}, {"contact": {"attempt_id": attempt, "next_at": None, "counts": outcome != "not_sent"}}]


@pytest.mark.parametrize("seed", range(4))
async def test_no_money_is_lost_or_made_by_eight_writers_at_a_time(pool: asyncpg.Pool, seed: int) -> None:
    """Each spends and settles as it likes; some ends are written twice, as after a lost COMMIT reply."""
    chance = random.Random(seed)
    ids = await paid_campaigns(pool, 150)
    expected: dict[str, Decimal] = {}

    async def writer(dice: random.Random) -> None:
        for _ in range(12):
            id_ = dice.choice(ids)
            taken = (await claim(pool, id_, dice.randint(1, 6), "n", await open_in(pool, id_, ZONES))).taken
            rows: list[dict[str, Any]] = []
            for one in taken:
                outcome = dice.choice(["connected", "busy", "not_sent", "machine", "no_answer"])
                talk = dice.choice([0.0, 59.5, 60.0, 61.0, 200.0]) if outcome in ("connected", "machine") else None
                rows += end(one.attempt, outcome, talk)
                minutes = 0 if talk is None else max(ceil(talk / 60), 1)
                expected[one.attempt] = Decimal(0) if outcome == "not_sent" else PER_ATTEMPT + minutes * PER_MINUTE
            for _ in range(dice.choice([1, 1, 2])):
                await pool.execute("SELECT record_v2(gen_random_uuid(), 'n', 1, $1)", rows)

    await asyncio.gather(*(writer(random.Random(chance.random())) for _ in range(8)))
    costs = {str(r["id"]): r["cost"] for r in await pool.fetch("SELECT id, cost FROM attempts")}
    assert costs == expected
    balance = await pool.fetchval("SELECT balance FROM tenants WHERE id = 1")
    assert START - sum(costs.values()) == balance
    assert len(costs) > 20


async def test_a_balance_goes_below_zero_by_minutes_only(pool: asyncpg.Pool) -> None:
    one, two = await paid_campaigns(pool, 60)
    await tenants.set_money(pool, "default", "test", balance=Decimal("1.05"))
    claims = await asyncio.gather(*(take(pool, id_, 7) for id_ in (one, two) * 4))
    taken = [t for c in claims for t in c.taken]
    assert len(taken) == 10
    assert await pool.fetchval("SELECT balance FROM tenants WHERE id = 1") == Decimal("0.05")
    await pool.execute("SELECT record_v2(gen_random_uuid(), 'n', 1, $1)", end(taken[0].attempt, "connected", 61))
    assert await pool.fetchval("SELECT balance FROM tenants WHERE id = 1") == Decimal("0.05") - 2 * PER_MINUTE
    assert (await take(pool, one, 1)).refusal == "insufficient_funds"
    await tenants.credit(pool, "default", Decimal("0.69"), "test")
    assert (await take(pool, one, 1)).refusal == "insufficient_funds", "0.00 is not enough"
    await tenants.credit(pool, "default", Decimal("0.1"), "test")
    assert len((await take(pool, one, 5)).taken) == 1


async def test_a_long_call_at_a_high_price_is_written(pool: asyncpg.Pool) -> None:
    """In currencies of small units a call costs millions; a cost that does not fit would lose the call's end."""
    one, _ = await paid_campaigns(pool, 1)
    await tenants.set_money(pool, "default", "test", balance=Decimal(1), price_minute=Decimal("999999"))
    attempt = (await take(pool, one, 1)).taken[0].attempt
    await pool.execute("SELECT record_v2(gen_random_uuid(), 'n', 1, $1)", end(attempt, "connected", 7200))
    assert await pool.fetchval("SELECT cost FROM attempts") == PER_ATTEMPT + 120 * Decimal("999999")
