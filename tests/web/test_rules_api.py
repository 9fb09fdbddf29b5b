"""The panel's doors to schedule, switch, holidays, do-not-call lists, opt-outs, lines and single calls."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from dialerd.clock import Clock
from dialerd.core.attempt import State
from dialerd.core.callstatus import of_attempt
from dialerd.core.causes import Outcome
from dialerd.store import campaigns, dnc
from tests.web.place import DIALER, PANEL, app_client, iranian_campaign, reason
from tests.web.test_batch_api import batch, refused

NOON = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)  # a Saturday, 12:00 in Tehran


class SetClock(Clock):
    """A clock that stands still."""

    wall = NOON

    def now(self) -> datetime:
        return self.wall


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def http(pool: asyncpg.Pool, clock: SetClock) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(pool, clock) as client:
        client.headers.update(PANEL)
        yield client


async def schedule(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    reply = await (http.put("/api/schedule", json=changes) if changes else http.get("/api/schedule"))
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


@pytest.mark.accepts("SCH-01", "SCH-04", "SCH-08")
async def test_hours_are_kept_by_weekdays_from_saturday_and_each_change_counts(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool)
    before = await schedule(http)
    assert set(before) == {
        "enabled", "skip_holidays", "timezone", "schedule_version", "server_time", "server_time_jalali", "intervals",
        "holidays",
    }  # fmt: skip
    assert (before["timezone"], before["server_time"]) == ("Asia/Tehran", "2026-11-21T12:00:00+03:30")
    assert before["server_time_jalali"] == "1405/08/30 12:00:00"
    assert [i["day"] for i in before["intervals"]] == list(range(7))
    wanted = [
        {"day": 0, "start": "09:00", "end": "13:00"},
        {"day": 0, "start": "14:00", "end": "24:00"},
        {"day": 6, "start": "10:30", "end": "12:00"},
    ]
    after = await schedule(http, intervals=wanted, skip_holidays=True)
    assert after["intervals"] == wanted
    assert after["skip_holidays"] is True
    assert after["schedule_version"] > before["schedule_version"]
    rows = await pool.fetch("SELECT weekday, left(opens::text, 5) AS opens FROM campaign_windows ORDER BY 1, 2")
    assert [tuple(row) for row in rows] == [(5, "10:30"), (6, "09:00"), (6, "14:00")]
    older = await schedule(http, intervals=[{"day_of_week": 1, "start_time": "9:00:00", "end_time": "18:00:00"}])
    assert older["intervals"] == [{"day": 1, "start": "09:00", "end": "18:00"}]
    assert await schedule(http) == older


@pytest.mark.parametrize(
    "interval",
    [
        {"day": 7, "start": "09:00", "end": "10:00"},
        {"day": -1, "start": "09:00", "end": "10:00"},
        {"day": 0, "start": "10:00", "end": "09:00"},
        {"day": 0, "start": "09:00", "end": "25:00"},
        {"day": 0, "start": "always", "end": ""},
        {"day": 0, "start": "09:00"},
        {"day": 1, "start": "12:00", "end": "14:00"},  # overlaps
    ],
)
async def test_hours_that_cannot_be_change_nothing_of_what_came_with_them(
    pool: asyncpg.Pool, http: httpx.AsyncClient, interval: dict[str, Any]
) -> None:
    await iranian_campaign(pool)
    before = await schedule(http)
    intervals = [{"day": 1, "start": "09:00", "end": "13:00"}, interval]
    reply = await http.put("/api/schedule", json={"enabled": False, "intervals": intervals})
    assert (reply.status_code, reason(reply)) == (422, "invalid")
    assert await schedule(http) == before


@pytest.mark.accepts("SCH-06", "SCH-07", "SCH-04")
async def test_the_switch_is_turned_by_people_and_stops_the_next_batch(pool: asyncpg.Pool) -> None:
    await iranian_campaign(pool, 1)
    async with app_client(pool) as http:
        off = await http.put("/api/schedule", json={"enabled": False}, headers=PANEL)
        assert off.json()["enabled"] is False
        stopped = await refused(http)
        assert (stopped["reason"], stopped["schedule_version"]) == ("disabled", off.json()["schedule_version"])
        await http.put("/api/schedule", json={"enabled": True}, headers=PANEL)
        assert len(await batch(http)) == 1
    events = await pool.fetch("SELECT kind, detail FROM call_events WHERE kind LIKE 'tenant.%abled' ORDER BY id")
    assert [(e["kind"], e["detail"]["by"]) for e in events] == [
        ("tenant.disabled", "panel"),
        ("tenant.enabled", "panel"),
    ]


@pytest.mark.accepts("SCH-02", "SCH-03", "SCH-08")
async def test_days_off_are_shown_in_both_calendars(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool)
    reply = await http.post("/api/holidays", json={"date": "2026-03-21", "name": "ours"})
    assert (reply.status_code, reply.json()) == (201, {"date": "2026-03-21", "jalali": "1405/01/01", "name": "ours"})
    found = (await http.get("/api/holidays")).json()
    assert found["holidays"] == [reply.json()]
    assert {"date": "2026-03-21", "jalali": "1405/01/01"} in found["public"]
    assert (await schedule(http))["holidays"] == [reply.json()]
    assert (await http.delete("/api/holidays/2026-03-21")).status_code == 200
    assert (await http.delete("/api/holidays/2026-03-21")).status_code == 404
    for day in ("tomorrow", "2026-02-30", "0001-01-01", "2026-01-01' OR 1=1--"):
        assert (await http.delete(f"/api/holidays/{day}")).status_code in (404, 422)
        assert (await http.post("/api/holidays", json={"date": day})).status_code == 422


@pytest.mark.accepts("SCH-05")
async def test_it_says_whether_a_number_may_be_called_and_when_next(
    pool: asyncpg.Pool, http: httpx.AsyncClient, clock: SetClock
) -> None:
    await iranian_campaign(pool)
    hours = [{"day": day, "start": "09:00", "end": "13:00"} for day in (0, 2)]
    await schedule(http, intervals=hours)

    async def ask(**params: str) -> tuple[bool, str | None, str | None]:
        reply = await http.get("/api/schedule/is-call-allowed", params=params)
        assert reply.status_code == 200, reply.text
        assert set(reply.json()) == {"allowed", "reason", "next_at"}
        return tuple(reply.json().values())

    now = "2026-11-21T12:00:00+03:30"
    for spelling in ({}, {"number": "09121234567"}, {"number": "+989121234567"}):
        assert await ask(**spelling) == (True, None, now)
    reply = await http.get("/api/schedule/is-call-allowed?number=+989121234567")
    assert reply.json()["allowed"] is True
    # Auckland is at 21:30 of the same Saturday
    assert await ask(number="+64211234567") == (
        False, "outside_allowed_time_window", "2026-11-22T23:30:00+03:30",
    )  # fmt: skip
    clock.wall = NOON + timedelta(hours=1)
    assert await ask() == (False, "outside_allowed_time_window", "2026-11-23T09:00:00+03:30")
    clock.wall = NOON + timedelta(days=1)
    assert await ask() == (False, "no_window", "2026-11-23T09:00:00+03:30")
    await http.post("/api/holidays", json={"date": "2026-11-23"})
    await schedule(http, skip_holidays=True)
    assert await ask() == (False, "no_window", "2026-11-28T09:00:00+03:30")
    await schedule(http, enabled=False)
    assert await ask() == (False, "disabled", None)
    bad = await http.get("/api/schedule/is-call-allowed", params={"number": "1555@evil"})
    assert (bad.status_code, reason(bad)) == (422, "invalid")


@pytest.mark.accepts("DNC-03")
async def test_numbers_are_barred_looked_up_and_freed(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    campaign = await iranian_campaign(pool, 1)
    reply = await http.post("/api/dnc", json={"number": "0912 000 0000", "source": "letter"})
    assert (reply.status_code, reply.json()) == (201, {"list": "own", "added": ["+989120000000"]})
    assert (await http.post("/api/dnc", json={"numbers": ["09120000000"]})).json()["added"] == []
    found = (await http.get("/api/dnc/09120000000")).json()
    assert (found["number"], found["barred"]) == ("+989120000000", True)
    (bar,) = found["bars"]
    assert (bar["list"], bar["scope"], bar["source"]) == ("own", "tenant", "letter")
    assert await dnc.bars(pool, 1, campaign, ["+989120000000"])
    assert (await http.get("/api/dnc/%2B989120000000")).json() == found
    gone = await http.delete("/api/dnc/+989120000000", params={"reason": "asked again"})
    assert gone.json() == {"list": "own", "removed": ["+989120000000"]}
    assert (await http.delete("/api/dnc/+989120000000")).status_code == 404
    assert (await http.get("/api/dnc/09120000000")).json()["barred"] is False
    scoped = await http.post("/api/dnc", params={"campaign": "sales"}, json={"number": "09120000000", "list": "x"})
    assert scoped.status_code == 201
    assert (await http.get("/api/dnc/09120000000")).json()["bars"][0]["campaign"] == "sales"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"numbers": []},
        {"number": "500&PJSIP/x"},
        {"number": "١٢٣"},
        {"number": "1\0"},
        {"number": "09120000000", "list": "a\nb"},
    ],
)
async def test_what_cannot_be_barred_is_refused(
    pool: asyncpg.Pool, http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await http.post("/api/dnc", json=body)).status_code in (409, 422)
    assert await pool.fetchval("SELECT count(*) FROM dnc_numbers") == 0


async def test_an_opt_out_writes_consent_and_do_not_call_row_together(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    campaign = await iranian_campaign(pool, 1)
    async with app_client(pool) as real:
        await batch(real)
    call_id = await pool.fetchval("SELECT id::text FROM attempts")
    body = {"number": "09120000000", "source": "mail", "call_id": call_id}
    reply = await http.post("/api/opt-out", json=body)
    assert reply.json() == {"number": "+989120000000", "opted_out": True, "changed": True}
    assert (await http.post("/api/opt-out", json=body)).json()["changed"] is False
    consent = await pool.fetchrow("SELECT kind, source, attempt_id::text FROM consents")
    assert tuple(consent) == ("opt_out", "mail", call_id)
    assert await dnc.bars(pool, 1, campaign, ["+989120000000"])
    for wrong in ({"call_id": str(uuid4())}, {"call_id": "x"}, {"number": "x"}, {"source": ""}):
        assert (await http.post("/api/opt-out", json=body | wrong)).status_code in (404, 409, 422)
    assert await pool.fetchval("SELECT count(*) FROM consents") == 1


@pytest.mark.accepts("USR-07")
async def test_lines_are_seen_switched_and_deleted_and_not_made(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    await pool.execute(
        "INSERT INTO trunks (name, node, max_calls, tenant_id)"
        " VALUES ('main', 'pbx', 30, NULL), ('mine', 'pbx', 5, 1), ('theirs', 'pbx', 5, $1)",
        other,
    )
    lines = (await http.get("/api/lines")).json()
    assert [line["name"] for line in lines] == ["main", "mine"]
    assert lines[0] == {
        "name": "main", "node": "pbx", "max_calls": 30, "active": True, "shared": True, "live_calls": 0,
    }  # fmt: skip
    for name in ("main", "mine"):
        for verb, active in (("deactivate", False), ("activate", True)):
            assert (await http.post(f"/api/lines/{name}/{verb}")).json()["active"] is active
            assert await pool.fetchval("SELECT active FROM trunks WHERE name = $1", name) is active
    theirs = {"x-tenant": "other"}
    assert [line["name"] for line in (await http.get("/api/lines", headers=theirs)).json()] == ["main", "theirs"]
    assert (await http.post("/api/lines/main/deactivate", headers=theirs)).status_code == 409
    assert (await http.delete("/api/lines/main", headers=theirs)).status_code == 409
    assert (await http.delete("/api/lines/mine", headers=theirs)).status_code == 404
    assert (await http.delete("/api/lines/batch")).status_code == 404
    assert (await http.post("/api/lines", json={"name": "new"})).status_code in (404, 405)
    assert (await http.post("/api/lines/main/explode")).status_code == 404
    assert (await http.delete("/api/lines/mine")).status_code == 200
    assert [r["name"] for r in await pool.fetch("SELECT name FROM trunks ORDER BY 1")] == ["batch", "main", "theirs"]
    kinds = {row["kind"] for row in await pool.fetch("SELECT kind FROM call_events")}
    assert kinds == {"line.activated", "line.deactivated", "line.deleted"}


async def test_a_line_with_calls_is_not_deleted(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 1)
    async with app_client(pool) as real:
        await batch(real)
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('main', 'pbx', 3)")
    await pool.execute("UPDATE attempts SET trunk = 'main', node = 'pbx'")
    assert (await http.delete("/api/lines/main")).status_code == 409
    assert await pool.fetchval("SELECT count(*) FROM trunks WHERE name = 'main'") == 1


@pytest.mark.accepts("STA-01")
async def test_a_calls_status_has_the_older_names(pool: asyncpg.Pool, http: httpx.AsyncClient, clock: SetClock) -> None:
    await iranian_campaign(pool, 1)
    async with app_client(pool) as real:
        await batch(real)
    call_id = await pool.fetchval("SELECT id::text FROM attempts")
    body = (await http.get(f"/api/v2/status/{call_id}")).json()
    assert list(body) == [
        "call_id", "phone_number", "status", "channel", "created_at", "answered_at", "duration", "is_active",
        "is_completed",
    ]  # fmt: skip
    assert (body["call_id"], body["channel"], body["phone_number"]) == (call_id, call_id, "+989120000000")
    assert (body["status"], body["answered_at"], body["duration"]) == ("pending", None, 0)
    assert (body["is_active"], body["is_completed"]) == (True, False)
    await pool.execute(
        "UPDATE attempts SET state = 'ended', outcome = 'connected', answered_at = $1, ended_at = $2",
        NOON, NOON + timedelta(seconds=75),
    )  # fmt: skip
    body = (await http.get(f"/api/v2/status/{call_id}")).json()
    assert (body["status"], body["duration"], body["is_active"], body["is_completed"]) == ("completed", 75, False, True)
    assert datetime.fromisoformat(body["answered_at"]) == NOON
    for lost in (str(uuid4()), "x", "..%2f"):
        assert (await http.get(f"/api/v2/status/{lost}")).status_code == 404
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    assert (await http.get(f"/api/v2/status/{call_id}", headers={"x-tenant": "other"})).status_code == 404


@pytest.mark.accepts("STA-02")
@pytest.mark.parametrize(
    ("state", "outcome", "answered", "status"),
    [
        (State.CLAIMED, None, False, "pending"), (State.DIALING, None, False, "dialing"),
        (State.UNKNOWN, None, False, "dialing"), (State.RINGING, None, False, "ringing"),
        (State.CONNECTED, None, True, "answered"), (State.ENDED, Outcome.HUNG_UP, True, "completed"),
        (State.ENDED, Outcome.BUSY, False, "busy"), (State.ENDED, Outcome.NO_ANSWER, False, "no_answer"),
        (State.ENDED, Outcome.REJECTED, False, "failed"),
    ],
)  # fmt: skip
def test_every_attempt_has_one_of_eight_words(
    state: State, outcome: Outcome | None, answered: bool, status: str
) -> None:
    assert of_attempt(state, outcome, answered) == status


async def test_a_campaign_of_an_outside_dialer_can_be_started(pool: asyncpg.Pool) -> None:
    id_ = await iranian_campaign(pool)
    await pool.execute("UPDATE campaigns SET state = 'draft'")
    assert (await campaigns.change(pool, 1, id_, "start", "test")).state == "active"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/schedule"), ("PUT", "/api/schedule"), ("GET", "/api/schedule/is-call-allowed"),
        ("GET", "/api/holidays"), ("POST", "/api/holidays"), ("DELETE", "/api/holidays/2026-01-01"),
        ("POST", "/api/dnc"), ("GET", "/api/dnc/1"), ("DELETE", "/api/dnc/1"), ("POST", "/api/opt-out"),
        ("GET", "/api/lines"), ("POST", "/api/lines/x/activate"), ("DELETE", "/api/lines/x"),
        ("GET", "/api/v2/status/3f0c7b0e-5a4e-4d6e-9a57-0d8a2c1b7e11"),
    ],
)  # fmt: skip
async def test_every_door_wants_the_panels_token(http: httpx.AsyncClient, method: str, path: str) -> None:
    for headers in (DIALER, {"authorization": ""}):
        assert (await http.request(method, path, headers=headers)).status_code == 401
