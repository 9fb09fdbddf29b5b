"""The agent's page: who comes in, what a session is good for, what the page shows and takes. The engine is a fake."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from dialerd import config
from dialerd.clock import Clock
from dialerd.core.agentview import Identity, ParkedView
from dialerd.core.status import AgentRefused
from dialerd.web.agentdoor import COOKIE, AgentDoor
from dialerd.web.api import routes
from dialerd.web.app import create_app
from dialerd.web.database import Database
from dialerd.web.server import serve
from tests.web.desk import AINO, CALL, ON_CALL, PIN, READY, VIEWS, FakeDesk
from tests.web.engine import TOKEN, FakeEngine

BASE = "http://dialer.test:8000"
BEARER = {"authorization": f"Bearer {TOKEN}"}
PAGE = {"accept": "text/html"}
NO_REDIS: object = None
OPERATORS = (
    "/", "/status", "/agents", "/events", "/contacts", "/api/callbacks", "/api/dispositions", "/api/numbers",
    "/api/stats/numbers-summary", "/recordings", "/agents/agent-7/view", "/agent/events?agent=agent-7",
)  # fmt: skip


def app_of(desk: FakeDesk, pool: asyncpg.Pool | None = None) -> object:
    settings = config.Config(
        ami=config.Ami(secret=SecretStr("x")), ari=config.Ari(password=SecretStr("x")),
        web=config.Web(token=SecretStr(TOKEN)),
    )  # fmt: skip
    api = routes(settings, Database(lambda: pool), NO_REDIS, desk=desk)  # type: ignore[arg-type]
    return create_app(FakeEngine(), TOKEN, api=api)


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
async def http(desk: FakeDesk) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app_of(desk), client=("198.51.100.7", 4000))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def sign_in(http: httpx.AsyncClient, agent: str = "agent-7") -> str:
    """Sign in through the form; gives the form token of the page."""
    reply = await http.post("/agent/login", data={"agent": agent, "pin": PIN}, headers={**PAGE, "origin": BASE})
    assert reply.status_code == 200, reply.text
    page = await http.get("/agent", headers=PAGE)
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found
    return found.group(1)


def reason(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["reason"])


@pytest.mark.parametrize("typed", ["agent-7", "70"])
async def test_an_agent_comes_in_by_name_or_number_and_pin(http: httpx.AsyncClient, typed: str) -> None:
    assert (await http.get("/agent", headers=PAGE)).headers["location"] == "/agent/login"
    await sign_in(http, typed)
    cookie = next(c for c in http.cookies.jar if c.name == COOKIE)
    assert (cookie.path, cookie.has_nonstandard_attr("HttpOnly")) == ("/agent", True)
    assert "Carmen Castro" in (await http.get("/agent", headers=PAGE)).text


async def test_a_wrong_pin_and_an_unknown_agent_are_told_in_the_same_words(http: httpx.AsyncClient) -> None:
    answers = []
    for fields in ({"agent": "agent-7", "pin": "0000"}, {"agent": "nobody", "pin": PIN}):
        reply = await http.post("/agent/login", json=fields)
        answers.append((reply.status_code, reply.text))
    assert answers[0] == answers[1] and answers[0][0] == 401


async def test_too_many_tries_are_told_to_wait(http: httpx.AsyncClient, desk: FakeDesk) -> None:
    desk.refusal = AgentRefused("too_many_attempts")
    reply = await http.post("/agent/login", json={"agent": "agent-7", "pin": PIN})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "60")


@pytest.mark.accepts("USR-03")
async def test_an_agents_session_reaches_no_operators_route(http: httpx.AsyncClient) -> None:
    await sign_in(http)
    cookie = {"cookie": f"{COOKIE}={http.cookies[COOKIE]}; dialerd_session={http.cookies[COOKIE]}"}
    for path in OPERATORS:
        assert (await http.get(path, headers=cookie)).status_code == 401, path
    for path in ("/agents/agent-7/pause", "/agents/agent-8/disposition", "/api/callbacks", "/contacts/bulk"):
        reply = await http.post(path, json={}, headers=cookie | {"sec-fetch-site": "same-origin"})
        assert reply.status_code == 401, path


@pytest.mark.accepts("USR-03")
async def test_an_agent_sees_their_own_view_and_nobody_elses(http: httpx.AsyncClient, desk: FakeDesk) -> None:
    desk.shown = ON_CALL
    await sign_in(http)
    view = (await http.get("/agent/view")).json()
    assert (view["name"], view["call"]["person"]["name"]) == ("agent-7", "Aino Virtanen")
    assert (await http.get("/agent/events", params={"agent": "agent-8"})).status_code == 401


async def test_a_session_ends_with_the_pin_and_by_signing_out(http: httpx.AsyncClient, desk: FakeDesk) -> None:
    csrf = await sign_in(http)
    cookie = {"cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
    desk.stamp = "another PIN"
    assert (await http.get("/agent/view")).status_code == 401
    desk.stamp = "stamp1"
    assert (await http.get("/agent/view")).status_code == 200
    assert (await http.post("/agent/logout", data={"csrf": csrf})).status_code == 303
    assert (await http.get("/agent/view", headers=cookie)).status_code == 401


async def test_a_session_outlives_the_daemon_but_not_its_time_nor_a_new_token(http: httpx.AsyncClient) -> None:
    who = Identity(7, 1, "agent-7", "", "stamp1")
    cookie = AgentDoor(TOKEN, Clock(), 60.0).open(who)
    found = AgentDoor(TOKEN, Clock(), 60.0).read(cookie)
    assert found is not None and (found.agent_id, found.stamp) == (7, "stamp1")
    assert AgentDoor(TOKEN, Clock(), 60.0).read(AgentDoor(TOKEN, Clock(), -1.0).open(who)) is None
    assert AgentDoor("another-token-of-the-daemon", Clock(), 60.0).read(cookie) is None
    for forged in ("", ".", "7", "\ud800", cookie.replace("7.", "8.", 1), cookie + "0", cookie[:-1], "9" * 5000):
        assert AgentDoor(TOKEN, Clock(), 60.0).read(forged) is None


async def test_a_verb_needs_the_pages_own_form(http: httpx.AsyncClient, desk: FakeDesk) -> None:
    csrf = await sign_in(http)
    for headers, fields in (
        ({}, {}), ({"origin": "http://evil.test"}, {"csrf": csrf}), ({"sec-fetch-site": "cross-site"}, {"csrf": csrf}),
    ):  # fmt: skip
        assert (await http.post("/agent/ready", data=fields, headers=headers)).status_code == 403
    assert ("ready", 7) not in desk.asked
    assert (await http.post("/agent/ready", data={"csrf": csrf})).json()["ok"] is True
    assert ("ready", 7) in desk.asked


@pytest.mark.parametrize(
    ("verb", "fields", "asked"),
    [
        ("connect", {}, ("connect",)),
        ("pause", {"reason": "lunch"}, ("pause", "lunch")),
        ("hold", {}, ("hold",)),
        ("unhold", {}, ("unhold",)),
        ("mute", {}, ("mute",)),
        ("unmute", {}, ("unmute",)),
        ("dtmf", {"digits": "12#"}, ("dtmf", "12#")),
        ("hangup", {}, ("hangup",)),
        ("preview/next", {"campaign": "3"}, ("preview_next", "3")),
        ("preview/skip", {"reason": "busy", "after_seconds": "60"}, ("preview_skip", "busy", 60.0)),
        ("preview/call", {}, ("preview_call",)),
        ("record/start", {}, ("record", "start")),
        ("record/stop", {}, ("record", "stop")),
        ("record/pause", {}, ("record", "pause")),
        ("record/resume", {}, ("record", "resume")),
    ],
)
async def test_page_and_api_have_the_same_verbs(
    http: httpx.AsyncClient, desk: FakeDesk, verb: str, fields: dict[str, str], asked: tuple[object, ...]
) -> None:
    csrf = await sign_in(http)
    assert (await http.post(f"/agent/{verb}", data=fields | {"csrf": csrf})).status_code == 200
    assert desk.asked[-1] == (asked[0], 7, *asked[1:])
    assert (await http.post(f"/agents/agent-7/{verb}", json=fields, headers=BEARER)).status_code == 200
    assert desk.asked[-1] == (asked[0], "agent-7", *asked[1:])
    assert (await http.post(f"/agents/agent-8/{verb}", json=fields, headers=BEARER)).status_code == 404


async def test_an_agent_says_that_it_is_a_machine_on_the_page_and_by_the_api(
    http: httpx.AsyncClient, desk: FakeDesk
) -> None:
    desk.shown = ON_CALL
    csrf = await sign_in(http)
    assert (await http.post("/agent/machine", data={"attempt": CALL.attempt, "csrf": csrf})).status_code == 200
    assert (await http.post("/agents/agent-7/machine", json={}, headers=BEARER)).status_code == 200
    asked = [each for each in desk.asked if each[0] == "machine"]
    assert asked == [("machine", 7, "agent agent-7", CALL.attempt), ("machine", "agent-7", "api", None)]
    assert 'formaction="/agent/machine"' in (await http.get("/agent")).text


async def test_a_disposition_names_its_call_and_is_refused_with_the_engines_word(
    http: httpx.AsyncClient, desk: FakeDesk
) -> None:
    desk.shown = ON_CALL
    csrf = await sign_in(http)
    fields = {"disposition": "sale", "message": "two\r\nlines", "attempt": CALL.attempt, "csrf": csrf}
    assert (await http.post("/agent/disposition", data=fields)).status_code == 200
    assert desk.asked[-1] == ("dispose", 7, "sale", "agent agent-7", "two\nlines", None, CALL.attempt)
    for bad in ({"message": "\x1b[31m"}, {"message": "x" * 1001}, {"disposition": "a\0b"}, {"attempt": "x" * 201}):
        assert (await http.post("/agent/disposition", data=fields | bad)).status_code == 422
    desk.refusal = AgentRefused("another_call", "the agent is with another call by now")
    reply = await http.post("/agent/disposition", data=fields)
    assert (reply.status_code, reason(reply)) == (409, "another_call")


async def test_hostile_names_scripts_and_fields_are_text(http: httpx.AsyncClient, desk: FakeDesk) -> None:
    evil = "<script>alert(1)</script>\x1b]0;x\x07"
    person = replace(AINO, name=evil, external_id=evil, custom={evil: evil, "n": None}, last_message=evil)
    call = replace(CALL, person=person, script=evil, campaign=evil)
    desk.shown = replace(ON_CALL, full_name=evil, notice=evil, call=call)
    await sign_in(http)
    text = (await http.get("/agent", headers=PAGE)).text
    assert "<script>alert" not in text and "\x1b" not in text and text.count("&lt;script&gt;") >= 6


@pytest.mark.parametrize("name", VIEWS)
async def test_every_state_has_its_page(http: httpx.AsyncClient, desk: FakeDesk, name: str) -> None:
    desk.shown = VIEWS[name]
    await sign_in(http)
    text = (await http.get("/agent", headers=PAGE)).text
    assert "<h1>" in text and "style=" not in text and "onclick" not in text


@pytest.mark.accepts("CAM-12")
async def test_the_page_offers_to_call_or_skip_the_contact_that_is_looked_at(
    http: httpx.AsyncClient, desk: FakeDesk
) -> None:
    desk.shown = VIEWS["preview"]
    await sign_in(http)
    text = (await http.get("/agent", headers=PAGE)).text
    assert "Aino Virtanen" in text and "/agent/preview/call" in text and "/agent/preview/skip" in text
    assert "/agent/hold" not in text and "/agent/disposition" not in text


@pytest.mark.parametrize(
    ("name", "offered", "says"),
    [
        ("on_call", set(), ""),
        ("record_", {"start"}, ""),
        ("record_announcing", {"stop"}, "They are told that the call is recorded"),
        ("record_recording", {"pause", "stop"}, "Recording"),
        ("record_paused", {"resume", "stop"}, "The recording is paused"),
        ("record_refused", set(), "This call may not be recorded"),
        ("record_required", {"pause"}, "Recording"),
    ],
)
async def test_the_page_offers_what_may_be_done_about_the_recording(
    http: httpx.AsyncClient, desk: FakeDesk, name: str, offered: set[str], says: str
) -> None:
    desk.shown = VIEWS[name]
    await sign_in(http)
    text = (await http.get("/agent", headers=PAGE)).text
    assert {do for do in ("start", "stop", "pause", "resume") if f"/agent/record/{do}" in text} == offered
    assert says in text


async def test_the_stream_brings_each_change_as_data_or_as_the_pages_part(desk: FakeDesk) -> None:
    async with serve(app_of(desk), "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:  # type: ignore[arg-type]
        base = f"http://127.0.0.1:{port}"
        async with session.post(f"{base}/agent/login", json={"agent": "agent-7", "pin": PIN}) as reply:
            cookie = {"cookie": f"{COOKIE}={reply.cookies[COOKIE].value}"}
        async with (
            asyncio.timeout(10),
            session.get(f"{base}/agent/events", params={"agent": "agent-7"}, headers=BEARER) as plain,
            session.get(f"{base}/agent/events", params={"as": "page"}, headers=cookie) as page,
        ):
            assert [(await view(s))["at"] for s in (plain, page)]
            desk.show(ON_CALL)
            assert (await view(plain))["call"]["person"]["name"] == "Aino Virtanen"
            assert "<h1>On a call</h1>" in (await view(page))["html"]
            desk.stamp = "another PIN"
        desk.show(READY)
    assert desk.readers == []


async def view(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    while not (line := await stream.content.readline()).startswith(b"data:"):
        assert line, "the stream ended"
    found: dict[str, Any] = json.loads(line[5:])
    return found


async def test_the_page_offers_what_can_be_done_with_a_call_and_passes_on_whom_it_goes_to(
    desk: FakeDesk, http: httpx.AsyncClient
) -> None:
    token = await sign_in(http)
    desk.shown = replace(ON_CALL, message=True)
    html = (await http.get("/agent", headers=PAGE)).text
    assert all(f"/agent/{verb}" in html for verb in ("transfer", "consult", "park", "message"))
    assert "/agent/complete" not in html
    for talk, verbs in (("ringing", "complete cancel"), ("consulting", "conference complete cancel")):
        desk.shown = replace(ON_CALL, talk=talk, third="<b>+358401234567")
        html = (await http.get("/agent", headers=PAGE)).text
        assert all(f"/agent/{verb}" in html for verb in verbs.split()) and "/agent/transfer" not in html
        assert "&lt;b&gt;+358401234567" in html
    desk.shown = replace(READY, parked=(ParkedView(CALL.attempt or "", "Spring", AINO.number, READY.since, True),))
    assert "waits for you" in (await http.get("/agent", headers=PAGE)).text
    await http.post("/agent/pickup", data={"csrf": token, "attempt": CALL.attempt})
    await http.post("/agent/transfer", data={"csrf": token, "to": " queue:support "})
    by = f"agent {desk.shown.name}"
    assert desk.asked[-2:] == [
        ("do_in_call", 7, "pickup", {"to": "", "attempt": CALL.attempt}, by),
        ("do_in_call", 7, "transfer", {"to": "queue:support", "attempt": ""}, by),
    ]
    reply = await http.post("/agents/agent-7/listen", json={"to": "x\ny"}, headers=BEARER)
    assert reply.status_code == 422
