"""Supervisors, and recordings of calls that go through several hands, over real SIP."""

import asyncio

import pytest

from dialerd.store import agents
from lab.subscribers import Behaviour
from tests.live.scene import KNOWN, THIRD, A, B, C, Scene
from tests.live.test_agents import Refused
from tests.live.test_incall import invited
from tests.tones import MUSIC, QUIET, person_hz, timeline
from tests.tones_recorded import read

pytestmark = pytest.mark.live


async def test_a_supervisor_listens_whispers_talks_to_both_and_takes_over(scene: Scene, ended: None) -> None:
    await scene.begin(count=3)
    await scene.do(C, "pause", reason="lunch")
    with pytest.raises(Refused, match="no_supervisor"):
        await scene.do(B, "listen", to=A)
    await agents.change(scene.place.pool, 1, B, "test", supervisor=True)
    await until_supervisor(scene, B)
    with pytest.raises(Refused, match="agent_not_on_call"):
        await scene.do(B, "listen", to=C)
    await scene.do(B, "listen", to=A)
    scene.hears(B, A, "person")
    assert scene.heard("person")[-1] == {A}
    assert scene.heard(A)[-1] == {"person"}
    assert (await scene.view(B))["watching"] == "listen agent-1"
    await scene.do(B, "whisper")
    scene.hears(A, "person", B)
    assert scene.heard("person")[-1] == {A}
    await scene.do(B, "barge")
    scene.hears("person", A, B)
    scene.hears(A, "person", B)
    scene.hears(B, A, "person")
    await scene.do(B, "takeover")
    scene.state(A, "wrap_up")
    scene.hears("person", B)
    scene.hears(B, "person")
    assert await scene.kinds() == [f"supervisor.{what}" for what in ("listen", "whisper", "barge", "takeover")]
    scene.never_silent()


async def test_a_supervisor_by_keys_and_the_end_of_the_call_ends_it(scene: Scene) -> None:
    await scene.begin(count=2)
    await agents.set_pin(scene.place.pool, 1, A, "4711", "70", "test")
    await agents.change(scene.place.pool, 1, B, "test", supervisor=True)
    await until_supervisor(scene, B)
    scene.press(B, "**170#")
    scene.hears(B, A, "person")
    scene.state(B, "paused")
    scene.press(B, "**3")
    scene.hears("person", A, B)
    scene.hang_up("person")
    await scene.place.until_outcomes(connected=1)
    scene.state(B, "ready")
    assert not [c for c in scene.place.site.lab.pbx.channels() if "Snoop" in c.name]


async def test_who_barges_has_the_call_when_the_agents_phone_dies_and_no_stranger_takes_part(
    scene: Scene, ended: None
) -> None:
    await scene.begin(count=2)
    pool = scene.place.pool
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    await agents.add(pool, other, C, C, ["sales"], "", "test")
    await agents.change(pool, other, C, "test", supervisor=True)
    await agents.change(pool, 1, B, "test", supervisor=True)
    await until_supervisor(scene, B)
    scene.place.wait(lambda: len(scene.place.daemon.status()["agents"]) == 3, 10, "the third agent")
    await until_supervisor(scene, C)
    scene.place.connect([C])
    for verb in ("listen", "whisper", "barge", "takeover"):
        with pytest.raises(Refused, match="no_such_agent"):
            await scene.do(C, verb, to=A)
    await scene.do(B, "barge", to=A)
    scene.hears("person", A, B)
    scene.phone_dies(A)
    scene.hears("person", B)
    scene.hears(B, "person")
    scene.state(B, "on_call")
    assert scene.place.agent(C)["state"] == "ready"
    assert await scene.kinds() == ["supervisor.barge", "supervisor.takeover"]
    scene.never_silent()


async def test_a_supervisor_takes_a_three_way_call_over_and_the_third_party_goes(scene: Scene, ended: None) -> None:
    await scene.begin(count=2)
    await agents.change(scene.place.pool, 1, B, "test", supervisor=True)
    await until_supervisor(scene, B)
    await scene.do(A, "consult", to=THIRD)
    scene.hears(A, "third")
    await scene.do(A, "conference")
    scene.hears("person", A, "third")
    await scene.do(B, "takeover", to=A)
    scene.state(A, "wrap_up")
    scene.hears("person", B)
    scene.hears(B, "person")
    scene.place.wait(lambda: not invited(scene.place), 10, "no third party")
    scene.never_silent()


async def test_an_agent_whose_held_person_was_taken_over_can_hold_the_next_one(scene: Scene) -> None:
    """A room that somebody was moved out of keeps its name for as long as they live."""
    await scene.begin(count=2)
    await agents.change(scene.place.pool, 1, B, "test", supervisor=True)
    await until_supervisor(scene, B)
    await scene.do(B, "listen", to=A)
    await scene.do(A, "hold")
    scene.hears("person", MUSIC)
    await scene.do(B, "takeover")
    scene.hears("person", B)
    scene.state(A, "wrap_up")
    await scene.do(A, "ready")
    await scene.place.campaign(Behaviour.PERSON, wrap_up_seconds=60)
    scene.state(A, "on_call", 20)
    await scene.do(A, "hold")
    assert (await scene.view(A))["on_hold"]
    second = await scene.place.pool.fetchval("SELECT e164 FROM numbers ORDER BY id DESC LIMIT 1")
    scene.person = second
    scene.hears("person", MUSIC)
    await scene.do(A, "unhold")
    scene.hears("person", A)
    for agent in (A, B):
        await scene.do(agent, "hangup")
    await scene.place.until_outcomes(connected=2)


# -- recording -----------------------------------------------------------------------------------------------------


async def test_with_a_third_party_another_recording_begins_and_both_are_whole(scene: Scene) -> None:
    await scene.begin(recording="always")
    scene.place.wait(lambda: scene.place.daemon.get(f"/agents/{A}/view")["call"]["recording"] == "recording", 10, "it")
    await scene.do(A, "transfer", to=THIRD)
    scene.hears("person", "third")
    so_far = scene.tones.length(scene.person)
    scene.place.wait(lambda: scene.tones.length(scene.person) > so_far + 2 * 8_000, 10, "two seconds of talk")
    scene.hang_up("third")
    await scene.place.until_outcomes(connected=1)
    await scene.place.until("SELECT count(*) FROM recordings WHERE state = 'stored'", 2, seconds=30)
    known = {**KNOWN, "person": person_hz(scene.person)}
    whom = []
    for row in await scene.place.pool.fetch("SELECT key FROM recordings ORDER BY begun_at"):
        file = scene.place.site.folder / "recordings" / row["key"]
        whom.append([set(what) for what in timeline(read(file), known)])
    assert whom[0][0] == {A, "person"} and whom[1] == [{"third", "person"}], whom


async def test_a_pause_holds_with_the_third_party(scene: Scene) -> None:
    await scene.begin(recording="always")
    scene.place.wait(lambda: scene.place.daemon.get(f"/agents/{A}/view")["call"]["recording"] == "recording", 10, "it")
    await scene.do(A, "record/pause")
    await scene.do(A, "transfer", to=THIRD)
    scene.hears("person", "third")
    so_far = scene.tones.length(scene.person)
    scene.place.wait(lambda: scene.tones.length(scene.person) > so_far + 8_000, 10, "a second of talk")
    scene.hang_up("third")
    await scene.place.until_outcomes(connected=1)
    await scene.place.until("SELECT count(*) FROM recordings WHERE state = 'stored'", 2, seconds=30)
    key = await scene.place.pool.fetchval("SELECT key FROM recordings ORDER BY begun_at DESC LIMIT 1")
    samples = read(scene.place.site.folder / "recordings" / key)
    assert timeline(samples, {**KNOWN, "person": person_hz(scene.person)}) == [frozenset({QUIET})]
    kinds = "SELECT count(*) FROM call_events WHERE kind = 'recording.paused'"
    assert await scene.place.pool.fetchval(kinds) == 2, "one for each: the next daemon must know"


async def until_supervisor(scene: Scene, name: str) -> None:
    for _ in range(100):
        if (await scene.view(name))["supervisor"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} has not got the role")
