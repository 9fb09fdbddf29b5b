"""Callbacks: agreed, refused where the claim would refuse, called, taken back; by command and by API."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from dialerd import config
from dialerd.core import windows
from dialerd.core.callbacks import CallbackRefused
from dialerd.store import callbacks, dnc
from dialerd.store.callbacks import Wanted
from dialerd.store.claim import claim
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queue import promote
from tests.integration.test_admin import Admin, runner
from tests.integration.test_settings import campaign
from tests.terms import add_contacts, open_in
from tests.web.api_client import api_client

NUMBER = "+358401000001"
ZONE = ["Europe/Helsinki"]
NOW = datetime.now(UTC)
MONDAY = NOW + timedelta(days=7 - NOW.weekday())
AT = f"{MONDAY:%Y-%m-%d} 14:30"  # in office hours, on some Monday to come


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def with_contact(pool: asyncpg.Pool, zones: list[str] = ZONE, **columns: Any) -> int:
    """A campaign of office hours, on holidays too, with a contact that is over."""
    weekly = tuple(windows.parse(["mon-fri 09:00-17:00"]))
    id_ = await campaign(pool, "Alpha", windows=weekly, skip_holidays=False)
    await add_contacts(pool, id_, [NUMBER], zones, **{"name": "Aino", "state": "done", "attempts": 9, **columns})
    return id_


async def agree(pool: asyncpg.Pool, campaign_id: int, at: str = AT, **fields: Any) -> int:
    return await callbacks.add(pool, 1, campaign_id, Wanted(NUMBER, at, **fields), "test", NOW)


async def test_an_agreed_callback_waits_for_its_time_and_its_agent(pool: asyncpg.Pool) -> None:
    id_ = await with_contact(pool)
    agent = await pool.fetchval("INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, 'aino', 'a') RETURNING id")
    contact = await agree(pool, id_, agent="aino", note="about the offer")
    row = await pool.fetchrow("SELECT state, next_at, callback_at, callback_agent_id FROM contacts")
    assert (row["state"], row["callback_agent_id"]) == ("waiting", agent)
    local = row["callback_at"].astimezone(ZoneInfo(ZONE[0]))
    assert f"{local:%Y-%m-%d %H:%M}" == AT and row["next_at"] == row["callback_at"]
    found = (await callbacks.agreed(pool, 1))[0]
    assert (found.contact_id, found.number, found.agent, found.note) == (contact, NUMBER, "aino", "about the offer")
    assert await promote(pool, id_) == 0
    event = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'callback.agreed'")
    assert (event["number"], event["by"], event["in_place_of"]) == (NUMBER, "test", None)


async def test_a_callback_that_is_due_is_claimed_although_the_attempts_are_used_up(pool: asyncpg.Pool) -> None:
    id_ = await with_contact(pool)
    await agree(pool, id_)
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 10)")
    await pool.execute("UPDATE campaigns SET state = 'active'")
    await pool.execute("UPDATE contacts SET callback_at = now(), next_at = now()")
    assert await promote(pool, id_) == 1
    assert [taken.e164 for taken in (await claim(pool, id_, 1, "n", await open_in(pool, id_, ZONE))).taken] == [NUMBER]


@pytest.mark.parametrize(
    ("change", "fields", "reason"),
    [
        ("UPDATE numbers SET dead = 'invalid'", {}, "number_dead"),
        ("UPDATE contacts SET state = 'claimed'", {}, "live_call"),
        ("UPDATE contacts SET state = 'suppressed', last_outcome = 'dnc'", {}, "suppressed"),
        ("UPDATE numbers SET zone_set = 0", {}, "unknown_zone"),
        ("UPDATE contacts SET name = name", {"at": f"{MONDAY:%Y-%m-%d} 19:00"}, "not_open"),
        ("UPDATE contacts SET name = name", {"at": "2020-01-01 12:00"}, "past"),
        ("DELETE FROM campaign_windows", {}, "not_open"),
    ],
)
async def test_a_callback_that_the_claim_would_refuse_is_not_agreed(
    pool: asyncpg.Pool, change: str, fields: dict[str, str], reason: str
) -> None:
    id_ = await with_contact(pool)
    await pool.execute(change)
    with pytest.raises(CallbackRefused) as refused:
        await agree(pool, id_, **fields)
    assert refused.value.reason == reason
    assert await pool.fetchval("SELECT callback_at FROM contacts") is None


async def test_a_refusal_names_the_next_moment_that_is_open(pool: asyncpg.Pool) -> None:
    id_ = await with_contact(pool, ["Etc/UTC"])
    with pytest.raises(CallbackRefused, match=f"the next moment is {MONDAY + timedelta(days=1):%Y-%m-%d} 09:00 UTC"):
        await agree(pool, id_, f"{MONDAY:%Y-%m-%d} 17:00")


async def test_every_zone_in_which_the_number_may_lie_must_be_open(pool: asyncpg.Pool) -> None:
    id_ = await with_contact(pool, ["America/Los_Angeles", "America/New_York"])
    with pytest.raises(CallbackRefused, match="say which zone is meant"):
        await agree(pool, id_)
    with pytest.raises(CallbackRefused, match="no call is allowed then"):
        await agree(pool, id_, f"{MONDAY:%Y-%m-%d} 10:00", zone="America/New_York")
    await agree(pool, id_, f"{MONDAY:%Y-%m-%d} 13:00", zone="America/New_York")


async def test_who_is_on_a_do_not_call_list_gets_no_callback(pool: asyncpg.Pool) -> None:
    id_ = await with_contact(pool)
    await dnc.add(pool, 1, dnc.Scope(1), [NUMBER], "FI", "test", "test")
    with pytest.raises(CallbackRefused, match="do-not-call list 'own'"):
        await agree(pool, id_)


async def test_what_is_not_there_is_named(pool: asyncpg.Pool) -> None:
    id_ = await with_contact(pool)
    with pytest.raises(NotFound, match="no active agent 'nobody'"):
        await agree(pool, id_, agent="nobody")
    with pytest.raises(NotFound, match="not in this campaign"):
        await callbacks.add(pool, 1, id_, Wanted("+358401999999", AT), "test", NOW)
    with pytest.raises(NotFound):
        await callbacks.add(pool, 2, id_, Wanted(NUMBER, AT), "test", NOW)
    with pytest.raises(Refused, match="note"):
        await agree(pool, id_, note="a\nb")
    with pytest.raises(NotFound, match="no callback"):
        await callbacks.cancel(pool, 1, 999, "test")


@pytest.mark.parametrize(("outcome", "state"), [("connected", "done"), ("busy", "waiting"), (None, "waiting")])
async def test_a_callback_taken_back_leaves_the_reached_alone(
    pool: asyncpg.Pool, outcome: str | None, state: str
) -> None:
    id_ = await with_contact(pool, last_outcome=outcome)
    contact = await agree(pool, id_)
    with pytest.raises(NotFound):
        await callbacks.cancel(pool, 2, contact, "test")
    assert await callbacks.cancel(pool, 1, contact, "test") == state
    assert tuple(await pool.fetchrow("SELECT state, callback_at FROM contacts")) == (state, None)
    assert await callbacks.agreed(pool, 1, id_) == []
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'callback.cancelled'") == 1


async def test_the_commands_agree_list_and_cancel(admin: Admin, pool: asyncpg.Pool) -> None:
    await with_contact(pool)
    on = ("--campaign", "Alpha")
    made = (await admin("callback", "add", "040 100 0001", *on, "--at", AT, "--note", "soon", "--json")).json
    assert (made["number"], made["agent"], made["note"]) == (NUMBER, None, "soon")
    assert (await admin("callback", "list", *on, "--json")).json["callbacks"] == [made]
    closed = await admin("callback", "add", NUMBER, *on, "--at", f"{MONDAY:%Y-%m-%d} 03:00")
    assert (closed.status, "the next moment is" in closed.err) == (1, True)
    assert (await admin("callback", "cancel", NUMBER, *on, "--json")).json["state"] == "waiting"
    assert (await admin("callback", "cancel", NUMBER, *on)).status == 3


@pytest.fixture
async def http(pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    no_redis: Any = None
    async with api_client(pool, no_redis) as client:
        yield client


async def test_the_api_agrees_lists_and_cancels(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await with_contact(pool)
    body = {"number": "0401000001", "campaign": "Alpha", "at": AT}
    made = await http.post("/api/callbacks", json=body)
    assert made.status_code == 201, made.text
    listed = (await http.get("/api/callbacks", params={"campaign": "Alpha"})).json()["callbacks"]
    assert [(each["number"], each["contact_id"]) for each in listed] == [(NUMBER, made.json()["contact_id"])]
    gone = await http.delete(f"/api/callbacks/{made.json()['contact_id']}")
    assert (gone.status_code, gone.json()["state"]) == (200, "waiting")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 422, "missing_field"),
        ({"at": 5}, 422, "bad_field"),
        ({"number": "112"}, 422, "emergency"),
        ({"campaign": "Beta"}, 404, "not_found"),
        ({"agent": "nobody"}, 404, "not_found"),
        ({"at": "soon"}, 409, "bad_time"),
        ({"at": f"{MONDAY:%Y-%m-%d} 03:00"}, 409, "not_open"),
    ],
)
async def test_the_api_refuses_by_name(
    pool: asyncpg.Pool, http: httpx.AsyncClient, body: dict[str, Any], status: int, reason: str
) -> None:
    await with_contact(pool)
    good = {"number": NUMBER, "campaign": "Alpha", "at": AT}
    answer = await http.post("/api/callbacks", json={**good, **body} if body else {})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)


async def test_the_api_is_for_those_who_are_signed_in_and_for_their_tenant(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    id_ = await with_contact(pool)
    contact = await agree(pool, id_)
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    other = {"x-tenant": "other"}
    assert (await http.get("/api/callbacks", headers=other)).json() == {"callbacks": []}
    assert (await http.delete(f"/api/callbacks/{contact}", headers=other)).status_code == 404
    assert (await http.delete(f"/api/callbacks/{2**70}")).status_code == 404
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/{contact}")):
        answer = await http.request(method, f"/api/callbacks{path}", headers={"authorization": "Bearer no"})
        assert answer.status_code == 401
    assert len(await callbacks.agreed(pool, 1)) == 1
