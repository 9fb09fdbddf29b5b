"""The surface through ASGI: who may ask for what, in which form it answers, what it refuses."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from dialerd.clock import Clock
from dialerd.core.status import CampaignStatus, LinkState
from dialerd.web.app import Bounds, create_app
from dialerd.web.errors import SAFE_HEADERS
from tests.web.engine import BUSY_DAY, NOW, TOKEN, FakeEngine, links

BEARER = {"authorization": f"Bearer {TOKEN}"}
PAGE = {"accept": "text/html"}
BASE = "http://dialer.test:8000"
DOWN: LinkState = "down"


class SetClock(Clock):
    """A clock that a test moves."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def http(engine: FakeEngine, clock: SetClock) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(engine, TOKEN, clock)
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 4000))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def sign_in(http: httpx.AsyncClient) -> str:
    """Sign in through the form; gives the form token of the session."""
    reply = await http.post("/login", data={"token": TOKEN}, headers={**PAGE, "origin": BASE})
    assert reply.status_code == 200, reply.text
    page = await http.get("/", headers=PAGE)
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found
    return found.group(1)


def reason(reply: httpx.Response) -> str:
    error = reply.json()["error"]
    assert set(error) == {"reason", "message", "hint"}
    return str(error["reason"])


@pytest.mark.accepts("OPS-06")
async def test_health_is_open_and_says_healthy_with_each_link(http: httpx.AsyncClient) -> None:
    reply = await http.get("/health")
    assert reply.status_code == 200
    body = reply.json()
    assert body["status"] == "healthy"
    assert [body[name] for name in ("postgres", "redis", "ami", "ari", "dialing")] == ["ok"] * 5
    assert body["timestamp"].endswith("Z")


@pytest.mark.accepts("OPS-06")
@pytest.mark.parametrize("link", ["postgres", "redis", "ami", "ari"])
async def test_health_is_503_and_names_the_link_that_is_down_without_its_details(
    http: httpx.AsyncClient, engine: FakeEngine, link: str
) -> None:
    engine.current = replace(BUSY_DAY, links=links(**{link: DOWN}))
    reply = await http.get("/health")
    assert reply.status_code == 503
    assert reply.json()["status"] == "degraded"
    assert reply.json()[link] == "down"
    assert reply.json()["dialing"] == "stopped"
    assert "10.1.2.3" not in reply.text


@pytest.mark.parametrize("path", ["/status", "/agents", "/events", "/"])
@pytest.mark.parametrize("header", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ä"])
async def test_without_the_token_there_is_nothing_to_see(http: httpx.AsyncClient, path: str, header: str) -> None:
    reply = await http.get(path, headers=[(b"authorization", header.encode())] if header else None)
    assert reply.status_code == 401
    assert reason(reply) == "not_signed_in"
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_status_with_the_token_is_the_engines_status_and_never_the_token(
    http: httpx.AsyncClient,
) -> None:
    reply = await http.get("/status", headers=BEARER)
    assert reply.status_code == 200
    assert reply.json()["campaigns"][0]["lines"] == {
        "dialing": 3,
        "ringing": 4,
        "answered": 1,
        "connected": 5,
    }
    assert TOKEN not in reply.text


async def test_not_a_number_becomes_null_instead_of_broken_json(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.current = replace(
        BUSY_DAY, campaigns=(CampaignStatus(1, "x", "active", "power", "q", 0, answer_rate=float("nan")),)
    )
    reply = await http.get("/status", headers=BEARER)
    assert reply.json()["campaigns"][0]["answer_rate"] is None


@pytest.mark.parametrize("verb", ["connect", "disconnect", "ready"])
async def test_an_agent_verb_reaches_the_engine(http: httpx.AsyncClient, engine: FakeEngine, verb: str) -> None:
    reply = await http.post(f"/agents/aino/{verb}", headers=BEARER)
    assert reply.status_code == 200
    assert engine.asked == [(verb, "aino")]


async def test_a_pause_carries_its_reason(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    await http.post("/agents/aino/pause", headers=BEARER, json={"reason": "lunch"})
    assert engine.asked == [("pause", "aino", "lunch")]


@pytest.mark.parametrize("bad", ["a\nb", "\x1b]0;x\x07", "x" * 81, 7, None])
async def test_a_pause_reason_that_could_steer_a_terminal_is_refused(
    http: httpx.AsyncClient, engine: FakeEngine, bad: object
) -> None:
    reply = await http.post("/agents/aino/pause", headers=BEARER, json={"reason": bad})
    assert (reply.status_code, reason(reply)) == (400, "bad_reason")
    assert engine.asked == []


async def test_unknown_agents_verbs_and_refusals_have_their_status(http: httpx.AsyncClient) -> None:
    for path, status, word in [
        ("/agents/nobody/ready", 404, "agent_unknown"),
        ("/agents/a%0d%0ab/ready", 404, "agent_unknown"),
        ("/agents/aino/fire", 404, "no_such_verb"),
        ("/agents/aino/hangup", 409, "not_on_call"),
    ]:
        reply = await http.post(path, headers=BEARER)
        assert (reply.status_code, reason(reply)) == (status, word)
    assert (await http.get("/agents/aino/ready", headers=BEARER)).status_code == 405
    assert reason(await http.get("/nowhere", headers=BEARER)) == "not_found"
    assert reason(await http.get("/static/../app.py", headers=BEARER)) == "not_found"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"reason":"\xff"}', "application/json", 400),
        (b"&".join(b"a=%d" % i for i in range(30)), "application/x-www-form-urlencoded", 400),
        (b"reason=x", "text/plain", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
        (b"x" * 65_537, "application/json", 413),
    ],
)
async def test_a_body_that_is_not_small_and_plain_is_refused(
    http: httpx.AsyncClient, engine: FakeEngine, body: bytes, kind: str, status: int
) -> None:
    reply = await http.post("/agents/aino/pause", headers={**BEARER, "content-type": kind}, content=body)
    assert reply.status_code == status
    reason(reply)
    assert engine.asked == []


async def test_too_many_headers_are_refused(http: httpx.AsyncClient) -> None:
    reply = await http.get("/health", headers={f"x-{i}": "1" for i in range(80)})
    assert (reply.status_code, reason(reply)) == (431, "too_many_headers")


@pytest.mark.parametrize("path", ["/", "/health", "/login", "/nowhere", "/static/app.css"])
async def test_every_answer_has_the_safety_headers(http: httpx.AsyncClient, path: str) -> None:
    reply = await http.get(path)
    for name, value in SAFE_HEADERS.items():
        assert reply.headers[name] == value
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"


async def test_an_engine_that_breaks_is_a_500_without_details(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(engine, "status", broken)
    transport = httpx.ASGITransport(create_app(engine, TOKEN), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        reply = await http.get("/status", headers=BEARER)
    assert (reply.status_code, reason(reply)) == (500, "internal_error")
    assert "hunter2" not in reply.text


async def test_an_engine_that_does_not_answer_is_a_504(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(name: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(engine, "agent_ready", stuck)
    transport = httpx.ASGITransport(create_app(engine, TOKEN, bounds=Bounds(engine_seconds=0.01)))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        reply = await http.post("/agents/aino/ready", headers=BEARER)
    assert (reply.status_code, reason(reply)) == (504, "timeout")


# -- signing in


async def test_the_form_gives_a_strict_httponly_cookie_that_opens_the_page(http: httpx.AsyncClient) -> None:
    assert (await http.get("/", headers=PAGE)).headers["location"] == "/login"
    reply = await http.post("/login", data={"token": TOKEN}, headers={**PAGE, "origin": BASE})
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie  # asked over http; over https it is there:
    assert TOKEN not in cookie
    page = await http.get("/", headers=PAGE)
    assert page.status_code == 200
    assert "Spring renewals" in page.text


async def test_over_https_the_cookie_is_secure(engine: FakeEngine) -> None:
    transport = httpx.ASGITransport(create_app(engine, TOKEN))
    async with httpx.AsyncClient(transport=transport, base_url="https://dialer.test") as http:
        reply = await http.post("/login", data={"token": TOKEN})
    assert "secure" in reply.headers["set-cookie"].lower()


async def test_a_wrong_token_is_told_and_ten_of_them_close_the_form_for_a_minute(
    http: httpx.AsyncClient, clock: SetClock
) -> None:
    for _ in range(10):
        assert reason(await http.post("/login", data={"token": "wrong"})) == "wrong_token"
    refused = await http.post("/login", data={"token": TOKEN})
    assert (refused.status_code, reason(refused)) == (429, "too_many_attempts")
    assert "set-cookie" not in refused.headers
    # A program with the right token is not locked out by its neighbours' mistakes.
    assert (await http.get("/status", headers=BEARER)).status_code == 200
    clock.seconds += 61
    assert (await http.post("/login", data={"token": TOKEN})).status_code == 200


async def test_wrong_bearer_tokens_are_bounded_too(http: httpx.AsyncClient) -> None:
    wrong = {"authorization": "Bearer wrong"}
    statuses = [(await http.get("/status", headers=wrong)).status_code for _ in range(12)]
    assert statuses == [401] * 9 + [429] * 3


async def test_a_session_ends_by_itself_and_at_logout_and_its_cookie_is_worth_nothing_then(
    http: httpx.AsyncClient, clock: SetClock
) -> None:
    csrf = await sign_in(http)
    old = dict(http.cookies)
    await http.post("/logout", data={"csrf": csrf})
    http.cookies.update(old)
    assert (await http.get("/status")).status_code == 401
    http.cookies.clear()
    await sign_in(http)
    clock.seconds += 12 * 3600 + 1
    assert (await http.get("/status")).status_code == 401


async def test_signing_in_never_goes_on_with_an_id_from_before(http: httpx.AsyncClient) -> None:
    await sign_in(http)
    before = http.cookies["dialerd_session"]
    await sign_in(http)
    assert http.cookies["dialerd_session"] != before
    http.cookies.clear()
    http.cookies.set("dialerd_session", before)
    assert (await http.get("/status")).status_code == 401


async def test_a_one_time_link_works_once_and_for_ten_minutes(http: httpx.AsyncClient, clock: SetClock) -> None:
    async def link() -> str:
        reply = await http.post("/login-links", headers=BEARER)
        assert reply.status_code == 201
        return str(reply.json()["path"])

    path = await link()
    assert (await http.head(path)).headers.get("set-cookie") is None  # a preview does not use it up
    assert "set-cookie" in (await http.get(path, headers=PAGE)).headers
    assert (await http.get("/", headers=PAGE)).status_code == 200
    http.cookies.clear()
    again = await http.get(path, headers=PAGE)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    late = await link()
    clock.seconds += 601
    assert (await http.get(late, headers=PAGE)).status_code == 401
    assert (await http.get("/login?once=guess", headers=PAGE)).status_code == 401


async def test_only_the_token_makes_links(http: httpx.AsyncClient) -> None:
    assert (await http.post("/login-links")).status_code == 401
    csrf = await sign_in(http)
    reply = await http.post("/login-links", data={"csrf": csrf})
    assert (reply.status_code, reason(reply)) == (403, "token_needed")


# -- forged requests


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": BASE},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "null"},
        {"origin": "http://evil.test"},
        {"origin": "http://dialer.test:8001"},
        {"origin": "http://dialer.test:8000.evil.test"},
        {"origin": "http://["},
        {"origin": ""},
        {},
    ],
)
async def test_another_sites_page_cannot_use_the_cookie(
    http: httpx.AsyncClient, engine: FakeEngine, headers: dict[str, str]
) -> None:
    await sign_in(http)
    for data in ({}, {"csrf": "guess"}):
        reply = await http.post("/agents/aino/pause", headers=headers, data=data)
        assert (reply.status_code, reason(reply)) == (403, "cross_site")
    assert engine.asked == []


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": BASE}])
async def test_our_own_page_can(http: httpx.AsyncClient, engine: FakeEngine, headers: dict[str, str]) -> None:
    await sign_in(http)
    reply = await http.post("/agents/aino", data={"verb": "ready"}, headers={**PAGE, **headers})
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert engine.asked == [("ready", "aino")]


async def test_a_text_browser_proves_itself_with_the_forms_token(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    csrf = await sign_in(http)
    assert (await http.post("/agents/aino/ready", data={"csrf": csrf})).status_code == 200


@pytest.mark.parametrize("odd", ["\ud800", "ä", 7, None, ["x"], {"a": 1}])
async def test_odd_values_are_wrong_and_not_a_breakdown(http: httpx.AsyncClient, odd: object) -> None:
    json_type = {"content-type": "application/json"}
    login = await http.post("/login", content=json.dumps({"token": odd}), headers=json_type)
    assert (login.status_code, reason(login)) == (401, "wrong_token")
    await sign_in(http)
    reply = await http.post("/agents/aino/ready", content=json.dumps({"csrf": odd}), headers=json_type)
    assert (reply.status_code, reason(reply)) == (403, "cross_site")


async def test_the_token_of_another_session_is_worth_nothing(http: httpx.AsyncClient) -> None:
    other = await sign_in(http)
    http.cookies.clear()
    await sign_in(http)
    assert reason(await http.post("/agents/aino/ready", data={"csrf": other})) == "cross_site"


# -- the page


async def test_the_page_is_complete_without_javascript(http: httpx.AsyncClient) -> None:
    await sign_in(http)
    page = (await http.get("/", headers=PAGE)).text
    for text in (
        "carmen",
        "on call",
        "2.4 %",
        "budget 3.0 %",
        "6 ms",
        "2 agents are free",
        "predicts 24.1 % answered after 8 s, 112 s with an agent",
        "12 of 431 answers abandoned since 2026-02-18 00:00 UTC; 3.0 % allows 0.9 more",
        "itsp-main",
        "1840",
    ):
        assert text in page
    assert re.search(r'<noscript><meta http-equiv="refresh" content="\d+"></noscript>', page)
    assert "style=" not in page
    assert not re.search(r"<script(?![^>]* src=)", page)


async def test_the_changing_part_alone_is_what_the_script_fetches(http: httpx.AsyncClient) -> None:
    await sign_in(http)
    part = (await http.get("/?part=board", headers=PAGE)).text
    assert "<html" not in part
    assert "Spring renewals" in part


async def test_hostile_names_stay_text(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    evil = "\"><svg onload=alert(1)><img src=x onerror=alert(2)>'{{7*7}}\x1b[2J"
    engine.current = replace(
        BUSY_DAY,
        node=evil,
        campaigns=(replace(BUSY_DAY.campaigns[0], name=evil, queue_name=evil, dial_mode=evil, state=evil),),
        agents=(replace(BUSY_DAY.agents[0], name=evil, state=evil, reason=evil),),
        trunks=(replace(BUSY_DAY.trunks[0], name=evil),),
        links=links(redis="down"),
        dialing_allowed=False,
        dialing_reason=evil,
        calls_by_state={evil: 1},
    )
    await sign_in(http)
    page = (await http.get("/", headers=PAGE)).text
    assert "<svg onload" not in page
    assert "<img" not in page
    assert "49" not in page.replace(str(NOW.year), "").split("<h3>")[1].split("</h3>")[0]
    assert "&lt;svg onload=alert(1)&gt;" in page
