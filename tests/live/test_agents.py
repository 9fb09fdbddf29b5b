"""An agent's day over real SIP: what they see and say of each call, and how they come in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from lab.subscribers import Behaviour
from tests.live.place import Place

pytestmark = pytest.mark.live


class Screen:
    """What an agent's page is told, and when it was."""

    def __init__(self) -> None:
        self.views: list[tuple[float, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    def told(self, view: dict[str, Any]) -> None:
        self.views.append((time.time(), view))
        self._changed.set()

    async def until(self, state: str, after: int = 0, seconds: float = 20.0) -> dict[str, Any]:
        """The first view with this state after the first `after` of them."""
        async with asyncio.timeout(seconds):
            while True:
                for _, view in self.views[after:]:
                    if view["state"] == state:
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


async def post(place: Place, path: str, **fields: Any) -> Any:
    """A request of the API, beside the event loop."""
    return await asyncio.to_thread(place.daemon.post, path, fields)


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
