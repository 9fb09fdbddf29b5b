"""People who wait with music for another agent: any agent of the queue, or a named one, picks them up.

After the limit they go back to the agent who parked them if free, else to the queue. The room's name says by whom and
for whom: a restart finds them, and the limit begins anew.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from dialerd.core import ids
from dialerd.core.agent import AgentState
from dialerd.core.agent import Do as Step
from dialerd.core.agentview import ParkedView
from dialerd.core.incall import Do
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.conversations import Conversations
from dialerd.engine.moves import Moves
from dialerd.engine.node import Node
from dialerd.engine.rooms import Rooms

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Parked:
    """`by`: the agent who parked the call; `meant`: for whom, None: any of its queue."""

    call: Call
    by: int
    meant: int | None
    since: datetime


class Parking:
    """Verbs raise `AgentRefused`. `changed` is told of each agent who may pick somebody up, or not any more."""

    def __init__(
        self, node: Node, rooms: Rooms, talk: Conversations, moves: Moves, changed: Callable[[Agent], None]
    ) -> None:  # fmt: skip
        self._node = node
        self._rooms = rooms
        self._talk = talk
        self._moves = moves
        self._changed = changed
        self._parked: dict[str, Parked] = {}

    async def park(self, agent: Agent, meant: str | None, by: str) -> None:
        """The person waits for another agent; this one wraps up at once."""
        call = self._moves.call_for(agent, Do.PARK)
        with self._moves.alone(call):
            target = self._moves.named(agent, meant) if meant else None
            room = ids.park_room(call.attempt, agent.id, target.id if target else None)
            await self._moves.aside(agent, call, room)
            self._moves.note(call, "parked", by, agent=agent.name, meant=target.name if target else None)
            self._moves.out(agent, call, says=False)
            self._put(Parked(call, agent.id, target.id if target else None, self._node.clock.now()))

    async def pick_up(self, agent: Agent, attempt: str | None, by: str) -> None:
        """The agent takes this parked call, or the one that has waited longest of those that they may take."""
        if agent.state not in (AgentState.READY, AgentState.WRAP_UP):
            raise AgentRefused(f"agent_is_{agent.state}", "who picks a call up is ready, or wraps up")
        found = [p for p in self.for_agent(agent) if attempt in (None, p.call.attempt)]
        if not found:
            raise AgentRefused("nothing_parked", "nobody is parked whom this agent may pick up")
        parked = found[0]
        if agent.state is AgentState.WRAP_UP:
            self._node.agents.step(agent, Step.READY)
        self._take(parked)
        parked.call.away, parked.call.hold_seconds = False, self._node.config.incall.queue_seconds
        self._moves.note(parked.call, "picked_up", by, agent=agent.name)
        self._talk.give(parked.call, agent)

    def for_agent(self, agent: Agent) -> list[Parked]:
        """Whom the agent may pick up, the longest wait first."""
        return [p for p in self._parked.values() if self._may(agent, p)]

    def view(self, agent: Agent) -> tuple[ParkedView, ...]:
        """The same as the agent's page shows it."""
        return tuple(
            ParkedView(p.call.attempt, p.call.campaign.name, p.call.e164, p.since, p.meant == agent.id)
            for p in self.for_agent(agent)
        )

    def call_ended(self, call: Call) -> None:
        """A call is over."""
        if (parked := self._parked.get(call.attempt)) is not None:
            self._take(parked)

    def found(self, call: Call, by: int, meant: int | None) -> None:
        """Reconcile found somebody in a room: a daemon before us parked them."""
        if call.attempt not in self._parked:
            call.away, call.agent_id = True, None
            self._put(Parked(call, by, meant, self._node.clock.now()))

    def holds(self, attempt: str) -> bool:
        """Whether somebody is parked."""
        return attempt in self._parked

    def _may(self, agent: Agent, parked: Parked) -> bool:
        call = parked.call
        if agent.tenant_id != call.campaign.tenant_id:
            return False
        if parked.meant is not None:
            return agent.id in (parked.meant, parked.by)
        return call.queue_name in agent.queues or agent.id == parked.by

    def _put(self, parked: Parked) -> None:
        self._parked[parked.call.attempt] = parked
        asyncio.get_running_loop().call_later(self._node.config.incall.park_seconds, self._limit, parked)
        self._tell(parked)

    def _take(self, parked: Parked) -> None:
        self._parked.pop(parked.call.attempt, None)
        self._tell(parked)

    def _tell(self, parked: Parked) -> None:
        for agent in self._node.agents:
            if self._may(agent, parked):
                self._changed(agent)

    def _limit(self, parked: Parked) -> None:
        if self._parked.get(parked.call.attempt) is parked:
            log.info("park.limit", attempt=parked.call.attempt)
            self._take(parked)
            self._moves.note(parked.call, "park.limit", "the limit")
            self._moves.wait(parked.call, self._node.agents.get(parked.by))
