"""POST /contacts, POST /contacts/bulk and GET /contacts through ASGI, on a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from dialerd import config
from dialerd.core.campaign import Draft
from dialerd.live import connection
from dialerd.store import campaigns, dnc, tenants
from tests.web.api_client import api_client


@pytest.fixture
async def http(pool: asyncpg.Pool, redis_settings: config.Redis) -> AsyncIterator[httpx.AsyncClient]:
    redis = connection.connect(redis_settings)
    async with api_client(pool, redis) as client:
        yield client
    await redis.aclose()


async def campaign(pool: asyncpg.Pool, name: str = "Campaña Ventas Q1", tenant_id: int = 1) -> int:
    draft = Draft(name=name, dial_mode="progressive", queue_name="sales", trunk="trunk-out")
    return (await campaigns.create(pool, tenant_id, draft, "test")).id


@pytest.mark.accepts("NUM-16", "NUM-18", "NUM-19")
async def test_one_contact_with_priority_and_data_of_its_own(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    body = {"campaign_id": id_, "phone_number": "040 123 4567", "name": "José Núñez", "priority": 5,
            "custom_data": {"CUSTOMER_ID": "456", "vip": True, "age": 42, "none": None}}  # fmt: skip
    reply = await http.post("/contacts", json=body)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "id": made["id"], "campaign_id": id_, "phone_number": "+358401234567", "phone_numbers": ["+358401234567"],
        "name": "José Núñez", "priority": 5, "custom_data": {"CUSTOMER_ID": "456", "vip": "true", "age": "42"},
        "external_id": None, "status": "queued", "attempts": 0, "last_outcome": None, "next_at": None, "warnings": [],
    }  # fmt: skip
    again = await http.post("/contacts", json=body)
    assert (again.status_code, again.json()["error"]["reason"]) == (409, "duplicate_in_campaign")
    event = await pool.fetchrow("SELECT kind, detail FROM call_events ORDER BY id DESC LIMIT 1")
    assert (event["kind"], event["detail"]["by"]) == ("contacts.imported", "api")


@pytest.mark.accepts("NUM-18")
async def test_a_higher_priority_is_called_first(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    for n, priority in enumerate((0, 7, -3)):
        body = {"campaign_id": id_, "phone_number": f"+35840123450{n}", "priority": priority}
        assert (await http.post("/contacts", json=body)).status_code == 201
    order = await pool.fetch("SELECT priority FROM contacts ORDER BY rank, id")
    assert [row["priority"] for row in order] == [7, 0, -3]


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"phone_number": "0600 123456"}, 422, "premium"),
        ({"phone_number": "112"}, 422, "emergency"),
        ({"phone_number": "040123&PJSIP/x"}, 422, "characters"),
        ({"phone_number": 401234567}, 422, "invalid"),
        ({"phone_number": None}, 422, "invalid"),
        ({"priority": 10_000_000}, 422, "invalid"),
        ({"priority": "high"}, 422, "invalid"),
        ({"name": "a\u0000b"}, 422, "invalid"),
        ({"name": "a\nb\u001b[2J"}, 422, "invalid"),
        ({"custom_data": {"a": {"b": 1}}}, 422, "invalid"),
        ({"custom_data": {"a": "\ud800"}}, 422, "invalid"),
        ({"custom_data": {"a": "x" * 2001}}, 422, "invalid"),
        ({"custom_data": {str(n): "x" for n in range(51)}}, 422, "invalid"),
        ({"campaign_id": 10**18}, 404, "not_found"),
        ({"campaign_id": 2**63}, 422, "invalid"),
    ],
)
async def test_what_is_no_contact_is_refused_by_name_and_changes_nothing(
    http: httpx.AsyncClient, pool: asyncpg.Pool, change: dict[str, Any], status: int, reason: str
) -> None:
    id_ = await campaign(pool)
    body = json.dumps({"campaign_id": id_, "phone_number": "0401234567", **change})
    reply = await http.post("/contacts", content=body, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["reason"]) == (status, reason), reply.text
    assert await pool.fetchval("SELECT count(*) FROM contacts") + await pool.fetchval("SELECT count(*) FROM lists") == 0


@pytest.mark.accepts("NUM-17")
async def test_many_contacts_and_what_became_of_each(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await dnc.add(pool, 1, dnc.Scope(None), ["+358401234569"], "FI", "test", "test")
    await http.post("/contacts", json={"campaign_id": id_, "phone_number": "0401234567"})
    contacts = [
        {"phone_number": "0401234567"},
        {"phone_number": "0401234568", "name": "Aino", "priority": 2, "custom_data": {"city": "Espoo"}},
        {"phone_number": "+358 40 1234568"},
        {"phone_number": "0401234569"},
        {"phone_number": "0700123456"},
        {"name": "no number"},
        "no object",
    ]
    reply = await http.post("/contacts/bulk", json={"campaign_id": id_, "contacts": contacts})
    assert reply.status_code == 200, reply.text
    got = reply.json()
    results = got.pop("results")
    assert got == {
        "campaign_id": id_,
        "received": 7,
        "imported": 2,
        "refused": {"duplicate_in_campaign": 1, "duplicate_in_file": 1, "premium": 1, "invalid": 2},
    }
    assert [r["row"] for r in results] == [1, 2, 3, 4, 5, 6, 7]
    assert [(r["reason"], r["field"], r["warnings"]) for r in results] == [
        ("duplicate_in_campaign", None, []),
        (None, None, []),
        ("duplicate_in_file", None, []),
        (None, None, ["dnc"]),
        ("premium", "phone_number", []),
        ("invalid", "phone_number", []),
        ("invalid", None, []),
    ]
    assert [bool(r["contact_id"]) for r in results] == [False, True, False, True, False, False, False]
    assert [tuple(row) for row in await pool.fetch("SELECT name, contacts FROM lists")] == [("API", 3)]
    repeated = (await http.post("/contacts/bulk", json={"campaign_id": id_, "contacts": contacts})).json()
    assert repeated["imported"] == 0


async def test_a_list_has_a_bound_and_so_has_a_body(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    many = [{"phone_number": f"+35840{n:07}"} for n in range(5_001)]
    reply = await http.post("/contacts/bulk", json={"campaign_id": id_, "contacts": many})
    assert (reply.status_code, reply.json()["error"]["reason"]) == (422, "invalid")
    reply = await http.post("/contacts/bulk", json={"campaign_id": id_, "contacts": many[:5_000]})
    assert (reply.status_code, reply.json()["imported"]) == (200, 5_000)
    long = {"campaign_id": id_, "phone_number": "0401234567", "note": "x" * 70_000}
    assert (await http.post("/contacts", json=long)).status_code == 413
    assert (await http.post("/contacts/bulk", json={**long, "note": "x" * 2**20})).status_code == 413
    assert (await http.post("/contacts/bulk", json={"campaign_id": id_, "contacts": []})).status_code == 422


async def test_requests_at_the_same_time_bring_a_number_once(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    body = {"campaign_id": id_, "phone_number": "0401234567"}
    replies = await asyncio.gather(*(http.post("/contacts", json=body) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 7
    assert {r.json()["error"]["reason"] for r in replies if r.status_code == 409} == {"duplicate_in_campaign"}
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 1


async def test_a_campaigns_contacts_come_page_by_page(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    other, id_ = await campaign(pool, "other"), await campaign(pool)
    for target in (other, id_):
        many = [{"phone_number": f"+35840123450{n}", "name": f"n{n}"} for n in range(5)]
        await http.post("/contacts/bulk", json={"campaign_id": target, "contacts": many})
    seen, after = [], 0
    while True:
        page = (await http.get("/contacts", params={"campaign_id": id_, "limit": 2, "after": after})).json()
        assert {c["campaign_id"] for c in page["contacts"]} <= {id_}
        seen += [c["name"] for c in page["contacts"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == ["n0", "n1", "n2", "n3", "n4"]
    for query in ("", "campaign_id=x", f"campaign_id={id_}&limit=501", f"campaign_id={id_}&after=-1"):
        assert (await http.get(f"/contacts?{query}")).status_code == 422
    assert (await http.get("/contacts?campaign_id=999")).status_code == 404


@pytest.mark.accepts("USR-05")
async def test_the_token_switches_companies_by_a_header(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    acme = await tenants.add(pool, "acme", "ES", "test")
    ours, theirs = await campaign(pool), await campaign(pool, tenant_id=acme.id)
    as_acme = {"x-tenant": "acme"}
    body = {"campaign_id": theirs, "phone_number": "612 345 678"}
    made = await http.post("/contacts", json=body, headers=as_acme)
    assert (made.status_code, made.json()["phone_number"]) == (201, "+34612345678")
    assert (await http.post("/contacts", json=body)).status_code == 404, "not the default company's"
    assert (await http.get(f"/contacts?campaign_id={theirs}")).status_code == 404
    assert (await http.get(f"/campaigns/{theirs}/stats")).status_code == 404
    assert (await http.get(f"/api/stats/campaigns/{theirs}")).status_code == 404
    assert (await http.get(f"/campaigns/{theirs}/stats", headers=as_acme)).json()["total_contacts"] == 1
    assert (await http.get(f"/campaigns/{theirs}/stats")).status_code == 404, "neither from what Redis keeps"
    assert (await http.get(f"/contacts?campaign_id={ours}", headers=as_acme)).status_code == 404
    assert (await http.get("/api/stats/numbers-summary")).json()["total"] == 0
    assert (await http.get("/api/stats/numbers-summary?tenant=acme")).json()["total"] == 1
    assert (await http.get("/api/stats/numbers-summary", headers={"x-tenant": "nobody"})).status_code == 404


async def test_nobody_comes_in_without_the_token(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    http.headers.pop("authorization")
    assert (await http.post("/contacts", json={"campaign_id": id_, "phone_number": "0401234567"})).status_code == 401
    assert (await http.post("/contacts/bulk", json={"campaign_id": id_, "contacts": []})).status_code == 401
    for path in (f"/contacts?campaign_id={id_}", f"/campaigns/{id_}/stats", f"/api/stats/campaigns/{id_}"):
        assert (await http.get(path)).status_code == 401
    for path in ("/api/stats/numbers-summary", "/api/stats/attempts-by-day"):
        assert (await http.get(path)).status_code == 401
