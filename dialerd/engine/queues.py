"""People who wait in a flow's queue: they hear music, and a message in between, until an agent has them or the limit is
over.

Each is in a room of their own. The one request that puts them into the agent's bridge takes them out of it, and with it
of everything that is played there: a join costs no more than without music. The room's name says at which node they
wait: a restart finds them there, and their wait begins anew.
"""

import asyncio
import secrets
from dataclasses import dataclass

import structlog

from dialerd.ari.link import AriLink
from dialerd.core import ids
from dialerd.core.attempt import Event, Kind, State
from dialerd.core.flow import Queue, Script
from dialerd.core.status import AgentRefused
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.node import Node
from dialerd.engine.rooms import Rooms, asked, tried

log = structlog.get_logger(__name__)

_MESSAGE_SECONDS = 120.0  # no message is longer; an end that is not told must not keep the music away


@dataclass(slots=True)
class Wait:
    """`music`: the class, "" Asterisk's default; None: none. `message`: sounds."""

    call: Call
    flow: str
    room: str
    music: str | None
    message: list[str]
    every_seconds: float
    inside: bool = False  # whether the person is in the room
    task: asyncio.Task[None] | None = None


class Queues:
    """Nothing here waits for Asterisk but `leave`; what fails costs music and no call."""

    def __init__(self, node: Node, ari: AriLink, rooms: Rooms) -> None:
        self._node = node
        self._ari = ari
        self._rooms = rooms
        self._waits: dict[str, Wait] = {}
        self._playing: dict[str, asyncio.Future[bool]] = {}

    def wait(self, call: Call) -> None:
        """Nobody is free for a call: where it stands at a queue of its flow it waits in a room, also when it had an
        agent who did not come."""
        script, known = call.script, self._waits.get(call.attempt)
        node = script.flow.nodes.get(call.flow_node) if script is not None else None
        if script is None or not isinstance(node, Queue) or call.wait_seconds is None or (known and known.inside):
            return
        if call.state is not State.CONNECTED:
            self._begin(call, script, node, ids.queue_room(call.attempt, call.flow_node, secrets.token_hex(4)))

    def found(self, call: Call, room: str, name: str) -> None:
        """Reconcile found somebody in a room: a daemon before us let them wait at this node. It is offered to the
        agents next. Where the flow has no such queue any more, the flow begins again."""
        script = call.script
        node = script.flow.nodes.get(name) if script is not None else None
        # That the flow had handed it over is so whatever became of the flow: who hangs up now is abandoned.
        self._node.calls.learn(call.attempt, Event(Kind.HANDED, self._node.clock.now(), detail=name))
        if script is None or not isinstance(node, Queue):
            return
        call.flow_node, call.wait_seconds, call.flow_next = name, node.seconds, node.next
        self._begin(call, script, node, room)
        if (wait := self._waits.get(call.attempt)) is not None:
            wait.inside = True

    async def leave(self, call: Call) -> None:
        """Nobody came: the person stands alone again, and can hear something else. Raises `AriError`,
        `AriUnreachable`; whoever is in no room is fine."""
        wait = self._end(call.attempt)
        if call.settling is not None:
            await asyncio.wait([call.settling])
        for room in [wait.room] if wait is not None else self._rooms.queue_of(call.attempt):
            await self._ari.leave(room, call.attempt)
            self._rooms.entered(call.attempt, "")

    # -- what happens ---------------------------------------------------------------------------------------------

    def entered(self, attempt: str, bridge: str) -> None:
        """A person is in another bridge."""
        wait = self._waits.get(attempt)
        if wait is not None and wait.room == bridge:
            wait.inside = True
        elif wait is not None:
            self._end(attempt)

    def call_ended(self, attempt: str) -> None:
        """A call is over."""
        self._end(attempt)

    def played(self, playback: str, well: bool) -> None:
        """Any sound has ended."""
        future = self._playing.pop(playback, None)
        if future is not None and not future.done():
            future.set_result(well)

    def lost(self) -> None:
        """ARI came or went, and the end of a message may have gone unheard: the music begins again with ARI."""
        for wait in self._waits.values():
            if wait.task is not None:
                wait.task.cancel()
            if self._ari.up:
                self._start(wait)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _begin(self, call: Call, script: Script, node: Queue, room: str) -> None:
        message = script.sounds_of(node, "message")
        if node.music is False and not message:
            return
        self._end(call.attempt)
        music = node.music if isinstance(node.music, str) else "" if node.music else None
        self._waits[call.attempt] = wait = Wait(call, script.flow.name, room, music, message, node.every_seconds)
        self._start(wait)

    def _start(self, wait: Wait) -> None:
        wait.task = asyncio.create_task(self._entertain(wait), name=f"queue of {wait.call.attempt}")
        wait.task.add_done_callback(lambda done: _reap(wait, done))

    def _end(self, attempt: str) -> Wait | None:
        wait = self._waits.pop(attempt, None)
        if wait is not None and wait.task is not None:
            wait.task.cancel()
        return wait

    async def _entertain(self, wait: Wait) -> None:
        try:
            await self._put(wait)
            while wait.message:
                await asyncio.sleep(wait.every_seconds)
                if wait.call.waits:
                    await self._say(wait)
        except AgentRefused as refused:
            log.warning("queue.silent", attempt=wait.call.attempt, why=str(refused))

    async def _put(self, wait: Wait) -> None:
        """The person into the room, unless an agent has them by now; the agent's request comes after ours."""
        call = wait.call
        await self._rooms.open(call.attempt, wait.room, wait.music)
        if call.waits:
            call.settling = asyncio.ensure_future(asked(self._ari.join(wait.room, call.attempt)))
            call.settling.add_done_callback(lambda done: done.exception())  # also when nobody waits for it any more
            await asyncio.shield(call.settling)

    async def _say(self, wait: Wait) -> None:
        if wait.music is not None:
            await tried(self._ari.stop_music(wait.room), "queue")
        for sound in wait.message:
            if not await self._heard(wait.room, sound):
                self._not_played(wait, sound)
                break
        if wait.music is not None:
            await tried(self._ari.play_music(wait.room, wait.music), "queue")

    async def _heard(self, room: str, sound: str) -> bool:
        """Plays a sound in a room to its end; whether Asterisk could."""
        playback = ids.playback(room, secrets.token_hex(4))
        ended = self._playing[playback] = asyncio.get_running_loop().create_future()
        try:
            await asked(self._ari.announce(room, playback, sound))
            await asyncio.wait([ended], timeout=_MESSAGE_SECONDS)
            return not ended.done() or ended.result()
        finally:
            self._playing.pop(playback, None)

    def _not_played(self, wait: Wait, sound: str) -> None:
        """It is not tried again: the music goes on, and the record says why."""
        call, wait.message = wait.call, []
        log.error("queue.message_not_played", attempt=call.attempt, node=call.flow_node, sound=sound)
        detail = {"sound": sound}
        now = self._node.clock.now()
        self._node.ledger.put(record.flow_step(call, now, wait.flow, call.flow_node, "flow.message_not_played", detail))


def _reap(wait: Wait, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("queue.failed", attempt=wait.call.attempt, error=repr(error), exc_info=error)
