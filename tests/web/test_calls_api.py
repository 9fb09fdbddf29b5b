"""Single calls over a real socket: the older shapes, each change of a call and its end, and what hostile clients send.

The engine's side is a fake; tests/live has the real one."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from dialerd import config
from dialerd.core.singlecall import CallRefused, Placed, Wanted
from dialerd.core.status import LiveEvent
from dialerd.web.api import routes
from dialerd.web.app import Bounds, create_app
from dialerd.web.database import Database
from dialerd.web.server import serve
from tests.web.engine import NOW, TOKEN, FakeEngine

CALL = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
EVENTS, SOCKET = f"/api/v2/calls/{CALL}/events", f"/api/v2/calls/{CALL}/ws"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NO_REDIS: Any = None


class Desk:
    """The engine's single calls: what was asked of them, and what is live."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.wanted: list[Wanted] = []
        self.answer: Placed | CallRefused = Placed(CALL, "+358401234567", NOW)
        self.live: dict[str, Mapping[str, Any]] = {}

    async def place(self, tenant_id: int, wanted: Wanted) -> Placed:
        self.wanted.append(wanted)
        if isinstance(self.answer, CallRefused):
            raise self.answer
        return self.answer

    async def now(self, attempt: str) -> Mapping[str, Any] | None:
        return self.live.get(attempt)

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        return self.engine.subscribe()

    def happen(self, state: str, outcome: str | None = None, answered: bool = False, attempt: str = CALL) -> None:
        self.engine.publish(LiveEvent("call", data(state, outcome, answered, attempt)))

    def story(self) -> None:
        self.happen("ended", "busy", attempt="0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c")  # another call
        self.happen("answered", answered=True)
        self.happen("connected", answered=True)  # the same to the older API
        self.happen("ended", "connected", answered=True)


def data(state: str, outcome: str | None = None, answered: bool = False, attempt: str = CALL) -> dict[str, Any]:
    return {
        "attempt": attempt, "state": state, "outcome": outcome, "answered_at": NOW if answered else None,
        "ended_at": NOW + timedelta(seconds=5) if outcome else None,
    }  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def live(pool: asyncpg.Pool, desk: Desk) -> None:
    """A call that rings, in PostgreSQL and in the engine."""
    await pool.execute(
        "INSERT INTO campaigns (tenant_id, name, dial_mode, queue_name, trunk) VALUES (1, 'c', 'preview', 'q', 't')"
    )
    await pool.execute(
        "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state)"
        " SELECT $1::uuid, 1, id, 1, 1, '+358401234567', 'n', 't', 'ringing' FROM campaigns", CALL,
    )  # fmt: skip
    desk.live[CALL] = data("ringing")


@asynccontextmanager
async def running(pool: asyncpg.Pool, desk: Desk, **bounds: Any) -> AsyncIterator[str]:
    settings = config.Config(
        node="n",
        ami=config.Ami(secret=SecretStr("x")),
        ari=config.Ari(password=SecretStr("x")),
        web=config.Web(token=SecretStr(TOKEN)),
    )
    api = routes(settings, Database(lambda: pool), NO_REDIS, calls=desk)
    app = create_app(desk.engine, TOKEN, bounds=Bounds(**bounds), api=api)
    async with asyncio.timeout(30), serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def client(pool: asyncpg.Pool, desk: Desk, **bounds: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Signed in by the token."""
    async with running(pool, desk, **bounds) as base, aiohttp.ClientSession(base, headers=BEARER) as http:
        yield http


# -- placing one --------------------------------------------------------------------------------------------------


@pytest.mark.accepts("ORI-08", "ORI-09", "ORI-10", "ORI-12", "ORI-13")
async def test_the_older_shapes_reach_the_engine_with_their_defaults(pool: asyncpg.Pool, desk: Desk) -> None:
    await pool.execute("UPDATE tenants SET default_region = 'FI'")
    body = {"context": "outbound-ivr", "extension": "s", "timeout": 30000, "caller_id": "MyCompany"}
    async with running(pool, desk) as base, httpx.AsyncClient(base_url=base, headers=BEARER) as http:
        replies = [
            await http.post("/api/v2/interaction/+358401234567"),
            await http.post("/api/v2/interaction/%2B358401234567", json=body),
            await http.post("/api/v2/calls", json={"phone_number": "0401234567", "timeout": 4500}),
        ]
    assert [reply.status_code for reply in replies] == [200, 200, 201]
    assert replies[0].json() == {
        "success": True, "call_id": CALL, "phone_number": "+358401234567", "message": "Call originated successfully",
        "channel": CALL, "status": "dialing", "created_at": "2026-03-02T09:30:00.000Z",
    }  # fmt: skip
    assert {wanted.number.e164 for wanted in desk.wanted} == {"+358401234567"}
    assert [wanted.options.ring_seconds for wanted in desk.wanted] == [30, 30, 5]
    assert [wanted.options.name for wanted in desk.wanted] == ["Outbound Call", "MyCompany", "Outbound Call"]


@pytest.mark.accepts("ORI-01", "ORI-02", "ORI-03")
async def test_a_contact_of_a_campaign_is_asked_for_by_three_fields_or_by_all(pool: asyncpg.Pool, desk: Desk) -> None:
    least = {"campaign_id": 1, "contact_id": 123, "phone_number": "+358401234567"}
    variables = {"CUSTOMER_ID": "456", "PRIORITY": "high"}
    most = {**least, "context": "dialer-outbound", "priority": 1, "timeout": 30, "variables": variables}
    async with running(pool, desk) as base, httpx.AsyncClient(base_url=base, headers=BEARER) as http:
        for body in (least, most):
            reply = await http.post("/calls/originate", json=body, headers={"idempotency-key": "order-1"})
            assert (reply.status_code, reply.json()["call_id"]) == (200, CALL)
    one, two = desk.wanted
    assert (one.campaign_id, one.contact_id, one.key, one.options.ring_seconds) == (1, 123, "order-1", None)
    assert (two.options.ring_seconds, two.options.variables, two.options.name) == (30, variables, None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"context": "default"}, "context_not_allowed"),
        ({"context": "dialerd-answered"}, "context_not_allowed"),
        ({"extension": "s,1,System(id)"}, "extension_not_allowed"),
        ({"timeout": 0}, "bad_timeout"),
        ({"timeout": 10**9}, "bad_timeout"),
        ({"timeout": "soon"}, "invalid"),
        ({"caller_id": 'x" <1>\r\nApplication: System'}, "bad_caller_id"),
        ({"variables": {"MONITOR_EXEC": "id"}}, "variable_not_allowed"),
        ({"variables": {"CUSTOMER_ID": "1,CALLERID(num)=1"}}, "bad_variable"),
        ({"variables": []}, "invalid"),
        ({"phone_number": "112"}, "emergency"),
        ({"phone_number": "+35840123456é"}, "characters"),
        ({"phone_number": None}, "invalid"),
    ],
)
async def test_hostile_and_wrong_values_are_refused_by_name(
    pool: asyncpg.Pool, desk: Desk, body: dict[str, Any], reason: str
) -> None:
    async with running(pool, desk) as base, httpx.AsyncClient(base_url=base, headers=BEARER) as http:
        reply = await http.post("/api/v2/calls", json={"phone_number": "+358401234567", **body})
    assert (reply.status_code, reply.json()["error"]["reason"]) == (422, reason)
    assert desk.wanted == []


async def test_the_engines_refusal_is_a_status_a_reason_and_a_time(pool: asyncpg.Pool, desk: Desk) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with running(pool, desk) as base, httpx.AsyncClient(base_url=base, headers=BEARER) as http:
        for refused, status in (
            (CallRefused("invalid", "key_reused", "no"), 422),
            (CallRefused("refused", "dnc", "no"), 409),
            (CallRefused("refused", "holiday", "no", soon), 409),
            (CallRefused("unavailable", "ami_down", "no"), 503),
        ):
            desk.answer = refused
            reply = await http.post("/api/v2/interaction/+358401234567")
            assert (reply.status_code, reply.json()["error"]["reason"]) == (status, refused.reason)
            assert ("retry-after" in reply.headers) == (refused.until is not None)


@pytest.mark.accepts("ORI-15")
async def test_a_dry_run_and_a_repetition_say_that_they_are_one(pool: asyncpg.Pool, desk: Desk) -> None:
    async with running(pool, desk) as base, httpx.AsyncClient(base_url=base, headers=BEARER) as http:
        desk.answer = Placed(CALL, "+358401234567", NOW, dry_run=True)
        reply = await http.post("/api/v2/interaction/+358401234567")
        assert reply.json()["success"] is True and "nothing was dialed" in reply.json()["message"]
        await pool.execute(
            "INSERT INTO call_requests (id, tenant_id, digest, dry_e164) VALUES ($1, 1, '', '+358401234567')", CALL
        )
        seen = (await http.get(f"/api/v2/calls/{CALL}")).json()
        assert (seen["status"], seen["is_completed"], seen["outcome"]) == ("failed", True, "not_sent")
        assert (await http.get(EVENTS)).text.count("event: call") == 1
        desk.answer = Placed(CALL, "+358401234567", NOW, again=True)
        assert (await http.post("/api/v2/interaction/+358401234567")).headers["idempotent-replayed"] == "true"
        assert (await http.get("/health")).json()["dry_run"] is False


async def test_without_the_token_nothing_is_placed_or_seen(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    async with running(pool, desk) as base, httpx.AsyncClient(base_url=base) as http:
        for path in ("/api/v2/interaction/+358401234567", "/api/v2/calls", "/calls/originate"):
            assert (await http.post(path, json={})).status_code == 401
        for path in (EVENTS, f"/api/v2/calls/{CALL}", f"/api/v2/status/{CALL}"):
            assert (await http.get(path)).status_code == 401
    assert desk.wanted == []


# -- following one ------------------------------------------------------------------------------------------------

SEEN = [("ringing", 0, True), ("answered", 0, True), ("completed", 5, False)]


def told(view: dict[str, Any]) -> tuple[str, int, bool]:
    assert set(view) == {
        "call_id", "phone_number", "status", "channel", "created_at", "answered_at", "duration", "is_active",
        "is_completed",
    }  # fmt: skip
    return view["status"], view["duration"] if view["is_completed"] else 0, view["is_active"]


@pytest.mark.accepts("STA-03")
async def test_server_sent_events_bring_each_change_and_end_with_the_call(
    pool: asyncpg.Pool, desk: Desk, live: None
) -> None:
    seen = []
    async with client(pool, desk) as http, http.get(EVENTS) as reply:
        assert reply.content_type == "text/event-stream"
        async for line in reply.content:
            if line.startswith(b"data: "):
                seen.append(told(json.loads(line.removeprefix(b"data: "))))
                if len(seen) == 1:
                    desk.story()
    assert seen == SEEN
    assert desk.engine.readers == []


@pytest.mark.accepts("STA-03")
async def test_a_websocket_brings_the_same(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    seen = []
    async with client(pool, desk) as http, http.ws_connect(SOCKET) as socket:
        async for message in socket:
            seen.append(told(json.loads(message.data)))
            if len(seen) == 1:
                desk.story()
        assert socket.close_code == 1000
    assert seen == SEEN
    assert desk.engine.readers == []


async def test_a_session_of_our_own_page_may_listen(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # the host is an address
    async with running(pool, desk) as base, aiohttp.ClientSession(base, cookie_jar=jar) as http:
        assert (await http.post("/login", json={"token": TOKEN})).status == 200
        async with http.ws_connect(SOCKET, headers={"Origin": base}) as socket:
            assert told(json.loads((await socket.receive()).data)) == SEEN[0]


async def test_what_ended_between_the_two_looks_is_told(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    """PostgreSQL said that it rings; when the engine is asked it has ended, and the record is written."""

    async def now(attempt: str) -> None:
        await pool.execute("UPDATE attempts SET state = 'ended', outcome = 'busy', ended_at = now()")

    desk.now = now  # type: ignore[method-assign]
    async with client(pool, desk) as http, http.get(EVENTS) as reply:
        text = await reply.text()
    assert text.count("event: call") == 1 and '"status":"busy"' in text


async def test_a_reader_that_lags_is_let_go(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    async with client(pool, desk) as http, http.ws_connect(SOCKET) as socket:
        await socket.receive()
        for _ in range(60):
            desk.happen("ringing")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001
    assert desk.engine.readers == []


async def refused(http: aiohttp.ClientSession, path: str = SOCKET, **headers: str) -> int:
    """The status by which a handshake is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(path, headers=headers)
    return caught.value.status


async def test_another_nodes_call_another_tenants_and_none_are_refused(
    pool: asyncpg.Pool, desk: Desk, live: None
) -> None:
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    async with client(pool, desk) as http:
        for path in ("/api/v2/calls/x/ws", SOCKET.replace("0199", "0198"), f"{SOCKET}?tenant=other"):
            assert await refused(http, path) == 404
        assert await refused(http, "/no/such/socket") == 403
        await pool.execute("UPDATE attempts SET node = 'elsewhere'")
        assert await refused(http) == 409
        assert (await (await http.get(EVENTS)).json())["error"]["reason"] == "other_node"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://"])
async def test_another_sites_page_gets_no_socket(pool: asyncpg.Pool, desk: Desk, live: None, origin: str) -> None:
    async with client(pool, desk) as http:
        assert await refused(http, Origin=origin) == 403


async def test_without_the_token_there_is_no_socket(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    async with running(pool, desk) as base, aiohttp.ClientSession(base) as http:
        assert await refused(http, f"{SOCKET}?token={TOKEN}") == 401  # in the address it counts for nothing
        assert await refused(http, Authorization="Bearer wrong") == 401
        assert await refused(http, Cookie="dialerd_session=x") == 401
    assert desk.engine.readers == []


@pytest.mark.parametrize("said", ["hello", "x" * 5000, b"\x00" * 5000])
async def test_whoever_talks_is_shown_out_and_nothing_is_kept(
    pool: asyncpg.Pool, desk: Desk, live: None, said: str | bytes
) -> None:
    async with client(pool, desk) as http, http.ws_connect(SOCKET) as socket:
        await socket.receive()
        await (socket.send_str(said) if isinstance(said, str) else socket.send_bytes(said))
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == (1008 if said == "hello" else 1009)
        assert (await http.get("/health")).status == 200
    assert desk.engine.readers == []


async def test_there_are_only_so_many(pool: asyncpg.Pool, desk: Desk, live: None) -> None:
    async with client(pool, desk, streams=2) as http:
        kept = [await http.ws_connect(SOCKET) for _ in range(2)]
        for socket in kept:
            await socket.receive()
        assert await refused(http) == 503
        assert (await http.get(EVENTS)).status == 503
        for socket in kept:
            await socket.close()
        async with http.ws_connect(SOCKET) as socket:  # their places are free again
            await socket.receive()


async def test_an_open_socket_does_not_hold_up_the_end_of_the_server(
    pool: asyncpg.Pool, desk: Desk, live: None
) -> None:
    async with aiohttp.ClientSession(headers=BEARER) as http:
        async with running(pool, desk) as base:
            socket = await http.ws_connect(base + SOCKET)
            await socket.receive()
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
