"""Caller IDs over HTTP: asking for one, giving it back, and keeping the pools."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
import redis.asyncio

from dialerd import config
from dialerd.core.callerid import CallEnd, Request, Selection
from tests.web.callerids import BEARER, House, house
from tests.web.place import reason

S4_NUMBER = {
    "caller_id": "+14155550123", "carrier": "Carrier One", "area_code": "415", "daily_limit": 1000, "hourly_limit": 100,
    "meta": {"state": "CA", "type": "mobile"},
}  # fmt: skip
CSV = "caller_id,carrier,area_code,daily_limit,hourly_limit,meta_json\n"


@pytest.fixture
async def place(pool: asyncpg.Pool, redis_settings: config.Redis) -> AsyncIterator[House]:
    await pool.execute("UPDATE tenants SET default_region = 'US'")
    async with house(pool, redis_settings) as found:
        yield found


@pytest.fixture
async def http(place: House) -> AsyncIterator[httpx.AsyncClient]:
    async with place.client() as client:
        yield client


@pytest.fixture
async def admin(place: House) -> AsyncIterator[httpx.AsyncClient]:
    async with place.client("198.51.100.7", **BEARER) as client:
        yield client


async def add(place: House, admin: httpx.AsyncClient, **changed: Any) -> dict[str, Any]:
    reply = await admin.post("/add-number", json=S4_NUMBER | changed)
    assert reply.status_code == 201, reply.text
    await place.load()
    found: dict[str, Any] = reply.json()
    return found


async def ask(
    http: httpx.AsyncClient, to: str = "+14155550199", campaign: str = "sales", **more: str
) -> httpx.Response:
    return await http.get("/next-cid", params={"to": to, "campaign": campaign, "agent": "anna", **more})


@pytest.mark.accepts("CID-01", "CID-02")
async def test_the_reply_is_that_of_the_older_service_and_says_how_to_release(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    added = await add(place, admin)
    reply = await ask(http)
    assert reply.status_code == 200
    body = reply.json()
    call = body.pop("call")
    assert body == {
        "caller_id": "+14155550123", "carrier": "Carrier One", "area_code": "415",
        "meta": {"state": "CA", "type": "mobile"}, "cid_id": added["id"], "status": "OK", "fallback": False,
        "national": "4155550123",
    }  # fmt: skip
    assert (await ask(http, call="1772442000.7")).json()["fallback"] is True  # while the first call has it
    released = await http.post("/release-cid", json={"call": call, "result": "answered", "talk_seconds": 4.5})
    assert released.json() == {"call": call, "released": True}
    assert (await http.post("/release-cid", data={"call": call})).json()["released"] is False
    assert (await ask(http, call="1772442000.7")).json()["status"] == "OK"


async def test_the_same_call_gets_the_same_number_again(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    await add(place, admin)
    await add(place, admin, caller_id="+14155550124")
    replies = [(await ask(http, call="pbx-1772442000.7")).json() for _ in range(3)]
    assert len({reply["caller_id"] for reply in replies}) == 1
    assert replies[0]["call"] == "pbx-1772442000.7"


@pytest.mark.accepts("CID-08")
@pytest.mark.parametrize(("to", "shown"), [("+12125550199", "+12125550142"), ("(415) 555-0199", "+14155550123")])
async def test_the_number_nearest_to_the_destination_is_given(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient, to: str, shown: str
) -> None:
    await add(place, admin)
    await add(place, admin, caller_id="+12125550142", area_code="")
    reply = (await ask(http, to)).json()
    assert (reply["caller_id"], reply["area_code"]) == (shown, shown[2:5])


async def test_a_plus_that_was_not_encoded_is_understood(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    await add(place, admin)
    reply = await http.get("/next-cid?to=+442079460123&campaign=sales&agent=anna")
    assert reply.json()["caller_id"] == "+14155550123"


async def test_nothing_free_is_the_fallback_or_503_with_the_numbers_counted_by_rule(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    await add(place, admin)
    await add(place, admin, caller_id="+14155550124", hourly_limit=0)
    await ask(http, call="first")
    fallback = (await ask(http, call="second")).json()
    assert (fallback["caller_id"], fallback["status"], fallback["cid_id"]) == ("5551234567", "FALLBACK", None)
    none = await ask(http, campaign="bare", call="third")
    assert none.status_code == 503
    assert reason(httpx.Response(503, json={"error": none.json()["error"]})) == "no_caller_id"
    counts = none.json()["reasons"]
    assert {"reserved", "hourly_limit", "daily_limit", "no_match", "inactive"} <= set(counts)
    assert (counts["reserved"], counts["hourly_limit"], counts["daily_limit"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ({"campaign": "sales", "agent": "anna"}, 422, "missing"),
        ({"to": "+14155550199", "agent": "anna"}, 422, "missing"),
        ({"to": "+14155550199", "campaign": "sales"}, 422, "missing"),
        ({"to": "+14155550199", "campaign": "", "agent": ""}, 422, "bad_name"),
        ({"to": "+14155550199", "campaign": "a\nb", "agent": ""}, 422, "bad_name"),
        ({"to": "+14155550199", "campaign": "x" * 101, "agent": ""}, 422, "bad_name"),
        ({"to": "+14155550199", "campaign": "sales", "agent": "anna", "call": "a b"}, 422, "bad_call"),
        ({"to": "+14155550199", "campaign": "sales", "agent": "anna", "call": "x" * 151}, 422, "bad_call"),
        ({"to": "911", "campaign": "sales", "agent": "anna"}, 422, "bad_number_emergency"),
        ({"to": "1415&PJSIP/x", "campaign": "sales", "agent": "anna"}, 422, "bad_number_characters"),
        ({"to": "9" * 4000, "campaign": "sales", "agent": "anna"}, 422, "bad_number_characters"),
    ],
)
async def test_bad_parameters_are_refused_by_name(
    http: httpx.AsyncClient, query: dict[str, str], status: int, word: str
) -> None:
    reply = await http.get("/next-cid", params=query)
    assert (reply.status_code, reason(reply)) == (status, word)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"call": "a b"}, {"call": "x", "result": "fine"}, {"call": "x", "talk_seconds": -1},
        {"call": "x", "result": "answered", "talk_seconds": 1e300}, {"call": ["x"]},
    ],
)  # fmt: skip
async def test_a_release_that_makes_no_sense_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post("/release-cid", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("198.51.100.7", {}, 401),
        ("198.51.100.7", BEARER, 200),
        ("127.0.0.1", {"authorization": "Bearer wrong-wrong-wrong"}, 401),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 401),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, 401),
        ("127.0.0.1", {"origin": "https://evil.example"}, 401),
        ("127.0.0.1", {"sec-fetch-site": "same-origin"}, 401),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1", **BEARER}, 200),
    ],
)
async def test_who_may_ask_has_the_token_or_sits_on_this_machine(
    place: House, admin: httpx.AsyncClient, address: str, headers: dict[str, str], status: int
) -> None:
    await add(place, admin)
    async with place.client(address, **headers) as client:
        assert (await ask(client)).status_code == status
        released = await client.post("/release-cid", json={"call": "x"}, headers=headers)
        assert released.status_code == status


@pytest.mark.accepts("CID-05")
async def test_200_at_once_share_no_number(place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    rows = "".join(f"+1415555{n:04}\n" for n in range(50))
    await admin.post("/api/caller-ids/import", content="caller_id\n" + rows, headers={"content-type": "text/csv"})
    await place.load()
    replies = [reply.json() for reply in await asyncio.gather(*(ask(http) for _ in range(200)))]
    taken = [reply["caller_id"] for reply in replies if reply["status"] == "OK"]
    assert len(taken) == len(set(taken)) == 50


@pytest.mark.accepts("OPS-17", "CID-06")
async def test_the_recipe_for_no_caller_id_available_finds_and_ends_a_reservation(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient, redis_url: str
) -> None:
    added = await add(place, admin)
    await ask(http, call="never-released")
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
        assert await client.keys("reservation:*") == [f"reservation:{added['id']}"]
        assert 290 <= await client.ttl(f"reservation:{added['id']}") <= 300
        call = str(await client.get(f"reservation:{added['id']}")).partition("/")[2]
        assert (await http.post("/release-cid", data={"call": call})).json()["released"] is True
        assert await client.keys("reservation:*") == []
    assert (await ask(http)).json()["status"] == "OK"


class Busy:
    """A desk over its limit."""

    def __init__(self, desk: Any) -> None:
        self.ends: list[tuple[str, CallEnd | None]] = []

    async def next_cid(self, request: Request) -> Selection:
        return Selection.without_pool("5551234567", {"rate_limited": 1})

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        self.ends.append((holder, end))
        return True


@pytest.mark.accepts("CID-09")
async def test_who_asks_too_often_is_told_when_to_ask_again(pool: asyncpg.Pool, redis_settings: config.Redis) -> None:
    async with house(pool, redis_settings, Busy) as place, place.client() as http:
        reply = await ask(http)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
        assert reply.json()["error"]["reason"] == "rate_limited"
        assert reply.json()["caller_id"] == "5551234567"
        await http.post("/release-cid", json={"call": "x", "result": "rejected"})
        assert place.desk.ends == [("x", CallEnd("rejected"))]  # type: ignore[attr-defined]


# -- the pools


@pytest.mark.accepts("CID-10", "USR-11")
async def test_add_number_wants_the_token_and_a_number_stands_in_a_pool_once(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    assert (await http.post("/add-number", json=S4_NUMBER)).status_code == 401
    added = await add(place, admin)
    assert added["status"] == "success"
    assert {name: added[name] for name in S4_NUMBER} == S4_NUMBER
    again = await admin.post("/add-number", json=S4_NUMBER | {"caller_id": "(415) 555-0123"})
    assert (again.status_code, reason(again)) == (409, "refused")
    bare = (await admin.post("/add-number", json={"caller_id": "+14155550124"})).json()
    assert (bare["daily_limit"], bare["hourly_limit"], bare["meta"], bare["campaign"]) == (1000, 100, {}, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"caller_id": "911"}, {"caller_id": "+14155550123&x"}, {"caller_id": None}, {"daily_limit": -1},
        {"daily_limit": 1_000_001}, {"daily_limit": "many"}, {"hourly_limit": 1.5}, {"meta": [1]},
        {"meta": {"a": "x" * 3000}}, {"meta": {"a": "\u0000"}}, {"carrier": "a\x1bb"}, {"carrier": "x" * 65},
        {"area_code": "\ud800"},
    ],
)  # fmt: skip
async def test_a_number_that_makes_no_sense_is_refused(
    admin: httpx.AsyncClient, pool: asyncpg.Pool, wrong: dict[str, Any]
) -> None:
    body = json.dumps(S4_NUMBER | wrong)
    reply = await admin.post("/add-number", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 422, reply.text
    assert await pool.fetchval("SELECT count(*) FROM caller_ids") == 0


async def test_an_unknown_campaign_is_404(admin: httpx.AsyncClient) -> None:
    assert (await admin.post("/add-number", json=S4_NUMBER | {"campaign": "nobody"})).status_code == 404
    assert (await admin.get("/api/caller-ids", params={"campaign": "nobody"})).status_code == 404


async def test_the_list_is_narrowed_and_paged(place: House, admin: httpx.AsyncClient) -> None:
    for n in range(5):
        await add(place, admin, caller_id=f"+1415555012{n}", carrier="One" if n % 2 else "Two")
    found = (await admin.get("/api/caller-ids", params={"search": "two", "skip": 1, "limit": 1})).json()
    assert found["total"] == 3
    assert [entry["caller_id"] for entry in found["caller_ids"]] == ["+14155550122"]
    assert (await admin.get("/api/caller-ids", params={"skip": 100})).json() == {"total": 5, "caller_ids": []}
    assert (await admin.get("/api/caller-ids", params={"search": "0123%"})).json()["total"] == 0
    assert (await admin.get("/api/caller-ids", params={"active": "false"})).json()["total"] == 0
    for query in ({"limit": "1001"}, {"skip": "-1"}, {"active": "x"}, {"search": "x" * 101}):
        assert (await admin.get("/api/caller-ids", params=query)).status_code == 422


@pytest.mark.accepts("USR-07")
async def test_a_number_is_deactivated_changed_woken_and_deleted(
    place: House, admin: httpx.AsyncClient, http: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    id_ = (await add(place, admin))["id"]
    path = f"/api/caller-ids/{id_}"
    await pool.execute("UPDATE caller_ids SET resting_until = now() + interval '1 day'")
    changed = (await admin.patch(path, json={"active": False, "hourly_limit": 7, "resting_until": None})).json()
    assert (changed["active"], changed["hourly_limit"], changed["resting_until"]) == (False, 7, None)
    assert changed["daily_limit"] == 1000
    await place.load()
    assert (await ask(http)).json()["status"] == "FALLBACK"
    assert (await admin.patch(path, json={"meta": {"state": "NV"}, "active": True})).json()["meta"] == {"state": "NV"}
    await place.load()
    assert (await ask(http)).json()["meta"] == {"state": "NV"}
    for wrong in ({}, {"active": "maybe"}, {"daily_limit": None}, {"resting_until": "2030-01-01T00:00:00Z"}):
        assert (await admin.patch(path, json=wrong)).status_code == 422
    assert (await http.delete(path)).status_code == 401
    assert (await admin.delete(path)).json() == {"id": id_, "caller_id": "+14155550123", "deleted": True}
    assert (await admin.delete(path)).status_code == 404
    assert (await admin.patch(path, json={"active": True})).status_code == 404
    kinds = await pool.fetch("SELECT kind FROM call_events ORDER BY id")
    assert [row["kind"].removeprefix("caller_id.") for row in kinds] == ["added", "changed", "changed", "deleted"]


async def test_a_tenants_numbers_are_not_seen_by_another(
    place: House, admin: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    id_ = (await add(place, admin))["id"]
    await pool.execute("INSERT INTO tenants (name, default_region) VALUES ('other', 'US')")
    other = {"x-tenant": "other"}
    assert (await admin.get("/api/caller-ids", headers=other)).json()["total"] == 0
    assert (await admin.patch(f"/api/caller-ids/{id_}", json={"active": False}, headers=other)).status_code == 404
    assert (await admin.delete(f"/api/caller-ids/{id_}", headers=other)).status_code == 404


@pytest.mark.accepts("CID-11")
async def test_an_import_reports_each_row_and_the_same_file_twice_changes_nothing(admin: httpx.AsyncClient) -> None:
    text = (
        CSV + '+14155550123,One,415,1000,100,"{""state"":""CA""}"\n+12125550142,Two,,,,\n911,,,,,\n+12125550142,,,,,\n'
    )
    first = (await admin.post("/api/caller-ids/import", files={"file": ("cids.csv", text)})).json()
    assert (first["rows"], first["added"], first["refused"]) == (4, 2, 2)
    assert [(row["row"], row["result"], row["reason"]) for row in first["report"]] == [
        (2, "added", ""), (3, "added", ""), (4, "refused", "emergency"), (5, "refused", "duplicate_in_file"),
    ]  # fmt: skip
    csv = {"content-type": "text/csv"}
    again = (await admin.post("/api/caller-ids/import", content=b"\xef\xbb\xbf" + text.encode(), headers=csv)).json()
    assert (again["added"], again["updated"], again["unchanged"]) == (0, 0, 2)
    changed = text.replace("One", "Three").replace(",", ";")
    third = (await admin.post("/api/caller-ids/import", content=changed, headers=csv)).json()
    assert [row["result"] for row in third["report"]] == ["updated", "unchanged", "refused", "refused"]
    kept = (await admin.get("/api/caller-ids", params={"search": "0142"})).json()["caller_ids"][0]
    assert (kept["carrier"], kept["daily_limit"]) == ("Two", 1000)  # empty cells left them as they were


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "text/csv", 422),
        (b"a,b\n1,2\n", "text/csv", 422),
        (b"PK\x03\x04broken", "text/csv", 422),
        (b"caller_id\n" + b"x\n" * 100_001, "text/csv", 422),
        (b"{}", "application/json", 415),
    ],
)
async def test_a_file_that_cannot_be_read_changes_nothing(
    admin: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    reply = await admin.post("/api/caller-ids/import", content=content, headers={"content-type": kind})
    assert reply.status_code == status, reply.text[:300]


async def test_an_import_wants_the_token_and_has_a_size(place: House, http: httpx.AsyncClient) -> None:
    file = io.BytesIO(b"caller_id\n+14155550123\n")
    assert (await http.post("/api/caller-ids/import", files={"file": file})).status_code == 401
    async with place.client(**BEARER) as admin:
        huge = await admin.post(
            "/api/caller-ids/import", content=b"x" * (21 << 20), headers={"content-type": "text/csv"}
        )
        assert huge.status_code == 413
