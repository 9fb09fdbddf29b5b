"""The main job: a progressive campaign over real SIP."""

import aiohttp
import pytest
import redis

from dialerd.engine.stasis import EVENTS
from lab.subscribers import Behaviour
from tests.live.place import Place

pytestmark = pytest.mark.live


@pytest.mark.accepts("CAM-13", "ORI-06", "ORI-16")
async def test_every_kind_of_subscriber_ends_with_its_own_outcome(place: Place) -> None:
    await place.campaign(
        Behaviour.PERSON,
        Behaviour.PERSON,
        Behaviour.BUSY,
        Behaviour.REJECTED,
        Behaviour.UNALLOCATED,
        Behaviour.NO_ANSWER,
        ring_timeout_seconds=5,
    )
    names = await place.agents(2)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=2, busy=1, rejected=1, invalid=1, no_answer=1)
    invites = place.invites()
    assert {invite.caller_id for invite in invites} == {"+358401109999"}
    rows = await place.pool.fetch("SELECT id::text, e164 FROM attempts")
    assert {(i.attempt, i.number) for i in invites} == {(r["id"], r["e164"]) for r in rows}


@pytest.mark.accepts("CAM-13")
async def test_one_line_per_free_agent_and_never_more(place: Place) -> None:
    campaign = await place.campaign(*[Behaviour.NO_ANSWER] * 6, ring_timeout_seconds=5)
    names = await place.agents(2)
    place.start()
    place.connect(names)
    place.wait(lambda: place.calls().get("ringing") == 2, 10, "two lines")
    most = 0
    while (await place.outcomes())["no_answer"] < 4:
        most = max(most, sum(place.calls().values()))
    assert most == 2
    decision = next(c for c in place.daemon.status()["campaigns"] if c["id"] == campaign)["decision"]
    assert "ready" in decision["reason"]


@pytest.mark.accepts("STA-02", "STA-03", "STA-04")
async def test_a_calls_state_moves_with_the_call_and_every_step_is_on_record(place: Place) -> None:
    await place.campaign(Behaviour.PERSON)
    (name,) = await place.agents(1)
    place.start()
    place.connect([name])
    place.wait(lambda: bool(place.calls()), 10, "a call")
    call = await place.pool.fetchval("SELECT id::text FROM attempts")
    shown: list[str] = []

    def completed() -> bool:
        status = place.daemon.get(f"/api/v2/status/{call}")["status"]
        if status not in shown:
            shown.append(status)
        return bool(status == "completed")

    place.wait(completed, 60, "the end of the call")
    order = ["pending", "dialing", "ringing", "answered", "completed"]
    assert shown == sorted(shown, key=order.index) and {"ringing", "answered"} <= set(shown)
    rows = await place.pool.fetch("SELECT kind FROM call_events WHERE attempt_id = $1::uuid ORDER BY at, id", call)
    kinds = [row["kind"] for row in rows]
    assert [kind for kind in kinds if kind in ("claimed", "ringing", "joined", "ended")] == [
        "claimed", "ringing", "joined", "ended",
    ]  # fmt: skip


async def test_the_person_and_the_agent_are_in_one_bridge_within_milliseconds(place: Place) -> None:
    campaign = await place.campaign(*[Behaviour.PERSON] * 4)
    names = await place.agents(2)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=4)
    figures = next(c for c in place.daemon.status()["campaigns"] if c["id"] == campaign)
    assert figures["connect_ms"]["p50"] is not None
    row = await place.pool.fetchrow(
        "SELECT count(connected_at) AS joined, count(DISTINCT agent_id) AS agents FROM attempts"
    )
    assert (row["joined"], row["agents"]) == (4, 2)
    lab = place.site.lab
    login = {"Authorization": aiohttp.encode_basic_auth(lab.ari_username, lab.ari_password)}
    async with aiohttp.ClientSession(headers=login) as session, session.get(f"{lab.ari_url}/applications") as answer:
        (app,) = await answer.json()
    asked_for = {event["type"] for event in app["events_allowed"]}
    assert asked_for == {*EVENTS, "ApplicationReplaced"}, "and not for the thirteen variables of each call"


async def test_with_no_agent_within_the_grace_the_message_plays_and_the_call_is_abandoned(place: Place) -> None:
    await place.campaign(Behaviour.PERSON)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: place.calls().get("ringing") == 1, 10, "a ringing line")
    place.daemon.post(f"/agents/{names[0]}/pause", {"reason": "break"})
    place.wait(lambda: any(c.application == "Playback" for c in place.site.lab.pbx.channels()), 10, "the message")
    await place.until_outcomes(abandoned=1)


async def test_a_machine_is_recognised_and_dropped_when_the_campaign_asks_for_it(place: Place) -> None:
    await place.campaign(Behaviour.MACHINE, Behaviour.PERSON, machine_detection="drop")
    names = await place.agents(2)
    place.start()
    place.connect(names)
    await place.until_outcomes(machine=1, connected=1)
    assert await place.pool.fetchval("SELECT machine FROM attempts WHERE outcome = 'machine'") == "MACHINE"


@pytest.mark.accepts("CAM-12")
async def test_preview_never_dials_by_itself(place: Place) -> None:
    await place.campaign(Behaviour.PERSON, dial_mode="preview")
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: place.daemon.status()["campaigns"][0]["decision"] is not None, 10, "a decision")
    assert place.daemon.status()["campaigns"][0]["decision"]["lines"] == 0
    assert place.invites() == []


async def test_a_trunk_with_route_dialplan_asks_fastagi_for_its_caller_id(place: Place) -> None:
    place.configure(trunks={"trunk-out": {"endpoint": "trunk-out", "route": "dialplan", "max_calls": 10}})
    await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, '+358401108888')")
    await place.campaign(Behaviour.PERSON, Behaviour.BUSY, Behaviour.REJECTED, Behaviour.UNALLOCATED)
    names = await place.agents(2)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=1, busy=1, rejected=1, invalid=1)
    shown = {invite.caller_id for invite in place.invites()}
    assert shown <= {"+358401108888", "+358401109999"} and "+358401108888" in shown
    recorded = await place.pool.fetch("SELECT id::text, caller_id FROM attempts")
    assert {(i.attempt, i.caller_id) for i in place.invites()} == {(r["id"], r["caller_id"]) for r in recorded}
    await place.finish()
    logged = await place.pool.fetch("SELECT * FROM caller_id_requests WHERE NOT again")
    assert {(i.attempt, i.caller_id) for i in place.invites()} == {(r["holder"], r["caller_id"]) for r in logged}
    assert {r["door"] for r in logged} == {"fastagi"}
    given = "SELECT caller_id_id IS NULL OR result IS NOT NULL AND released_at IS NOT NULL FROM caller_id_requests"
    assert all(r[0] for r in await place.pool.fetch(given))


async def test_a_caller_id_is_reserved_for_its_call_and_free_when_the_call_ends(place: Place) -> None:
    await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, '+358401108888')")
    await place.campaign(*[Behaviour.BUSY] * 3)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(busy=3)
    assert [invite.caller_id for invite in place.invites()] == ["+358401108888"] * 3
    await place.finish()
    logged = await place.pool.fetch("SELECT door, status, caller_id, result FROM caller_id_requests")
    assert [tuple(row) for row in logged] == [("daemon", "OK", "+358401108888", "busy")] * 3


async def test_a_used_up_list_completes_the_campaign(place: Place) -> None:
    campaign = await place.campaign(Behaviour.BUSY)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(busy=1)
    place.wait(lambda: place.daemon.status()["campaigns"][0]["state"] == "completed", 15, "completion")
    assert await place.pool.fetchval("SELECT state FROM campaigns WHERE id = $1", campaign) == "completed"


@pytest.mark.accepts("RED-01", "RED-02", "CAM-11")
async def test_redis_holds_the_live_figures_and_tells_of_starts_and_pauses(place: Place) -> None:
    campaign = await place.campaign(Behaviour.BUSY, state="paused")
    names = await place.agents(1)
    place.start()
    place.connect(names)
    with redis.Redis.from_url(place.site.redis.url_with_password(1), decode_responses=True) as client:
        events = client.pubsub(ignore_subscribe_messages=True)
        events.subscribe("dialer:events")
        await place.pool.execute("UPDATE campaigns SET state = 'active' WHERE id = $1", campaign)
        await place.until_outcomes(busy=1)
        heard: list[str] = []

        def hear() -> bool:
            message = events.get_message(timeout=0.01)
            if message is not None:
                heard.append(message["data"])
            return f"campaign:completed:{campaign}" in heard

        place.wait(hear, 15, "the events")
        assert heard == [f"campaign:started:{campaign}", f"campaign:completed:{campaign}"]
        figures = client.hgetall(f"campaign:{campaign}")
        events.close()
    expected = {"status": "completed", "active_calls": "0", "total_calls": "1", "answered_calls": "0"}
    assert {key: figures[key] for key in expected} == expected
    assert set(figures) == {*expected, "started_at", "completed_at"}


@pytest.mark.accepts("CAM-05")
async def test_a_campaign_paused_in_the_database_stops_dialling_at_once(place: Place) -> None:
    campaign = await place.campaign(*[Behaviour.BUSY] * 50)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: len(place.invites()) >= 2, 10, "dialling")
    await place.pool.execute("UPDATE campaigns SET state = 'paused' WHERE id = $1", campaign)
    place.wait(lambda: place.daemon.status()["campaigns"][0]["state"] == "paused", 5, "the pause")
    place.wait(lambda: not place.calls(), 10, "quiet")
    count = len(place.invites())
    decisions = {place.daemon.status()["campaigns"][0]["state"] for _ in range(20)}
    assert decisions == {"paused"}
    assert len(place.invites()) == count < 50
