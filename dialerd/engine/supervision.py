"""Supervisors: they listen to an agent's call, whisper to the agent, talk to both (barge), or take the call over.

A supervisor is an agent with that role, and hears everything on their own leg. Listening and whispering go through a
channel of Asterisk's that hears the agent's leg; for barge the supervisor's leg stands in the agent's bridge. Only
agents of the same tenant; each use is on record with the call. It ends with the agent's part of the call.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from dialerd.ari.link import AriLink
from dialerd.core import ids
from dialerd.core.agent import AgentState
from dialerd.core.agent import Do as Step
from dialerd.core.incall import Do
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.conversations import Conversations
from dialerd.engine.moves import Moves
from dialerd.engine.node import Node
from dialerd.engine.rooms import asked, tried
from dialerd.engine.transfers import Transfers

log = structlog.get_logger(__name__)

REASON = "supervising"  # of the pause in which a supervisor listens


class Mode(StrEnum):
    """How a supervisor takes part."""

    LISTEN = "listen"  # hears both, is heard by nobody
    WHISPER = "whisper"  # the agent alone hears them
    BARGE = "barge"  # both hear them


@dataclass(slots=True)
class Watch:
    """`snoop`: the channel through which they hear; None: they stand in the agent's bridge. `again`: ready after."""

    supervisor: Agent
    agent: Agent
    call: Call
    mode: Mode
    again: bool
    snoop: str | None = None


class Supervision:
    """Verbs raise `AgentRefused`. `changed` is told of each agent whose view is another one."""

    def __init__(
        self, node: Node, ari: AriLink, talk: Conversations, moves: Moves, transfers: Transfers,
        changed: Callable[[Agent], None],
    ) -> None:  # fmt: skip
        self._node = node
        self._ari = ari
        self._talk = talk
        self._moves = moves
        self._transfers = transfers
        self._changed = changed
        self._watches: dict[int, Watch] = {}  # supervisor → what they listen to

    # -- what supervisors ask for ---------------------------------------------------------------------------------

    async def watch(self, supervisor: Agent, name: str | None, mode: Mode, by: str) -> None:
        """Listen, whisper or barge; `name`: the agent, None: the one who is listened to now."""
        watch = self._watches.get(supervisor.id)
        agent = self._whom(supervisor, name, watch)
        call = self._node.calls.get(agent.attempt or "")
        if agent.state is not AgentState.ON_CALL or call is None or agent.leg is None or agent.consulted:
            raise AgentRefused("agent_not_on_call", f"{agent.name} is {agent.state.replace('_', ' ')}")
        if watch is None or watch.agent is not agent:
            if watch is not None:
                self._end(watch)
            watch = self._begin(supervisor, agent, call, mode)
        else:
            self._leave_place(watch)
            watch.mode = mode
        self._moves.note(call, f"supervisor.{mode}", by, supervisor=supervisor.name, agent=agent.name)
        try:
            await self._take_place(watch, agent.leg)
        except AgentRefused:
            self._end(watch)
            raise
        self._changed(supervisor)

    async def take_over(self, supervisor: Agent, name: str | None, by: str) -> None:
        """The person goes to the supervisor; the agent wraps up."""
        watch = self._watches.get(supervisor.id)
        agent = self._whom(supervisor, name, watch)
        call = self._node.calls.get(agent.attempt or "")
        if agent.state is not AgentState.ON_CALL or call is None or agent.consulted:
            raise AgentRefused("agent_not_on_call", f"{agent.name} is {agent.state.replace('_', ' ')}")
        with self._moves.alone(call):
            self._moves.may(agent, call, Do.TAKE_OVER)
            if watch is not None:
                self._end(watch, free=False)
            if supervisor.state is AgentState.PAUSED:
                self._node.agents.step(supervisor, Step.READY)
            if supervisor.state is not AgentState.READY:
                raise AgentRefused(f"agent_is_{supervisor.state}", "a supervisor who takes over has no call")
            await self._transfers.hand_over(agent, call, supervisor, "supervisor.takeover", by)

    async def stop(self, supervisor: Agent, by: str) -> None:
        """No more listening."""
        watch = self._watches.get(supervisor.id)
        if watch is None:
            raise AgentRefused("not_supervising", f"{supervisor.name} listens to nobody")
        self._moves.note(watch.call, "supervisor.left", by, supervisor=supervisor.name, agent=watch.agent.name)
        self._end(watch)

    def words(self, supervisor: Agent) -> str:
        """Whom a supervisor listens to, and how; empty: nobody."""
        watch = self._watches.get(supervisor.id)
        return f"{watch.mode} {watch.agent.name}" if watch is not None else ""

    # -- what happens ---------------------------------------------------------------------------------------------

    def arrived(self, channel: str) -> bool:
        """A listening channel is in our app; false: nobody wants it."""
        watch = self._by_snoop(channel)
        if watch is None:
            return False
        self._node.spawn(tried(self._ari.join(watch.supervisor.bridge, channel), "listen"), f"listen {channel}")
        return True

    def channels(self) -> set[str]:
        """The listening channels."""
        return {watch.snoop for watch in self._watches.values() if watch.snoop is not None}

    def stepped(self, agent: Agent, before: AgentState) -> None:
        """An agent's state is another one: who listens to a call that is not theirs any more hears nothing, and a
        supervisor who talks to a person whose agent is gone has the call."""
        own = self._watches.get(agent.id)
        if own is not None and agent.state is not AgentState.PAUSED:
            self._end(own, free=False)
        if before is not AgentState.ON_CALL:
            return
        for watch in [w for w in self._watches.values() if w.agent is agent]:
            if agent.state is AgentState.OFFLINE and watch.mode is Mode.BARGE and watch.call.agent_id == agent.id:
                self._inherit(watch)
            else:
                self._end(watch)

    def _inherit(self, watch: Watch) -> None:
        """The agent's phone died under a supervisor who talks to the person: they go on alone."""
        supervisor, call = watch.supervisor, watch.call
        self._end(watch, free=False)
        self._node.agents.step(supervisor, Step.READY)
        self._moves.note(call, "supervisor.takeover", "the agent's phone is gone", supervisor=supervisor.name)
        self._talk.give(call, supervisor)  # it has this agent from here on, and is not offered to the next

    def _begin(self, supervisor: Agent, agent: Agent, call: Call, mode: Mode) -> Watch:
        if supervisor.state not in (AgentState.READY, AgentState.PAUSED):
            raise AgentRefused(f"agent_is_{supervisor.state}", "a supervisor who listens is ready, or paused")
        watch = Watch(supervisor, agent, call, mode, supervisor.state is AgentState.READY)
        if supervisor.state is AgentState.READY:
            self._node.agents.step(supervisor, Step.PAUSE, REASON)
        self._watches[supervisor.id] = watch
        return watch

    async def _take_place(self, watch: Watch, leg: str) -> None:
        if watch.mode is Mode.BARGE:
            await asked(self._ari.join(watch.agent.bridge, watch.supervisor.leg or ""))
            return
        watch.snoop = ids.snoop(watch.supervisor.id, secrets.token_hex(4))
        await asked(self._ari.snoop(leg, watch.snoop, whisper=watch.mode is Mode.WHISPER))
        if self._watches.get(watch.supervisor.id) is not watch:
            await tried(self._ari.hang_up(watch.snoop), "end of listening")

    def _leave_place(self, watch: Watch) -> None:
        snoop, watch.snoop = watch.snoop, None
        if snoop is not None:
            self._node.spawn(tried(self._ari.hang_up(snoop), "end of listening"), f"hang up {snoop}")
        elif watch.supervisor.leg is not None:
            home = self._ari.join(watch.supervisor.bridge, watch.supervisor.leg)
            self._node.spawn(tried(home, "home"), f"home {watch.supervisor.name}")

    def _end(self, watch: Watch, *, free: bool = True) -> None:
        """`free`: the supervisor takes calls again, if they did before."""
        if self._watches.get(watch.supervisor.id) is watch:
            del self._watches[watch.supervisor.id]
        self._leave_place(watch)
        supervisor = watch.supervisor
        if free and watch.again and supervisor.state is AgentState.PAUSED and supervisor.reason == REASON:
            self._talk.ready(supervisor)
        self._changed(supervisor)

    def _by_snoop(self, channel: str) -> Watch | None:
        return next((w for w in self._watches.values() if w.snoop == channel), None)

    def _whom(self, supervisor: Agent, name: str | None, watch: Watch | None) -> Agent:
        if not supervisor.supervisor:
            raise AgentRefused("no_supervisor", f"{supervisor.name} has not the role of a supervisor")
        if supervisor.leg is None:
            raise AgentRefused("agent_is_offline", "the supervisor's phone is not connected")
        if name:
            return self._moves.named(supervisor, name)
        if watch is None:
            raise AgentRefused("agent_wanted", "say to which agent")
        return watch.agent
