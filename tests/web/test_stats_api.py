"""The doors of the statistics through ASGI, on a real PostgreSQL and Redis."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from dialerd import config
from dialerd.live import connection
from tests.integration.test_claim import campaign
from tests.integration.test_stats import attempt, attempts_of_a_week, the_example
from tests.web.api_client import api_client


@pytest.fixture
async def redis(redis_settings: config.Redis) -> AsyncIterator[Redis]:
    client = connection.connect(redis_settings)
    yield client
    await client.aclose()


@pytest.fixture
async def http(pool: asyncpg.Pool, redis: Redis) -> AsyncIterator[httpx.AsyncClient]:
    async with api_client(pool, redis) as client:
        yield client


@pytest.mark.accepts("CAM-07", "RPT-01", "RPT-02", "RPT-03")
async def test_a_campaigns_statistics_have_exactly_the_older_apis_fields(
    http: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    id_ = await the_example(pool)
    reply = await http.get(f"/campaigns/{id_}/stats")
    assert reply.json() == {
        "campaign_id": id_, "total_contacts": 1000, "pending_calls": 750, "active_calls": 5, "completed_calls": 245,
        "answered_calls": 180, "no_answer": 45, "busy": 15, "failed": 5, "answer_rate": 73.47, "average_duration": 0.0,
        "calls_per_hour": 0.0, "agents_available": 0, "agents_busy": 0,
    }  # fmt: skip
    assert (await http.get(f"/campaigns/{id_ + 1}/stats")).status_code == 404
    assert (await http.get("/campaigns/x/stats")).status_code == 422


@pytest.mark.accepts("RPT-05")
async def test_statistics_come_from_redis_for_at_most_two_seconds(
    http: httpx.AsyncClient, pool: asyncpg.Pool, redis: Redis
) -> None:
    id_ = await the_example(pool)
    before = (await http.get(f"/campaigns/{id_}/stats")).json()
    (key,) = await redis.keys("dialerd:stats:*")
    assert 0 < await redis.pttl(key) <= 2000
    await pool.execute("DELETE FROM contacts")
    assert (await http.get(f"/campaigns/{id_}/stats")).json() == before
    await redis.set(key, json.dumps({**before, "busy": -1}))
    assert (await http.get(f"/campaigns/{id_}/stats")).json()["busy"] == -1, "really from Redis"
    await redis.flushdb()
    assert (await http.get(f"/campaigns/{id_}/stats")).json()["total_contacts"] == 0


@pytest.mark.accepts("RPT-05")
async def test_without_redis_statistics_come_from_postgresql(pool: asyncpg.Pool) -> None:
    id_ = await the_example(pool)
    nowhere = connection.connect(config.Redis(url="redis://127.0.0.1:1/0"))
    async with api_client(pool, nowhere) as client:
        assert (await client.get(f"/campaigns/{id_}/stats")).json()["total_contacts"] == 1000
        await pool.execute("DELETE FROM contacts")
        assert (await client.get(f"/campaigns/{id_}/stats")).json()["total_contacts"] == 0
    await nowhere.aclose()


async def test_a_campaigns_attempts_by_what_one_asks(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await attempts_of_a_week(pool)
    got = (await http.get(f"/api/stats/campaigns/{id_}?by=agent")).json()
    assert (got["by"], got["zone"], got["total"]["attempts"]) == ("agent", "Europe/Helsinki", 300)
    assert {group["name"] for group in got["groups"]} == {"ana", "bo", "(none)"}
    fields = {"live_answers", "connected", "abandoned", "abandonment_rate", "machines", "busy", "no_answer", "failed"}
    assert fields | {"mean_talk_seconds", "cost", "attempts"} <= got["groups"][0].keys()
    late = (await http.get(f"/api/stats/campaigns/{id_}?by=day&since=2026-03-28&zone=UTC")).json()
    assert [group["name"] for group in late["groups"]] == ["2026-03-28", "2026-03-29", "2026-03-30"]
    for query in ("by=week", "zone=Mars/Phobos", "zone=x';", "since=yesterday", "since=2026-01-01&zone=Nowhere/Here"):
        assert (await http.get(f"/api/stats/campaigns/{id_}?{query}")).status_code == 422, query


@pytest.mark.accepts("RPT-04")
async def test_the_older_panels_two_charts(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await the_example(pool)
    got = (await http.get("/api/stats/numbers-summary")).json()
    assert got["total"] == 1000
    assert len(got["statuses"]) == 11
    assert sum(share["count"] for share in got["statuses"]) == 1000
    assert got["statuses"][0] == {"status": "IN_QUEUE", "count": 755, "percentage": 75.5}
    assert (await http.get(f"/api/stats/numbers-summary?campaign_id={id_ + 1}")).json()["total"] == 0
    now = await pool.fetchval("SELECT now()")
    await attempt(pool, id_, now, "busy")
    await attempt(pool, id_, now - timedelta(days=1), "connected")
    got = (await http.get("/api/stats/attempts-by-day?days=2")).json()
    assert got["zone"] == "Europe/Helsinki"
    assert [day["total"] for day in got["days"]] == [1, 1]
    assert {s["status"]: s["percentage"] for s in got["days"][1]["statuses"] if s["count"]} == {"BUSY": 100.0}
    assert len((await http.get("/api/stats/attempts-by-day")).json()["days"]) == 14
    for query in ("days=0", "days=367", "days=x", "zone=Mars/Phobos"):
        assert (await http.get(f"/api/stats/attempts-by-day?{query}")).status_code == 422, query


async def test_how_well_machine_detection_does(http: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, 0)
    now = await pool.fetchval("SELECT now()")
    await attempt(pool, id_, now, "machine", machine="MACHINE", machine_seconds=1.5)
    await attempt(pool, id_, now, "message_left", machine="MACHINE", machine_seconds=2.5)
    for corrected in (True, False, False, False):
        await attempt(pool, id_, now, "connected", machine="HUMAN", machine_corrected=corrected, machine_seconds=2.0)
    await attempt(pool, id_, now, "hung_up", machine="NOTSURE")
    await attempt(pool, id_, now, "connected", machine_corrected=True)  # nobody listened: no verdict to correct
    await attempt(pool, id_, now - timedelta(days=3), "machine", machine="MACHINE")
    since = (now - timedelta(days=1)).strftime("%Y-%m-%d")
    got = (await http.get(f"/api/stats/campaigns/{id_}/machines?zone=UTC&since={since}")).json()
    assert got == {
        "campaign_id": id_, "machine": 2, "human": 4, "not_sure": 1, "messages": 1, "passed": 4, "corrected": 1,
        "unheard": 2, "checked": 0, "checked_persons": 0, "seconds_median": 2.0, "seconds_longest": 2.5,
        "false_negatives": 0.25, "false_positives": None, "false_positives_at_most": 1.0, "lost_at_most": 2.0,
    }  # fmt: skip
    assert (await http.get(f"/api/stats/campaigns/{id_}/machines")).json()["machine"] == 3
    assert (await http.get(f"/api/stats/campaigns/{id_ + 1}/machines")).status_code == 404
    assert (await http.get(f"/api/stats/campaigns/{id_}/machines?since=yesterday")).status_code == 422
