"""The shipped dialplan together with dialerd's own FastAGI server, on a real Asterisk."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from dialerd import config
from dialerd.core.callerid import CallEnd, Request, Selection, Status
from dialerd.core.hours import Hours
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.paths import shipped
from lab.lab import Lab
from lab.pbx import FALLBACK_CID
from lab.subscribers import Behaviour, number
from tests.live.manager import Manager

pytestmark = pytest.mark.live


class OneAnswerDesk:
    """Gives everyone the same answer, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.released: list[str] = []
        self.ends: dict[str, CallEnd | None] = {}
        self.lists: tuple[str, ...] | None = ()
        self.open = Hours("7", "")
        self.answer = Selection(Status.OK, "+35840555001", 12)

    async def next_cid(self, request: Request) -> Selection:
        self.asked.append((request.to, request.campaign, request.agent, request.holder))
        return self.answer

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        self.released.append(holder)
        self.ends[holder] = end
        return True

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        return self.lists

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        return self.open

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        return None


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), agents=1) as lab:
        yield lab
        assert lab.quiet(10)


@pytest_asyncio.fixture
async def desk(lab: Lab) -> AsyncIterator[OneAnswerDesk]:
    desk = OneAnswerDesk()
    server = FastAgiServer(config.FastAgi(port=lab.fastagi_port), verbs.load(shipped("agi")), desk)
    await server.start()
    yield desk
    await server.stop()


async def call(lab: Lab, index: int, ours: bool = True) -> str:
    """One call to a busy number through the dialplan, to its end; the attempt's id. Ours is as dialerd places it."""
    async with Manager(lab) as manager:
        target = f"Local/{number(Behaviour.BUSY, index)}@dialerd-out/n"
        attempt = await manager.originate(target, "DIALERD_CAMPAIGN=7", ours=ours)
        await manager.hangup(attempt)
        return attempt


async def comes_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


def shown(lab: Lab, index: int) -> list[tuple[str, str]]:
    """The caller ID and attempt of every INVITE to that number."""
    return [(i.caller_id, i.attempt) for i in lab.invites() if i.number == number(Behaviour.BUSY, index)]


@pytest.mark.parametrize("status", [Status.OK, Status.FALLBACK])
async def test_the_call_shows_the_caller_id_that_dialerd_chose(lab: Lab, desk: OneAnswerDesk, status: Status) -> None:
    desk.answer = Selection(status, "+35840555002", 12)
    index = 10 + (status is Status.OK)
    attempt = await call(lab, index)
    assert desk.asked == [(number(Behaviour.BUSY, index), "7", "", attempt)]
    assert shown(lab, index) == [("+35840555002", attempt)]


async def test_a_caller_id_is_given_back_when_its_call_ends(lab: Lab, desk: OneAnswerDesk) -> None:
    attempt = await call(lab, 60)
    await comes_true(lambda: desk.released == [attempt])


async def test_no_caller_id_means_no_call(lab: Lab, desk: OneAnswerDesk) -> None:
    desk.answer = Selection(Status.NONE, None, None, {"reserved": 1})
    await call(lab, 20)
    assert len(desk.asked) == 1
    assert shown(lab, 20) == []
    assert desk.released == []


async def test_a_desk_that_does_not_answer_means_the_fallback(lab: Lab) -> None:
    attempt = await call(lab, 30)
    assert shown(lab, 30) == [(FALLBACK_CID, attempt)]


@pytest.mark.parametrize(
    ("lists", "closed"), [(("own",), ""), (None, ""), ((), "holiday"), ((), "unknown"), ((), "no_campaign")]
)
async def test_a_call_of_another_hand_needs_clear_lists_and_an_open_window(
    lab: Lab, desk: OneAnswerDesk, lists: tuple[str, ...] | None, closed: str
) -> None:
    desk.lists, desk.open = lists, Hours("7", closed)
    await call(lab, 31, ours=False)
    assert shown(lab, 31) == []
    assert desk.asked == []


async def test_an_attempt_that_is_not_the_channels_own_opens_no_gate(lab: Lab, desk: OneAnswerDesk) -> None:
    desk.lists = ("own",)
    async with Manager(lab) as manager:
        target = f"Local/{number(Behaviour.BUSY, 32)}@dialerd-out/n"
        other = "DIALERD_ATTEMPT=0f8fad5b-d9cb-469f-a165-70867728950e"
        await manager.hangup(await manager.originate(target, "DIALERD_CAMPAIGN=7", other))
    assert shown(lab, 32) == []


async def test_without_dialerd_a_call_of_another_hand_is_refused(lab: Lab) -> None:
    await call(lab, 33, ours=False)
    assert shown(lab, 33) == []


async def test_without_a_fallback_an_unanswered_question_refuses_the_call(lab: Lab) -> None:
    lab.pbx.cli('dialplan set global DIALERD_FALLBACK_CID ""')
    await call(lab, 40)
    lab.pbx.cli(f"dialplan set global DIALERD_FALLBACK_CID {FALLBACK_CID}")
    assert shown(lab, 40) == []


async def test_an_agent_who_dials_by_hand_shows_a_caller_id_of_the_pool(lab: Lab, desk: OneAnswerDesk) -> None:
    lab.wait_registered()
    lab.pbx.cli("dialplan set global DIALERD_CAMPAIGN 7")
    lab.phone_dial("agent-1", number(Behaviour.BUSY, 50))
    await comes_true(lambda: bool(shown(lab, 50)))
    [(to, campaign, agent, holder)] = desk.asked
    assert (to, campaign, agent) == (number(Behaviour.BUSY, 50), "7", "agent-1")
    assert shown(lab, 50) == [("+35840555001", holder)]
