"""Caller-ID selection against a real Redis."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
import redis.asyncio
from pydantic import SecretStr

from dialerd import config
from dialerd.core.callerid import CallerId, Selection, Status, Usage, choose
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect, problem
from lab.services import Redis, scratch

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TO = "+14155559999"
TTL = 300


class Database:
    """Stands for PostgreSQL: what the attempts say of this hour and day. Counts how often it was asked."""

    def __init__(self) -> None:
        self.usages: dict[int, Usage] = {}
        self.asked = 0
        self.away = False

    async def __call__(self) -> Iterable[Usage]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionRefusedError("PostgreSQL is away")
        return list(self.usages.values())


def numbers(count: int, hourly: int = 100, daily: int = 1000, campaign: int | None = None) -> list[CallerId]:
    return [CallerId(i, 1, campaign, f"+1415555{i:04}", hourly, daily) for i in range(1, count + 1)]


@pytest_asyncio.fixture
async def client(redis_settings: config.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    client = connect(redis_settings)
    yield client
    await client.aclose()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def callerids(client: redis.asyncio.Redis, database: Database) -> CallerIds:
    return CallerIds(client, TTL, database)


async def select(
    callerids: CallerIds, holder: str, now: datetime = NOW, to: str = TO, fallback: str | None = None, campaign: int = 7
) -> Selection:
    return await callerids.select(1, campaign, to, holder, fallback, now)


@pytest.mark.accepts("CID-04")
async def test_numbers_are_used_evenly(callerids: CallerIds) -> None:
    callerids.load(numbers(7, hourly=10_000, daily=10_000))
    used: Counter[int | None] = Counter()
    for i in range(500):
        used[(await select(callerids, f"call-{i}")).cid_id] += 1
        await callerids.release(f"call-{i}", NOW)
    assert sum(used.values()) == 500
    assert len(used) == 7
    assert max(used.values()) - min(used.values()) <= 1


@pytest.mark.accepts("CID-05", "CID-06")
async def test_a_number_is_never_reserved_twice_by_200_clients_at_once(
    callerids: CallerIds, client: redis.asyncio.Redis
) -> None:
    callerids.load(numbers(50))
    answers = await asyncio.gather(*(select(callerids, f"call-{i}") for i in range(200)))
    given = [answer.cid_id for answer in answers if answer.status is Status.OK]
    assert len(given) == len(set(given)) == 50
    assert all(a.reasons == {"reserved": 50} for a in answers if a.status is Status.NONE)
    keys = await client.keys("reservation:*")
    assert len(keys) == 50
    for key in keys:
        assert TTL - 60 < await client.ttl(key) <= TTL


async def test_a_reservation_in_its_last_millisecond_does_not_keep_redis_busy_for_ever(
    client: redis.asyncio.Redis, database: Database
) -> None:
    """It is still there and has 0 ms left. Asked all the time while three hundred of them end, each at its own
    moment, before and after which the answers differ."""
    callerids = CallerIds(client, 1, database)
    callerids.load(numbers(300, hourly=2))
    for i in range(300):
        await select(callerids, f"first-{i}", datetime.now(UTC))
    again, asked = 0, 0
    async with asyncio.timeout(20):
        while again < 300:
            asked += 1
            again += (await select(callerids, f"again-{asked}", datetime.now(UTC))).status is Status.OK
    assert asked >= 300


@pytest.mark.accepts("CID-07")
async def test_no_limit_is_passed_by_parallel_clients_that_hang_up_at_once(callerids: CallerIds) -> None:
    callerids.load(numbers(5, hourly=7, daily=10))
    given: Counter[tuple[int | None, int]] = Counter()

    async def caller(name: int) -> None:
        for hour in range(3):
            now = NOW + timedelta(hours=hour)
            for i in range(3):
                answer = await select(callerids, f"{name}-{hour}-{i}", now)
                if answer.status is Status.OK:
                    given[answer.cid_id, hour] += 1
                    await callerids.release(f"{name}-{hour}-{i}", now)

    # One hour after the other, and in each 200 clients at once.
    await asyncio.gather(*(caller(name) for name in range(200)))
    for cid in range(1, 6):
        assert sum(given[cid, hour] for hour in range(3)) <= 10
        assert all(given[cid, hour] <= 7 for hour in range(3))
    assert sum(given.values()) >= 5 * 7


@pytest.mark.accepts("CID-07")
async def test_limits_end_with_their_hour_and_their_day(callerids: CallerIds, client: redis.asyncio.Redis) -> None:
    callerids.load(numbers(1, hourly=2, daily=3))

    async def calls(now: datetime) -> list[dict[str, int]]:
        answers = []
        for i in range(3):
            answers.append(await select(callerids, f"{now}-{i}", now))
            await callerids.release(f"{now}-{i}", now)
        return [dict(answer.reasons) for answer in answers]

    assert await calls(NOW) == [{}, {}, {"hourly_limit": 1}]
    assert await calls(NOW + timedelta(hours=1)) == [{}, {"daily_limit": 1}, {"daily_limit": 1}]
    assert await calls(NOW + timedelta(days=1)) == [{}, {}, {"hourly_limit": 1}]
    for pattern in ("callerid:hour:*", "callerid:day:*"):
        for key in await client.keys(pattern):
            assert await client.ttl(key) > 0


@pytest.mark.parametrize("seed", [20260302, 7, 8])
async def test_the_answers_are_those_of_the_rule(callerids: CallerIds, seed: int) -> None:
    """`core.callerid.choose` and the script walk through the same thousand selections and releases: areas, states,
    countries, limits, rests, people who have a number already, campaigns without local presence."""
    draw = random.Random(seed)
    areas = ["+1415555", "+1213555", "+1212555", "+1416555", "+35840123"]
    rows = [
        CallerId(
            i, 1, 7, f"{draw.choice(areas)}{i:04}", draw.randint(0, 6), draw.randint(5, 12), draw.random() < 0.9,
            resting_until=NOW + timedelta(seconds=draw.randint(0, 9000)) if draw.random() < 0.2 else None,
        )
        for i in range(1, 33)
    ]  # fmt: skip
    callerids.load(rows)
    model = {row.id: Usage(row.id) for row in rows}
    now = NOW
    live: list[str] = []
    for step in range(1000):
        earlier, now = now, now + timedelta(seconds=draw.choice((1, 1, 30, 200)))
        for cid, usage in model.items():
            hour = usage.used_this_hour if earlier.hour == now.hour else 0
            day = usage.used_today if earlier.date() == now.date() else 0
            model[cid] = Usage(cid, hour, day, usage.last_used, usage.holder)
        if live and draw.random() < 0.45:
            holder = live.pop(draw.randrange(len(live)))
            assert await callerids.release(holder, now)
            model = {
                cid: Usage(cid, u.used_this_hour, u.used_today, u.last_used, None if u.holder == holder else u.holder)
                for cid, u in model.items()
            }
            continue
        if draw.random() < 0.02:  # health sends one to rest, or takes it back
            chosen = draw.randrange(len(rows))
            until = draw.choice((None, now + timedelta(seconds=draw.randint(1, 3000))))
            rows[chosen] = replace(rows[chosen], resting_until=until)
            callerids.load(rows)
        to = draw.choice(areas) + "9999"
        near, seen = draw.random() < 0.8, draw.choice([None, None, draw.randint(1, 40)])
        expected, reasons = choose(rows, model, to, near, seen, now)
        answer = await callerids.select(1, 7, to, f"call-{step}", None, now, local_presence=near, preferred=seen)
        assert answer.cid_id == (expected.id if expected else None), (step, model)
        assert answer.reasons == reasons
        if expected:
            u = model[expected.id]
            model[expected.id] = Usage(u.cid_id, u.used_this_hour + 1, u.used_today + 1, now, f"call-{step}")
            live.append(f"call-{step}")
        if step % 100 == 0:
            known = await callerids.usages(now)
            # Redis sets a last use that equals another one a microsecond later, to keep the order.
            assert {cid: replace(u, last_used=None) for cid, u in known.items()} == {
                cid: replace(u, last_used=None) for cid, u in model.items()
            }


async def test_a_number_that_rests_is_not_taken_and_comes_back_by_itself(callerids: CallerIds) -> None:
    until = NOW + timedelta(minutes=10)
    callerids.load([replace(row, resting_until=until) for row in numbers(2)])
    assert (await select(callerids, "a")).reasons == {"resting": 2}
    assert (await select(callerids, "a", until - timedelta(seconds=1))).reasons == {"resting": 2}
    assert (await select(callerids, "a", until)).cid_id == 1


async def test_a_number_that_is_sent_to_rest_during_its_call_rests_after_it(callerids: CallerIds) -> None:
    callerids.load(numbers(1))
    assert (await select(callerids, "a")).cid_id == 1
    callerids.load([replace(row, resting_until=NOW + timedelta(minutes=10)) for row in numbers(1)])
    assert (await select(callerids, "b")).reasons == {"resting": 1}
    assert (await select(callerids, "a")).again  # its call still shows it
    assert await callerids.release("a", NOW)
    assert (await select(callerids, "b")).reasons == {"resting": 1}


async def test_a_change_of_the_pool_asks_the_database_only_about_numbers_that_are_new(
    callerids: CallerIds, database: Database
) -> None:
    rows = numbers(3, hourly=5)
    callerids.load([rows[0], rows[1], replace(rows[2], active=False)])
    assert (await select(callerids, "a")).cid_id == 1
    callerids.load([replace(rows[0], hourly_limit=1), rows[1], replace(rows[2], active=False)])
    assert (await select(callerids, "b")).cid_id == 2
    assert database.asked == 1
    database.usages = {3: Usage(3, 5, 5, NOW)}  # used elsewhere before it was switched off
    callerids.load(rows)
    assert (await select(callerids, "c")).reasons == {"reserved": 2, "hourly_limit": 1}
    assert database.asked == 2


async def test_a_flush_during_a_change_of_the_pool_is_seen(
    callerids: CallerIds, client: redis.asyncio.Redis, database: Database
) -> None:
    callerids.load(numbers(3, hourly=1))
    for i in range(3):
        await select(callerids, f"a{i}")
        await callerids.release(f"a{i}", NOW)
    callerids.load([replace(row, daily_limit=7) for row in numbers(3, hourly=1)])
    await client.flushdb()
    assert (await select(callerids, "b")).reasons == {"hourly_limit": 3}


async def test_a_number_whose_reservation_ran_out_counts_again_for_the_same_call(
    callerids: CallerIds, client: redis.asyncio.Redis
) -> None:
    callerids.load(numbers(1, hourly=2))
    assert not (await select(callerids, "a")).again
    await client.delete("reservation:1")  # over
    later = NOW + timedelta(seconds=TTL + 1)
    assert not (await select(callerids, "a", later)).again
    await client.flushdb()
    await callerids.release("a", later)
    assert (await select(callerids, "b", later)).reasons == {"hourly_limit": 1}


async def test_the_live_state_is_read_without_changing_it_also_after_a_flush(
    callerids: CallerIds, client: redis.asyncio.Redis, database: Database
) -> None:
    rows = [*numbers(2), CallerId(9, 2, None, "+14155550909", 9, 9)]
    callerids.load(rows)
    database.usages = {2: Usage(2, 4, 5, NOW - timedelta(minutes=1))}
    await select(callerids, "a")
    expected = {1: Usage(1, 1, 1, NOW, "a"), 2: Usage(2, 4, 5, NOW - timedelta(minutes=1)), 9: Usage(9)}
    assert await callerids.usages(NOW) == expected
    assert await callerids.usages(NOW, 2) == {9: Usage(9)}
    await client.flushdb()
    assert await callerids.usages(NOW) == expected
    assert await client.keys("*") == []
    assert callerids.row(9) == rows[2] and callerids.row(8) is None


@pytest.mark.accepts("CID-08")
async def test_the_area_code_is_preferred_then_the_state_the_country_and_any(callerids: CallerIds) -> None:
    rows = [
        CallerId(1, 1, None, "+358401234567", 9, 9),
        CallerId(2, 1, None, "+12125550101", 9, 9),
        CallerId(3, 1, None, "+12135550101", 9, 9),
        CallerId(4, 1, None, "+14155550101", 9, 9),
    ]
    callerids.load(rows)
    assert [(await select(callerids, f"call-{i}")).cid_id for i in range(5)] == [4, 3, 2, 1, None]


async def test_a_campaigns_own_numbers_are_its_own(callerids: CallerIds) -> None:
    callerids.load([CallerId(1, 1, None, "+14155550101", 9, 9), CallerId(2, 1, 7, "+14155550102", 9, 9)])
    assert [(await select(callerids, f"own-{i}", campaign=7)).cid_id for i in range(2)] == [2, None]
    assert [(await select(callerids, f"other-{i}", campaign=8)).cid_id for i in range(2)] == [1, None]
    assert (await callerids.select(2, 7, TO, "third", None, NOW)).reasons == {"no_match": 1}


async def test_a_call_that_asks_again_gets_the_same_number_and_is_counted_once(
    callerids: CallerIds, client: redis.asyncio.Redis
) -> None:
    callerids.load(numbers(20))
    answers = await asyncio.gather(*(select(callerids, "the-call") for _ in range(10)))
    assert len({answer.cid_id for answer in answers}) == 1
    assert [await client.get(key) for key in await client.keys("callerid:day:*")] == ["1"]


async def test_a_release_ends_the_holders_own_reservation_only(callerids: CallerIds) -> None:
    callerids.load(numbers(1))
    assert (await select(callerids, "a")).status is Status.OK
    assert not await callerids.release("b", NOW)
    assert (await select(callerids, "b")).status is Status.NONE
    assert await callerids.release("a", NOW)
    assert not await callerids.release("a", NOW)
    assert (await select(callerids, "b")).status is Status.OK


async def test_a_release_that_comes_late_takes_nothing_from_the_next_holder(
    callerids: CallerIds, client: redis.asyncio.Redis
) -> None:
    callerids.load(numbers(1))
    assert (await select(callerids, "a")).status is Status.OK
    await client.delete("reservation:1")  # over, or an operator did it
    later = NOW + timedelta(seconds=TTL + 1)
    assert (await select(callerids, "b", later)).status is Status.OK
    assert not await callerids.release("a", later)
    assert (await select(callerids, "c", later)).reasons == {"reserved": 1}


async def test_a_reservation_that_nobody_released_ends_by_itself(
    client: redis.asyncio.Redis, database: Database
) -> None:
    callerids = CallerIds(client, 1, database)
    callerids.load(numbers(1))
    start = datetime.now(UTC)
    assert (await callerids.select(1, 7, TO, "a", None, start)).status is Status.OK
    assert (await callerids.select(1, 7, TO, "b", None, datetime.now(UTC))).status is Status.NONE
    async with asyncio.timeout(10):
        while (await callerids.select(1, 7, TO, "b", None, datetime.now(UTC))).status is Status.NONE:
            await asyncio.sleep(0.05)
    assert not await callerids.release("a", datetime.now(UTC))  # late: it must not take b's away
    assert (await callerids.select(1, 7, TO, "c", None, datetime.now(UTC))).status is Status.NONE


async def test_a_clock_that_is_set_back_does_not_lock_numbers_away(callerids: CallerIds) -> None:
    callerids.load(numbers(1, hourly=1, daily=5))
    assert (await select(callerids, "a")).status is Status.OK
    await callerids.release("a", NOW)
    earlier = NOW - timedelta(hours=2)
    assert (await select(callerids, "b", earlier)).status is Status.OK
    await callerids.release("b", earlier)
    assert (await select(callerids, "c", earlier)).reasons == {"hourly_limit": 1}


async def test_the_fallback_is_shown_when_the_pool_gives_nothing(callerids: CallerIds) -> None:
    callerids.load([CallerId(1, 1, None, "+14155550101", 9, 9, active=False)])
    answer = await select(callerids, "a", fallback="5551234567")
    assert (answer.status, answer.caller_id, answer.cid_id) == (Status.FALLBACK, "5551234567", None)
    assert answer.reasons == {"inactive": 1}
    assert (await select(callerids, "a")).status is Status.NONE


async def test_a_new_pool_takes_effect_with_the_next_call(callerids: CallerIds) -> None:
    rows = numbers(2, hourly=1)
    callerids.load(rows)
    assert {(await select(callerids, f"first-{i}")).cid_id for i in range(2)} == {1, 2}
    for i in range(2):
        await callerids.release(f"first-{i}", NOW)
    assert (await select(callerids, "x")).reasons == {"hourly_limit": 2}
    callerids.load([CallerId(2, 1, None, rows[1].e164, 2, 9), CallerId(3, 1, None, "+14155550103", 1, 9)])
    assert [(await select(callerids, f"second-{i}")).cid_id for i in range(3)] == [3, 2, None]


async def test_a_flush_loosens_no_limit_no_reservation_and_keeps_the_order(
    callerids: CallerIds, client: redis.asyncio.Redis, database: Database
) -> None:
    callerids.load(numbers(4, hourly=4))
    database.usages = {4: Usage(4, used_this_hour=4, used_today=4, last_used=NOW - timedelta(minutes=5))}
    used: Counter[int | None] = Counter()
    for i in range(8):
        answer = await select(callerids, f"call-{i}", NOW + timedelta(seconds=i))
        used[answer.cid_id] += 1
        if i < 7:
            await callerids.release(f"call-{i}", NOW + timedelta(seconds=i))
    assert answer.cid_id == 2  # 1, 2, 3, 1, 2, 3, 1, 2: still reserved
    await client.flushdb()
    for i in range(8, 20):
        answer = await select(callerids, f"call-{i}", NOW + timedelta(seconds=i))
        used[answer.cid_id] += 1
        if i == 8:
            assert answer.cid_id == 3  # the longest unused, as before the flush
    assert used == {1: 4, 2: 3, 3: 3, None: 10}  # 2 is still reserved, 4 was used up before this process began
    assert answer.reasons == {"reserved": 3, "hourly_limit": 1}
    assert database.asked == 2


async def test_the_database_brings_back_what_another_process_gave(
    client: redis.asyncio.Redis, database: Database
) -> None:
    callerids = CallerIds(client, TTL, database)
    callerids.load(numbers(3, hourly=5, daily=50))
    database.usages = {
        1: Usage(1, 5, 49, NOW - timedelta(seconds=20)),
        2: Usage(2, 1, 50, NOW - timedelta(seconds=40)),
        3: Usage(3, 1, 1, NOW - timedelta(seconds=10), holder="an-attempt"),
    }
    assert (await select(callerids, "x")).reasons == {"hourly_limit": 1, "daily_limit": 1, "reserved": 1}
    assert (await select(callerids, "an-attempt")).cid_id == 3
    assert TTL - 30 < await client.ttl("reservation:3") <= TTL - 10


async def test_flushes_under_200_parallel_clients_loosen_nothing(
    callerids: CallerIds, client: redis.asyncio.Redis
) -> None:
    callerids.load(numbers(40, hourly=10))
    holding: dict[int, str] = {}
    used: Counter[int] = Counter()
    draw = random.Random(7)

    async def caller(name: int) -> None:
        for i in range(4):
            holder = f"{name}-{i}"
            answer = await select(callerids, holder)
            if answer.cid_id is None:
                continue
            assert answer.cid_id not in holding, "reserved twice"
            holding[answer.cid_id] = holder
            used[answer.cid_id] += 1
            await asyncio.sleep(draw.random() * 0.02)
            del holding[answer.cid_id]
            await callerids.release(holder, NOW)

    async def flusher() -> None:
        for _ in range(10):
            await asyncio.sleep(0.03)
            await client.flushdb()

    await asyncio.gather(flusher(), *(caller(name) for name in range(200)))
    assert max(used.values()) <= 10
    assert sum(used.values()) >= 40


async def test_a_flush_in_the_middle_of_a_rebuild_starts_it_again(
    callerids: CallerIds, client: redis.asyncio.Redis, database: Database
) -> None:
    callerids.load(numbers(250))
    flushed = False
    restore = callerids._restore

    async def restore_then_flush(args: list[str | int]) -> object:
        nonlocal flushed
        result = await restore(args=args)
        if not flushed:
            flushed = True
            await client.flushdb()
        return result

    callerids._restore = restore_then_flush  # type: ignore[assignment]
    assert (await select(callerids, "a")).status is Status.OK
    assert flushed
    assert database.asked == 2
    assert await client.hlen("callerid:def") == 250


async def test_a_restart_that_brings_back_an_old_snapshot_loosens_nothing(database: Database) -> None:
    folder = scratch("cid")
    try:
        with Redis(folder) as server:
            client = connect(config.Redis(url=server.url, password=SecretStr(server.password)))
            callerids = CallerIds(client, TTL, database)
            callerids.load(numbers(2, hourly=1))
            assert (await select(callerids, "a")).cid_id == 1
            await client.save()
            assert (await select(callerids, "b")).cid_id == 2
            await callerids.release("b", NOW)
            server.kill9()
            server.start()
            assert (await client.get("callerid:epoch")) is not None, "the snapshot came back"
            assert (await select(callerids, "c")).reasons == {"reserved": 1, "hourly_limit": 1}
            await client.aclose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_without_redis_the_fallback_is_shown_at_once_and_the_pool_comes_back_by_itself(
    database: Database,
) -> None:
    folder = scratch("cid")
    try:
        with Redis(folder) as server:
            client = connect(config.Redis(url=server.url, password=SecretStr(server.password), timeout_seconds=0.5))
            callerids = CallerIds(client, TTL, database)
            callerids.load(numbers(2, hourly=1))
            assert (await select(callerids, "a")).cid_id == 1
            assert await problem(client) is None
            server.stop()
            assert await problem(client) is not None
            async with asyncio.timeout(5):
                answers = await asyncio.gather(*(select(callerids, f"b{i}", fallback="5551234") for i in range(200)))
                assert not await callerids.release("a", NOW)
            assert {answer.status for answer in answers} == {Status.FALLBACK}
            assert {tuple(answer.reasons) for answer in answers} == {("unavailable",)}
            server.start()
            async with asyncio.timeout(10):
                while (answer := await select(callerids, "c")).status is not Status.OK:
                    await asyncio.sleep(0.05)
            assert answer.cid_id == 2  # the first is over its hourly limit, and Redis knows it again
            await client.aclose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_without_the_database_nothing_is_given_after_a_flush(
    callerids: CallerIds, client: redis.asyncio.Redis, database: Database
) -> None:
    callerids.load(numbers(3))
    assert (await select(callerids, "a")).status is Status.OK
    await client.flushdb()
    database.away = True
    assert (await select(callerids, "b", fallback="5551234")).status is Status.FALLBACK
    database.away = False
    async with asyncio.timeout(10):
        while (await select(callerids, "b")).status is not Status.OK:
            await asyncio.sleep(0.05)
