"""The page of caller IDs: what it says, to whom, how it changes, and how it looks in a real browser."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from dialerd import config
from dialerd.clock import Clock
from dialerd.core.callerid import CallEnd, Request
from dialerd.store.pool import TenantPool
from dialerd.web.callerid_board import Board, Look, Wanted
from dialerd.web.errors import SAFE_HEADERS
from dialerd.web.server import serve
from tests.web.browser import browser
from tests.web.callerids import BASE, BEARER, House, house
from tests.web.engine import TOKEN

PAGE = {"accept": "text/html"}
EVIL = "<script>alert(1)</script>"


@pytest.fixture
async def place(pool: asyncpg.Pool, redis_settings: config.Redis) -> AsyncIterator[House]:
    await pool.execute("UPDATE tenants SET default_region = 'US'")
    async with house(pool, redis_settings) as found:
        yield found


@pytest.fixture
async def http(place: House) -> AsyncIterator[httpx.AsyncClient]:
    async with place.client("198.51.100.7") as client:
        yield client


async def add(place: House, e164: str, **columns: object) -> int:
    values = {"tenant_id": 1, "e164": e164, **columns}
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    insert = f"INSERT INTO caller_ids ({', '.join(values)}) VALUES ({places}) RETURNING id"  # noqa: S608 -- our own names
    id_: int = await place.database.fetchval(insert, *values.values())
    await place.load()
    return id_


async def one_of_each_state(place: House) -> dict[str, int]:
    """A number in each state; which id is what."""
    soon = datetime.now(UTC) + timedelta(days=1)
    ids = {
        "reserved": await add(place, "+12125550101", carrier="One"),
        "inactive": await add(place, "+12125550103", active=False),
        "resting": await add(
            place, "+12125550104", resting_until=soon, health={"state": "resting", "why": "2 of 90 answered"}
        ),
        "daily_limit": await add(place, "+12125550105", daily_limit=0),
        "hourly_limit": await add(place, "+12125550106", hourly_limit=0),
        "free": await add(place, "+14155550107"),
    }
    await place.desk.next_cid(Request("+12125550199", "sales", "anna", "held", "http", "127.0.0.1"))
    await place.desk.next_cid(Request("+14155550199", "theirs", "bob", "over", "fastagi", "10.0.0.9"))
    await place.desk.release_cid("over", CallEnd("answered", 9.0))
    await place.desk.next_cid(Request("911", "sales", "anna", "bad", "http", "127.0.0.1"))
    assert await place.requests.flush()
    return ids


async def sign_in(http: httpx.AsyncClient) -> str:
    """Through the form; the form token of the session."""
    reply = await http.post("/login", data={"token": TOKEN, "next": "/dashboard"}, headers={**PAGE, "origin": BASE})
    assert 'url=/dashboard"' in reply.text
    found = re.search(r'name="csrf" value="([^"]+)"', (await http.get("/dashboard", headers=PAGE)).text)
    assert found
    return found.group(1)


@pytest.mark.accepts("CID-12")
async def test_the_data_say_every_state_use_reservation_campaign_and_request(
    place: House, http: httpx.AsyncClient
) -> None:
    await one_of_each_state(place)
    for reply in (
        await http.get("/dashboard?format=json", headers=BEARER),
        await http.get("/dashboard", headers={**BEARER, "accept": "application/json"}),
    ):
        assert reply.status_code == 200
        data = reply.json()
        numbers = {number["state"]: number for number in data["caller_ids"]}
        assert set(numbers) == {"free", "reserved", "resting", "hourly_limit", "daily_limit", "inactive"}
        assert set(data["states"].values()) == {1}
    held = numbers["reserved"]
    assert (held["caller_id"], held["reserved_by"], held["used_this_hour"]) == ("+12125550101", "node-a/held", 1)
    until = datetime.fromisoformat(held["reserved_until"]) - datetime.fromisoformat(held["last_used"])
    assert until == timedelta(seconds=300)
    assert numbers["free"]["used_today"] == 1
    assert numbers["resting"]["health"]["why"] == "2 of 90 answered"
    assert data["campaigns"] == [
        {"campaign": "sales", "requests": 2, "ok": 1, "fallback": 0, "none": 1, "answered": 0, "ended": 0},
        {"campaign": "theirs", "requests": 1, "ok": 1, "fallback": 0, "none": 0, "answered": 1, "ended": 1},
    ]
    assert [(r["to"], r["status"], r["door"], r["agent"]) for r in data["recent"]] == [
        ("", "NONE", "http", "anna"), ("+14155***99", "OK", "fastagi", "bob"), ("+12125***99", "OK", "http", "anna"),
    ]  # fmt: skip
    assert data["recent"][0]["reasons"] == {"bad_number_emergency": 1}
    assert "+12125550199" not in reply.text


@pytest.mark.accepts("CID-12")
async def test_the_page_is_behind_the_login_and_says_the_same_without_scripts(
    place: House, http: httpx.AsyncClient
) -> None:
    await one_of_each_state(place)
    assert (await http.get("/dashboard")).status_code == 401
    assert (await http.get("/dashboard/events")).status_code == 401
    away = await http.get("/dashboard", headers=PAGE)
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/dashboard")
    assert 'name="next" value="/dashboard"' in (await http.get(away.headers["location"], headers=PAGE)).text
    await sign_in(http)
    page = await http.get("/dashboard", headers=PAGE)
    for words in ("+12125550101", "node-a/held", "2 of 90 answered", "hourly limit", "theirs", "+12125***99"):
        assert words in page.text
    assert page.headers["content-security-policy"] == SAFE_HEADERS["content-security-policy"]
    assert "style=" not in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    part = await http.get("/dashboard?part=board", headers=PAGE)
    assert "<html" not in part.text
    assert "+12125550101" in part.text


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example", "/agents", 7])
async def test_the_login_leads_to_our_own_pages_only(http: httpx.AsyncClient, where: object) -> None:
    reply = await http.post("/login", data={"token": TOKEN, "next": str(where)}, headers={**PAGE, "origin": BASE})
    assert 'url=/"' in reply.text
    assert "evil" not in (await http.get("/login", params={"next": str(where)}, headers=PAGE)).text


@pytest.mark.accepts("USR-07")
async def test_numbers_are_switched_woken_and_deleted_by_the_pages_forms(place: House, http: httpx.AsyncClient) -> None:
    ids = await one_of_each_state(place)
    csrf = await sign_in(http)
    where = f"/dashboard/numbers/{ids['free']}"
    assert (await http.post(where, data={"verb": "deactivate"})).status_code == 403
    assert (
        await http.post(where, data={"verb": "deactivate", "csrf": csrf}, headers={"origin": "http://x"})
    ).status_code == 403

    async def press(verb: str, id_: int, back: str = "") -> httpx.Response:
        data = {"verb": verb, "csrf": csrf, "back": back}
        return await http.post(f"/dashboard/numbers/{id_}", data=data, headers=PAGE)

    async def states() -> dict[int, str]:
        data = (await http.get("/dashboard?format=json", headers=BEARER)).json()
        return {number["id"]: number["state"] for number in data["caller_ids"]}

    back = await press("deactivate", ids["free"], "q=555&state=free&evil=1&page=2")
    assert (back.status_code, back.headers["location"]) == (303, "/dashboard?q=555&state=free&page=2")
    await press("wake", ids["resting"])
    await press("activate", ids["inactive"])
    await press("delete", ids["hourly_limit"])
    # Without a load: the page believes the database, whatever the daemon has heard of it.
    assert await states() == {
        ids["reserved"]: "reserved", ids["inactive"]: "free", ids["resting"]: "free", ids["daily_limit"]: "daily_limit",
        ids["free"]: "inactive",
    }  # fmt: skip
    assert (await press("delete", ids["hourly_limit"])).status_code == 404
    assert (await press("explode", ids["free"])).status_code == 404
    assert (await http.post(where, json={"verb": "activate"}, headers=BEARER)).json()["ok"] is True


async def test_a_list_is_searched_narrowed_ordered_and_paged(place: House, http: httpx.AsyncClient) -> None:
    ids = await one_of_each_state(place)

    async def found(**query: str | int) -> list[int]:
        reply = await http.get("/dashboard", params={"format": "json", **query}, headers=BEARER)
        assert reply.status_code == 200, reply.text
        return [number["id"] for number in reply.json()["caller_ids"]]

    assert await found(q="415555") == [ids["free"]]
    assert await found(q="ONE", state="reserved") == [ids["reserved"]]
    assert await found(state="resting") == [ids["resting"]]
    assert (await found(sort="latest"))[0] == ids["free"]
    assert await found(pool=0, size=1, page=2) == [ids["inactive"]]
    assert await found(pool=12345) == []
    assert await found(size=2, page=99) == [ids["hourly_limit"], ids["free"]]
    for query in ("state=x", "sort=x", "pool=x", "page=-1", "size=1001", "q=" + "x" * 65):
        assert (await http.get(f"/dashboard?format=json&{query}", headers=BEARER)).status_code == 422


async def test_hostile_names_stay_text(place: House, http: httpx.AsyncClient) -> None:
    await add(place, "+12125550101", carrier=EVIL, health={"state": EVIL, "why": EVIL})
    await place.desk.next_cid(Request("+12125550199", EVIL, EVIL, "x", "http", EVIL))
    await place.requests.flush()
    await sign_in(http)
    page = await http.get("/dashboard", params={"q": "<", "tenant": "default"}, headers=PAGE)
    assert EVIL not in page.text
    assert page.text.count("&lt;script&gt;") >= 4


async def test_without_redis_the_numbers_are_shown_and_it_is_said(pool: asyncpg.Pool) -> None:
    async with house(pool, config.Redis(url="redis://127.0.0.1:1/0")) as place, place.client() as http:
        await add(place, "+12125550101")
        await sign_in(http)
        page = await http.get("/dashboard", headers=PAGE)
    assert "Redis does not answer" in page.text
    assert "+12125550101" in page.text


async def test_all_who_watch_share_one_look_and_nobody_looks_when_they_are_gone(place: House) -> None:
    await one_of_each_state(place)
    taken = 0

    class Counting(Board):
        async def _take(self, last: Look | None) -> Look:
            nonlocal taken
            taken += 1
            return await super()._take(last)

    board = Counting(1, lambda: TenantPool(place.database, 1), place.pool, Clock(), every=0.01)
    looks = await asyncio.gather(*(board.look() for _ in range(50)))
    assert len({id(look) for look in looks}) == 1
    pages = await asyncio.gather(*(board.page(looks[0], Wanted(state="free")) for _ in range(50)))
    assert {page.found for page in pages} == {1}

    async def hears() -> str:
        async with board.subscribe() as events:
            ready.release()
            return (await anext(events)).kind

    ready = asyncio.Semaphore(0)
    hearing = [asyncio.create_task(hears()) for _ in range(20)]
    for _ in hearing:
        await ready.acquire()
    before = taken
    await board.look(fresh=True)
    await place.desk.next_cid(Request("+14155550199", "theirs", "bob", "again", "fastagi", ""))
    async with asyncio.timeout(20):
        assert set(await asyncio.gather(*hearing)) == {"figures"}
    assert not board.watched
    after = taken
    assert after > before
    await board.look(fresh=True)
    assert taken == after + 1  # none but our own


@pytest.mark.accepts("CID-12")
async def test_in_a_browser_the_page_signs_in_follows_what_happens_and_fits_a_telephone(place: House) -> None:
    ids = await one_of_each_state(place)
    async with serve(place.app, "127.0.0.1", 0) as port, browser() as page:
        base = f"http://127.0.0.1:{port}"
        await page.size(1280, 900)
        await page.command("Page.navigate", url=f"{base}/dashboard")
        await page.until("location.pathname === '/login' && document.readyState === 'complete'")
        await page.run(f"document.getElementById('token').value = '{TOKEN}'; document.querySelector('form').submit()")
        await page.until("location.pathname === '/dashboard' && document.readyState === 'complete'")
        state = f"document.querySelector('#cid-{ids['free']} .is').textContent"
        assert await page.run(state) == "free"

        await place.desk.next_cid(Request("+14155550199", "theirs", "bob", "live", "fastagi", "10.0.0.9"))
        await page.until(f"{state} === 'reserved'")  # nobody has pressed reload
        await place.requests.flush()
        await page.until("document.querySelectorAll('#recent tbody tr').length === 4")

        await page.run(f"document.querySelector('#cid-{ids['resting']} details').open = true")
        await place.desk.release_cid("live")
        await page.until(f"{state} === 'free'")
        assert await page.run(
            f"document.querySelector('#cid-{ids['resting']} details').open"
        )  # not shut under the hand

        await page.run(f"document.querySelector('#cid-{ids['resting']} button[value=wake]').click()")
        await page.until(
            f"document.readyState === 'complete' && !document.querySelector('#cid-{ids['resting']} button[value=wake]')"
        )
        assert (
            await place.database.fetchval("SELECT resting_until FROM caller_ids WHERE id = $1", ids["resting"]) is None
        )

        await page.size(400, 850, dark=True)
        await page.go(f"{base}/dashboard?q=212")
        assert await page.run("document.documentElement.scrollWidth") <= 400
        assert await page.run("document.querySelectorAll('.numbers tbody tr').length") == 5
        shown = "getComputedStyle(document.querySelector('.numbers tr')).display"
        assert await page.run(shown) == "grid"  # cards, not a table that runs off the screen
        await page.command("Emulation.setScriptExecutionDisabled", value=True)
        await page.command("Page.reload")
        await page.until("document.querySelectorAll('.numbers tbody tr').length === 5")
        assert page.problems == []
