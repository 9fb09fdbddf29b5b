"""The limits on requests for caller IDs, through the FastAGI door as a client meets them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from dialerd import config
from dialerd.core.callerid import CallEnd, Request, Selection, Status
from dialerd.core.hours import Hours
from dialerd.engine.directory import Caller
from dialerd.engine.requestlimits import LimitedDesk
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.paths import shipped
from tests.agi_client import ask, headers

FALLBACK = "+14155550100"


class PoolDesk:
    """Always has a number; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.released = 0

    async def next_cid(self, request: Request) -> Selection:
        self.asked.append(request)
        return Selection(Status.OK, "+14155550101", 12)

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        self.released += 1
        return True

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        return ()

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        return Hours(campaign, "")

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        return None


@pytest.fixture
def pool_desk() -> PoolDesk:
    return PoolDesk()


def limited(desk: PoolDesk, per_agent: int = 0, per_address: int = 0) -> LimitedDesk:
    settings = config.CallerIds(requests_per_minute_per_agent=per_agent, requests_per_minute_per_address=per_address)
    callers = {"7": Caller(1, 7, FALLBACK, "US"), "8": Caller(1, 8, None, "US")}
    return LimitedDesk(desk, settings, lambda campaign, agent: callers.get(campaign))


@pytest_asyncio.fixture
async def port(pool_desk: PoolDesk) -> AsyncIterator[int]:
    settings = config.FastAgi.model_construct(**{**config.FastAgi().model_dump(), "port": 0})
    server = FastAgiServer(settings, verbs.load(shipped("agi")), limited(pool_desk, per_agent=3, per_address=10))
    await server.start()
    yield server.port
    await server.stop()


async def ask_cid(port: int, agent: str, campaign: str = "7", to: str = "+14155559999") -> dict[str, str]:
    return await ask(port, headers(args=(to, campaign, agent)))


@pytest.mark.accepts("CID-09")
async def test_an_agent_over_the_limit_gets_the_fallback_and_others_go_on(port: int, pool_desk: PoolDesk) -> None:
    answers = [await ask_cid(port, "anna") for _ in range(5)]
    assert [a["CID_STATUS"] for a in answers] == ["OK"] * 3 + ["FALLBACK"] * 2
    assert (answers[4]["CALLERID(num)"], answers[4]["CID_REASON"]) == (FALLBACK, "rate_limited=1")
    assert (await ask_cid(port, "bert"))["CID_STATUS"] == "OK"
    assert len(pool_desk.asked) == 4
    assert {request.peer for request in pool_desk.asked} == {"127.0.0.1"}


@pytest.mark.accepts("CID-09")
async def test_an_address_over_the_limit_is_closed_to_the_pool_whatever_agent_it_names(
    port: int, pool_desk: PoolDesk
) -> None:
    answers = [await ask_cid(port, f"agent-{i}") for i in range(15)]
    assert sum(a["CID_STATUS"] == "OK" for a in answers) == len(pool_desk.asked) == 10
    release = await ask(port, headers("release-cid", ("1772442000.7",)))
    assert release == {}
    assert pool_desk.released == 1


async def test_over_the_limit_there_is_no_fallback_for_what_may_not_be_dialled(port: int) -> None:
    for _ in range(3):
        await ask_cid(port, "anna")
    for campaign, to in (("7", "911"), ("7", "1555@evil"), ("8", "+14155559999"), ("9", "+14155559999")):
        answer = await ask_cid(port, "anna", campaign, to)
        assert (answer["CID_STATUS"], answer["CID_REASON"]) == ("NONE", "rate_limited=1")
        assert "CALLERID(num)" not in answer


async def test_the_daemons_own_calls_are_not_limited(pool_desk: PoolDesk) -> None:
    desk = limited(pool_desk, per_agent=1, per_address=1)
    own = Request("+14155559999", "7", "anna", "x", "daemon")
    assert {(await desk.next_cid(own)).status for _ in range(20)} == {Status.OK}


async def test_a_flood_costs_a_line_of_the_log_a_second_and_not_one_each(pool_desk: PoolDesk) -> None:
    desk = limited(pool_desk, per_agent=1)
    structlog.reset_defaults()
    with capture_logs() as lines:
        for i in range(2000):
            await desk.next_cid(Request("+14155559999", "7", "anna", str(i), "http", "10.0.0.1"))
    assert 1 <= len(lines) <= 10
    assert "14155559999" not in str(lines)
