"""The whole way of a caller ID: a FastAGI client, the server, the desk, the pool in a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from dialerd import config
from dialerd.clock import Clock
from dialerd.core.callerid import CallerId, Selection, Status, Usage
from dialerd.engine.desk import Caller, CallerIdDesk
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect
from dialerd.paths import shipped
from tests.agi_client import ask, headers

ATTEMPT = "0f8fad5b-d9cb-469f-a165-70867728950e"
CAMPAIGNS = {
    "7": Caller(1, 7, "5551234567", "US"),
    "8": Caller(1, 8, "My\r\nCompany", "FI"),
}


async def no_usage() -> Iterable[Usage]:
    return []


@pytest_asyncio.fixture
async def callerids(redis_settings: config.Redis) -> AsyncIterator[CallerIds]:
    client = connect(redis_settings)
    callerids = CallerIds(client, 300, no_usage)
    callerids.load([CallerId(1, 1, 7, "+14155550101", 9, 9), CallerId(2, 1, 7, "+12125550101", 9, 9)])
    yield callerids
    await client.aclose()


@pytest.fixture
def told() -> list[tuple[str, Selection]]:
    return []


@pytest.fixture
def desk(callerids: CallerIds, told: list[tuple[str, Selection]]) -> CallerIdDesk:
    def selected(holder: str, selection: Selection) -> None:
        told.append((holder, selection))

    return CallerIdDesk("node-a", callerids, Clock(), CAMPAIGNS.get, selected)


@pytest_asyncio.fixture
async def port(desk: CallerIdDesk) -> AsyncIterator[int]:
    settings = config.FastAgi.model_construct(**{**config.FastAgi().model_dump(), "port": 0})
    server = FastAgiServer(settings, verbs.load(shipped("agi")), desk)
    await server.start()
    yield server.port
    await server.stop()


async def ask_cid(port: int, to: str, campaign: str = "7", uniqueid: str = "1772442000.7") -> dict[str, str]:
    return await ask(port, headers(args=(to, campaign, "anna"), uniqueid=uniqueid))


@pytest.mark.accepts("CID-08")
async def test_a_dialplan_gets_the_nearest_free_number_and_then_the_fallback(port: int) -> None:
    answers = [await ask_cid(port, "212 555-0199", uniqueid=f"1772442000.{i}") for i in range(3)]
    assert [a["CALLERID(num)"] for a in answers] == ["+12125550101", "+14155550101", "5551234567"]
    assert [a["CID_STATUS"] for a in answers] == ["OK", "OK", "FALLBACK"]
    assert [a["CID_ID"] for a in answers] == ["2", "1", ""]
    assert answers[2]["CID_REASON"] == "reserved=2"


async def test_an_attempt_of_ours_is_told_before_the_answer_and_released_by_its_id(
    port: int, callerids: CallerIds, told: list[tuple[str, Selection]]
) -> None:
    answer = await ask_cid(port, "+12125550199", uniqueid=f"{ATTEMPT};2")
    assert told == [(ATTEMPT, Selection(Status.OK, answer["CID_NUMBER"], int(answer["CID_ID"])))]
    assert await callerids.release(ATTEMPT, datetime.now(UTC))


async def test_a_foreign_call_is_held_under_its_nodes_name(
    port: int, callerids: CallerIds, told: list[tuple[str, Selection]]
) -> None:
    await ask_cid(port, "+12125550199")
    assert told == []
    assert not await callerids.release("1772442000.7", datetime.now(UTC))
    assert await callerids.release("node-a/1772442000.7", datetime.now(UTC))


@pytest.mark.accepts("CID-05")
@pytest.mark.parametrize("argument", [("1772442000.0",), ("",), ()])
async def test_a_dialplan_gives_a_number_back_when_its_call_ends(port: int, argument: tuple[str, ...]) -> None:
    first, second = [await ask_cid(port, "+12125550199", uniqueid=f"1772442000.{i}") for i in range(2)]
    assert (first["CID_ID"], second["CID_ID"]) == ("2", "1")
    assert await ask(port, headers("release-cid", argument, uniqueid="1772442000.0")) == {}
    assert (await ask_cid(port, "+12125550199", uniqueid="1772442000.9"))["CID_ID"] == "2"


@pytest.mark.parametrize(
    ("to", "campaign", "reason"),
    [
        ("500&PJSIP/itsp/14165551212", "7", "bad_number_characters=1"),
        ("1555@evil", "7", "bad_number_characters=1"),
        ("+12125550199;phone-context=x", "7", "bad_number_characters=1"),
        ("911", "7", "bad_number_emergency=1"),
        ("", "7", "bad_number_empty=1"),
        ("+19005550199", "7", "bad_number_premium=1"),
        ("+12125550199", "99", "unknown_campaign=1"),
        ("+358401234567", "8", "no_match=1"),
    ],
)
async def test_what_may_not_be_dialled_gets_no_number_not_even_the_fallback(
    port: int, to: str, campaign: str, reason: str
) -> None:
    answer = await ask_cid(port, to, campaign)
    assert answer == {"CID_STATUS": "NONE", "CID_NUMBER": "", "CID_ID": "", "CID_REASON": reason}


async def test_100_calls_at_once_share_no_number(port: int) -> None:
    answers = await asyncio.gather(*(ask_cid(port, "+12125550199", uniqueid=f"1772442000.{i}") for i in range(100)))
    assert sorted(a["CID_ID"] for a in answers if a["CID_STATUS"] == "OK") == ["1", "2"]
    assert sum(a["CID_STATUS"] == "FALLBACK" for a in answers) == 98
