"""The whole way of a caller ID: a FastAGI client, the server, the desk, the pool in a real Redis, the log."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio

from dialerd import config
from dialerd.clock import Clock
from dialerd.core.callerid import CallEnd, Request, Selection, Status
from dialerd.engine.desk import OURS, CallerIdDesk, FrontDesk, NoLookups
from dialerd.engine.directory import Directory
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect
from dialerd.paths import shipped
from dialerd.store import callerids as store
from dialerd.store.callerid_log import RequestLog
from tests.agi_client import ask, headers
from tests.integration.test_claim import campaign

ATTEMPT = "0f8fad5b-d9cb-469f-a165-70867728950e"
TO = "+12125550199"


class Place:
    """The desk and what stands behind it. `c7`: a campaign with two numbers of its own; `c8`: one without any."""

    def __init__(self, pool: asyncpg.Pool, client: redis.asyncio.Redis, settings: config.CallerIds) -> None:
        self.pool, self.client = pool, client
        self.told: list[tuple[str, Selection]] = []
        self.settings = settings
        self.c7 = self.c8 = 0
        self.start()

    def start(self) -> None:
        """As a daemon that has just started: nothing in memory."""
        self.log = RequestLog("node-a", lambda: self.pool)
        self.callerids = CallerIds(self.client, 300, lambda: self.log.usage(Clock().now(), 300))
        self.directory = Directory(self.settings, [], {})  # type: ignore[arg-type]
        self.desk = CallerIdDesk(
            "node-a", self.callerids, Clock(), self.directory, self.log, lambda *told: self.told.append(told)
        )

    async def load(self) -> None:
        self.directory.load(await store.campaigns(self.pool), await store.tenants(self.pool))
        self.callerids.load(await store.load(self.pool))

    async def numbers(self, campaign_id: int | None, *e164s: str, hourly: int = 9) -> list[int]:
        return [
            await self.pool.fetchval(
                "INSERT INTO caller_ids (tenant_id, campaign_id, e164, hourly_limit) VALUES (1, $1, $2, $3)"
                " RETURNING id",
                campaign_id, e164, hourly,
            )
            for e164 in e164s
        ]  # fmt: skip

    async def set(self, campaign_id: int, **values: Any) -> None:
        for name, value in values.items():
            await self.pool.execute(f"UPDATE campaigns SET {name} = $2 WHERE id = $1", campaign_id, value)  # noqa: S608
        await self.load()

    async def next(self, holder: str, campaign: str, to: str = TO, door: str = "http") -> Selection:
        return await self.desk.next_cid(Request(to, campaign, "anna", holder, door, "192.0.2.7"))


@pytest_asyncio.fixture
async def place(pool: asyncpg.Pool, redis_settings: config.Redis) -> AsyncIterator[Place]:
    await pool.execute("UPDATE tenants SET default_region = 'US'")
    client = connect(redis_settings)
    place = Place(pool, client, config.CallerIds(fallback="5550000"))
    place.c7, place.c8 = await campaign(pool, 0), await campaign(pool, 0)
    await place.numbers(place.c7, "+14155550101", "+12125550101")
    await place.set(place.c7, caller_id="5551234567")
    await place.set(place.c8, caller_id="5557654321", name="Ventas Q1")
    yield place
    await client.aclose()


@pytest_asyncio.fixture
async def port(place: Place) -> AsyncIterator[int]:
    settings = config.FastAgi.model_construct(**{**config.FastAgi().model_dump(), "port": 0})
    server = FastAgiServer(settings, verbs.load(shipped("agi")), FrontDesk(place.desk, NoLookups()))
    await server.start()
    yield server.port
    await server.stop()


async def ask_cid(place: Place, port: int, to: str = TO, uniqueid: str = "1772442000.7") -> dict[str, str]:
    return await ask(port, headers(args=(to, str(place.c7), "anna"), uniqueid=uniqueid))


@pytest.mark.accepts("CID-08")
async def test_a_dialplan_gets_the_nearest_free_number_and_then_the_fallback(place: Place, port: int) -> None:
    answers = [await ask_cid(place, port, "212 555-0199", f"1772442000.{i}") for i in range(3)]
    assert [a["CALLERID(num)"] for a in answers] == ["+12125550101", "+14155550101", "5551234567"]
    assert [a["CID_NATIONAL"] for a in answers] == ["2125550101", "4155550101", "5551234567"]
    assert [a["CID_STATUS"] for a in answers] == ["OK", "OK", "FALLBACK"]
    assert answers[2]["CID_REASON"] == "reserved=2" and answers[2]["CID_ID"] == ""


async def test_an_attempt_of_ours_is_told_before_the_answer_and_released_by_its_id(place: Place, port: int) -> None:
    answer = await ask_cid(place, port, uniqueid=f"{ATTEMPT};2")
    assert place.told == [(ATTEMPT, Selection(Status.OK, answer["CID_NUMBER"], int(answer["CID_ID"])))]
    assert await place.desk.release_cid(ATTEMPT)


async def test_a_foreign_call_is_held_under_its_nodes_name(place: Place, port: int) -> None:
    await ask_cid(place, port)
    assert place.told == []
    assert not await place.callerids.release("1772442000.7", datetime.now(UTC))
    assert await place.callerids.release("node-a/1772442000.7", datetime.now(UTC))


@pytest.mark.accepts("CID-05")
@pytest.mark.parametrize("argument", [("1772442000.0",), ("",), ()])
async def test_a_dialplan_gives_a_number_back_when_its_call_ends(
    place: Place, port: int, argument: tuple[str, ...]
) -> None:
    first, second = [await ask_cid(place, port, uniqueid=f"1772442000.{i}") for i in range(2)]
    assert (first["CID_NUMBER"], second["CID_NUMBER"]) == ("+12125550101", "+14155550101")
    assert await ask(port, headers("release-cid", argument, uniqueid="1772442000.0")) == {}
    assert (await ask_cid(place, port, uniqueid="1772442000.9"))["CID_ID"] == first["CID_ID"]


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("500&PJSIP/itsp/14165551212", "bad_number_characters=1"),
        ("1555@evil", "bad_number_characters=1"),
        ("+12125550199;phone-context=x", "bad_number_characters=1"),
        ("911", "bad_number_emergency=1"),
        ("", "bad_number_empty=1"),
        ("+19005550199", "bad_number_premium=1"),
        ("(212) 555-0101", "bad_number_own=1"),  # would come back over our own trunk
    ],
)
async def test_what_may_not_be_dialled_gets_no_number_not_even_the_fallback(
    place: Place, port: int, to: str, reason: str
) -> None:
    said = await ask_cid(place, port, to)
    assert said == {"CID_STATUS": "NONE", "CID_NUMBER": "", "CID_NATIONAL": "", "CID_ID": "", "CID_REASON": reason}


async def test_100_calls_at_once_share_no_number(place: Place, port: int) -> None:
    answers = await asyncio.gather(*(ask_cid(place, port, uniqueid=f"1772442000.{i}") for i in range(100)))
    given = [a["CID_ID"] for a in answers if a["CID_STATUS"] == "OK"]
    assert len(given) == len(set(given)) == 2
    assert sum(a["CID_STATUS"] == "FALLBACK" for a in answers) == 98


@pytest.mark.accepts("CID-01", "CID-03")
async def test_all_doors_get_the_same_answer_by_the_same_limits_and_leave_the_same_row(place: Place, port: int) -> None:
    ours = await place.next(ATTEMPT, str(place.c7), door=OURS)
    asked = await ask_cid(place, port)
    third = await place.next("http-1", str(place.c7))
    assert [ours.caller_id, asked["CID_NUMBER"], third.caller_id] == ["+12125550101", "+14155550101", "5551234567"]
    assert third.reasons == {"reserved": 2}
    assert place.told == []  # the engine places its own call: nobody need tell it
    await place.desk.release_cid(ATTEMPT, CallEnd("answered", 4.0))
    assert await place.log.flush()
    rows = await place.pool.fetch("SELECT * FROM caller_id_requests ORDER BY id")
    assert [(r["door"], r["status"], r["campaign_id"], r["to_e164"], r["result"]) for r in rows] == [
        ("daemon", "OK", place.c7, TO, "answered"),
        ("fastagi", "OK", place.c7, TO, None),
        ("http", "FALLBACK", place.c7, TO, None),
    ]
    assert [r["holder"] for r in rows] == [ATTEMPT, "node-a/1772442000.7", "node-a/http-1"]
    assert [r["peer"] for r in rows] == ["192.0.2.7", "127.0.0.1", "192.0.2.7"]


async def test_a_call_that_asks_again_is_logged_and_counted_once(place: Place) -> None:
    first, second = await place.next("a", str(place.c7)), await place.next("a", str(place.c7))
    assert (first.cid_id, first.again, second.again) == (second.cid_id, False, True)
    assert await place.log.flush()
    assert await place.pool.fetchval("SELECT array_agg(again ORDER BY id) FROM caller_id_requests") == [False, True]
    assert [u.used_today for u in await place.log.usage(datetime.now(UTC), 300)] == [1]


async def test_a_campaign_is_found_by_its_id_and_by_its_name_whatever_its_state(place: Place) -> None:
    for state in ("draft", "paused", "completed"):
        await place.set(place.c8, state=state)
        for asked in (str(place.c8), "Ventas Q1"):
            assert (await place.next(asked + state, asked)).caller_id == "5557654321"


async def test_another_systems_campaign_draws_from_the_only_tenants_pool(place: Place) -> None:
    (shared,) = await place.numbers(None, "+12125550777")
    await place.load()
    assert (await place.next("a", "VICISALES")).cid_id == shared
    assert (await place.next("b", "99")).caller_id == "5550000"  # of the configuration
    assert await place.log.flush()
    rows = await place.pool.fetch("SELECT * FROM caller_id_requests ORDER BY id")
    assert [(r["tenant_id"], r["campaign_id"], r["campaign"]) for r in rows] == [
        (1, None, "VICISALES"),
        (1, None, "99"),
    ]


async def test_with_several_tenants_another_systems_campaign_is_refused_unless_one_is_named(place: Place) -> None:
    await place.pool.execute("INSERT INTO tenants (name, default_region) VALUES ('second', 'FI')")
    await place.numbers(None, "+12125550777")
    await place.load()
    refused = await place.next("a", "VICISALES")
    assert (refused.status, refused.reasons) == (Status.NONE, {"unknown_campaign": 1})
    assert await place.log.flush()
    assert await place.pool.fetchval("SELECT tenant_id FROM caller_id_requests") is None
    place.settings = config.CallerIds(foreign_tenant="second", fallback="5550000")
    place.start()
    await place.load()
    assert (await place.next("b", "VICISALES", "040 1234567")).caller_id == "5550000"  # the second has no pool
    assert (await place.next("c", "Ventas Q1", "040 1234567")).caller_id == "5550000"  # the first one's campaign


async def test_without_local_presence_the_longest_unused_goes_first(place: Place) -> None:
    await place.next("a", str(place.c7))
    await place.desk.release_cid("a")
    assert (await place.next("b", str(place.c7))).caller_id == "+12125550101"  # the area again
    await place.desk.release_cid("b")
    await place.set(place.c7, local_presence=False)
    assert (await place.next("c", str(place.c7))).caller_id == "+14155550101"


async def test_a_sticky_campaign_shows_a_person_the_same_number_when_it_is_free(place: Place) -> None:
    far = "+14155559999"
    await place.set(place.c7, local_presence=False, sticky_caller_id=True)
    first = await place.next("a", str(place.c7), far)
    await place.desk.release_cid("a")
    second = await place.next("b", str(place.c7))
    await place.desk.release_cid("b")
    assert second.cid_id != first.cid_id
    for i, (to, expected) in enumerate([(TO, second), (TO, second), (far, first), (TO, second)]):
        if i % 2:
            assert await place.log.flush()
        assert (await place.next(f"c{i}", str(place.c7), to)).cid_id == expected.cid_id
        await place.desk.release_cid(f"c{i}")
    await place.next("holds", str(place.c7))
    assert (await place.next("other", str(place.c7))).cid_id == first.cid_id  # not free: another one


async def test_without_the_database_a_sticky_campaign_goes_on_without(place: Place) -> None:
    await place.set(place.c7, sticky_caller_id=True)
    assert (await place.next("a", str(place.c7))).status is Status.OK
    await place.pool.close()
    assert (await place.next("b", str(place.c7))).status is Status.OK


@pytest.mark.accepts("CID-07")
async def test_uses_and_reservations_of_foreign_calls_survive_a_restart_and_a_flush(place: Place) -> None:
    ids = await place.numbers(place.c8, *(f"+1415555{i:04}" for i in range(4)), hourly=3)
    await place.load()
    for i in range(7):
        await place.next(f"call-{i}", str(place.c8))
        if i != 5:
            await place.desk.release_cid(f"call-{i}")
    assert await place.log.flush()
    for _ in range(2):  # a restart alone, then one after a flush
        place.start()
        await place.load()
        usages = await place.callerids.usages(datetime.now(UTC))
        assert sum(usages[cid].used_this_hour for cid in ids) == 7
        assert [usages[cid].holder for cid in ids if usages[cid].holder] == ["node-a/call-5"]
        await place.client.flushdb()
    given = [await place.next(f"more-{i}", str(place.c8)) for i in range(6)]
    assert [g.status for g in given].count(Status.OK) == 3  # the fourth is still held
    assert given[-1].reasons == {"reserved": 4}


@pytest.mark.accepts("CID-05", "CID-07")
async def test_flushes_under_1000_calls_at_once_loosen_nothing_by_the_log(place: Place) -> None:
    ids = await place.numbers(place.c8, *(f"+1415555{i:04}" for i in range(40)), hourly=10)
    await place.load()
    writing = asyncio.create_task(place.log.run())
    holding: Counter[int] = Counter()

    async def caller(i: int) -> None:
        answer = await place.next(f"call-{i}", str(place.c8))
        if answer.cid_id is not None:
            holding[answer.cid_id] += 1
            assert holding[answer.cid_id] == 1, "reserved twice"
            await asyncio.sleep(0.01 * (i % 5))
            holding[answer.cid_id] -= 1
            await place.desk.release_cid(f"call-{i}", CallEnd("busy"))

    async def flusher() -> None:
        for _ in range(10):
            await asyncio.sleep(0.05)
            await place.client.flushdb()

    await asyncio.gather(flusher(), *(caller(i) for i in range(1000)))
    writing.cancel()
    assert await place.log.flush()
    assert await place.pool.fetchval("SELECT count(*) FROM caller_id_requests") == 1000
    used = await place.pool.fetch(
        "SELECT caller_id_id, count(*) FROM caller_id_requests WHERE status = 'OK' AND NOT again"
        " GROUP BY 1, date_trunc('hour', at)"
    )
    assert {cid for cid, _ in used} <= set(ids)
    assert max(n for _, n in used) <= 10
    assert sum(n for _, n in used) >= 40
    unreleased = "SELECT count(*) FROM caller_id_requests WHERE status = 'OK' AND result IS DISTINCT FROM 'busy'"
    assert await place.pool.fetchval(unreleased) == 0
