"""A channel in our hands, as a menu or a page needs it: what it is to hear, and which keys it presses.

Nothing is asked for twice and nothing polled: Asterisk's events end each wait. A channel that goes away ends it with
`LegGone`. Keys are kept in order, a few of them; what is pressed too early is not lost.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import ids

_KEYS = 32  # that are kept of one channel
_HANG_UP_SECONDS = 0.5  # between the end of what a channel heard and its own
_RECORDING_MARGIN_SECONDS = 5.0  # beyond its limit
_PLAYBACK_SECONDS = 600.0  # no sound is longer; an end that is not told must not hold a call for ever


class LegGone(Exception):
    """The channel is not there any more, or not in our hands."""


class NotPlayed(Exception):
    """Asterisk could not play a sound: there is none of this name, or in no format that it reads."""


class Leg:
    """One channel. Made by `Legs.take`, which is told its events; `close` when it goes into other hands."""

    def __init__(self, channel: str, ari: AriLink, forget: Callable[[str], None], key_pressed: Callable[[str], None]):
        self.channel = channel
        self._ari = ari
        self._forget = forget
        self._key_pressed = key_pressed
        self._keys: deque[str] = deque(maxlen=_KEYS)
        self._playing: dict[str, asyncio.Future[bool]] = {}
        self._recordings: dict[str, asyncio.Future[bool]] = {}
        self._changed = asyncio.Event()
        self.gone = False

    # -- what the events tell

    def pressed(self, key: str) -> None:
        """A key: 0 to 9, *, # or A to D."""
        self._keys.append(key)
        self._key_pressed(key)
        self._changed.set()

    def played(self, playback: str, well: bool) -> None:
        """A sound has ended."""
        future = self._playing.pop(playback, None)
        if future is not None and not future.done():
            future.set_result(well)

    def recorded(self, name: str, well: bool) -> None:
        """A recording has ended."""
        future = self._recordings.pop(name, None)
        if future is not None and not future.done():
            future.set_result(well)

    def left(self) -> None:
        """The channel hung up, or is not ours any more."""
        self.gone = True
        for future in self._recordings.values():  # what was said until then is kept
            if not future.done():
                future.set_result(True)
        for future in self._playing.values():
            if not future.done():
                future.set_exception(LegGone(self.channel))
                future.exception()  # whoever waited may be gone as well
        self._playing.clear()
        self._changed.set()

    # -- what is done with it

    async def play(self, sounds: Collection[str], keys: str = "") -> str | None:
        """Plays these sounds (Asterisk's names, without an ending) one after the other; with `keys` until one of those
        is pressed, which is returned. Raises `LegGone`, `NotPlayed`."""
        for sound in sounds:
            if keys and (key := self._next(keys)) is not None:
                return key
            if (key := await self._play(sound, keys)) is not None:
                return key
        return None

    async def key(self, seconds: float, keys: str = "0123456789*#ABCD") -> str | None:
        """The next key of these, waited for so long; others are thrown away. Raises `LegGone`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._next_key(keys)
        return None

    async def digits(self, most: int, seconds: float, end: str = "#") -> str:
        """Up to `most` keys, until one of `end` (which is not among them) or so many seconds without one."""
        found = ""
        while len(found) < most:
            key = await self.key(seconds)
            if key is None or key in end:
                break
            found += key
        return found

    async def record(self, name: str, seconds: float, silence_seconds: float, began: Callable[[], None]) -> None:
        """What is said after a beep, until a key, silence, the limit or the hang-up; `began` is told when Asterisk has
        begun. Raises `LegGone`, `NotPlayed`: it was not recorded."""
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._recordings[name] = ended
        try:
            await self._asked(self._ari.record(self.channel, name, seconds, silence_seconds))
            began()
            await asyncio.wait([ended], timeout=seconds + _RECORDING_MARGIN_SECONDS)
            if ended.done() and not ended.result():
                raise NotPlayed(f"recording {name}")
        finally:
            self._recordings.pop(name, None)
            self.forget_keys()  # the one that ended it is no answer to what comes next

    async def go_on(self, context: str, number: str, variables: Mapping[str, str]) -> None:
        """Leaves our hands for a context of our dialplan. Raises `LegGone`, `AriError`, `AriUnreachable`."""
        try:
            for name, value in variables.items():
                await self._ari.set_variable(self.channel, name, value)
            await self._ari.to_context(self.channel, context, number)
        except AriError as error:
            if error.status in (404, 409):
                raise LegGone(self.channel) from error
            raise

    def forget_keys(self) -> None:
        """What has been pressed so far is for nobody."""
        self._keys.clear()

    async def hang_up(self) -> None:
        """Ends the channel; one that is gone is fine."""
        with suppress(AriUnreachable):
            await self._ari.hang_up(self.channel)

    def close(self) -> None:
        """It goes into other hands: its events are nothing to us any more."""
        self._forget(self.channel)

    def _next(self, keys: str) -> str | None:
        while self._keys:
            key = self._keys.popleft()
            if key in keys:
                return key
        if self.gone:
            raise LegGone(self.channel)
        return None

    async def _next_key(self, keys: str) -> str:
        while (key := self._next(keys)) is None:
            self._changed.clear()
            await self._changed.wait()
        return key

    async def _play(self, sound: str, keys: str) -> str | None:
        if self.gone:
            raise LegGone(self.channel)
        playback = ids.playback(self.channel, secrets.token_hex(4))
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._playing[playback] = ended
        pressed = asyncio.create_task(self._next_key(keys)) if keys else None
        try:
            await self._asked(self._ari.play(self.channel, playback, sound))
            waits: list[asyncio.Future[Any]] = [ended] if pressed is None else [ended, pressed]
            await asyncio.wait(waits, timeout=_PLAYBACK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            key = pressed.result() if pressed is not None and pressed.done() and not pressed.exception() else None
            # A key that came with the end of the sound, or of the channel, was pressed: it is not lost.
            if key is None and ended.done():
                if not ended.result():
                    await self._gone_with(sound)
                return None
            if not ended.done():
                with suppress(AriError, AriUnreachable):
                    await self._ari.stop_playing(playback)
            return key
        finally:
            self._playing.pop(playback, None)
            if pressed is not None:
                pressed.cancel()

    async def _gone_with(self, sound: str) -> None:
        """A sound failed. A hang-up makes it fail as well, and is told just after it. Raises `LegGone`, `NotPlayed`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HANG_UP_SECONDS):
                while not self.gone:
                    self._changed.clear()
                    await self._changed.wait()
        raise LegGone(self.channel) if self.gone else NotPlayed(sound)

    async def _asked(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            await request
        except AriError as error:
            if error.status in (404, 409):
                raise LegGone(self.channel) from error
            raise NotPlayed(str(error)) from error


class Legs:
    """All channels that somebody follows, by id. The Stasis events of others are nothing to it."""

    def __init__(self, ari: AriLink) -> None:
        self._ari = ari
        self._legs: dict[str, Leg] = {}

    def take(self, channel: str, key_pressed: Callable[[str], None] = lambda key: None) -> Leg:
        """Follow a channel that has entered our app. `key_pressed` is told each key, whoever waits for it."""
        leg = Leg(channel, self._ari, self._gone_out, key_pressed)
        self._legs[channel] = leg
        return leg

    def get(self, channel: str) -> Leg | None:
        return self._legs.get(channel)

    def pressed(self, channel: str, key: str) -> None:
        """A key of any channel."""
        if (leg := self._legs.get(channel)) is not None:
            leg.pressed(key)

    def played(self, playback: str, well: bool) -> None:
        """The end of any sound."""
        channel = ids.playing_channel(playback)
        if channel is not None and (leg := self._legs.get(channel)) is not None:
            leg.played(playback, well)

    def recorded(self, name: str, well: bool) -> None:
        """The end of any recording."""
        channel = ids.recorded_channel(name)
        if channel is not None and (leg := self._legs.get(channel)) is not None:
            leg.recorded(name, well)

    def left(self, channel: str) -> None:
        """Any channel left our app, or ended."""
        if (leg := self._legs.pop(channel, None)) is not None:
            leg.left()

    def _gone_out(self, channel: str) -> None:
        self._legs.pop(channel, None)
