"""People who wait in a flow's queue, over real SIP: what they hear is told by tones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.subscribers import Behaviour
from tests import speech
from tests.live.hearing import Words
from tests.live.place import Place
from tests.live.test_incall import restart
from tests.tones import MUSIC, QUIET, Tones, agent_hz, timeline, tones

pytestmark = pytest.mark.live

PERSON = Behaviour.PERSON
QUEUE = """\
language = "en"
[nodes.wait]
type = "queue"
prompt = { text = "hold the line" }
message = { text = "still busy" }
every_seconds = 1.5
music = "default"
seconds = SECONDS
next = "sorry"
[nodes.sorry]
type = "menu"
prompt = { text = "sorry" }
keys = { 1 = "end" }
timeout = "end"
timeout_seconds = 1.5
retries = 0
[nodes.end]
type = "hangup"
"""
KNOWN = {each: speech.hertz(each) for each in ("hold the line", "still busy", "sorry")} | {
    "agent-1": agent_hz("agent-1")
}


class Waiting:
    """One person in the queue, whose agent went to lunch while their phone rang."""

    def __init__(self, place: Place, tones: Tones, words: Words) -> None:
        self.place, self.tones, self.words = place, tones, words
        self.person = ""

    async def begin(self, seconds: float, **campaign: Any) -> None:
        self.words.add(queue=QUEUE.replace("SECONDS", str(seconds)))
        await self.place.campaign(PERSON, flow="queue", **campaign)
        self.person = await self.place.pool.fetchval("SELECT e164 FROM numbers")
        names = await self.place.agents(1)
        self.place.start()
        self.place.connect(names)
        self.place.wait(lambda: bool(self.place.calls()), 20, "a line")
        self.place.daemon.post("/agents/agent-1/pause", {"reason": "lunch"})

    def heard(self) -> list[set[str]]:
        """In order, without the silence between two things."""
        return [set(what) for what in timeline(self.tones.samples(self.person), KNOWN) if what != {QUIET}]

    def until(self, *what: str) -> None:
        """Waits until they have heard exactly this, in order."""
        wanted = [{each} for each in what]
        try:
            self.place.wait(lambda: self.heard()[: len(what)] == wanted, 20, "what the person hears")
        except AssertionError as error:
            raise AssertionError(f"{error}\nheard {self.heard()}, expected {wanted}") from None


@pytest.fixture
def waiting(place: Place, tmp_path: Path) -> Iterator[Waiting]:
    words = Words(place, tmp_path, tone_seconds=1.0)
    with tones(place) as found:
        yield Waiting(place, found, words)


async def test_who_waits_hears_music_and_the_message_until_the_agent_comes_and_also_after_a_restart(
    waiting: Waiting,
) -> None:
    place = waiting.place
    await waiting.begin(60)
    waiting.until("hold the line", MUSIC, "still busy", MUSIC, "still busy")
    restart(place)
    so_far = len(waiting.heard())
    place.wait(lambda: len(waiting.heard()) >= so_far + 2, 10, "music and message go on")
    assert {"hold the line"} not in waiting.heard()[1:], "the wait goes on where it was"
    place.daemon.post("/agents/agent-1/ready", {})
    place.wait(lambda: place.agent("agent-1")["state"] == "on_call", 10, "the agent")
    place.wait(lambda: waiting.heard()[-1:] == [{"agent-1"}], 10, "the agent's voice")
    so_far = len(waiting.heard())
    length = waiting.tones.length(waiting.person)
    place.wait(lambda: waiting.tones.length(waiting.person) > length + 8_000 * 2, 10, "two seconds of talk")
    assert len(waiting.heard()) == so_far, f"no more music: {waiting.heard()}"
    rooms = [line for line in place.site.lab.pbx.cli("bridge show all").splitlines() if "queue" in line]
    assert not rooms
    waiting.tones.hang_up(waiting.person)
    await place.until_outcomes(connected=1)


async def test_when_the_limit_is_over_the_music_ends_and_the_flow_goes_on(waiting: Waiting) -> None:
    await waiting.begin(4)
    await waiting.place.until_outcomes(abandoned=1)
    heard = waiting.heard()
    assert heard[:3] == [{"hold the line"}, {MUSIC}, {"still busy"}]
    assert heard[-1] == {"sorry"}, f"and no music where a key is waited for: {heard}"
