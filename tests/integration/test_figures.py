"""Live figures in a real Redis."""

import asyncio
import shutil
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import capture_logs

from dialerd import config
from dialerd.live.connection import connect, problem
from dialerd.live.figures import CampaignEvent, CampaignFigures, LiveFigures
from lab.services import Redis, scratch

FIGURES = CampaignFigures(1, "active", 5, 250, 180, datetime(2026, 3, 2, 9, 0, tzinfo=UTC), None)


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """The log lines of this test, whatever another test has configured."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines


@pytest.mark.accepts("RED-01")
async def test_a_campaigns_hash_has_exactly_the_promised_fields(redis_settings: config.Redis) -> None:
    client = connect(redis_settings)
    assert await LiveFigures(client).publish_figures([FIGURES])
    assert await client.hgetall("campaign:1") == {
        "status": "active",
        "active_calls": "5",
        "total_calls": "250",
        "answered_calls": "180",
        "started_at": "2026-03-02T09:00:00+00:00",
        "completed_at": "",
    }
    await client.aclose()


@pytest.mark.accepts("RED-02")
async def test_events_reach_whoever_listens(redis_settings: config.Redis) -> None:
    client = connect(redis_settings)
    listener = client.pubsub(ignore_subscribe_messages=True)
    await listener.subscribe("dialer:events")
    await listener.get_message(ignore_subscribe_messages=False, timeout=5)
    events = [CampaignEvent("started", 1), CampaignEvent("paused", 1), CampaignEvent("stopped", 1)]
    assert await LiveFigures(client).publish_figures([FIGURES], events)
    heard: list[str] = []
    async with asyncio.timeout(5):
        while len(heard) < 3:
            message = await listener.get_message(timeout=1)
            if message is not None:
                heard.append(message["data"])
    assert heard == ["campaign:started:1", "campaign:paused:1", "campaign:stopped:1"]
    await listener.aclose()  # type: ignore[no-untyped-call]
    await client.aclose()


async def test_a_lost_redis_is_no_error_of_the_caller_and_is_told_once(logged: list[MutableMapping[str, Any]]) -> None:
    folder = scratch("figures")
    try:
        with Redis(folder) as server:
            client = connect(config.Redis(url=server.url, password=SecretStr(server.password), timeout_seconds=0.5))
            figures = LiveFigures(client)
            server.stop()
            assert [await figures.publish_figures([FIGURES]) for _ in range(3)] == [False, False, False]
            server.start()
            assert await figures.publish_figures([FIGURES])
            assert await problem(client) is None
            await client.aclose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert [line["event"] for line in logged] == ["live figures are not published", "live figures are published again"]


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(ValueError, match="password"):
        connect(config.Redis(url="redis://:secret@127.0.0.1:6379/1"))
