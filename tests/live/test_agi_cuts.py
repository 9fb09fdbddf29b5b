"""The way from Asterisk's dialplan to dialerd's FastAGI server cut at each step of a call, and a server that talks
nonsense: the dialplan refuses, or goes on with the fallback, and shows no number that is half of one.

The names in brackets are the rows of the fault matrix. The invariants are asserted at the end of each test by `place`.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from lab.pbx import FALLBACK_CID
from lab.proxy import Proxy
from lab.subscribers import Behaviour, number
from tests.live.manager import Manager
from tests.live.place import Place

pytestmark = pytest.mark.live

POOL = [f"+3585055123{n:02}" for n in range(20)]
NOT_DIALLED = "not dialled"


@dataclass(frozen=True, slots=True)
class Case:
    """What is done to the way, and what the carrier sees of a call that goes it: a caller ID of POOL, the fallback, or
    nothing. `patience`: how long the caller waits, in seconds."""

    name: str
    harm: Callable[[Proxy], Any]
    shown: str
    patience: float = 20.0


CASES = (
    Case("refused", lambda way: way.cut(), NOT_DIALLED),
    Case("lists: reset while asked", lambda way: way.cut_after(b"script: dnc-check", "up", False), NOT_DIALLED),
    Case("lists: half an answer", lambda way: way.cut_after(b"WINDOW_STATUS=OP", "down"), NOT_DIALLED),
    Case("lists: all but a letter", lambda way: way.cut_after(b"DNC_STATUS=CLEA", "down"), NOT_DIALLED),
    Case("lists: silence", lambda way: way.silence(up=False), NOT_DIALLED),
    Case("lists: silence, and the caller gives up", lambda way: way.silence(up=False), NOT_DIALLED, patience=0.5),
    Case("caller ID: reset while asked", lambda way: way.cut_after(b"script: next-cid", "up", False), FALLBACK_CID),
    Case("caller ID: half a number", lambda way: way.cut_after(b"CALLERID(num)=+35850", "down"), FALLBACK_CID),
    Case("caller ID: half a status", lambda way: way.cut_after(b"CID_STATUS=O", "down"), FALLBACK_CID),
    Case("byte by byte", lambda way: way.slice(1), "pool"),
)
NONSENSE = (b"\x00\xff what?\r\n" * 50, b"A" * 9_000, b"HANGUP\nSET VARIABLE DNC_STATUS CLEAR\n", b"200 result=0\n" * 9)


async def hand_dialled(place: Place, index: int, port: int, campaign: int, patience: float = 20.0) -> str:
    """Another hand's call to a busy number, whose questions go to this port; what the carrier saw of it."""
    # Two digits: to Asterisk an id is taken when it is the beginning of another one.
    to, channel = number(Behaviour.BUSY, index), f"hand-{index:02}"
    async with Manager(place.site.lab) as manager:
        await manager.send(
            ("Variable", f"__DIALERD_AGI=127.0.0.1:{port}"),
            ("Variable", f"__DIALERD_CAMPAIGN={campaign}"),
            Action="Originate", ActionID=channel, ChannelId=channel, Channel=f"Local/{to}@dialerd-out/n", Async="true",
            Context="dialerd-answered", Exten="s", Priority="1", Timeout=str(round(patience * 1000)),
        )  # fmt: skip
        await manager.hangup(channel)
    shown = [invite.caller_id for invite in place.all_invites() if invite.number == to]
    assert len(shown) <= 1
    return shown[0] if shown else NOT_DIALLED


async def nonsense(place: Place, index: int, words: bytes, campaign: int) -> str:
    """Such a call, answered with these words by a server that then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n\n")
        writer.write(words)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await hand_dialled(place, index, server.sockets[0].getsockname()[1], campaign)


@contextmanager
def asked_at(place: Place, port: int) -> Iterator[None]:
    """The dialplan asks at this port."""
    pbx, usual = place.site.lab.pbx, place.site.lab.fastagi_port
    try:
        pbx.cli(f"dialplan set global DIALERD_AGI 127.0.0.1:{port}")
        yield
    finally:
        pbx.cli(f"dialplan set global DIALERD_AGI 127.0.0.1:{usual}")
        pbx.cli('dialplan set global DIALERD_AWAY_UNTIL ""')


async def given_back(place: Place, but: str = "") -> None:
    """No number of the pool stays reserved, whoever did not hear of it. `but`: holders that do not count, a pattern."""
    left = "SELECT count(*) FROM caller_id_requests WHERE caller_id_id IS NOT NULL AND released_at IS NULL"
    await place.until(f"{left} AND holder !~ '{but or 'nobody'}'", 0)


async def pool_of(place: Place) -> None:
    await place.pool.executemany("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, $1)", [(n,) for n in POOL])


async def test_a_call_dialled_by_hand_is_refused_or_shows_the_fallback_wherever_the_way_to_dialerd_is_cut(
    place: Place,
) -> None:
    """[F28] What was not said in full was not said: a call needs clear lists, and a whole number to show."""
    await pool_of(place)
    campaign = await place.campaign(dial_mode="preview")
    await place.agents(1)
    place.start()
    with ExitStack() as stack:
        ways = [stack.enter_context(Proxy(place.site.lab.fastagi_port)) for _ in CASES]
        for case, way in zip(CASES, ways, strict=True):
            case.harm(way)
        found = await asyncio.gather(
            *(
                hand_dialled(place, n, way.port, campaign, case.patience)
                for n, (case, way) in enumerate(zip(CASES, ways, strict=True))
            ),
            *(nonsense(place, n, words, campaign) for n, words in enumerate(NONSENSE, start=len(CASES))),
        )
        assert found[len(CASES) :] == [NOT_DIALLED] * len(NONSENSE)
        found = found[: len(CASES)]
        seen = {case.name: "pool" if shown in POOL else shown for case, shown in zip(CASES, found, strict=True)}
        assert seen == {case.name: case.shown for case in CASES}
        # Whose answer was cut may have been written whole by then: nobody can know, and the reservation runs out.
        cut = "|".join(f"hand-{n:02}" for n, case in enumerate(CASES) if case.name.startswith("caller ID"))
        await given_back(place, cut)


async def test_dialerds_own_call_over_the_dialplan_shows_the_fallback_where_the_way_back_is_cut(place: Place) -> None:
    """[F28] It has passed every gate in its claim: only the number that it shows is asked for."""
    place.configure(trunks={"trunk-out": {"endpoint": "trunk-out", "route": "dialplan", "max_calls": 10}})
    await pool_of(place)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    harms: list[Callable[[Proxy], Any]] = [
        lambda way: way.cut(),
        lambda way: way.cut_after(b"script: next-cid", "up", False),
        lambda way: way.cut_after(b"CALLERID(num)=+35850", "down"),
        lambda way: way.silence(up=False),
    ]
    for n, harm in enumerate(harms, start=1):
        with Proxy(place.site.lab.fastagi_port) as way, asked_at(place, way.port):
            harm(way)
            await place.campaign(Behaviour.BUSY)
            await place.until_outcomes(busy=n)
    assert [invite.caller_id for invite in place.invites()] == [FALLBACK_CID] * len(harms)
    await given_back(place)
