"""A call taken out of one agent's hands, and put where the next ones are: what transfers, parking and supervisors do.

Before an agent lets go the person is in a room with music: nobody waits in silence, and a failure leaves everything as
it was.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dialerd.core import ids
from dialerd.core.agent import AgentState
from dialerd.core.agent import Do as Step
from dialerd.core.incall import Do, Talk
from dialerd.core.status import AgentRefused
from dialerd.engine import record
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.conversations import Conversations
from dialerd.engine.exchange import Exchanges, allowed
from dialerd.engine.hands import call_of
from dialerd.engine.node import Node
from dialerd.engine.rooms import Rooms


class Moves:
    """`talk_ended` is told of an agent who is to say what became of a call that goes on without them."""

    def __init__(
        self, node: Node, rooms: Rooms, talk: Conversations, exchanges: Exchanges,
        talk_ended: Callable[[Agent, Call], None],
    ) -> None:  # fmt: skip
        self._node = node
        self._rooms = rooms
        self._talk = talk
        self._exchanges = exchanges
        self._talk_ended = talk_ended
        self._under_way: set[str] = set()

    def call_for(self, agent: Agent, do: Do) -> Call:
        """The agent's call, where the table lets this be done with it. Raises `AgentRefused`."""
        call = self._node.calls.get(call_of(agent))
        if call is None:
            raise AgentRefused("call_ended", "the call has ended")
        self.may(agent, call, do)
        return call

    def may(self, agent: Agent, call: Call, do: Do) -> None:
        """Asks the table (core.incall) about a call that this agent is on. Raises `AgentRefused`."""
        exchange = self._exchanges.get(call.attempt)
        if exchange is not None:
            exchange.may(do)
        else:
            allowed(Talk.ON_HOLD if agent.on_hold else Talk.TALKING, do)

    @contextmanager
    def alone(self, call: Call) -> Iterator[None]:
        """One verb at a time for each call: a second click must not overtake the first."""
        if call.attempt in self._under_way:
            raise AgentRefused("busy", "the last thing that was asked of this call is under way")
        self._under_way.add(call.attempt)
        try:
            yield
        finally:
            self._under_way.discard(call.attempt)

    def under_way(self, attempt: str) -> bool:
        """Whether a verb is at work on this call."""
        return attempt in self._under_way

    def colleague(self, agent: Agent, name: str) -> Agent:
        """Another agent of the tenant who is ready, by name or login number. Raises `AgentRefused`."""
        found = self.named(agent, name)
        if found.state is not AgentState.READY:
            raise AgentRefused("agent_not_ready", f"{found.name} is {found.state.replace('_', ' ')}")
        return found

    def named(self, agent: Agent, name: str) -> Agent:
        """Another agent of the tenant, by name or login number. Raises `AgentRefused`."""
        found = next(
            (a for a in self._node.agents if a.tenant_id == agent.tenant_id and a.name == name), None
        ) or self.by_login(agent, name)  # fmt: skip
        if found is None or found is agent:
            raise AgentRefused("no_such_agent", f"there is no other agent {name[:64]!r}")
        return found

    def by_login(self, agent: Agent, digits: str) -> Agent | None:
        """The agent of the same tenant who has this login number."""
        return next(
            (a for a in self._node.agents if a.login_number == digits and a.tenant_id == agent.tenant_id), None
        )  # fmt: skip

    async def aside(self, agent: Agent, call: Call, room: str | None = None) -> None:
        """The person out of the agent's hands, into a room with music. Raises `AgentRefused`: everything is as it was,
        or the agent or the person went meanwhile, which has had its consequences."""
        call.away = True
        try:
            await self._rooms.put(call.attempt, room or ids.waiting_room(call.attempt, secrets.token_hex(4)))
            self.check(agent, call)
        except AgentRefused:
            call.away = False
            if call.agent_id is None:
                self.wait(call)
            raise

    def check(self, agent: Agent, call: Call) -> None:
        """That they are still together, after something took a while."""
        if call.attempt not in self._node.calls or call.agent_id != agent.id or agent.attempt != call.attempt:
            raise AgentRefused("call_ended", "the call ended meanwhile")

    def out(self, agent: Agent, call: Call, *, says: bool, wrap_up_seconds: float | None = None) -> None:
        """The agent has no more to do with the call. `says`: what became of it, though, they do say."""
        if call.agent_id == agent.id:
            call.agent_id = None
        if agent.state is not AgentState.ON_CALL or agent.attempt != call.attempt:
            return
        if says:
            self._talk_ended(agent, call)
        else:
            agent.said = None
        seconds = call.campaign.wrap_up_seconds if wrap_up_seconds is None else wrap_up_seconds
        self._talk.wrap_up(agent, seconds)

    def wait(self, call: Call, home: Agent | None = None) -> None:
        """The person comes back: to `home` if free, else to the queue, whose limit ends in the message."""
        if call.attempt not in self._node.calls or call.facts.hung_up_at is not None or call.agent_id is not None:
            return
        call.away, call.arrived_monotonic = False, None
        call.hold_seconds = self._node.config.incall.queue_seconds
        if home is not None and home.state is AgentState.WRAP_UP and home.talked is call:
            home.talked = home.said = None
            self._node.agents.step(home, Step.READY)
        if home is not None and home.state is AgentState.READY:
            self._talk.give(call, home)
        else:
            self._talk.offer(call)

    def note(self, call: Call, kind: str, by: str, **detail: Any) -> None:
        """What was done, on record with the call."""
        row = record.in_call(call, self._node.clock.now(), f"talk.{kind}", {"by": by, **detail})
        self._node.ledger.put(row)
