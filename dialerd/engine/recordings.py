"""Calls that are recorded: when it begins, what both sides are told before, pause, and the end.

A channel of its own listens to the person's channel and is recorded by Asterisk, so that the recording goes wherever
the person goes, and goes on when this daemon dies. With the next agent or a third party another one begins: half of
those listeners hear nothing of whoever comes later (docs/recordings.md). What Asterisk has recorded is the business of
`engine.mover`. Where it may not, or cannot, be recorded, the call goes on without, and that is on record.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import ids, recording
from dialerd.core.status import AgentRefused
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.mover import Mover
from dialerd.engine.node import Node
from dialerd.store import recordings as store
from dialerd.store.errors import DB_ERRORS

log = structlog.get_logger(__name__)

_ANNOUNCE_SECONDS = 60.0  # no announcement is longer
_WRITE_SECONDS = 2.0  # that a recording waits to be on record; then it begins all the same
_ENTER_SECONDS = 3.0  # for the listening channel to enter our app
_APART_SECONDS = 0.1  # between two listeners of a channel: Asterisk has taken its list of them down when it was empty
_TRIES = 3  # beginnings of one call that fail


class _Refused(Exception):
    """Not to be recorded; `reason` is one word."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(slots=True)
class _Taped:
    """A call of a campaign that records. `bridge`: where the person stands, `moves`: how often they came into one;
    `began`: where this recording did; `paused`: it, and each that follows, holds silence; `why` empty: nobody wants it
    recorded (yet). `over`: not again by itself."""

    call: Call
    why: str
    bridge: str = ""
    moves: int = 0
    name: str | None = None
    began: str = ""
    paused: bool = False
    announced: bool = False
    failures: int = 0
    over: bool = False
    looked: bool = False  # whether a recording from before this process was looked for
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Recordings:
    """Events come in by the methods of the first part, which never wait. Verbs raise `AgentRefused`. `changed` is told
    of each call whose `recording` is another word."""

    def __init__(self, node: Node, ari: AriLink, mover: Mover, changed: Callable[[Call], None]) -> None:
        self._node = node
        self._ari = ari
        self._mover = mover
        self._changed = changed
        self._taped: dict[str, _Taped] = {}
        self._names: dict[str, _Taped] = {}
        self._entering: dict[str, asyncio.Future[None]] = {}
        self._announcing: dict[str, asyncio.Future[bool]] = {}
        self._unheard: list[str] = []  # announcements that were under way when ARI was lost

    # -- what the events tell -------------------------------------------------------------------------------------

    def entered(self, attempt: str, bridge: str) -> None:
        """A call came into this bridge just now."""
        call = self._node.calls.get(attempt)
        if call is not None and call.campaign.recording != "never":
            tape = self._tape(call)
            tape.bridge, tape.moves = bridge, tape.moves + 1
            self._follow(tape)
            self._consider(tape)

    def seen(self, attempt: str, bridge: str) -> None:
        """Reconcile saw a call in this bridge, a moment ago: what events have said since is newer."""
        call = self._node.calls.get(attempt)
        if call is not None and call.campaign.recording != "never":
            tape = self._tape(call)
            tape.bridge = tape.bridge or bridge
            if tape.bridge == bridge:
                self._consider(tape)

    def call_ended(self, call: Call) -> None:
        """Any call is over; Asterisk ends the recording by itself."""
        tape = self._taped.pop(call.attempt, None)
        if tape is not None:
            tape.over = True
            if tape.name is not None:
                self._names.pop(tape.name, None)
            self._mover.wake()

    def listening(self, channel: str) -> bool:
        """A channel that is to be recorded entered our app; whether somebody waits for it."""
        future = self._entering.get(ids.recording_of(channel) or "")
        if future is None or future.done():
            return False
        future.set_result(None)
        return True

    def played(self, playback: str, well: bool) -> None:
        """The end of any sound."""
        future = self._announcing.get(playback)
        if future is not None and not future.done():
            future.set_result(well)

    def finished(self, name: str, well: bool) -> None:
        """A recording ended: by our wish, with its call, or because Asterisk could not write."""
        tape = self._names.pop(name, None)
        self._mover.wake()
        if tape is None:
            return
        if not well:
            self._failed(tape, name, "Asterisk could not write it")
        if tape.name == name:  # else the next one has begun, or is about to
            tape.name = None
            self._say(tape, "")

    def ari_changed(self) -> None:
        """ARI came or went: ends may have gone unheard. What is not recorded any more begins again by reconcile."""
        if not self._ari.up:
            for tape in self._taped.values():
                tape.bridge = ""  # until reconcile has seen it
            self._unheard += self._announcing
            waiting: list[asyncio.Future[Any]] = [*self._announcing.values(), *self._entering.values()]
            for future in waiting:
                if not future.done():
                    future.set_exception(AriUnreachable("the connection to ARI was lost"))
        else:
            self._mover.wake()
            self._node.spawn(self._compare(), "recordings compared")

    # -- what agents do -------------------------------------------------------------------------------------------

    async def start(self, call: Call) -> None:
        """Records from now on, or from the end of the announcement; nothing changes when it does already."""
        tape = self._tape(call)
        if tape.name is not None or tape.lock.locked():
            return
        refused = self._barred(call)
        if refused is not None:
            raise AgentRefused(refused.reason, str(refused))
        if ids.agent_of(tape.bridge) is None:
            raise AgentRefused("person_on_hold", "the person is on hold: record when they are back")
        tape.why, tape.over, tape.failures, tape.paused = tape.why or "demand", False, 0, False
        self._node.spawn(self._begin(tape), f"recording of {call.attempt}")

    async def stop(self, call: Call) -> None:
        """Ends the recording that an agent asked for. Another `start` makes another one."""
        tape = self._taped.get(call.attempt)
        if tape is not None and tape.why in ("always", "share"):
            raise AgentRefused("recording_is_required", "the campaign records this call; pause it for a payment")
        if tape is None or not tape.why or (tape.name is None and not tape.lock.locked()):
            raise AgentRefused("not_recording", "the call is not recorded")
        tape.why, tape.over = "", True
        if tape.name is not None:
            await self._asked(self._end(tape.name))

    async def pause(self, call: Call) -> None:
        """Silence instead of voices, until `resume` or the end of the call: for card numbers."""
        tape = self._under_way(call)
        tape.paused = True  # first: the next one may be beginning just now
        try:
            if tape.name is not None:
                await self._asked(self._ari.mute_recording(tape.name))
        except AgentRefused:
            tape.paused = False
            raise
        self._say(tape, "paused")
        self._note(tape, "recording.paused", tape.name)

    async def resume(self, call: Call) -> None:
        """The end of the pause."""
        tape = self._under_way(call)
        if tape.name is not None:
            await self._asked(self._ari.unmute_recording(tape.name))
        tape.paused = False
        self._say(tape, "recording")
        self._note(tape, "recording.resumed", tape.name)

    # -- how it begins --------------------------------------------------------------------------------------------

    def _consider(self, tape: _Taped) -> None:
        bridge, call = tape.bridge, tape.call
        if ids.agent_of(bridge) is None or tape.name is not None or tape.over or tape.lock.locked():
            return
        if tape.why or (call.facts.link_lost and not tape.looked):
            self._node.spawn(self._begin(tape), f"recording of {call.attempt}")

    def _follow(self, tape: _Taped) -> None:
        """Where the person is with somebody else than when the recording began, another one is to begin."""
        attempt = tape.call.attempt
        if tape.name is not None and tape.bridge != tape.began and _talks(attempt, tape.bridge):
            self._node.spawn(self._begin(tape, anew=True), f"next recording of {attempt}")

    async def _begin(self, tape: _Taped, *, anew: bool = False) -> None:
        async with tape.lock:
            try:
                if anew:
                    await self._go_on(tape)
                    return
                if not tape.looked and tape.call.facts.link_lost and await self._found(tape):
                    return
                tape.looked = True
                while tape.why and not tape.over and tape.name is None:
                    if (refused := self._barred(tape.call)) is not None:
                        raise refused
                    if tape.call.campaign.recording_announcement is None or tape.announced:
                        await self._record(tape)
                        return
                    if not await self._announce(tape):
                        return  # they stand in no agent's bridge: it begins when they do
            except _Refused as refused:
                tape.over = True
                self._say(tape, "refused")
                self._note(tape, "recording.refused", None, reason=refused.reason, words=str(refused))
                log.error("recording.refused", attempt=tape.call.attempt, reason=refused.reason, why=str(refused))
            except (AriError, AriUnreachable, TimeoutError) as error:
                if tape.name is None:
                    self._say(tape, "")
                self._failed(tape, None, str(error) or type(error).__name__)

    async def _go_on(self, tape: _Taped) -> None:
        """The person is with somebody else now: what they say goes into a recording of its own. The announcement was
        heard before the first one, and a pause holds."""
        name = tape.name
        if name is None or tape.over or tape.bridge == tape.began:
            return
        await self._end(name)
        tape.name = None
        if (refused := self._barred(tape.call)) is not None:
            raise refused
        await asyncio.sleep(_APART_SECONDS)
        await self._record(tape)

    async def _announce(self, tape: _Taped) -> bool:
        """Lets both sides hear the announcement. False: the person has no agent now. When they were moved meanwhile
        they may not have heard it all: then `announced` stays false."""
        sound = tape.call.campaign.recording_announcement or ""
        bridge, moves = tape.bridge, tape.moves
        if ids.agent_of(bridge) is None:
            self._say(tape, "")
            return False
        playback = ids.playback(bridge, secrets.token_hex(4))
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._announcing[playback] = ended
        self._say(tape, "announcing")
        try:
            await self._ari.announce(bridge, playback, sound)
            async with asyncio.timeout(_ANNOUNCE_SECONDS):
                well = await ended
        except AriError as error:
            if error.status != 404:
                raise
            self._say(tape, "")
            return False  # the agent's bridge is gone
        finally:
            self._announcing.pop(playback, None)
        if tape.moves != moves or tape.call.agent_id is None:
            self._say(tape, "")
            return tape.moves != moves
        if not well:
            raise _Refused("announcement_not_played", f"Asterisk could not play the announcement {sound!r}")
        tape.announced = True
        self._note(tape, "recording.announced", None, sound=sound)
        return True

    async def _record(self, tape: _Taped) -> None:
        call, bridge = tape.call, tape.bridge
        name = recording.name(call.attempt, secrets.token_hex(8))
        await self._put_on_record(tape, name)
        entering = self._entering[name] = asyncio.get_running_loop().create_future()
        listener = ids.recorder(name)
        try:
            await self._ari.listen(call.attempt, listener)
            async with asyncio.timeout(_ENTER_SECONDS):
                await entering
            self._names[name] = tape  # before the request: its end may come before its answer
            await self._ari.tape(listener, name)
            if tape.paused:
                await self._ari.mute_recording(name)
        except BaseException:
            self._names.pop(name, None)
            self._node.spawn(self._undo(name), f"no recording {name}")
            raise
        finally:
            self._entering.pop(name, None)
        if tape.over or name not in self._names:  # it was stopped, or the call ended, meanwhile
            self._say(tape, "")
            self._node.spawn(self._tried(name), f"end of {name}")
            return
        tape.name, tape.began = name, bridge
        self._say(tape, "paused" if tape.paused else "recording")
        self._note(tape, "recording.started", name, why=tape.why)
        if tape.paused:
            self._note(tape, "recording.paused", name)
        self._follow(tape)
        log.info("recording.started", attempt=call.attempt, recording=name, why=tape.why)

    async def _put_on_record(self, tape: _Taped, name: str) -> None:
        """The row comes first, so that what is lost is known to be missing. Without PostgreSQL it is recorded all the
        same: the file's name says whose it is, and `mover` finds it."""
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                at = self._node.clock.now()
                await store.begin(self._node.reach(), name, self._node.config.node, tape.why, at, tape.announced)
        except DB_ERRORS as error:
            log.warning("recording.not_on_record", recording=name, error=str(error) or type(error).__name__)

    async def _found(self, tape: _Taped) -> bool:
        """A call from before this process: whether Asterisk records it still."""
        try:
            pool = self._node.reach()
            begun = await store.open_of(pool, tape.call.attempt)
            paused = {row.name for row in begun if await store.paused(pool, row.name)}
        except DB_ERRORS as error:
            log.warning("recording.unread", attempt=tape.call.attempt, error=str(error) or type(error).__name__)
            return True  # not twice: reconcile asks again
        tape.looked = True
        for row in begun:
            tape.announced = tape.announced or row.announced
            if await self._ari.is_recording(row.name):
                tape.name, tape.why, tape.began, tape.paused = row.name, row.why, tape.bridge, row.name in paused
                self._names[row.name] = tape
                self._say(tape, "paused" if tape.paused else "recording")
                log.info("recording.taken_over", attempt=tape.call.attempt, recording=row.name)
                return True
        return False

    def _barred(self, call: Call) -> _Refused | None:
        if call.campaign.recording == "never":
            return _Refused("recording_is_off", "the campaign records no calls")
        if call.campaign.recording_problem:
            return _Refused("announcement_missing", call.campaign.recording_problem)
        if self._mover.full:
            return _Refused("disk_full", f"there is too little space: {self._mover.full}")
        return None

    # -- how it ends ----------------------------------------------------------------------------------------------

    async def _end(self, name: str) -> None:
        await self._ari.stop_recording(name)
        await self._ari.hang_up(ids.recorder(name))

    async def _tried(self, name: str) -> None:
        try:
            await self._end(name)
        except (AriError, AriUnreachable) as error:
            log.warning("recording.not_ended", recording=name, error=str(error))

    async def _undo(self, name: str) -> None:
        await self._tried(name)
        try:
            if not await self._ari.is_recording(name) and name not in await self._ari.recordings():
                await store.never_begun(self._node.reach(), name)
        except (AriError, AriUnreachable, *DB_ERRORS) as error:
            log.warning("recording.not_undone", recording=name, error=str(error) or type(error).__name__)

    async def _compare(self) -> None:
        """What we believe to be recorded, and is not: its end went unheard. And announcements that begin again."""
        unheard, self._unheard = self._unheard, []
        for playback in unheard:
            with suppress(AriError, AriUnreachable):
                await self._ari.stop_playing(playback)
        for name in list(self._names):
            try:
                if not await self._ari.is_recording(name):
                    self.finished(name, True)
            except (AriError, AriUnreachable) as error:
                log.warning("recording.not_compared", recording=name, error=str(error))
                return  # the next connection compares again

    # -- small things ---------------------------------------------------------------------------------------------

    def _tape(self, call: Call) -> _Taped:
        tape = self._taped.get(call.attempt)
        if tape is None:
            policy = call.campaign.recording
            wanted = recording.by_itself(policy, call.campaign.recording_share, call.attempt)
            tape = self._taped[call.attempt] = _Taped(call, policy if wanted else "")
        return tape

    def _under_way(self, call: Call) -> _Taped:
        tape = self._taped.get(call.attempt)
        if tape is None or (tape.name is None and not (tape.began and tape.lock.locked() and not tape.over)):
            raise AgentRefused("not_recording", "the call is not recorded")
        return tape

    def _failed(self, tape: _Taped, name: str | None, why: str) -> None:
        if tape.call.attempt not in self._node.calls or tape.call.facts.hung_up_at is not None:
            return  # the person hung up: there was nothing more to record
        tape.failures += 1
        tape.over = tape.over or tape.failures >= _TRIES
        self._note(tape, "recording.failed", name, words=why)
        log.error("recording.failed", attempt=tape.call.attempt, recording=name, error=why, again=not tape.over)

    def _say(self, tape: _Taped, word: str) -> None:
        if tape.call.recording != word:
            tape.call.recording = word
            self._changed(tape.call)

    def _note(self, tape: _Taped, kind: str, name: str | None, **detail: object) -> None:
        about = {"name": name} if name else {}
        self._node.ledger.put(record.of_call(tape.call, self._node.clock.now(), kind, {**about, **detail}))

    async def _asked(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            await request
        except AriUnreachable as error:
            raise AgentRefused("ari_down", f"Asterisk did not answer: {error}") from error
        except AriError as error:
            raise AgentRefused("asterisk_refused", f"Asterisk refused: {error}") from error


def _talks(attempt: str, bridge: str) -> bool:
    """Whether somebody is there to talk to: an agent, or a third party."""
    return ids.agent_of(bridge) is not None or bridge == ids.pair_bridge(attempt)
