"""Answering machines over real SIP: told from people, hung up, connected, left a message after their beep."""

import math
import wave
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dialerd.core.machines import checked
from dialerd.store import stats
from lab.subscribers import Behaviour, number
from tests.live.hearing import Words
from tests.live.hearing import heard as people_heard
from tests.live.place import Place, subscribers
from tests.live.test_heard import no_agent_when_it_rings

pytestmark = pytest.mark.live

RATE = 8_000
FRAME = RATE // 10
MESSAGE = "beep"  # one pure tone: nothing else that reaches the machine sounds like it
GREETING = ("vm-theperson", "vm-isunavail", "vm-leavemsg", "beep")  # of the carrier's machines, after 0.3 s
DEAF = {"greeting": 10_000, "maximum_number_of_words": 30, "maximum_word_length": 15_000, "total_analysis_time": 1_000}


@contextmanager
def heard(place: Place, folder: Path) -> Iterator[Path]:
    """The folder into which the carrier writes what those who answer hear."""
    folder.chmod(0o777)
    place.site.lab.carrier.listen(folder)
    try:
        yield folder
    finally:
        place.site.lab.carrier.listen(None)


def loudness(frames: Sequence[int]) -> float:
    """Root mean square."""
    return math.sqrt(sum(value * value for value in frames) / max(1, len(frames)))


def purity(frames: Sequence[int]) -> float:
    """How much of the power is in the strongest single tone: about 1 for a tone, little for speech."""
    best = 0.0
    for hertz in range(300, 2_000, 10):
        turn = 2 * math.pi * hertz / RATE
        real = sum(value * math.cos(turn * i) for i, value in enumerate(frames))
        imaginary = sum(value * math.sin(turn * i) for i, value in enumerate(frames))
        best = max(best, real * real + imaginary * imaginary)
    return 2 * best / (len(frames) * sum(value * value for value in frames))


def sounds(path: Path) -> list[tuple[float, Sequence[int]]]:
    """The tenths of a second in which there is something to hear, with their times (s)."""
    with wave.open(str(path)) as file:
        samples = array("h", file.readframes(file.getnframes()))
    tenths = [(i / RATE, samples[i : i + FRAME]) for i in range(0, len(samples) - FRAME + 1, FRAME)]
    return [(at, tenth) for at, tenth in tenths if loudness(tenth) > 200]


def greeting_seconds(place: Place) -> float:
    """Until the end of the machine's own beep: GSM is 33 bytes for 20 ms."""
    folder = place.site.lab.carrier.data / "sounds/en"
    return 0.3 + sum((folder / f"{name}.gsm").stat().st_size / 33 * 0.02 for name in GREETING)


def long_hello(place: Place, sound: str) -> None:
    place.site.lab.carrier.cli(f"dialplan set global GREETING {sound}")


async def test_a_machine_hears_the_message_after_its_beep_and_a_person_gets_an_agent(
    place: Place, tmp_path: Path
) -> None:
    campaign = await place.campaign(
        Behaviour.MACHINE, Behaviour.PERSON, machine_detection="message", machine_message=MESSAGE
    )
    names = await place.agents(2)
    with heard(place, tmp_path) as folder:
        place.start()
        place.connect(names)
        await place.until_outcomes(message_left=1, connected=1)
        row = await place.pool.fetchrow("SELECT * FROM attempts WHERE outcome = 'message_left'")
        assert (row["e164"], row["machine"], row["cause"]) == (number(Behaviour.MACHINE, campaign * 100), "MACHINE", 31)
        assert row["machine_cause"].split("-")[0] in ("LONGGREETING", "MAXWORDS", "MAXWORDLENGTH")
        assert 0 < row["machine_seconds"] < 6
        file = folder / f"{row['e164'][1:]}.wav"
        place.wait(lambda: file.exists() and bool(sounds(file)), 10, "the machine's recording")
    found = sounds(file)
    assert found[0][0] >= greeting_seconds(place) - 0.2, "the message began before the greeting was over"
    assert max(purity(tenth) for _, tenth in found) > 0.5, "what was heard is no tone"
    person = await place.pool.fetchrow("SELECT machine, machine_seconds FROM attempts WHERE outcome = 'connected'")
    assert (person["machine"], person["machine_seconds"] > 0) == ("HUMAN", True)
    told = await stats.machines(place.pool, 1, campaign, None)
    assert (told.machine, told.human, told.messages, told.passed, told.corrected) == (1, 1, 1, 1, 0)


async def test_a_message_that_is_not_there_is_no_message_left(place: Place) -> None:
    await place.campaign(Behaviour.MACHINE, machine_detection="message", machine_message="no-such-sound")
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(machine=1)
    assert await place.pool.fetchval("SELECT cause FROM attempts") == 79


async def test_a_greeting_that_does_not_end_is_given_up(place: Place) -> None:
    await place.campaign(Behaviour.PERSON, machine_detection="message", machine_message=MESSAGE, machine_wait_seconds=5)
    long_hello(place, "demo-congrats")  # it speaks for longer than that
    place.site.lab.carrier.cli("dialplan set global TALK_MS 30000")
    try:
        names = await place.agents(1)
        place.start()
        place.connect(names)
        await place.until_outcomes(machine=1)
        assert await place.pool.fetchval("SELECT cause FROM attempts") == 16
    finally:
        long_hello(place, "hello")
        place.site.lab.carrier.cli("dialplan set global TALK_MS 3000")


async def test_a_person_who_is_dropped_by_mistake_is_counted_and_the_campaigns_parameters_prevent_it(
    place: Place,
) -> None:
    campaign = await place.campaign(Behaviour.PERSON, machine_detection="drop")
    long_hello(place, "demo-congrats")  # a person who says more than a hello
    try:
        names = await place.agents(1)
        place.start()
        place.connect(names)
        await place.until_outcomes(machine=1)
        told = await stats.machines(place.pool, 1, campaign, None)
        assert (told.machine, told.passed) == (1, 0)
        other = await place.campaign(Behaviour.PERSON, machine_detection="drop", machine_parameters=DEAF)
        await place.until_outcomes(machine=1, connected=1)
        row = await place.pool.fetchrow("SELECT machine, machine_cause FROM attempts WHERE campaign_id = $1", other)
        assert row["machine"] != "MACHINE"
    finally:
        long_hello(place, "hello")


async def test_an_agent_corrects_the_verdict_and_the_correction_is_counted(place: Place) -> None:
    campaign = await place.campaign(Behaviour.MACHINE, machine_detection="drop", machine_parameters=DEAF)
    (name,) = await place.agents(1)
    place.start()
    place.connect([name])
    place.wait(lambda: place.agent(name)["state"] == "on_call", 20, "a conversation")
    place.daemon.post(f"/agents/{name}/machine")
    await place.until_outcomes(connected=1)
    await place.until("SELECT count(*) FROM attempts WHERE disposition = 'machine' AND machine_corrected", 1)
    told = await stats.machines(place.pool, 1, campaign, None)
    assert (told.machine, told.passed, told.corrected, told.false_negatives) == (0, 1, 1, 1.0)


async def test_an_agent_gets_a_machine_too_where_the_campaign_says_so(place: Place) -> None:
    await place.campaign(Behaviour.MACHINE, machine_detection="connect")
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=1)
    assert await place.pool.fetchval("SELECT machine FROM attempts") == "MACHINE"


LEAVE = """\
language = "en"
[nodes.say]
type = "play"
prompt = { text = "we shall call again" }
next = "bye"
[nodes.bye]
type = "hangup"
"""


async def test_a_machine_goes_through_its_flow_to_the_end_and_a_person_gets_an_agent(
    place: Place, tmp_path: Path
) -> None:
    words = Words(place, tmp_path)
    words.add(leave=LEAVE)
    campaign = await place.campaign(Behaviour.MACHINE, Behaviour.PERSON, machine_detection="flow", machine_flow="leave")
    names = await place.agents(2)
    with people_heard(place) as ears:
        place.start()
        place.connect(names)
        await place.until_outcomes(message_left=1, connected=1)
    machine, person = (number(each, campaign * 100) for each in (Behaviour.MACHINE, Behaviour.PERSON))
    assert ears.seconds(machine, "we shall call again") > 0.7
    assert ears.seconds(person, "we shall call again") == 0
    talked = await place.pool.fetchrow("SELECT e164, machine, agent_id FROM attempts WHERE outcome = 'connected'")
    assert (talked["e164"], talked["machine"], talked["agent_id"] is not None) == (person, "HUMAN", True)


async def test_a_machine_that_is_to_be_checked_is_one_that_the_lot_names_and_with_nobody_free_hears_what_persons_hear(
    place: Place,
) -> None:
    """Not the machines' message, after which the dialplan hangs up with cause 31."""
    with subscribers(place, RING_MS=2000):
        campaign = await no_agent_when_it_rings(
            place, *[Behaviour.MACHINE] * 6, machine_detection="message", machine_message=MESSAGE, machine_check=0.5
        )
        await place.until("SELECT count(*) FROM attempts WHERE state = 'ended'", 6)
    rows = await place.pool.fetch("SELECT id::text, outcome, cause, machine_checked AS checked FROM attempts")
    assert {row["id"]: row["checked"] for row in rows} == {row["id"]: checked(row["id"], 0.5) for row in rows}
    found = {(row["checked"], row["outcome"], row["cause"]) for row in rows}
    assert found <= {(True, "abandoned", 16), (False, "message_left", 31)}, found
    told = await stats.machines(place.pool, 1, campaign, None)
    drawn = sum(row["checked"] for row in rows)
    assert (told.machine, told.unheard, told.checked) == (6, 6 - drawn, 0), "nobody has said anything of them"
