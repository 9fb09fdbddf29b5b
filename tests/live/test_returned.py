"""People who call our caller IDs back: a message with a key, or an agent, over real SIP."""

from pathlib import Path
from typing import Any

import pytest

from lab.subscribers import Behaviour, number
from tests.live.hearing import Ears, Words, heard
from tests.live.place import Place, subscribers
from tests.live.test_agents import screen

pytestmark = pytest.mark.live

PERSON, TWO = Behaviour.PERSON, Behaviour.PRESSES_2
OURS = "+358401109999"  # the caller ID that the campaigns show
ACME = {"seller_name": "Acme", "seller_number": "+358401100000"}


async def called(place: Place, words: Words, behaviour: Behaviour, **campaign: Any) -> tuple[int, str, str]:
    """Somebody whom an agent has talked to: campaign, agent and number."""
    id_ = await place.campaign(behaviour, state="paused", **ACME, **campaign)
    words.message(id_)
    await place.pool.execute("UPDATE campaigns SET state = 'active'")
    (name,) = await place.agents(1)
    place.start()
    place.connect([name])
    await place.until_outcomes(connected=1)
    place.wait(lambda: place.agent(name)["state"] == "ready", 10, "the agent to be free")
    return id_, name, number(behaviour, id_ * 100)


def trunk_is_quiet(place: Place) -> bool:
    return not [c for c in place.site.lab.pbx.channels() if "trunk" in c.name]


def forget(ears: Ears, e164: str) -> None:
    """What they heard when they were called is not meant."""
    ears.file(e164).unlink(missing_ok=True)


async def test_who_calls_back_hears_who_called_and_ends_all_calls_by_a_key(place: Place, tmp_path: Path) -> None:
    words = Words(place, tmp_path, tone_seconds=2.0)
    with subscribers(place, TALK_MS=1_000), heard(place) as ears:
        campaign, name, e164 = await called(place, words, TWO)
        forget(ears, e164)
        place.site.lab.carrier.call_back(e164, OURS)
        await place.until("SELECT count(*) FROM consents WHERE e164 = $1", 1, e164, seconds=20)
        place.wait(lambda: trunk_is_quiet(place), 10, "its end")
        assert ears.seconds(e164, words.message(campaign)) > 1.5
        assert place.agent(name)["state"] == "ready"
    row = await place.pool.fetchrow("SELECT c.source, a.outcome FROM consents c JOIN attempts a ON a.id = c.attempt_id")
    assert tuple(row) == ("returned call", "connected")
    rows = await place.pool.fetch("SELECT node_name, digits FROM inputs")
    assert [tuple(row) for row in rows] == [("returned call", "2")]
    assert await place.pool.fetchval("SELECT count(*) FROM dnc_numbers WHERE number = $1", int(e164[1:])) == 1
    assert await place.pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'returned'") == 1


@pytest.mark.parametrize(("days", "knows_me"), [(30, False), (0, True)])
async def test_a_caller_who_is_not_known_hears_a_message_that_tells_nothing(
    place: Place, tmp_path: Path, days: int, knows_me: bool
) -> None:
    words = Words(place, tmp_path, tone_seconds=2.0, returned={"days": days})
    with subscribers(place, TALK_MS=1_000), heard(place) as ears:
        campaign, _, e164 = await called(place, words, TWO)
        caller = e164 if knows_me else number(TWO, 9_998)
        forget(ears, caller)
        place.site.lab.carrier.call_back(caller, OURS)
        place.wait(ears.file(caller).exists, 10, "an answer")
        place.wait(lambda: trunk_is_quiet(place), 20, "its end")
        assert ears.file(caller).stat().st_size > 16_000, "nothing was heard"
        assert ears.seconds(caller, words.message(campaign)) == 0
    counts = "SELECT (SELECT count(*) FROM consents), (SELECT count(*) FROM inputs), (SELECT count(*) FROM dnc_numbers)"
    assert tuple(await place.pool.fetchrow(counts)) == (0, 0, 0)


async def test_a_returned_call_is_an_agents_call_like_any_other(place: Place, tmp_path: Path) -> None:
    """Also when its campaign is over, and the daemon new: it is read for it."""
    words = Words(place, tmp_path)
    with subscribers(place, TALK_MS=1_000), heard(place) as ears:
        campaign, name, e164 = await called(place, words, PERSON, returned="agents", wrap_up_seconds=1)
        await place.pool.execute(
            "UPDATE contacts SET name = 'Aino', state = 'waiting', next_at = now() + interval '1d'"
        )
        await place.pool.execute("UPDATE campaigns SET state = 'stopped'")
        assert place.daemon.stop() == 0
        place.start()
        place.connect([name])
        forget(ears, e164)
        async with screen(place, name) as seen:
            place.site.lab.carrier.call_back(e164, OURS)
            view = await seen.until("reserved")
            assert (view["call"]["campaign_id"], view["call"]["returned"]) == (campaign, True)
            person = view["call"]["person"]
            assert (person["name"], person["number"]) == ("Aino", e164)
            await seen.until("on_call")
            assert [past["outcome"] for past in person["history"]] == ["connected"]
            place.wait(lambda: ears.file(e164).stat().st_size > 16_000 * 3, 20, "three seconds of talk")
            place.site.lab.carrier.hang_up_caller(e164)
            await seen.until("wrap_up")
            await seen.until("ready", after=len(seen.views) - 1)
    await place.until_outcomes(connected=1, returned=1)
    await place.until("SELECT count(*) FROM attempts WHERE returns IS NOT NULL AND disposition IS NOT NULL", 1)
    row = await place.pool.fetchrow(
        "SELECT a.returns = b.id AS of_it, a.connected_at IS NOT NULL AS talked, a.agent_id IS NOT NULL AS agent,"
        " a.disposition FROM attempts a JOIN attempts b ON b.returns IS NULL WHERE a.returns IS NOT NULL"
    )
    assert tuple(row) == (True, True, True, "none")
    assert await place.pool.fetchval("SELECT state FROM contacts") == "done"
    assert ears.loud(e164) > 1, "the agent was not heard"
    assert len(place.invites()) == 1, "the carrier saw one call from us"


async def test_with_no_agent_a_returned_call_hears_the_message_and_counts_for_nothing(
    place: Place, tmp_path: Path
) -> None:
    words = Words(place, tmp_path, tone_seconds=2.0)
    with subscribers(place, TALK_MS=1_000), heard(place) as ears:
        campaign, name, e164 = await called(place, words, PERSON, returned="agents")
        await place.pool.execute("UPDATE contacts SET state = 'waiting', next_at = now() + interval '1 day'")
        place.daemon.post(f"/agents/{name}/pause", {"reason": "lunch"})
        forget(ears, e164)
        place.site.lab.carrier.call_back(e164, OURS)
        await place.until_outcomes(connected=1, returned=1)
        place.wait(lambda: trunk_is_quiet(place), 10, "its end")
        assert ears.seconds(e164, words.message(campaign)) > 1.5
        [found] = [c for c in place.daemon.status()["campaigns"] if c["id"] == campaign]
    counts = found["counts"]
    assert (counts["attempts"], counts["live_answers"], counts["abandoned"]) == (1, 1, 0)
    assert await place.pool.fetchval("SELECT state FROM contacts") == "waiting", "it is called as if they had not"


async def test_a_returned_call_outlives_the_daemon_and_ends_with_the_agents_word(place: Place, tmp_path: Path) -> None:
    words = Words(place, tmp_path)
    with subscribers(place, TALK_MS=1_000), heard(place) as ears:
        _, name, e164 = await called(place, words, PERSON, returned="agents")
        forget(ears, e164)
        place.site.lab.carrier.call_back(e164, OURS)
        place.wait(lambda: place.agent(name)["state"] == "on_call", 20, "a conversation")
        place.daemon.kill9()
        place.start()
        place.wait(lambda: place.agent(name)["state"] == "on_call", 20, "the conversation again")
        assert not trunk_is_quiet(place)
        place.daemon.post(f"/agents/{name}/hangup")
        place.wait(lambda: trunk_is_quiet(place), 10, "the end of the caller's side")
        await place.until_outcomes(connected=1, returned=1)


async def test_who_calls_back_while_a_daemon_is_away_is_not_left_in_silence(place: Place, tmp_path: Path) -> None:
    words = Words(place, tmp_path, tone_seconds=10.0)
    with subscribers(place, TALK_MS=1_000), heard(place) as ears:
        campaign, _, e164 = await called(place, words, PERSON)
        forget(ears, e164)
        place.site.lab.carrier.call_back(e164, OURS)
        place.wait(lambda: ears.file(e164).exists() and ears.file(e164).stat().st_size > 16_000, 20, "the message")
        place.daemon.kill9()
        place.start()
        place.wait(lambda: trunk_is_quiet(place), 20, "its end: reconcile ends what nobody serves")
        assert ears.seconds(e164, words.message(campaign)) > 0.5
        place.daemon.kill9()
        stranger = number(PERSON, 9_997)
        place.site.lab.carrier.call_back(stranger, OURS)
        place.wait(ears.file(stranger).exists, 10, "an answer")
        place.wait(lambda: trunk_is_quiet(place), 30, "its end")
        assert ears.loud(stranger) > 1, "the dialplan's message was not heard"
