"""An agent's day over real SIP: what they see and say of each call, and how they come in."""

import asyncio
import functools
import json
import time
import urllib.error
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from dialerd.store import agents, dnc
from lab.pbx import LOGIN_EXTENSION
from lab.subscribers import Behaviour, number
from tests.live.place import Place, subscribers

pytestmark = pytest.mark.live


class Screen:
    """What an agent's page is told, and when it was."""

    def __init__(self) -> None:
        self.views: list[tuple[float, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    def told(self, view: dict[str, Any]) -> None:
        self.views.append((time.time(), view))
        self._changed.set()

    async def until(self, state: str, after: int = 0, seconds: float = 20.0, call: bool = False) -> dict[str, Any]:
        """The first view with this state after the first `after` of them; with `call` it shows one."""
        async with asyncio.timeout(seconds):
            while True:
                for _, view in self.views[after:]:
                    if view["state"] == state and (view["call"] is not None or not call):
                        return view
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def screen(place: Place, name: str) -> AsyncIterator[Screen]:
    """The stream of an agent, read until the block ends."""
    found, opened = Screen(), asyncio.Event()
    headers = {"authorization": f"Bearer {place.site.token}"}

    async def read() -> None:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{place.daemon.url}/agent/events", params={"agent": name}) as stream,
        ):
            stream.raise_for_status()
            async for line in stream.content:
                if line.startswith(b"data:"):
                    found.told(json.loads(line[5:]))
                    opened.set()

    task = asyncio.create_task(read())
    try:
        async with asyncio.timeout(10):
            await asyncio.wait([task, asyncio.create_task(opened.wait())], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Refused(Exception):
    """Status and reason of an answer."""


async def post(place: Place, path: str, **fields: Any) -> Any:
    """A request of the API, beside the event loop."""
    try:
        return await asyncio.to_thread(place.daemon.post, path, fields)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, json.load(error)["error"]) from None


async def test_the_contact_is_on_the_screen_no_later_than_the_voice_and_what_is_said_of_it_is_on_record(
    place: Place,
) -> None:
    campaign = await place.campaign(Behaviour.PERSON, wrap_up_seconds=60, script="Good morning.\nThis is dialerd.")
    await place.pool.execute("UPDATE contacts SET name = 'Aino', custom = '{\"city\": \"Turku\"}'")
    (name,) = await place.agents(1)
    place.start()
    async with screen(place, name) as seen:
        place.connect([name])
        reserved = await seen.until("reserved")
        call = reserved["call"]
        assert (call["campaign_id"], call["script"]) == (campaign, "Good morning.\nThis is dialerd.")
        assert (call["person"]["name"], call["person"]["custom"]) == ("Aino", {"city": "Turku"})
        shown_at = next(at for at, view in seen.views if view["state"] == "reserved")
        wrap_up = await seen.until("wrap_up")
        assert [(c["key"], c["code"]) for c in wrap_up["call"]["choices"]][:2] == [(1, "sale"), (2, "callback")]
        attempt = wrap_up["call"]["attempt"]
        await post(place, f"/agents/{name}/disposition", disposition="sale", message="Two of them", attempt=attempt)
        await seen.until("ready", after=len(seen.views) - 1)
    await place.until("SELECT count(*) FROM attempts WHERE disposition = 'sale' AND message = 'Two of them'", 1)
    heard_at: datetime = await place.pool.fetchval("SELECT connected_at FROM attempts")
    assert shown_at <= heard_at.timestamp() + 0.02, "Asterisk's clock counts whole milliseconds"
    contact = await place.pool.fetchrow("SELECT state, last_disposition, last_message FROM contacts")
    assert tuple(contact) == ("done", "sale", "Two of them")
    kinds = [r["kind"] for r in await place.pool.fetch("SELECT kind FROM call_events WHERE attempt_id = $1::uuid"
                                                       " ORDER BY id", attempt)]  # fmt: skip
    assert kinds[-2:] == ["ended", "disposed"]


async def test_a_disposition_that_never_comes_is_set_by_the_wrap_up_limit(place: Place) -> None:
    await place.campaign(Behaviour.PERSON, wrap_up_seconds=1)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=1)
    await place.until("SELECT count(*) FROM attempts WHERE disposition = 'none'", 1, seconds=10)
    place.wait(lambda: place.agent(names[0])["state"] == "ready", 10, "ready again")


async def test_never_again_by_a_key_of_the_phone_bars_the_number_with_the_same_commit(place: Place) -> None:
    await place.campaign(Behaviour.PERSON, wrap_up_seconds=60)
    (name,) = await place.agents(1)
    place.start()
    place.connect([name])
    place.wait(lambda: place.agent(name)["state"] == "wrap_up", 30, "the wrap-up")
    place.site.lab.carrier.press(name, "9")
    await place.until("SELECT count(*) FROM attempts WHERE disposition = 'dnc'", 1, seconds=10)
    number = await place.pool.fetchval("SELECT e164 FROM attempts")
    row = await place.pool.fetchrow("SELECT kind, source, attempt_id FROM consents WHERE e164 = $1", number)
    assert (row["kind"], row["attempt_id"]) == ("opt_out", await place.pool.fetchval("SELECT id FROM attempts"))
    assert await place.pool.fetchval("SELECT count(*) FROM dnc_bars(1, 1, $1::text)", number) == 1
    assert await place.pool.fetchval("SELECT state FROM contacts") == "suppressed"
    place.wait(lambda: place.agent(name)["state"] == "ready", 10, "ready again")


async def with_pin(place: Place, name: str, pin: str, number: str | None = None) -> None:
    """Gives an agent a PIN, as `dialer-admin agent pin` does."""
    await agents.set_pin(place.pool, 1, name, pin, number, "test")


async def log_in_by_phone(place: Place, name: str, number: str, pin: str) -> None:
    """The agent's phone calls the login extension and types."""
    lab = place.site.lab
    lab.phone_dial(name, LOGIN_EXTENSION)
    place.wait(lambda: any(c.application == "Stasis" for c in lab.pbx.channels()), 10, "the login extension")
    lab.carrier.press(name, f"{number}#{pin}#")


async def test_an_agent_logs_in_by_dialling_and_takes_calls_until_the_phone_hangs_up(place: Place) -> None:
    await place.campaign(Behaviour.PERSON)
    (name,) = await place.agents(1)
    await with_pin(place, name, "4711", "70")
    place.start()
    await log_in_by_phone(place, name, "70", "4711")
    place.wait(lambda: place.agent(name)["state"] != "offline", 20, "the login")
    await place.until_outcomes(connected=1)
    place.wait(lambda: place.agent(name)["state"] == "ready", 10, "ready again")
    place.site.lab.phone_hang_up(name)
    place.wait(lambda: place.agent(name)["state"] == "offline", 10, "offline")


async def test_a_wrong_pin_three_times_ends_the_call_and_says_no_more_of_an_agent_than_of_nobody(place: Place) -> None:
    (name,) = await place.agents(1)
    await with_pin(place, name, "4711", "70")
    place.start()
    lab = place.site.lab
    lab.phone_dial(name, LOGIN_EXTENSION)
    place.wait(lambda: any(c.application == "Stasis" for c in lab.pbx.channels()), 10, "the login extension")
    for typed in ("70#0000#", "99#4711#", "70#1111#"):
        failed = logged(place, "agent.login_failed") + 1
        lab.carrier.press(name, typed)
        place.wait(functools.partial(is_logged, place, "agent.login_failed", failed), 20, "the refusal")
    place.wait(lambda: not lab.pbx.channels(), 15, "the end of the call")
    assert place.agent(name)["state"] == "offline"


async def test_a_login_by_phone_outlives_a_killed_daemon(place: Place) -> None:
    """The leg has Asterisk's own id: only the record knows whose it is."""
    (name,) = await place.agents(1)
    await with_pin(place, name, "4711", "70")
    place.start()
    await log_in_by_phone(place, name, "70", "4711")
    place.wait(lambda: place.agent(name)["state"] == "ready", 20, "the login")
    await place.until("SELECT count(*) FROM agents WHERE state = 'ready'", 1)
    place.daemon.kill9()
    place.start()
    place.wait(lambda: place.agent(name)["state"] == "ready", 10, "the leg taken over")
    await place.campaign(Behaviour.PERSON, wrap_up_seconds=60)
    place.wait(lambda: place.agent(name)["state"] == "wrap_up", 30, "a call")
    place.site.lab.carrier.press(name, "1")  # the keys of a leg that was taken over are heard
    await place.until("SELECT count(*) FROM attempts WHERE disposition = 'sale'", 1, seconds=10)


async def test_a_caller_who_is_asked_for_a_pin_when_the_daemon_dies_is_hung_up_by_the_next(place: Place) -> None:
    (name,) = await place.agents(1)
    await with_pin(place, name, "4711", "70")
    place.start()
    lab = place.site.lab
    lab.phone_dial(name, LOGIN_EXTENSION)
    place.wait(lambda: any(c.application == "Stasis" for c in lab.pbx.channels()), 10, "the login extension")
    place.daemon.kill9()
    place.start()
    place.wait(lambda: not lab.pbx.channels(), 15, "the end of the call")


async def test_a_phone_beyond_the_trunk_is_called_and_its_answer_is_the_agents_leg(place: Place) -> None:
    place.configure(agents={"caller_id": "+358401109998"})
    await place.campaign(Behaviour.PERSON)
    (name,) = await place.agents(1)
    phone = number(Behaviour.PERSON, 9999)
    with subscribers(place, TALK_MS=60_000):
        await agents.change(place.pool, 1, name, "test", phone=phone, phone_trunk="trunk-out")
        place.start()
        place.connect([name])
        place.wait(lambda: place.agent(name)["state"] == "on_call", 20, "a call")
        await post(place, f"/agents/{name}/hangup")
        await place.until_outcomes(connected=1)
        (invite,) = [invite for invite in place.all_invites() if invite.number == phone]
        assert invite.caller_id == "+358401109998"
        await post(place, f"/agents/{name}/disconnect")
        place.wait(lambda: place.agent(name)["state"] == "offline", 10, "offline")


async def test_hold_mute_and_keys_in_a_call_and_their_end_with_it(place: Place) -> None:
    await place.campaign(Behaviour.PERSON, wrap_up_seconds=60)
    (name,) = await place.agents(1)
    pbx = place.site.lab.pbx
    with subscribers(place, TALK_MS=60_000):
        place.start()
        place.connect([name])
        place.wait(lambda: place.agent(name)["state"] == "on_call", 20, "the call")
        agent_bridge = next(c.bridge for c in pbx.channels() if c.bridge)
        await post(place, f"/agents/{name}/hold")
        place.wait(lambda: len({c.bridge for c in pbx.channels() if c.bridge}) == 2, 5, "two bridges")
        place.wait(lambda: place.calls() == {"connected": 1}, 5, "one call")
        await post(place, f"/agents/{name}/unhold")
        place.wait(lambda: {c.bridge for c in pbx.channels() if c.bridge} == {agent_bridge}, 5, "one bridge")
        await post(place, f"/agents/{name}/mute")
        await post(place, f"/agents/{name}/dtmf", digits="12#")
        view = await asyncio.to_thread(place.daemon.get, f"/agents/{name}/view")
        assert (view["muted"], view["on_hold"]) == (True, False)
        with pytest.raises(Refused, match="bad_digits"):
            await post(place, f"/agents/{name}/dtmf", digits="1;rm")
        await post(place, f"/agents/{name}/hold")
        await post(place, f"/agents/{name}/hangup")
        place.wait(lambda: place.agent(name)["state"] == "wrap_up", 10, "the wrap-up")
        view = await asyncio.to_thread(place.daemon.get, f"/agents/{name}/view")
        assert (view["muted"], view["on_hold"]) == (False, False)
        place.wait(lambda: not [b for b in pbx.bridges() if "hold" in b], 5, "no waiting room left")


async def test_a_person_on_hold_is_still_there_after_the_daemon_was_killed(place: Place) -> None:
    await place.campaign(Behaviour.PERSON)
    (name,) = await place.agents(1)
    with subscribers(place, TALK_MS=60_000):
        place.start()
        place.connect([name])
        place.wait(lambda: place.agent(name)["state"] == "on_call", 20, "the call")
        await post(place, f"/agents/{name}/hold")
        await place.until("SELECT count(*) FROM attempts WHERE connected_at IS NOT NULL", 1)
        place.daemon.kill9()
        place.start()
        view = await asyncio.to_thread(place.daemon.get, f"/agents/{name}/view")
        assert (view["state"], view["on_hold"]) == ("on_call", True)
        await post(place, f"/agents/{name}/unhold")
        await post(place, f"/agents/{name}/hangup")
        await place.until_outcomes(connected=1)


@pytest.mark.accepts("CAM-12")
async def test_in_preview_the_agent_sees_the_contact_skips_one_and_has_the_next_called(place: Place) -> None:
    campaign = await place.campaign(Behaviour.BUSY, Behaviour.PERSON, dial_mode="preview", wrap_up_seconds=60)
    names = await place.agents(2)
    place.start()
    place.connect(names)
    name = names[0]
    async with screen(place, name) as seen:
        await post(place, f"/agents/{name}/preview/next")
        first = await seen.until("paused", call=True)
        assert (
            first["call"]["person"]["number"] == number(Behaviour.BUSY, campaign * 100) and first["reason"] == "preview"
        )
        await post(place, f"/agents/{name}/preview/skip", reason="was called today")
        await post(place, f"/agents/{name}/preview/next")
        assert place.invites() == []
        await post(place, f"/agents/{name}/preview/call")
        await seen.until("on_call")
        assert place.agent(names[1])["state"] == "ready"
        await seen.until("wrap_up")
        await post(place, f"/agents/{name}/disposition", disposition="sale")
    await place.until_outcomes(connected=1)
    assert [invite.number for invite in place.invites()] == [number(Behaviour.PERSON, campaign * 100)]
    event = await place.pool.fetchval("SELECT detail FROM call_events WHERE kind = 'preview.ended'")
    assert (event["why"], event["reason"]) == ("skipped", "was called today")


@pytest.mark.accepts("CAM-12")
async def test_a_preview_that_is_not_reached_frees_its_agent_and_one_that_may_not_be_called_is_refused(
    place: Place,
) -> None:
    campaign = await place.campaign(Behaviour.BUSY, Behaviour.BUSY, dial_mode="preview")
    (name,) = await place.agents(1)
    place.start()
    place.connect([name])
    await post(place, f"/agents/{name}/preview/next")
    await post(place, f"/agents/{name}/preview/call")
    await place.until_outcomes(busy=1)
    place.wait(lambda: place.agent(name)["state"] == "ready", 10, "ready again")
    await post(place, f"/agents/{name}/preview/next")
    held = number(Behaviour.BUSY, campaign * 100 + 1)
    await dnc.add(place.pool, 1, dnc.Scope(1), [held], "FI", "test", "asked for it")  # between the look and the call
    with pytest.raises(Refused, match="dnc"):
        await post(place, f"/agents/{name}/preview/call")
    place.wait(lambda: place.agent(name)["state"] == "ready", 10, "ready again")
    assert len(place.invites()) == 1


def is_logged(place: Place, event: str, times: int) -> bool:
    """Whether the daemon's log has this event so often."""
    return logged(place, event) >= times


def logged(place: Place, event: str) -> int:
    """How often the daemon's log has this event."""
    return place.daemon.log.read_text(errors="replace").count(event)
