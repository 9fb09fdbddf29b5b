"""Predictive, power and serial campaigns over real SIP, with robot agents."""

import asyncio
import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

from lab.subscribers import Behaviour
from tests.live.place import Place, robots, subscribers

pytestmark = pytest.mark.live

PEOPLE, SILENT, BUSY = Behaviour.PERSON, Behaviour.NO_ANSWER, Behaviour.BUSY


def shown(place: Place, campaign: int) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in place.daemon.status()["campaigns"] if c["id"] == campaign)
    return found


def admin(place: Place, *arguments: str) -> Any:
    """What a command of dialer-admin says, which must succeed."""
    argv = [sys.executable, "-m", "dialerd.cli.main", "--config", str(place.daemon.config), *arguments, "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def until(place: Place, condition: Any, seconds: float, what: str) -> None:
    """Waits beside the robots."""
    await asyncio.to_thread(place.wait, condition, seconds, what)


@pytest.mark.accepts("CAM-14", "PAC-01")
async def test_a_predictive_campaign_learns_and_then_dials_more_than_one_line_for_an_agent(place: Place) -> None:
    learning = [PEOPLE, BUSY, BUSY] * 14
    campaign = await place.campaign(
        *learning, *[SILENT, PEOPLE, SILENT, SILENT] * 12,
        dial_mode="predictive", pacing_ratio=3.0, ring_timeout_seconds=5, wrap_up_seconds=30,
    )  # fmt: skip
    names = await place.agents(4)
    place.start()
    assert shown(place, campaign)["pacing"]["answer_chance"] is None
    most = 0

    def many() -> bool:
        nonlocal most
        lines = shown(place, campaign)["lines"]
        most = max(most, int(lines["dialing"] + lines["ringing"]))
        return most > 4

    async with robots(place, names, wrap_up_seconds=0.5):
        await until(place, many, 45, "more lines than agents")
        pacing = shown(place, campaign)["pacing"]
        await place.until(
            "SELECT least(count(*), 1) FROM pacing_decisions WHERE digest IS NOT NULL AND lines > $1", 1, 0
        )
    assert most <= 3 * 4
    assert 0.1 < pacing["answer_chance"] < 0.9 and pacing["windows"][0]["answers"] >= 12
    place.daemon.kill9()
    place.start()

    def knows() -> bool:
        now = shown(place, campaign)["pacing"]
        return now["answer_chance"] is not None and now["windows"][0]["answers"] >= pacing["windows"][0]["answers"]

    place.wait(knows, 20, "a daemon that knows what the one before it knew")
    assert abs(shown(place, campaign)["pacing"]["answer_chance"] - pacing["answer_chance"]) < 0.15
    replayed = admin(place, "pacing", "replay", str(campaign))
    assert replayed["different"] == 0 and replayed["same"] > 10


@pytest.mark.accepts("CAM-15")
async def test_a_power_campaign_dials_its_ratio_until_the_budget_is_spent_and_a_restart_forgets_nothing(
    place: Place,
) -> None:
    people = [PEOPLE] * 3
    campaign = await place.campaign(
        *people, SILENT, SILENT, dial_mode="power", pacing_ratio=3.0, ring_timeout_seconds=5
    )
    (name,) = await place.agents(1)
    place.start()
    place.wait(lambda: shown(place, campaign)["pacing"]["windows"] != [], 10, "a budget")
    with subscribers(place, TALK_MS=8000):
        place.connect([name])
        place.wait(lambda: place.agent(name)["state"] == "on_call", 10, "a conversation")
        assert len(place.invites()) == 3
        place.daemon.post(f"/agents/{name}/pause", {"reason": "after this call"})
        await place.until("SELECT count(*) FROM attempts WHERE outcome = $1", 2, "abandoned")
    await place.until_outcomes(connected=1, abandoned=2)
    place.daemon.kill9()
    place.start()
    place.daemon.post(f"/agents/{name}/ready")

    def one_line() -> bool:
        now = shown(place, campaign)
        return bool(now["lines"]["ringing"] == 1 and now["pacing"]["windows"])

    place.wait(one_line, 20, "a line")
    window, reason = shown(place, campaign)["pacing"]["windows"][-1], shown(place, campaign)["decision"]["reason"]
    assert (window["answers"], window["abandoned"]) == (3, 2)
    assert "the budget of 3.0% abandoned calls is spent" in reason
    assert sum(place.calls().values()) == 1


@pytest.mark.accepts("CAM-16", "PAC-03")
async def test_a_serial_campaign_has_one_call_at_a_time_and_a_pause_after_each(place: Place) -> None:
    await place.campaign(BUSY, PEOPLE, BUSY, BUSY, serial_interval_seconds=1.0)
    names = await place.agents(3)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=1, busy=3)
    ends = {
        str(row["id"]): row["ended_at"].timestamp()
        for row in await place.pool.fetch("SELECT id, ended_at FROM attempts")
    }
    invites = sorted(place.invites(), key=lambda invite: invite.at)
    for before, after in pairwise(invites):
        assert after.at - ends[before.attempt] >= 0.95


@pytest.mark.accepts("CAM-15", "PAC-02")
async def test_a_broadcast_needs_no_agent_and_fills_its_channels_with_people_who_hear_the_message(place: Place) -> None:
    campaign = await place.campaign(
        *[PEOPLE] * 6, BUSY, dial_mode="power", broadcast="demo-thanks", max_concurrent_calls=3, queue_name="no-queue"
    )
    most = 0
    heard, reasons = set[str](), set[str]()

    def all_over() -> bool:
        nonlocal most
        most = max(most, sum(place.calls().values()))
        reasons.add((shown(place, campaign)["decision"] or {"reason": ""})["reason"])
        heard.update(c.exten for c in place.site.lab.pbx.channels() if c.application == "Playback")
        return bool(shown(place, campaign)["counts"]["attempts"] == 7)

    with subscribers(place, TALK_MS=60_000):  # nobody hangs up before the message is over
        place.start()
        place.wait(all_over, 60, "seven calls")
    await place.until_outcomes(played=6, busy=1)
    assert most == 3 and heard
    assert "broadcast: 3 channels − 3 in use = 0" in reasons
    seconds = [
        row["seconds"]
        for row in await place.pool.fetch(
            "SELECT extract(epoch FROM ended_at - answered_at)::float AS seconds FROM attempts WHERE outcome = 'played'"
        )
    ]
    assert min(seconds) > 3, "the message was cut short"


async def test_a_broadcast_whose_sound_is_missing_rests_and_says_so(place: Place) -> None:
    campaign = await place.campaign(
        *[PEOPLE] * 5, dial_mode="power", broadcast="no/such-file", max_concurrent_calls=1, queue_name="no-queue"
    )
    place.start()
    place.wait(lambda: "could not play" in (shown(place, campaign)["decision"] or {}).get("reason", ""), 20, "a rest")
    await place.until_outcomes(failed=1)
    assert shown(place, campaign)["counts"]["attempts"] == 1
