"""What an agent does during a call: hold, mute, keys. And the music while they wait, where it is wanted.

On hold the person is in a waiting room of the agent's own, with music. It is known by its name, so that a restart finds
them there; and whoever loses their agent meanwhile is offered to the next one as any other.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core.agent import AgentState
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent
from dialerd.engine.node import Spawn

log = structlog.get_logger(__name__)

_DIGITS = re.compile(r"[0-9*#A-D]{1,32}\Z", re.ASCII)


class Hands:
    """Verbs wait for Asterisk's answer and raise `AgentRefused`. `music`: agents hear some while nobody talks to them.
    `changed` is told of each agent whose view is another one."""

    def __init__(self, ari: AriLink, spawn: Spawn, changed: Callable[[Agent], None], *, music: bool) -> None:
        self._ari = ari
        self._spawn = spawn
        self._changed = changed
        self._music = music

    async def hold(self, agent: Agent) -> None:
        """The person hears music until `unhold`; a second time changes nothing."""
        attempt = call_of(agent)
        if agent.on_hold:
            return
        agent.on_hold = agent.has_room = True  # before the requests: reconcile may look while they are under way
        room = agent.room
        try:
            await self._asked(self._ari.make_waiting_room(room))
            await self._asked(self._ari.join(room, attempt))
        except AgentRefused:
            agent.on_hold = False
            raise
        self._changed(agent)

    async def unhold(self, agent: Agent) -> None:
        """Back to the agent."""
        attempt = call_of(agent)
        if not agent.on_hold:
            return
        await self._asked(self._ari.join(agent.bridge, attempt))
        agent.on_hold = False  # the room stays until the end of the call: there may be a next time
        self._changed(agent)

    async def mute(self, agent: Agent) -> None:
        """The person does not hear the agent until `unmute`, or the end of the call."""
        call_of(agent)
        await self._asked(self._ari.mute(agent.leg or ""))
        agent.muted = True
        self._changed(agent)

    async def unmute(self, agent: Agent) -> None:
        if agent.leg is None:
            raise AgentRefused("agent_is_offline", "the agent's phone is not connected")
        await self._asked(self._ari.unmute(agent.leg))
        agent.muted = False
        self._changed(agent)

    async def dtmf(self, agent: Agent, digits: str) -> None:
        """Keys to the person's side: a menu that answered, an extension."""
        attempt = call_of(agent)
        if not _DIGITS.match(digits):
            raise AgentRefused("bad_digits", "1 to 32 of 0 to 9, *, #, A to D")
        await self._asked(self._ari.send_dtmf(attempt, digits))

    def stepped(self, agent: Agent, before: AgentState) -> None:
        """An agent's state is another one: a call's hold and mute end with it, music comes and goes."""
        if before is AgentState.ON_CALL:
            if agent.has_room:
                self._end_room(agent)
            agent.on_hold = agent.has_room = False
            if agent.muted and agent.leg is not None:
                self._spawn(self._tried(self._ari.unmute(agent.leg)), f"unmute {agent.name}")
            agent.muted = False
        if self._music and agent.state is AgentState.RESERVED:
            self._spawn(self._tried(self._ari.stop_music(agent.bridge)), f"no music for {agent.name}")
        elif self._music and agent.leg is not None and before in (*_BUSY, AgentState.CONNECTING):
            self._spawn(self._tried(self._ari.play_music(agent.bridge)), f"music for {agent.name}")

    def _end_room(self, agent: Agent) -> None:
        room = agent.room
        self._spawn(self._tried(self._ari.end_waiting_room(room)), f"end {room}")

    async def _asked(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            await request
        except AriUnreachable as error:
            raise AgentRefused("ari_down", f"Asterisk did not answer: {error}") from error
        except AriError as error:
            raise AgentRefused("asterisk_refused", f"Asterisk refused: {error}") from error

    async def _tried(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            await request
        except (AriError, AriUnreachable) as error:
            log.warning("ari.request_failed", what="hands", error=str(error))


_BUSY = (AgentState.RESERVED, AgentState.ON_CALL)


def call_of(agent: Agent) -> str:
    """The call that is theirs to do something with. Raises `AgentRefused`."""
    if agent.consulted:
        raise AgentRefused("agent_is_asked", "this is a colleague's call: hanging up leaves it")
    if agent.state is not AgentState.ON_CALL or agent.attempt is None:
        raise AgentRefused(f"agent_is_{agent.state}", "there is no call to do this with")
    return agent.attempt
