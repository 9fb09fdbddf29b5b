"""The batch API of the older panel: names, types, reasons and hints on the wire, locks, expiry, reports."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from dialerd.core.causes import Outcome
from dialerd.core.numberstatus import DNC, REPORTABLE, of_contact
from tests.web.place import DIALER, DIALER_TOKEN, PANEL, add_agent, app_client, iranian_campaign, reason

NEXT = "/api/dialer/next-batch"
REPORT = "/api/dialer/report-result"
AT = "2026-01-31T09:30:00+03:30"


@pytest.fixture
async def http(pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(pool) as client:
        yield client


async def batch(http: httpx.AsyncClient, size: int = 100) -> list[dict[str, Any]]:
    reply = await http.get(NEXT, params={"size": size}, headers=DIALER)
    assert reply.status_code == 200, reply.text
    assert reply.json()["call_allowed"] is True, reply.text
    numbers: list[dict[str, Any]] = reply.json()["batch"]["numbers"]
    return numbers


async def tell(http: httpx.AsyncClient, number: dict[str, Any], status: str, **more: Any) -> httpx.Response:
    body = {"number_id": number["id"], "phone_number": number["phone_number"], "status": status, **more}
    return await http.post(REPORT, json=body, headers=DIALER)


async def refused(http: httpx.AsyncClient) -> dict[str, Any]:
    reply = await http.get(NEXT, headers=DIALER)
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    assert body["call_allowed"] is False, body
    assert set(body) - {"detail"} == {
        "call_allowed", "timezone", "server_time", "schedule_version", "reason", "retry_after_seconds",
    }  # fmt: skip
    return body


@pytest.mark.accepts("BAT-01", "BAT-06", "SCH-04")
async def test_a_batch_has_the_names_and_types_of_the_older_api(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 3)
    sara = await add_agent(pool, "sara", "Sara Ahmadi", "09121111111")
    await add_agent(pool, "gone", "Gone", "09122222222", active=False)
    reply = await http.get(NEXT, params={"size": "2"}, headers=DIALER)
    body = reply.json()
    assert list(body) == ["call_allowed", "timezone", "server_time", "schedule_version", "active_agents", "batch"]
    assert body["call_allowed"] is True
    assert body["timezone"] == "Asia/Tehran"
    told = datetime.fromisoformat(body["server_time"])
    assert told.utcoffset() == timedelta(hours=3, minutes=30)
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)
    assert isinstance(body["schedule_version"], int)
    assert body["active_agents"] == [{"id": sara, "full_name": "Sara Ahmadi", "phone_number": "09121111111"}]
    assert list(body["batch"]) == ["batch_id", "size_requested", "size_returned", "numbers"]
    assert (body["batch"]["size_requested"], body["batch"]["size_returned"]) == (2, 2)
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM numbers ORDER BY id")]
    assert body["batch"]["numbers"] == [
        {"id": ids[0], "phone_number": "09120000000"},
        {"id": ids[1], "phone_number": "09120000001"},
    ]
    rows = await pool.fetch("SELECT state, node, trunk, batch_id FROM attempts")
    assert [tuple(row) for row in rows] == [("claimed", "batch", "batch", UUID(body["batch"]["batch_id"]))] * 2
    await pool.execute("UPDATE tenants SET skip_holidays = true")
    again = (await http.get(NEXT, headers=DIALER)).json()
    assert again["schedule_version"] == body["schedule_version"] + 1


async def test_numbers_outside_iran_are_shown_as_e164_and_sizes_are_bounded(pool: asyncpg.Pool) -> None:
    await iranian_campaign(pool, 5)
    await pool.execute("UPDATE numbers SET e164 = '+358401234567' WHERE id = (SELECT min(id) FROM numbers)")
    async with app_client(pool, default_size=2, max_size=3) as http:
        numbers = (await http.get(NEXT, headers=DIALER)).json()["batch"]["numbers"]
        assert [n["phone_number"] for n in numbers] == ["+358401234567", "09120000001"]
        big = (await http.get(NEXT, params={"size": 100}, headers=DIALER)).json()["batch"]
        assert (big["size_requested"], big["size_returned"]) == (100, 3)
        for size in ("0", "-1", "x", "1e3", "٣", "9" * 5000, "1;DROP"):
            assert (await http.get(NEXT, params={"size": size}, headers=DIALER)).status_code == 422


@pytest.mark.accepts("BAT-01")
@pytest.mark.parametrize("header", [None, "Bearer", f"Bearer {DIALER_TOKEN}x", f"Basic {DIALER_TOKEN}", "Bearer ä"])
async def test_without_the_dialers_token_nothing_is_handed_out(
    pool: asyncpg.Pool, http: httpx.AsyncClient, header: str | None
) -> None:
    await iranian_campaign(pool, 1)
    headers = [(b"authorization", header.encode())] if header else None
    assert (await http.get(NEXT, headers=headers)).status_code == 401
    assert (await http.post(REPORT, json={}, headers=headers)).status_code == 401
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0


async def test_the_two_tokens_open_their_own_doors_only(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 1)
    assert (await http.get(NEXT, headers=PANEL)).status_code == 401
    assert (await http.get("/status", headers=DIALER)).status_code == 401


async def test_without_a_token_in_the_configuration_the_door_is_shut_and_says_how_it_opens(pool: asyncpg.Pool) -> None:
    async with app_client(pool, token=None) as http:
        for headers in (DIALER, {"authorization": "Bearer "}, {"authorization": "Bearer None"}):
            reply = await http.get(NEXT, headers=headers)
            assert (reply.status_code, reason(reply)) == (404, "batch_api_off")
            assert "DIALER_TOKEN" in reply.text


async def test_guessing_the_token_is_slowed_down_and_whoever_has_it_is_not(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    replies = [await http.get(NEXT, headers={"authorization": f"Bearer {n}"}) for n in range(12)]
    assert [replies[0].status_code, replies[-1].status_code] == [401, 429]
    assert len(await batch(http)) == 1


@pytest.mark.accepts("BAT-02", "BAT-03", "BAT-04", "SCH-06")
@pytest.mark.parametrize(
    ("change", "word", "wait"),
    [
        ("UPDATE tenants SET balance = 0", "insufficient_funds", 300),
        ("UPDATE tenants SET enabled = false", "disabled", 300),
        ("UPDATE installation SET enabled = false", "disabled", 300),
        ("UPDATE campaigns SET state = 'paused'", "disabled", 300),
        ("DELETE FROM campaign_windows", "no_window", 900),
        ("DELETE FROM campaign_windows WHERE weekday = extract(isodow FROM now() AT TIME ZONE 'Asia/Tehran')",
         "no_window", 900),
        ("UPDATE tenants SET skip_holidays = true; INSERT INTO holidays_extra"
         " VALUES (1, (now() AT TIME ZONE 'Asia/Tehran')::date, 'ours')", "holiday", 900),
        ("UPDATE campaigns SET legal_profile = 'lost'", "disabled", 300),
        ("INSERT INTO dnc_lists (name, kind, as_of, max_age_days) VALUES ('r', 'register', '2000-01-01', 1)",
         "disabled", 300),
    ],
)  # fmt: skip
async def test_each_refusal_has_its_word_and_its_wait(
    pool: asyncpg.Pool, http: httpx.AsyncClient, change: str, word: str, wait: int
) -> None:
    await iranian_campaign(pool, 1)
    await pool.execute(change)
    body = await refused(http)
    assert (body["reason"], body["retry_after_seconds"], body["timezone"]) == (word, wait, "Asia/Tehran")
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0


@pytest.mark.accepts("BAT-03", "BAT-04", "BAT-05", "SCH-01")
async def test_outside_the_hours_of_the_day_says_so_and_waits_long(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 1)
    hour = datetime.now(ZoneInfo("Asia/Tehran")).hour
    opens, closes = ("00:00", "00:01") if hour > 1 else ("20:00", "24:00")
    await pool.execute("UPDATE campaign_windows SET opens = $1::text::time, closes = $2::text::time", opens, closes)
    body = await refused(http)
    assert (body["reason"], body["retry_after_seconds"]) == ("outside_allowed_time_window", 900)
    # Somewhere else it is open, but nobody of this list is there.
    await pool.execute("SELECT zone_set_of('{Pacific/Auckland}')")
    await pool.execute("SELECT zone_set_of('{Europe/Helsinki}')")
    await pool.execute("SELECT zone_set_of('{America/New_York}')")
    assert (await refused(http))["reason"] == "outside_allowed_time_window"


@pytest.mark.accepts("BAT-04")
async def test_the_waits_are_those_of_the_configuration(pool: asyncpg.Pool) -> None:
    await iranian_campaign(pool, 1)
    await pool.execute("UPDATE tenants SET enabled = false")
    async with app_client(pool, short_retry_seconds=7, timezone="Europe/Helsinki") as http:
        body = await refused(http)
    assert (body["retry_after_seconds"], body["timezone"]) == (7, "Europe/Helsinki")


@pytest.mark.parametrize("change", ["SELECT 1", "UPDATE contacts SET state = 'done'", "DELETE FROM contacts"])
async def test_nothing_left_is_an_empty_batch(pool: asyncpg.Pool, http: httpx.AsyncClient, change: str) -> None:
    await iranian_campaign(pool, 1)
    await pool.execute(change)
    await batch(http)
    assert await batch(http) == []


async def test_which_campaign_is_meant_is_asked_by_name(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    reply = await http.get(NEXT, headers=DIALER)
    assert (reply.status_code, reason(reply)) == (409, "which_campaign")
    await iranian_campaign(pool, 1, name="one")
    other = await iranian_campaign(pool, 0, name="two")
    reply = await http.get(NEXT, headers=DIALER)
    assert (reply.status_code, reason(reply)) == (409, "which_campaign")
    assert "one (active)" in reply.text
    assert "two (active)" in reply.text
    named = await http.get(NEXT, params={"campaign": "one"}, headers=DIALER)
    assert named.json()["batch"]["size_returned"] == 1
    for lost in ("three", "99999999999999999999", "a\0b", "' OR 1=1--"):
        reply = await http.get(NEXT, params={"campaign": lost}, headers=DIALER)
        assert (reply.status_code, reason(reply)) == (404, "no_such_campaign")
    async with app_client(pool, campaign=str(other)) as by_id:
        assert await batch(by_id) == []


@pytest.mark.accepts("BAT-07")
async def test_eight_dialers_at_a_time_never_get_the_same_number(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 120)
    given = await asyncio.gather(*(batch(http, 10) for _ in range(16)))
    ids = [number["id"] for numbers in given for number in numbers]
    assert len(ids) == len(set(ids)) == 120
    assert await batch(http) == []


@pytest.mark.accepts("BAT-07")
async def test_a_number_handed_out_is_given_to_no_other_campaign(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 1, name="one")
    await iranian_campaign(pool, 1, name="two")
    got = [(await http.get(NEXT, params={"campaign": c}, headers=DIALER)).json()["batch"] for c in ("one", "two")]
    assert [b["size_returned"] for b in got] == [1, 0]


@pytest.mark.accepts("BAT-08")
async def test_a_number_without_a_result_comes_back_after_the_timeout_and_not_before(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    first = await batch(http)
    await pool.execute("UPDATE attempts SET claimed_at = now() - interval '59 minutes'")
    assert await batch(http) == []
    await pool.execute("UPDATE attempts SET claimed_at = now() - interval '61 minutes'")
    assert await batch(http) == first
    ended = await pool.fetchrow("SELECT outcome, detail, count(*) OVER () FROM attempts WHERE state = 'ended'")
    assert tuple(ended) == ("unknown", "no result came", 1)
    contact = await pool.fetchrow("SELECT state, attempts FROM contacts")
    assert tuple(contact) == ("claimed", 1)  # the expired one is not shown as an attempt
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'handout.expired'") == 1
    assert await pool.fetchval("SELECT count(*) FROM ledger_runs") == 0


@pytest.mark.accepts("BAT-09", "BAT-10", "STA-05", "STA-07")
@pytest.mark.parametrize("status", sorted(REPORTABLE))
async def test_each_status_ends_the_attempt_and_stays_the_numbers_status(
    pool: asyncpg.Pool, http: httpx.AsyncClient, status: str
) -> None:
    campaign = await iranian_campaign(pool, 2)
    sara = await add_agent(pool, "sara", "Sara", "09121111111")
    (number,) = await batch(http, 1)
    reply = await tell(
        http, number, status, reason="carrier 17", attempted_at=AT, call_allowed=True, agent_phone="+98 912 111 1111",
        user_message="سلام; =1+1",
    )  # fmt: skip
    assert reply.status_code == 200, reply.text
    assert reply.json() == {
        "success": True, "number_id": number["id"], "status": status, "attempts": 1, "repeated": False,
    }  # fmt: skip
    contact = await pool.fetchrow(
        "SELECT number_status_v1(state, last_outcome, last_disposition) AS status, attempts, last_message, agent_id"
        " FROM contacts ORDER BY id LIMIT 1"
    )
    assert tuple(contact) == (status, 1, "سلام; =1+1", sara)
    attempt = await pool.fetchrow("SELECT * FROM attempts")
    assert (attempt["state"], attempt["message"], attempt["agent_id"]) == ("ended", "سلام; =1+1", sara)
    assert attempt["detail"] == "carrier 17"
    kinds = [row["kind"] for row in await pool.fetch("SELECT kind FROM call_events WHERE attempt_id IS NOT NULL")]
    assert kinds[:3] == ["claimed", "reported", "ended"]
    assert await pool.fetchval("SELECT count(*) FROM ledger_runs") == 0
    assert number not in await batch(http)
    barred = await pool.fetch("SELECT list FROM dnc_bars(1, $1, '+989120000000') AS list", campaign)
    assert [row["list"] for row in barred] == (["banned"] if status == "BANNED" else [])


async def test_sql_and_python_see_the_same_status_in_every_contact(pool: asyncpg.Pool) -> None:
    states = ("queued", "waiting", "held", "claimed", "done", "suppressed")
    outcomes = (None, DNC, "unknown_zone", *(o.value for o in Outcome))
    dispositions = (None, "not_interested", "power_off", "banned", "disconnected", "sale")
    rows = await pool.fetch(
        "SELECT s, o, d, number_status_v1(s, o, d) AS status"
        " FROM unnest($1::text[]) s, unnest($2::text[]) o, unnest($3::text[]) d",
        states, outcomes, dispositions,
    )  # fmt: skip
    assert len(rows) == len(states) * len(outcomes) * len(dispositions)
    assert [row["status"] for row in rows] == [of_contact(row["s"], row["o"], row["d"]).value for row in rows]


@pytest.mark.accepts("BAT-10")
async def test_the_same_report_again_changes_nothing(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 2)
    one, two = await batch(http)
    for number, at in ((one, {"attempted_at": AT}), (two, {})):
        replies = await asyncio.gather(*(tell(http, number, "BUSY", **at) for _ in range(6)))
        assert sorted(reply.json()["repeated"] for reply in replies) == [False] + [True] * 5
        assert {reply.json()["attempts"] for reply in replies} == {1}
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 2
    conflict = await tell(http, one, "CONNECTED", attempted_at=AT)
    assert (conflict.status_code, reason(conflict)) == (409, "already_reported")
    # Nor when the number has been handed out once more meanwhile.
    await pool.execute("UPDATE contacts SET state = 'queued'")
    await batch(http)
    assert (await tell(http, one, "BUSY", attempted_at=AT)).json()["repeated"] is True
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE state <> 'ended'") == 2


@pytest.mark.accepts("BAT-10")
async def test_a_report_that_comes_late_still_counts_and_takes_the_number_out_of_the_queue(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    (number,) = await batch(http)
    await pool.execute("UPDATE attempts SET claimed_at = now() - interval '2 hours'")
    await pool.execute("UPDATE campaigns SET max_concurrent_calls = 0")  # no gate of a batch
    async with app_client(pool, campaign="sales") as other:
        await pool.execute("UPDATE tenants SET enabled = false")
        await refused(other)  # ends the hand-out, hands nothing out
    assert await pool.fetchval("SELECT state FROM contacts") == "queued"
    reply = await tell(http, number, "CONNECTED", attempted_at=AT, user_message="late")
    assert reply.json()["attempts"] == 1
    contact = await pool.fetchrow("SELECT state, last_outcome, attempts, last_message FROM contacts")
    assert tuple(contact) == ("done", "connected", 1, "late")
    rows = await pool.fetch("SELECT state, outcome FROM attempts ORDER BY claimed_at")
    assert [tuple(row) for row in rows] == [("ended", "unknown"), ("ended", "connected")]
    assert (await tell(http, number, "CONNECTED", attempted_at=AT)).json()["repeated"] is True


async def test_a_late_report_does_not_end_a_call_of_our_own_that_lives(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    (number,) = await batch(http)
    await pool.execute("UPDATE attempts SET trunk = 'itsp', node = 'pbx', state = 'ringing'")
    reply = await tell(http, number, "BUSY", attempted_at=AT, user_message="x")
    assert reply.json()["attempts"] == 2
    assert tuple(await pool.fetchrow("SELECT state, last_outcome, last_message FROM contacts")) == (
        "claimed",
        None,
        "x",
    )
    rows = await pool.fetch("SELECT state, outcome FROM attempts ORDER BY claimed_at")
    assert [tuple(row) for row in rows] == [("ringing", None), ("ended", "busy")]
    assert (await tell(http, number, "BUSY", attempted_at=AT)).json()["repeated"] is True


async def test_a_campaign_with_a_rule_for_an_outcome_has_the_number_called_again(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 2)
    await pool.execute("UPDATE campaigns SET retry_rules = $1", {"busy": {"times": 1, "delay_seconds": 600}})
    one, two = await batch(http)
    await tell(http, one, "BUSY")
    await tell(http, two, "MISSED")
    assert [row["state"] for row in await pool.fetch("SELECT state FROM contacts ORDER BY id")] == ["waiting", "done"]
    await pool.execute("UPDATE contacts SET next_at = now() WHERE state = 'waiting'")
    assert await batch(http) == [one]
    await tell(http, one, "BUSY")
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE state = 'done'") == 2


@pytest.mark.accepts("BAT-10")
async def test_a_result_is_paid_like_any_call(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 2)
    await pool.execute("UPDATE tenants SET balance = 10, price_attempt = 1, price_minute = 0.5")
    one, two = await batch(http)
    assert await pool.fetchval("SELECT balance FROM tenants") == 8
    await tell(http, one, "CONNECTED", attempted_at=AT)
    await tell(http, two, "MISSED")
    assert await pool.fetchval("SELECT balance FROM tenants") == 7.5


@pytest.mark.accepts("SCH-06", "SCH-07")
async def test_the_dialer_turns_the_switch_off_and_on_and_it_is_on_record(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 2)
    (number,) = await batch(http, 1)
    await tell(http, number, "BUSY", call_allowed=False, attempted_at=AT)
    assert (await refused(http))["reason"] == "disabled"
    await tell(http, number, "BUSY", call_allowed=True, attempted_at="2026-01-31T10:30:00+03:30")
    assert len(await batch(http)) == 1
    events = await pool.fetch("SELECT kind, detail FROM call_events WHERE kind LIKE 'tenant.%abled' ORDER BY id")
    assert [e["kind"] for e in events] == ["tenant.disabled", "tenant.enabled"]
    assert {e["detail"]["by"] for e in events} == {"outside dialer"}


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"number_id": 10**9}, 404, "number_unknown"),
        ({"number_id": 10**30}, 422, "invalid"),
        ({"number_id": None}, 422, "invalid"),
        ({"phone_number": "09129999999"}, 409, "wrong_number"),
        ({"phone_number": "500&PJSIP/itsp/14165551212"}, 409, "wrong_number"),
        ({"phone_number": "٠٩١٢٠٠٠٠٠٠٠"}, 409, "wrong_number"),
        ({"phone_number": "0912\u00000000000"}, 422, "invalid"),
        ({"phone_number": ""}, 409, "wrong_number"),
        ({"phone_number": "9" * 300}, 422, "invalid"),
        ({"status": "IN_QUEUE"}, 422, "invalid"),
        ({"status": "connected"}, 422, "invalid"),
        ({"status": ["BUSY"]}, 422, "invalid"),
        ({"attempted_at": "yesterday"}, 422, "invalid"),
        ({"attempted_at": "0001-01-01T00:00:00+14:00"}, 422, "invalid"),
        ({"attempted_at": 1e999}, 422, "invalid"),
        ({"agent_id": 4711}, 422, "agent_unknown"),
        ({"agent_phone": "09127777777"}, 422, "agent_unknown"),
        ({"agent_phone": "' OR 1=1--"}, 422, "agent_unknown"),
        ({"user_message": "\ud800"}, 422, "invalid"),
        ({"user_message": "x" * 5000}, 422, "invalid"),
        ({"user_message": {"a": 1}}, 422, "invalid"),
    ],
)
async def test_a_report_that_cannot_be_is_refused_by_name_and_nothing_is_done(
    pool: asyncpg.Pool, http: httpx.AsyncClient, change: dict[str, Any], status: int, word: str
) -> None:
    await iranian_campaign(pool, 1)
    (number,) = await batch(http)
    import json

    body = {"number_id": number["id"], "phone_number": number["phone_number"], "status": "BUSY", "call_allowed": False}
    reply = await http.post(
        REPORT, content=json.dumps(body | change), headers={**DIALER, "content-type": "application/json"}
    )
    assert (reply.status_code, reason(reply)) == (status, word), reply.text
    assert await pool.fetchval("SELECT enabled FROM tenants") is True
    assert await pool.fetchval("SELECT state FROM attempts") == "claimed"
    assert await pool.fetchval("SELECT state FROM contacts") == "claimed"


async def test_an_agents_id_and_phone_that_are_two_agents_are_refused(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    sara = await add_agent(pool, "sara", "Sara", "09121111111")
    await add_agent(pool, "reza", "Reza", "09122222222")
    (number,) = await batch(http)
    reply = await tell(http, number, "BUSY", agent_id=sara, agent_phone="09122222222")
    assert (reply.status_code, reason(reply)) == (422, "agent_unknown")
    assert (await tell(http, number, "BUSY", agent_id=sara, agent_phone="09121111111")).status_code == 200
    assert await pool.fetchval("SELECT agent_id FROM contacts") == sara


async def test_what_belongs_to_another_tenant_is_not_there(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 1)
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    theirs = await iranian_campaign(pool, 1, tenant_id=other, name="theirs")
    agent = await add_agent(pool, "spy", "Spy", "09123333333", tenant_id=other)
    foreign = await pool.fetchval("SELECT id FROM numbers WHERE campaign_id = $1", theirs)
    reply = await tell(http, {"id": foreign, "phone_number": "09120000000"}, "BANNED")
    assert (reply.status_code, reason(reply)) == (404, "number_unknown")
    assert (await http.get(NEXT, params={"campaign": "theirs"}, headers=DIALER)).status_code == 404
    (number,) = (await http.get(NEXT, params={"tenant": "other"}, headers={**DIALER, "x-tenant": "other"})).json()[
        "batch"
    ]["numbers"]
    assert number["id"] != foreign
    assert (await tell(http, number, "BUSY", agent_id=agent)).status_code == 422
    assert await pool.fetchval("SELECT state FROM contacts WHERE campaign_id = $1", theirs) == "queued"


@pytest.mark.parametrize(
    "body",
    [b"[" * 20_000, b"[]", b'"x"', b"\xff", b"{", b'{"number_id": NaN}'],
    ids=["deep", "list", "text", "latin", "half", "nan"],
)
async def test_a_body_that_is_no_object_is_refused(pool: asyncpg.Pool, http: httpx.AsyncClient, body: bytes) -> None:
    reply = await http.post(REPORT, content=body, headers={**DIALER, "content-type": "application/json"})
    assert reply.status_code in (400, 422)
    assert re.fullmatch(r"[a-z_]+", reason(reply))


async def test_a_database_that_is_away_is_503() -> None:
    async with app_client(None) as http:
        for reply in (await http.get(NEXT, headers=DIALER),):
            assert (reply.status_code, reason(reply)) == (503, "postgres_down")
