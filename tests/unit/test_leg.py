"""A channel in our hands: sounds, keys, and its end, in the orders in which Asterisk may tell them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from dialerd.ari.leg import Leg, LegGone, Legs, NotPlayed
from dialerd.ari.transport import AriError

CHANNEL = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


class Ari:
    """Writes down what is asked, and refuses what it is told to."""

    def __init__(self, status: int | None = None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.status = status

    async def play(self, channel: str, playback: str, sound: str) -> None:
        self.asked.append(("play", sound, playback))
        if self.status is not None:
            raise AriError(self.status, "POST /play", "no")

    async def stop_playing(self, playback: str) -> None:
        self.asked.append(("stop", playback))


def taken(status: int | None = None) -> tuple[Legs, Leg, Ari, list[str]]:
    ari, keys = Ari(status), list[str]()
    legs = Legs(ari)  # type: ignore[arg-type]
    return legs, legs.take(CHANNEL, keys.append), ari, keys


async def begun(work: Coroutine[Any, Any, Any], ari: Ari, count: int) -> asyncio.Task[Any]:
    task = asyncio.create_task(work)
    async with asyncio.timeout(5):
        while len(ari.asked) < count:
            await asyncio.sleep(0)
    return task


async def test_sounds_come_one_after_the_other_and_their_ends_are_awaited() -> None:
    legs, leg, ari, _ = taken()
    task = await begun(leg.play(["hello", "goodbye"]), ari, 1)
    legs.played(ari.asked[0][2], True)
    async with asyncio.timeout(5):
        while len(ari.asked) < 2:
            await asyncio.sleep(0)
    assert not task.done()
    legs.played(ari.asked[1][2], True)
    assert await task is None
    assert [asked[:2] for asked in ari.asked] == [("play", "hello"), ("play", "goodbye")]


async def test_a_key_interrupts_the_sound_only_where_it_may() -> None:
    legs, leg, ari, keys = taken()
    task = await begun(leg.play(["menu"], keys="12"), ari, 1)
    legs.pressed(CHANNEL, "7")
    legs.pressed(CHANNEL, "2")
    assert await task == "2"
    assert ari.asked[1] == ("stop", ari.asked[0][2])
    assert keys == ["7", "2"]
    quiet = await begun(leg.play(["law"]), ari, 3)
    legs.pressed(CHANNEL, "1")
    legs.played(ari.asked[2][2], True)
    assert await quiet is None
    assert await leg.key(5) == "1", "what was pressed meanwhile is not lost"


async def test_a_key_that_was_pressed_before_needs_no_sound() -> None:
    legs, leg, ari, _ = taken()
    legs.pressed(CHANNEL, "1")
    assert await leg.play(["menu"], keys="1") == "1"
    assert ari.asked == []


async def test_digits_end_by_count_by_key_and_by_silence() -> None:
    legs, leg, _, _ = taken()
    for key in "12#345":
        legs.pressed(CHANNEL, key)
    assert await leg.digits(4, 5) == "12"
    assert await leg.digits(2, 5) == "34"
    assert await leg.digits(4, 0.01) == "5"


async def test_the_channels_end_ends_every_wait() -> None:
    legs, leg, ari, _ = taken()
    playing = await begun(leg.play(["menu"], keys="1"), ari, 1)
    legs.left(CHANNEL)
    with pytest.raises(LegGone):
        await playing
    with pytest.raises(LegGone):
        await leg.key(5)
    assert legs.get(CHANNEL) is None


@pytest.mark.parametrize(("status", "error"), [(404, LegGone), (409, LegGone), (500, NotPlayed)])
async def test_what_asterisk_refuses_is_told_apart(status: int, error: type[Exception]) -> None:
    _, leg, _, _ = taken(status)
    with pytest.raises(error):
        await leg.play(["hello"])


async def test_a_sound_that_failed_is_no_sound() -> None:
    legs, leg, ari, _ = taken()
    task = await begun(leg.play(["no-such-file"]), ari, 1)
    legs.played(ari.asked[0][2], False)
    with pytest.raises(NotPlayed, match="no-such-file"):
        await task
