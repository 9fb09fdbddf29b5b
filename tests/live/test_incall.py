"""What is done with a call in mid-talk, over real SIP: who hears whom is told by the tones in what each party heard."""

import asyncio

import pytest

from dialerd.store import agents, dnc
from lab.subscribers import Behaviour, number
from tests.live.place import Place, subscribers
from tests.live.scene import THIRD, A, B, C, Scene
from tests.live.test_agents import Refused
from tests.tones import MUSIC, RINGING

pytestmark = pytest.mark.live

# -- blind ---------------------------------------------------------------------------------------------------------


async def test_a_person_is_sent_to_a_number_hears_music_and_then_the_third_party_while_the_agent_wraps_up(
    scene: Scene, ended: None
) -> None:
    await scene.begin()
    with subscribers(scene.place, RING_MS=3000):
        await scene.do(A, "transfer", to=THIRD)
        scene.state(A, "wrap_up")
        scene.hears("person", "third")
        scene.hears("third", "person")
    assert scene.heard("person")[-2:] == [{MUSIC}, {"third"}]
    (leg,) = [invite for invite in scene.place.all_invites() if invite.number == THIRD]
    assert leg.caller_id == "+358401109999"
    await scene.do(A, "disposition", disposition="sale")
    scene.state(A, "ready")
    scene.hang_up("third")
    await scene.place.until_outcomes(connected=1)
    await scene.place.until("SELECT count(*) FROM attempts WHERE disposition = 'sale'", 1, seconds=10)
    assert await scene.kinds() == ["transfer", "third.answered", "third.gone"]
    scene.never_silent()


@pytest.mark.parametrize("to", ["199@desk", "198@desk", number(Behaviour.BUSY, 5)])
async def test_who_is_not_answered_comes_back_to_the_agent(scene: Scene, ended: None, to: str) -> None:
    await scene.begin()
    await scene.do(A, "transfer", to=to)
    scene.state(A, "on_call")
    scene.hears("person", A)
    assert to != "198@desk" or {MUSIC} in scene.heard("person")  # the others are refused before a note is heard
    scene.never_silent()


async def test_who_is_not_answered_and_finds_the_agent_away_gets_another_one_else_the_message(scene: Scene) -> None:
    await scene.begin(count=2)
    await scene.do(B, "pause", reason="lunch")
    await scene.do(A, "transfer", to="extension:198@desk")
    await scene.do(A, "disconnect")
    await scene.do(B, "ready")
    scene.hears("person", B)
    await scene.do(B, "transfer", to="198@desk")
    await scene.do(B, "disconnect")
    await scene.place.until_outcomes(
        connected=1, seconds=40
    )  # five seconds of ringing, eight in the queue, the message
    scene.never_silent()


async def test_a_call_goes_to_another_agent_and_to_another_queue(scene: Scene, ended: None) -> None:
    await scene.begin(count=2)
    names = scene.place.site.lab.agents
    await agents.add(scene.place.pool, 1, C, C, ["support"], "", "test")
    scene.place.wait(lambda: len(scene.place.daemon.status()["agents"]) == 3, 10, "the third agent")
    scene.place.connect([names[2]])
    await scene.do(A, "transfer", to=B)
    scene.state(B, "on_call")
    scene.hears("person", B)
    scene.hears(B, "person")
    await scene.do(A, "ready")
    await scene.do(B, "transfer", to="queue:support")
    scene.state(C, "on_call")
    scene.hears("person", C)
    assert scene.place.agent(A)["state"] == "ready"
    scene.never_silent()


async def test_what_may_not_be_dialled_is_refused_and_the_agent_keeps_the_person(scene: Scene, ended: None) -> None:
    await scene.begin(count=2)
    await dnc.add(scene.place.pool, 1, dnc.Scope(1), [THIRD], "FI", "test", "asked for it")
    await scene.do(B, "pause", reason="lunch")
    for to, why in (
        (THIRD, "dnc"), ("100@internal", "context_not_allowed"), ("number:112", "bad_number"), (B, "agent_not_ready"),
        ("queue:nobody", "no_such_queue"), ("100@desk&SIP/x", "bad_target"), ("", "bad_target"),
        (scene.person, "own_number"), ("agent-9", "no_such_agent"),
    ):  # fmt: skip
        with pytest.raises(Refused, match=why):
            await scene.do(A, "transfer", to=to)
    assert scene.heard("person")[-1] == {A}
    assert len(scene.place.all_invites()) == 1
    assert scene.place.agent(A)["state"] == "on_call"


# -- consult, three-way --------------------------------------------------------------------------------------------


async def test_an_agent_asks_a_third_party_brings_all_three_together_and_leaves_them(scene: Scene, ended: None) -> None:
    await scene.begin()
    await scene.do(A, "consult", to="198@desk")
    scene.hears("person", MUSIC)
    scene.hears(A, RINGING)
    await scene.do(A, "cancel")
    scene.hears("person", A)
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    scene.hears("third", A)
    scene.hears("person", MUSIC)
    view = await scene.view(A)
    assert (view["talk"], view["third"]) == ("consulting", THIRD)
    for verb in ("unhold", "hold", "park", "transfer"):
        with pytest.raises(Refused, match="call_is_consulting"):
            await scene.do(A, verb, to=B)
    await scene.do(A, "conference")
    scene.hears("person", A, "third")
    for verb in ("hold", "unhold", "park", "consult"):
        with pytest.raises(Refused, match="call_is_three_way"):
            await scene.do(A, verb, to=B)
    scene.hears("third", A, "person")
    scene.hears(A, "person", "third")
    await scene.do(A, "complete")
    scene.state(A, "wrap_up")
    scene.hears("person", "third")
    scene.hears("third", "person")
    scene.never_silent()


async def test_a_third_party_that_hangs_up_leaves_agent_and_person_together(scene: Scene, ended: None) -> None:
    await scene.begin()
    for _ in range(2):
        await scene.do(A, "consult", to=THIRD)
        scene.hears(A, "third")
        scene.hang_up("third")
        scene.hears("person", A)
        assert (await scene.view(A))["talk"] == ""
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    await scene.do(A, "conference")
    scene.hears("person", A, "third")
    scene.hang_up("third")
    scene.hears("person", A)
    assert scene.place.agent(A)["state"] == "on_call"


async def test_a_person_who_hangs_up_in_a_consultation_ends_it_for_all(scene: Scene) -> None:
    await scene.begin(count=2)
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    scene.hang_up("person")
    await scene.place.until_outcomes(connected=1)
    scene.state(A, "wrap_up")
    scene.place.wait(lambda: not invited(scene.place), 10, "no third party")


async def test_a_colleague_is_asked_sees_the_contact_and_takes_the_call(scene: Scene, ended: None) -> None:
    await scene.begin(count=2)
    await scene.do(A, "consult", to=B)
    scene.hears(A, B)
    scene.hears(B, A)
    view = await scene.view(B)
    assert (view["state"], view["asked"], view["call"]["person"]["number"]) == ("on_call", True, scene.person)
    with pytest.raises(Refused, match="agent_is_asked"):
        await scene.do(B, "hold")
    await scene.do(B, "hangup")  # leaves the consultation, and nothing else
    scene.state(B, "ready")
    scene.hears("person", A)
    await scene.do(A, "consult", to=B)
    scene.hears(A, B)
    await scene.do(A, "complete")
    scene.state(A, "wrap_up")
    scene.hears("person", B)
    scene.hears(B, "person")
    assert (await scene.view(B))["asked"] is False


async def test_an_agents_phone_that_dies_in_a_consultation_or_a_three_way_call_leaves_nobody_alone(
    scene: Scene, ended: None
) -> None:
    await scene.begin(count=2)
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    scene.phone_dies(A)
    scene.hears("person", B)
    await scene.do(B, "consult", to=THIRD)
    scene.hears(B, "third")
    await scene.do(B, "conference")
    scene.hears("person", B, "third")
    scene.phone_dies(B)
    scene.hears("person", "third")
    scene.never_silent()


async def test_both_hang_up_at_once_and_nothing_is_left(scene: Scene) -> None:
    await scene.begin()
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    scene.place.site.lab.carrier.cli("channel request hangup all")
    await scene.place.until_outcomes(connected=1)
    scene.state(A, "offline")


# -- restart -------------------------------------------------------------------------------------------------------


async def test_a_killed_daemon_finds_consultations_transfers_and_parked_people_again(scene: Scene, ended: None) -> None:
    await scene.begin(count=2)
    await scene.place.until("SELECT count(*) FROM attempts WHERE connected_at IS NOT NULL", 1)
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    restart(scene.place)
    assert (await scene.view(A))["talk"] == "consulting"
    await scene.do(A, "cancel")
    scene.hears("person", A)
    await scene.do(A, "park")
    scene.hears("person", MUSIC)
    await scene.place.until("SELECT count(*) FROM agents WHERE state = 'wrap_up'", 1)
    restart(scene.place)
    await scene.do(B, "pickup")
    scene.hears("person", B)
    await scene.place.until("SELECT count(*) FROM agents WHERE state = 'on_call'", 1)
    await scene.do(B, "transfer", to=THIRD)
    scene.hears("person", "third")
    await scene.place.until("SELECT count(*) FROM agents WHERE state = 'wrap_up' AND name = $1", 1, B)
    restart(scene.place)
    await scene.do(B, "disposition", disposition="refusal", message="not now")
    await scene.place.until("SELECT count(*) FROM call_events WHERE kind = 'said'", 1)
    restart(scene.place)
    scene.place.wait(lambda: scene.place.calls() == {"connected": 1}, 5, "the call")
    scene.hears("person", "third")
    assert await scene.place.pool.fetchval("SELECT count(*) FROM attempts WHERE disposition IS NOT NULL") == 0
    scene.hang_up("third")
    await scene.place.until_outcomes(connected=1)
    written = "SELECT count(*) FROM attempts WHERE disposition = 'refusal' AND message = 'not now'"
    await scene.place.until(written, 1, seconds=10)
    assert await scene.place.pool.fetchval("SELECT last_disposition FROM contacts") == "refusal"


async def test_a_daemon_killed_while_a_third_party_rings_gives_the_person_to_an_agent(
    scene: Scene, ended: None
) -> None:
    await scene.begin(count=2)
    await scene.place.until("SELECT count(*) FROM attempts WHERE connected_at IS NOT NULL", 1)
    await scene.do(A, "transfer", to="198@desk")
    scene.hears("person", MUSIC)
    await scene.place.until("SELECT count(*) FROM agents WHERE state = 'wrap_up'", 1)
    restart(scene.place)
    scene.hears("person", B)
    scene.place.wait(lambda: not invited(scene.place), 10, "no third party")


# -- parking -------------------------------------------------------------------------------------------------------


async def test_a_parked_person_is_picked_up_by_who_is_meant_and_else_goes_back(scene: Scene, ended: None) -> None:
    await scene.begin(count=3)
    await scene.do(A, "park", to=B)
    scene.state(A, "wrap_up")
    scene.hears("person", MUSIC)
    assert (await scene.view(C))["parked"] == []
    with pytest.raises(Refused, match="nothing_parked"):
        await scene.do(C, "pickup")
    (seen,) = (await scene.view(B))["parked"]
    assert (seen["number"], seen["mine"]) == (scene.person, True)
    await scene.do(B, "pickup", attempt=seen["attempt"])
    scene.hears("person", B)
    await scene.do(C, "pause", reason="lunch")
    await scene.do(B, "park")
    await scene.do(B, "ready")
    scene.hears("person", MUSIC)
    scene.hears("person", B, seconds=20)  # nobody came in five seconds
    assert (await scene.kinds()) == ["parked", "picked_up", "parked", "park.limit"]
    scene.never_silent()


# -- a message on a machine ----------------------------------------------------------------------------------------


async def test_an_agent_leaves_the_message_by_a_key_and_is_free_at_once(scene: Scene) -> None:
    await scene.begin(voicemail_sound="demo-congrats")
    assert (await scene.view(A))["message"] is True
    scene.press(A, "*9")
    scene.state(A, "ready")
    scene.hears("person", MUSIC)
    scene.hang_up("person")
    await scene.place.until_outcomes(message_left=1)


async def test_without_a_message_none_is_left(scene: Scene, ended: None) -> None:
    await scene.begin()
    with pytest.raises(Refused, match="no_message"):
        await scene.do(A, "message")


# -- keys ----------------------------------------------------------------------------------------------------------


async def test_hold_consult_conference_and_complete_by_keys(scene: Scene, ended: None) -> None:
    await scene.begin()
    scene.press(A, "*1")
    scene.hears("person", MUSIC)
    scene.press(A, "*1")
    scene.hears("person", A)
    scene.press(A, f"*3{THIRD[1:]}#")
    scene.hears("third", A)
    scene.press(A, "*4")
    scene.hears("person", A, "third")
    scene.press(A, "*5")
    scene.state(A, "wrap_up")
    scene.hears("person", "third")


async def test_a_recording_and_a_machine_by_keys(scene: Scene) -> None:
    """The tone of a person is a long greeting, so machine detection says that it is a machine."""
    await scene.begin(recording="demand", machine_detection="connect")
    for keys, word in (
        ("**7", "recording"),
        ("**8", "paused"),
        ("**8", "recording"),
        ("**7", ""),
        ("**7", "recording"),
    ):
        scene.press(A, keys)
        await until_recording(scene, word)
    scene.press(A, "**9")
    await scene.place.until_outcomes(connected=1)
    said = "SELECT count(*) FROM attempts WHERE disposition = 'machine' AND machine_checked AND machine_said"
    await scene.place.until(said, 1, seconds=10)
    await scene.place.until("SELECT count(*) FROM recordings WHERE state = 'stored'", 2, seconds=20)
    kinds = await scene.place.pool.fetch(
        "SELECT kind FROM call_events WHERE kind IN ('recording.started', 'recording.paused', 'recording.resumed')"
        " ORDER BY id"
    )
    assert [row["kind"].removeprefix("recording.") for row in kinds] == ["started", "paused", "resumed", "started"]


async def until_recording(scene: Scene, word: str) -> None:
    for _ in range(200):
        call = (await scene.view(A))["call"]
        if call is not None and call["recording"] == word:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the recording is not {word!r}")


def restart(place: Place) -> None:
    place.daemon.kill9()
    place.start()


def invited(place: Place) -> list[str]:
    """The channels of third parties in the PBX."""
    return [c.uniqueid for c in place.site.lab.pbx.channels() if c.uniqueid.startswith("dialerd-third")]
