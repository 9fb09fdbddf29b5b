"""Gosub(dialerd-cid,…) on a real Asterisk, with dialerd there, away, hanging, and behind a wall that drops packets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio

from dialerd import config
from dialerd.core.callerid import Request, Selection
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.paths import shipped
from lab.lab import Lab
from lab.pbx import FALLBACK_CID
from tests.live.manager import Manager
from tests.live.test_dialplan import OneAnswerDesk, comes_true

pytestmark = pytest.mark.live

OWN_CID = "+358401107777"  # what the channel shows before anybody is asked
# Writes down what the Gosub left, and how long it took (ms).
CALLER = """\
[somebody]
exten => _[+0-9].,1,Set(CALLERID(all)="V0123456789" <{own}>)
 same => n,Set(TIMEOUT(absolute)=30)
 same => n,Set(BEGUN=${{STRFTIME(,UTC,%s%3q)}})
 same => n,Gosub(dialerd-cid,s,1(${{EXTEN}},7,anna))
 same => n,Set(TOOK=$[${{STRFTIME(,UTC,%s%3q)}} - ${{BEGUN}}])
 same => n,Set(LINE=${{EXTEN}}{tab}${{TOOK}}{tab}${{CID_STATUS}}{tab}${{CALLERID(num)}}{tab}${{CALLERID(name)}})
 same => n,Set(FILE({file},,,al,u)=${{LINE}}{tab}${{TIMEOUT(absolute)}}{tab}${{CID_REASON}})
 same => n,Wait(${{STAY}})
 same => n,Hangup(16)
exten => evil,1,Set(CALLERID(num)={own})
 same => n,Gosub(dialerd-cid,s,1(${{EVIL}},7,anna))
 same => n,Set(LINE=evil{tab}0{tab}${{CID_STATUS}}{tab}${{CALLERID(num)}})
 same => n,Set(FILE({file},,,al,u)=${{LINE}}{tab}{tab}0{tab}${{CID_REASON}})
exten => h,1,Set(FILE({file},,,al,u)=h{tab}${{CID_STATUS}})
[barred]
exten => _[+0-9].,1,Set(BEGUN=${{STRFTIME(,UTC,%s%3q)}})
 same => n,Gosub(dialerd-dnc,s,1(${{EXTEN}},7))
 same => n,Set(TOOK=$[${{STRFTIME(,UTC,%s%3q)}} - ${{BEGUN}}])
 same => n,Set(FILE({file},,,al,u)=${{EXTEN}}{tab}${{TOOK}}{tab}${{DNC_STATUS}}{tab}${{DNC_LISTS}}{tab}{tab}0{tab})
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What the Gosub left behind."""

    to: str
    milliseconds: int
    status: str
    number: str
    name: str
    time_left: float
    reason: str


class Notes:
    """The file that the test's own context writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, to: str) -> list[Left]:
        rows = [line.split("\t") for line in self.path.read_text().splitlines()]
        return [Left(r[0], int(r[1]), r[2], r[3], r[4], float(r[5]), r[6]) for r in rows if r[0] == to]

    def hangups(self) -> int:
        return sum(line.startswith("h\t") for line in self.path.read_text().splitlines())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), agents=0) as lab:
        yield lab
        assert lab.quiet(10)


@pytest.fixture(scope="module")
def notes(lab: Lab) -> Notes:
    path = lab.pbx.log / "notes.tsv"
    path.touch()
    lab.pbx.write("extensions.d/somebody.conf", CALLER.format(own=OWN_CID, file=path, tab="\t"))
    lab.pbx.cli("dialplan reload")
    return Notes(path)


@pytest.fixture(autouse=True)
def fresh(lab: Lab, notes: Notes) -> None:
    """No test begins with what another one found out about the daemon."""
    lab.pbx.cli('dialplan set global DIALERD_AWAY_UNTIL ""')
    lab.pbx.cli(f"dialplan set global DIALERD_FALLBACK_CID {FALLBACK_CID}")


@pytest_asyncio.fixture
async def desk(lab: Lab) -> AsyncIterator[OneAnswerDesk]:
    desk = OneAnswerDesk()
    server = FastAgiServer(config.FastAgi(port=lab.fastagi_port), verbs.load(shipped("agi")), desk)
    await server.start()
    yield desk
    await server.stop()


async def call(
    lab: Lab, notes: Notes, to: str, context: str = "somebody", variables: tuple[str, ...] = ("__STAY=0",)
) -> Left:
    """One call through the test's context; what it left."""
    before = len(notes.of(to))
    async with Manager(lab) as manager:
        await manager.originate(f"Local/{to}@{context}/n", *variables, timeout_seconds=10)
        await comes_true(lambda: len(notes.of(to)) > before)
    return notes.of(to)[-1]


@contextmanager
def deaf(port: int, backlog: int) -> Iterator[socket.socket]:
    """A listener that nobody serves: the kernel takes connections, and nothing is ever said on them."""
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(backlog)
        yield listener


@contextmanager
def wall(port: int) -> Iterator[None]:
    """A listener whose queue is full: further SYNs are dropped, as by a firewall."""
    with deaf(port, 0):
        held = []
        try:
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
                held.append(one)
            yield
        finally:
            for one in held:
                one.close()


async def test_a_foreign_dialplan_gets_a_number_and_keeps_its_own_name_and_time_limit(
    lab: Lab, notes: Notes, desk: OneAnswerDesk
) -> None:
    left = await call(lab, notes, "14155512001")
    assert (left.status, left.number, left.name) == ("OK", "+35840555001", "V0123456789")
    assert 25 < left.time_left <= 30
    assert desk.asked[0][:3] == ("14155512001", "7", "anna")


async def test_a_call_that_was_never_dialled_gives_its_number_back_without_a_word_on_how_it_went(
    lab: Lab, notes: Notes, desk: OneAnswerDesk
) -> None:
    await call(lab, notes, "14155512002")
    await comes_true(lambda: len(desk.released) == 1)
    assert desk.released == [desk.asked[0][3]]
    assert desk.ends == {desk.released[0]: None}


async def test_with_the_daemon_down_the_call_goes_on_with_the_fallback_at_once(lab: Lab, notes: Notes) -> None:
    """The issue asks for 300 ms."""
    found = [await call(lab, notes, "14155512003") for _ in range(20)]
    assert {(left.status, left.number) for left in found} == {("FALLBACK", FALLBACK_CID)}
    assert median(left.milliseconds for left in found) < 300
    assert lab.pbx.cli("dialplan show globals").count("DIALERD_AWAY_UNTIL=\n") == 1  # nobody is kept from asking


async def test_with_neither_daemon_nor_fallback_the_channel_keeps_its_own_caller_id(lab: Lab, notes: Notes) -> None:
    lab.pbx.cli('dialplan set global DIALERD_FALLBACK_CID ""')
    left = await call(lab, notes, "14155512004")
    assert (left.status, left.number, left.reason) == ("", OWN_CID, "unreachable=1")


async def test_a_daemon_that_hangs_costs_one_call_200_ms_and_the_next_ones_nothing(lab: Lab, notes: Notes) -> None:
    """Of several first ones the quickest, for the machine's sake: the rest of the 300 ms is Asterisk's own time."""
    firsts = []
    with deaf(lab.fastagi_port, 100):
        for _ in range(5):
            lab.pbx.cli('dialplan set global DIALERD_AWAY_UNTIL ""')
            firsts.append(await call(lab, notes, "14155512005"))
        after = [await call(lab, notes, "14155512005") for _ in range(10)]
    assert min(left.milliseconds for left in firsts) < 300
    assert median(left.milliseconds for left in after) < 200  # they did not ask
    assert {(left.status, left.number) for left in (*firsts, *after)} == {("FALLBACK", FALLBACK_CID)}
    assert all(25 < left.time_left <= 30 for left in (*firsts, *after))


async def test_a_host_that_drops_packets_costs_one_call_2_seconds_and_the_next_ones_nothing(
    lab: Lab, notes: Notes
) -> None:
    """What no dialplan can shorten is Asterisk's own limit on connecting; what it can do is not to ask again."""
    with wall(lab.fastagi_port):
        first = await call(lab, notes, "14155512006")
        after = [await call(lab, notes, "14155512006") for _ in range(10)]
    assert first.milliseconds >= 2000
    assert median(left.milliseconds for left in after) < 200
    assert {(left.status, left.number) for left in (first, *after)} == {("FALLBACK", FALLBACK_CID)}
    assert 25 < first.time_left <= 30


async def test_after_a_while_a_call_tries_again_and_the_pool_is_back_for_all(
    lab: Lab, notes: Notes, desk: OneAnswerDesk
) -> None:
    lab.pbx.cli(f"dialplan set global DIALERD_AWAY_UNTIL {int(time.time()) + 1000}")
    assert (await call(lab, notes, "14155512007")).status == "FALLBACK"
    assert desk.asked == []
    lab.pbx.cli("dialplan set global DIALERD_AWAY_UNTIL 1")
    assert [(await call(lab, notes, "14155512007")).status for _ in range(3)] == ["OK"] * 3
    assert "DIALERD_AWAY_UNTIL=\n" in lab.pbx.cli("dialplan show globals")


class SlowDesk(OneAnswerDesk):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def next_cid(self, request: Request) -> Selection:
        answer = await super().next_cid(request)
        await self.may_answer.wait()
        return answer


@asynccontextmanager
async def slow_desk(lab: Lab) -> AsyncIterator[SlowDesk]:
    desk = SlowDesk()
    server = FastAgiServer(config.FastAgi(port=lab.fastagi_port), verbs.load(shipped("agi")), desk)
    await server.start()
    yield desk
    await server.stop()


async def test_a_number_that_came_too_late_is_given_back(lab: Lab, notes: Notes) -> None:
    async with slow_desk(lab) as desk:
        async with Manager(lab) as manager:
            await manager.originate("Local/14155512008@somebody/n", "__STAY=300", timeout_seconds=10)
            await comes_true(lambda: len(notes.of("14155512008")) == 1)
            assert notes.of("14155512008")[0].status == "FALLBACK"
            desk.may_answer.set()
            lab.pbx.cli('dialplan set global DIALERD_AWAY_UNTIL ""')
            lab.pbx.cli("channel request hangup all")
        await comes_true(lambda: desk.released == [desk.asked[0][3]])


async def test_a_caller_who_hangs_up_while_dialerd_is_asked_is_seen_off_by_their_own_context(
    lab: Lab, notes: Notes
) -> None:
    before = notes.hangups()
    async with slow_desk(lab) as desk, Manager(lab) as manager:
        # The caller gives up after 100 ms, before the limit of 200.
        await manager.originate("Local/14155512009@somebody/n", "__STAY=300", timeout_seconds=0.1)
        await comes_true(lambda: notes.hangups() == before + 1)
        desk.may_answer.set()
        await comes_true(lambda: desk.released == [desk.asked[0][3]])
    assert notes.of("14155512009") == []


@pytest.mark.parametrize(
    "to",
    ["500&PJSIP/trunk-out/14165551212", "1555@evil", "1555|30", "1555^x", "(1555)", "sip:1555", "١٢٣٤٥", "１２３４５",
     "1 5", "$1", "1555;phone-context=x", "%0d%0a", ""],
)  # fmt: skip
async def test_what_is_no_number_reaches_neither_the_desk_nor_a_number(
    lab: Lab, notes: Notes, desk: OneAnswerDesk, to: str
) -> None:
    left = await call(lab, notes, "evil", variables=(f"__EVIL={to}",))
    assert (left.status, left.number, left.reason) == ("NONE", OWN_CID, "malformed=1")
    assert desk.asked == []


@pytest.mark.parametrize(
    ("lists", "status", "names"),
    [((), "CLEAR", ""), (("own", 'a "list", of mine'), "LISTED", "own a_list_of_mine"), (None, "UNKNOWN", "")],
)
async def test_a_number_is_clear_only_when_dialerd_said_so(
    lab: Lab, notes: Notes, desk: OneAnswerDesk, lists: tuple[str, ...] | None, status: str, names: str
) -> None:
    desk.lists = lists
    left = await call(lab, notes, "14155512010", "barred")
    assert (left.status, left.number) == (status, names)


async def test_without_an_answer_a_number_is_not_clear(lab: Lab, notes: Notes) -> None:
    assert (await call(lab, notes, "14155512011", "barred")).status == "UNKNOWN"
    with deaf(lab.fastagi_port, 100):
        assert (await call(lab, notes, "14155512011", "barred")).status == "UNKNOWN"


@pytest.mark.parametrize(
    "half", [b'EXEC MSet "CALLERID(num)=+35850', b'EXEC MSet "CALLERID(num)=+35850555,CID_STATUS=O']
)
async def test_half_an_answer_is_none_and_half_a_number_is_not_shown(lab: Lab, notes: Notes, half: bytes) -> None:
    """[F28] Asterisk carries out what came before the connection went."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n\n")
        writer.write(half)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", lab.fastagi_port):
        lab.pbx.cli('dialplan set global DIALERD_FALLBACK_CID ""')
        left = await call(lab, notes, "14155512012")
        assert (left.status, left.number) == ("", OWN_CID)
        lab.pbx.cli(f"dialplan set global DIALERD_FALLBACK_CID {FALLBACK_CID}")
        left = await call(lab, notes, "14155512012")
        assert (left.status, left.number) == ("FALLBACK", FALLBACK_CID)
