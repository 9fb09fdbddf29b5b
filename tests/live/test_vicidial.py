"""The lines of docs/vicidial.md, read out of it and put into a PBX whose other lines are of VICIdial's form."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from dialerd import config
from dialerd.core.callerid import CallEnd, Request, Selection, Status
from dialerd.core.hours import Hours
from dialerd.fastagi import verbs
from dialerd.fastagi.server import FastAgiServer
from dialerd.paths import shipped
from lab.carrier import Invite
from lab.lab import Lab
from lab.pbx import FALLBACK_CID
from lab.ports import Ports
from tests.live.manager import Manager
from tests.live.test_dialplan import comes_true

pytestmark = pytest.mark.live

DOCUMENT = (shipped("docs") / "vicidial.md").read_text(encoding="utf-8")
CALL_LOG = "agi://127.0.0.1:4577/"
# What a subscriber does is in the digits BB of +1NXXNXBBXXX, as the lab's carrier reads them.
PERSON, BUSY, REJECTED, HANGS_UP = "10", "12", "14", "17"
# VICIdial's own h, and its leg: a Local channel whose caller ID's name is the call's code.
AROUND = """\
[vicidial]
{entry}
{h}
[by-itself]
exten => _91NXXNXXXXXX,1,AGI(agi://${{DIALERD_AGI}}/next-cid,+${{EXTEN:1}},TESTCAMP)
 same => n,Dial(PJSIP/${{EXTEN:1}}@trunk-out,,tTo)
 same => n,Hangup()
{own_h}
[classic]
{classic}
"""


def block(kind: str, must_hold: str) -> str:
    """The block of docs/vicidial.md that is marked so and holds that."""
    [found] = [b for b in re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.M | re.S) if must_hold in b]
    return str(found)


class Desk:
    """Gives each call another number; remembers what it was told."""

    def __init__(self) -> None:
        self.given: dict[str, Selection] = {}
        self.asked: list[Request] = []
        self.ends: dict[str, CallEnd | None] = {}
        self.none = False

    async def next_cid(self, request: Request) -> Selection:
        self.asked.append(request)
        if self.none:
            return Selection(Status.NONE, None, None, {"reserved": 2})
        number = f"+1415555{len(self.asked):04d}"
        return self.given.setdefault(request.holder, Selection(Status.OK, number, len(self.asked)))

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        self.ends[holder] = end
        return True

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        return None

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        return Hours(campaign, "")

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        return None


class CallLog:
    """Stands in for VICIdial's FastAGI_log.pl: notes what it is asked, and lets the call go on."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := (await reader.readline()).decode().strip()) != "":
            name, _, value = line.partition(": ")
            if name == "agi_network_script":
                self.asked.append(value)
        writer.close()


class Http:
    """The HTTP door in a few lines, before the same desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(parse_qsl(urlsplit(head.split()[1]).query))
        if head.startswith("GET"):
            request = Request(fields["to"], fields["campaign"], "", fields["call"], "http")
            given = await self._desk.next_cid(request)
            body = {"caller_id": given.caller_id, "cid_id": given.cid_id, "status": given.status, "fallback": False}
        else:
            length = re.search(r"content-length: (\d+)", head, re.I)
            told = json.loads(await reader.readexactly(int(length[1]))) if length else {}
            end = CallEnd(told["result"], told.get("talk_seconds")) if "result" in told else None
            body = {"released": await self._desk.release_cid(told["call"], end)}
        reply = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
        await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), agents=0) as lab:
        lab.carrier.cli("dialplan set global RING_MS 200")
        lab.carrier.cli("dialplan set global TALK_MS 2000")
        yield lab
        assert lab.quiet(10)


@pytest_asyncio.fixture
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    desk = Desk()
    server = FastAgiServer(config.FastAgi(port=lab.fastagi_port), verbs.load(shipped("agi")), desk)
    await server.start()
    yield desk
    await server.stop()


@pytest_asyncio.fixture
async def log(lab: Lab) -> AsyncIterator[CallLog]:
    """VICIdial's log, its lines in the PBX."""
    log = CallLog()
    server = await asyncio.start_server(log.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    write_dialplan(lab, lab.ports, f"agi://127.0.0.1:{port}/")
    yield log
    server.close()


def write_dialplan(lab: Lab, ports: Ports, call_log: str) -> None:
    entry, own_h = block("asterisk", "Gosub(dialerd-cid"), block("asterisk-h", "release-cid")
    text = AROUND.format(
        entry=entry, h=own_h.splitlines()[0], own_h=own_h, classic=block("asterisk-classic", "dialerd-cid.py")
    )
    assert "mycarrier" in text
    assert CALL_LOG in text
    text = text.replace("mycarrier", lab.trunk).replace(CALL_LOG, call_log)
    lab.pbx.write("extensions.d/vicidial.conf", text)
    lab.pbx.cli('dialplan set global DIALERD_AWAY_UNTIL ""')
    lab.pbx.cli("dialplan reload")


async def call(lab: Lab, behaviour: str, index: int, context: str = "vicidial", stay: float = 0.0) -> list[Invite]:
    """One call as VICIdial places it, to its end; what reached the carrier."""
    number = f"1415551{behaviour[1]}{index:03d}" if behaviour[0] == "1" else ""
    async with Manager(lab) as manager:
        leg = f"Local/9{number}@{context}/n"
        attempt = await manager.originate(leg, "DIALERD_APP=nobody", timeout_seconds=20)
        await manager.hangup(attempt)
    assert await asyncio.to_thread(lab.quiet, 20)
    return [invite for invite in lab.invites() if invite.number == f"+{number}"]


@pytest.mark.accepts("CID-13")
async def test_the_documented_lines_show_the_number_that_dialerd_chose(lab: Lab, desk: Desk, log: CallLog) -> None:
    [invite] = await call(lab, BUSY, 1)
    [asked] = desk.asked
    assert (asked.to, asked.campaign, asked.agent) == ("+14155512001", "TESTCAMP", "")
    assert invite.caller_id == desk.given[asked.holder].caller_id
    assert log.asked[0] == "call_log"
    assert log.asked[1].startswith("call_log--HVcauses--PRI-----NODEBUG-----17-----BUSY-----")
    await comes_true(lambda: desk.ends == {asked.holder: CallEnd("busy")})


@pytest.mark.parametrize(
    ("behaviour", "result"), [(REJECTED, "rejected"), (PERSON, "answered"), (HANGS_UP, "answered")]
)
async def test_how_a_call_went_comes_back_by_itself(
    lab: Lab, desk: Desk, log: CallLog, behaviour: str, result: str
) -> None:
    await call(lab, behaviour, 2)
    await comes_true(lambda: len(desk.ends) == 1)
    [end] = desk.ends.values()
    assert end is not None
    assert end.result == result
    assert (end.talk_seconds is not None) == (result == "answered")


@pytest.mark.parametrize("code", [607, 608])
async def test_a_network_that_refuses_a_caller_id_is_understood(lab: Lab, desk: Desk, log: CallLog, code: int) -> None:
    """Asterisk has no Q.850 cause for these: the code itself is told."""
    lab.carrier.cli(f"dialplan add extension +14155512{code},1,PJSIPHangup,{code} into carrier-12")
    await call(lab, BUSY, code)
    await comes_true(lambda: list(desk.ends.values()) == [CallEnd("rejected")])


async def test_nothing_to_show_means_no_call(lab: Lab, desk: Desk, log: CallLog) -> None:
    desk.none = True
    assert await call(lab, BUSY, 3) == []
    assert desk.ends == {}


async def test_with_dialerd_down_vicidial_goes_on(lab: Lab, log: CallLog) -> None:
    [invite] = await call(lab, BUSY, 4)
    assert invite.caller_id == FALLBACK_CID
    assert len(log.asked) == 2


async def test_without_a_fallback_vicidials_own_caller_id_stays(lab: Lab, log: CallLog) -> None:
    lab.pbx.cli('dialplan set global DIALERD_FALLBACK_CID ""')
    [invite] = await call(lab, BUSY, 5)
    lab.pbx.cli(f"dialplan set global DIALERD_FALLBACK_CID {FALLBACK_CID}")
    assert invite.caller_id == "+358401109999"


async def test_a_dialplan_that_asks_by_itself_gives_back_in_its_h_extension(lab: Lab, desk: Desk, log: CallLog) -> None:
    [invite] = await call(lab, BUSY, 6, "by-itself")
    [asked] = desk.asked
    assert invite.caller_id == desk.given[asked.holder].caller_id
    await comes_true(lambda: desk.ends == {asked.holder: CallEnd("busy")})


@pytest.mark.parametrize("python", ["with pyst2", "alone"])
async def test_the_classic_script_shows_and_gives_back_over_http(lab: Lab, log: CallLog, python: str) -> None:
    desk = Desk()
    server = await asyncio.start_server(Http(desk).serve, "127.0.0.1", 0)
    conf = lab.pbx.etc / "agi.conf"
    conf.write_text(f"url = http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    # As copied by an operator, but for the interpreter: that of these tests has pyst2.
    text = (shipped("agi") / "classic/dialerd-cid.py").read_text().split("\n", 1)[1]
    flags = " -S" if python == "alone" else ""
    script = lab.pbx.data / "dialerd-cid.py"
    script.write_text(f"#!{sys.executable}{flags}\n{text}".replace("/etc/dialerd/agi.conf", str(conf)))
    shutil.copymode(shipped("agi") / "classic/dialerd-cid.py", script)
    index = 7 + (python == "alone")
    [invite] = await call(lab, BUSY, index, "classic")
    server.close()
    [asked] = desk.asked
    assert (asked.to, asked.campaign) == (f"+1415551200{index}", "TESTCAMP")
    assert invite.caller_id == desk.given[asked.holder].caller_id
    assert desk.ends == {asked.holder: CallEnd("busy")}
