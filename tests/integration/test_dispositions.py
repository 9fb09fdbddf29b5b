"""What follows from a disposition in PostgreSQL: once, in order, with its effect in the same transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.core.disposition import Disposition, DispositionRefused, Meaning, effect
from dialerd.core.retry import History, Rules
from dialerd.store import agents, dispositions
from dialerd.store.claim import claim
from dialerd.store.errors import NotFound, Refused
from dialerd.store.ledger import Ledger
from dialerd.store.queue import promote
from dialerd.store.terms import judged
from tests.integration.test_admin import Admin, runner
from tests.integration.test_claim import ZONES
from tests.integration.test_settings import campaign
from tests.terms import add_contacts, open_in
from tests.web.api_client import BEARER, api_client

FIRST, SECOND = "+358401000001", "+358401000002"
NOW = datetime.now(UTC)


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def talked(pool: asyncpg.Pool, **settings: Any) -> tuple[int, str]:
    """A campaign and its first attempt, which was a conversation and has ended."""
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 9) ON CONFLICT DO NOTHING")
    id_ = await campaign(pool, **settings)
    await pool.execute("UPDATE campaigns SET state = 'active'")
    await add_contacts(pool, id_, [FIRST], ZONES)
    found = await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))
    return id_, found.taken[0].attempt


def end(attempt: str) -> list[dict[str, Any]]:
    """The rows of its end."""
    word = {"id": attempt, "state": "ended", "outcome": "connected", "ended_at": NOW.isoformat()}
    fate = {"attempt_id": attempt, "next_at": None, "counts": True, "number": "same"}
    return [{"attempt": word}, {"contact": fate}]


def said(attempt: str, meaning: Meaning, code: str | None = None, **changes: Any) -> dict[str, Any]:
    """The row of a disposition."""
    becomes = effect(meaning, History(1, {}), Rules(3, 300, {}), NOW, changes.pop("callback_at", None))
    fate = {"contact": becomes.contact, "number": becomes.number, "callback": becomes.callback}
    at = becomes.next_at.isoformat() if becomes.next_at else None
    about = {"attempt_id": attempt, "at": NOW.isoformat(), "by": "test", "code": code or meaning.value, "next_at": at}
    return {"disposition": about | {"meaning": meaning.value, "agent_id": None, "message": None} | fate | changes}


@asynccontextmanager
async def ledger(pool: asyncpg.Pool) -> AsyncIterator[Ledger]:
    found = Ledger("n", lambda: pool)
    task = asyncio.create_task(found.run())
    try:
        yield found
        async with asyncio.timeout(10):
            await found.written()
    finally:
        task.cancel()


async def record(pool: asyncpg.Pool, *rows: dict[str, Any]) -> None:
    async with ledger(pool) as writer:
        for row in rows:
            writer.put(row)


@pytest.mark.parametrize(
    ("meaning", "state"),
    [(Meaning.SALE, "done"), (Meaning.REFUSAL, "done"), (Meaning.OTHER, "done"), (Meaning.MACHINE, "waiting"),
     (Meaning.CALLBACK, "waiting"), (Meaning.DNC, "suppressed"), (Meaning.WRONG_NUMBER, "done")],
)  # fmt: skip
async def test_each_meaning_leaves_the_contact_where_it_belongs(
    pool: asyncpg.Pool, meaning: Meaning, state: str
) -> None:
    _, attempt = await talked(pool)
    await record(pool, *end(attempt), said(attempt, meaning))
    row = await pool.fetchrow("SELECT state, last_disposition FROM contacts")
    assert tuple(row) == (state, meaning.value)
    assert await pool.fetchval("SELECT disposition FROM attempts") == meaning.value
    event = await pool.fetchrow("SELECT attempt_id::text, detail FROM call_events WHERE kind = 'disposed'")
    assert event["attempt_id"] == attempt and event["detail"]["meaning"] == meaning.value


async def test_the_first_word_holds(pool: asyncpg.Pool) -> None:
    _, attempt = await talked(pool)
    await record(pool, *end(attempt), said(attempt, Meaning.SALE), said(attempt, Meaning.DNC))
    assert await pool.fetchval("SELECT disposition FROM attempts") == "sale"
    assert await pool.fetchval("SELECT count(*) FROM consents") == 0


async def test_never_again_is_consent_and_list_and_contact_in_one_and_binds_the_next_claim(pool: asyncpg.Pool) -> None:
    id_, attempt = await talked(pool)
    await record(pool, *end(attempt), said(attempt, Meaning.DNC))
    consent = await pool.fetchrow("SELECT e164, kind, attempt_id::text FROM consents")
    assert tuple(consent) == (FIRST, "opt_out", attempt)
    await pool.execute("UPDATE contacts SET state = 'queued', attempts = 0")
    assert (await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))).taken == ()
    assert await pool.fetchval("SELECT state FROM contacts") == "suppressed"


async def test_a_wrong_number_is_dead_and_the_persons_next_one_comes(pool: asyncpg.Pool) -> None:
    id_, attempt = await talked(pool)
    await pool.execute(
        "INSERT INTO numbers (tenant_id, campaign_id, contact_id, position, e164, zone_set)"
        " SELECT tenant_id, campaign_id, contact_id, 1, $1, zone_set FROM numbers", SECOND,
    )  # fmt: skip
    await record(pool, *end(attempt), said(attempt, Meaning.WRONG_NUMBER))
    assert await pool.fetchval("SELECT dead FROM numbers WHERE e164 = $1", FIRST) == "wrong_number"
    assert await promote(pool, id_) == 1
    found = await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))
    assert [taken.e164 for taken in found.taken] == [SECOND]


async def test_a_callback_comes_at_its_time_and_to_its_agent(pool: asyncpg.Pool) -> None:
    id_, attempt = await talked(pool)
    agent = (await agents.add(pool, 1, "aino", "aino", ["q"], "", "test")).id
    at = NOW + timedelta(hours=2)
    await record(pool, *end(attempt), said(attempt, Meaning.CALLBACK, callback_at=at, agent_id=agent))
    row = await pool.fetchrow("SELECT next_at, callback_at, callback_agent_id FROM contacts")
    assert tuple(row) == (at, at, agent)
    await pool.execute("UPDATE contacts SET next_at = now(), callback_at = now()")
    await promote(pool, id_)
    assert (await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))).taken == ()
    found = await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES), [agent])
    assert [taken.for_agent for taken in found.taken] == [agent]


async def test_a_word_that_comes_when_the_contact_is_called_again_leaves_it_alone(pool: asyncpg.Pool) -> None:
    id_, attempt = await talked(pool)
    await record(pool, *end(attempt))
    await pool.execute("UPDATE contacts SET state = 'queued'")
    again = await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONES))
    await record(pool, said(attempt, Meaning.WRONG_NUMBER))
    assert await pool.fetchval("SELECT state FROM contacts") == "claimed" and len(again.taken) == 1
    assert await pool.fetchval("SELECT disposition FROM attempts WHERE id = $1::uuid", attempt) == "wrong_number"


async def test_a_refusal_in_the_tenants_own_words_locks_out_as_the_law_asks(pool: asyncpg.Pool) -> None:
    """ES-MKT knows a lockout after a refusal; the code is one that only this tenant has."""
    id_, attempt = await talked(pool, legal_profile=await profile_with_refusal())
    await dispositions.put(pool, 1, None, Disposition("ei_kiitos", "Ei kiitos", Meaning.REFUSAL, 3), "test")
    await record(pool, *end(attempt), said(attempt, Meaning.REFUSAL, "ei_kiitos"))
    terms = (await judged(pool, id_, NOW)).terms
    assert any("ei_kiitos" in lockout.after for lockout in terms.lockouts)
    await pool.execute("UPDATE contacts SET state = 'queued', attempts = 0")
    found = await claim(
        pool, id_, 1, "n", await open_in(pool, id_, ZONES, limits=terms.limits, lockouts=terms.lockouts)
    )
    assert found.taken == ()
    rule = await pool.fetchval("SELECT detail ->> 'rule' FROM call_events WHERE kind = 'not_dialed'")
    assert rule.startswith("lockout_") and rule.endswith("refusal")


async def profile_with_refusal() -> str:
    """The name of a shipped legal profile with a lockout after a refusal."""
    from dialerd.places import profiles

    return next(
        name for name in profiles.names() if any(each.after == "refusal" for each in profiles.profile(name).lockouts)
    )


async def test_dispositions_are_made_changed_and_removed_by_command(admin: Admin, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, "Ventas")
    version = await pool.fetchval("SELECT schedule_version FROM tenants")
    defaults = (await admin("disposition", "list", "--json")).json["dispositions"]
    assert [d["code"] for d in defaults][:2] == ["sale", "callback"]
    made = ("disposition", "set", "venta", "--label", "Venta", "--meaning", "sale", "--key", "1")
    assert (await admin(*made)).status == 0
    assert (await admin(*made[:3], "--label", "Otra", "--meaning", "other", "--campaign", "Ventas")).status == 1
    assert (await admin("disposition", "set", "otra", "--label", "O", "--meaning", "other", "--key", "1")).status == 1
    own = ("disposition", "set", "solo", "--label", "Solo", "--meaning", "other", "--campaign", "Ventas")
    assert (await admin(*own)).status == 0
    found = (await admin("disposition", "list", "--json")).json["dispositions"]
    assert [(d["campaign"], d["code"], d["key"]) for d in found] == [(None, "venta", 1), ("Ventas", "solo", None)]
    assert [d.code for d in await dispositions.listed(pool, 1, id_)] == ["solo"]
    assert (await admin("disposition", "remove", "venta")).status == 0
    assert (await admin("disposition", "remove", "venta")).status == 3
    kinds = await pool.fetch("SELECT kind FROM call_events WHERE kind LIKE 'disposition.%' ORDER BY id")
    assert [row["kind"] for row in kinds] == ["disposition.set", "disposition.set", "disposition.removed"]
    assert await pool.fetchval("SELECT schedule_version FROM tenants") > version, "claims judge anew"


async def test_dispositions_over_the_api(pool: asyncpg.Pool) -> None:
    no_redis: Any = None
    async with api_client(pool, no_redis) as http:
        wanted = {"code": "venta", "label": "Venta", "meaning": "sale", "key": 1}
        assert (await http.put("/api/dispositions", json=wanted)).status_code == 200
        for bad in ({"meaning": "maybe"}, {"code": "A B"}, {"key": 12}, {"label": ""}):
            assert (await http.put("/api/dispositions", json=wanted | bad)).status_code == 422
        found = (await http.get("/api/dispositions")).json()
        assert [d["code"] for d in found["dispositions"]] == ["venta"] and len(found["defaults"]) == 8
        assert (await http.delete("/api/dispositions/venta")).status_code == 200
        assert (await http.delete("/api/dispositions/venta")).status_code == 404
        assert (await http.get("/api/dispositions", headers={"authorization": ""})).status_code == 401
    assert BEARER


async def test_what_cannot_be_a_disposition_is_refused(pool: asyncpg.Pool) -> None:
    with pytest.raises(DispositionRefused):
        await dispositions.put(pool, 1, None, Disposition("A", "A", Meaning.OTHER), "test")
    with pytest.raises(NotFound):
        await dispositions.put(pool, 1, 12345, Disposition("a", "A", Meaning.OTHER), "test")
    await dispositions.put(pool, 1, None, Disposition("a", "A", Meaning.OTHER, 1), "test")
    with pytest.raises(Refused, match="key 1"):
        await dispositions.put(pool, 1, None, Disposition("b", "B", Meaning.OTHER, 1), "test")


async def test_an_agents_pin_comes_from_stdin_and_is_kept_as_a_slow_hash(admin: Admin, pool: asyncpg.Pool) -> None:
    await agents.add(pool, 1, "aino", "aino", ["q"], "", "test")
    found = await agents.set_pin(pool, 1, "aino", "4711", "70", "test")
    assert (found.has_pin, found.login_number) == (True, "70")
    assert (await pool.fetchval("SELECT pin_hash FROM agents")).startswith("scrypt$16384$8$1$")
    assert (await admin("agent", "pin", "aino")).status == 1, "an empty stdin is no PIN"
    shown = (await admin("agent", "pin", "aino", "--none", "--json")).json
    assert (shown["has_pin"], shown["login_number"]) == (False, "70")
    assert "pin_hash" not in shown
    await agents.add(pool, 1, "eino", "eino", ["q"], "", "test")
    with pytest.raises(Refused, match="another agent"):
        await agents.set_pin(pool, 1, "eino", "4711", "70", "test")
    change = ("agent", "change", "eino", "--phone", "+358401234567", "--trunk", "trunk-out", "--json")
    changed = (await admin(*change)).json
    assert (changed["phone"], changed["phone_trunk"]) == ("+358401234567", "trunk-out")
    assert (await admin("agent", "change", "nobody", "--inactive")).status == 3
