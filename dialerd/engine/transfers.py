"""A call given to somebody else: at once (blind), after asking them (consult, then complete), or all three together.

Before an agent lets go, the person is in a room with music, or with who takes the call; so nobody is in silence, and
whoever is not answered comes back: to the agent if free, else to the queue, else to the message. Every way in which one
of the three may leave ends in a state of core.incall.
"""

import secrets
from collections.abc import Callable
from typing import Any

import structlog

from dialerd.ari.link import AriLink
from dialerd.core import ids
from dialerd.core import target as targets
from dialerd.core.agent import AgentState
from dialerd.core.agent import Do as Step
from dialerd.core.incall import Do, Talk
from dialerd.core.status import AgentRefused
from dialerd.core.target import Kind, Target
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.conversations import Conversations
from dialerd.engine.exchange import WITH_AGENT, Exchange, Exchanges
from dialerd.engine.hands import Hands, call_of
from dialerd.engine.moves import Moves
from dialerd.engine.node import Node
from dialerd.engine.rooms import Rooms, asked, tried
from dialerd.engine.thirds import Third, Thirds

log = structlog.get_logger(__name__)


class Transfers:
    """Verbs wait for Asterisk's answer and raise `AgentRefused`. `changed` is told of
    each agent whose view is another one; `doubt` asks for a reconcile."""

    def __init__(
        self, node: Node, ari: AriLink, rooms: Rooms, hands: Hands, talk: Conversations, exchanges: Exchanges,
        moves: Moves, changed: Callable[[Agent], None], doubt: Callable[[], None],
    ) -> None:  # fmt: skip
        self._node = node
        self._ari = ari
        self._rooms = rooms
        self._hands = hands
        self._talk = talk
        self._exchanges = exchanges
        self._moves = moves
        self._changed = changed
        self._doubt = doubt
        self.thirds: Thirds  # they tell us what could not be called: set by whoever makes both

    # -- what agents ask for --------------------------------------------------------------------------------------

    async def transfer(self, agent: Agent, to: str, by: str) -> None:
        """The person goes there; the agent wraps up at once."""
        call, target = self._begin(agent, to, Do.SEND)
        with self._moves.alone(call):
            if target.kind is Kind.AGENT:
                await self.hand_over(agent, call, self._moves.colleague(agent, target.value), "transferred", by)
            elif target.kind is Kind.QUEUE:
                await self._to_queue(agent, call, target.value, by)
            else:
                await self._send(agent, call, target, by)

    async def consult(self, agent: Agent, to: str, by: str) -> None:
        """The person hears music, and somebody is called whom the agent asks."""
        call, target = self._begin(agent, to, Do.CONSULT)
        with self._moves.alone(call):
            if target.kind is Kind.QUEUE:
                raise AgentRefused("bad_target", "a queue cannot be asked: an agent, an extension or a number can")
            if target.kind is Kind.AGENT:
                colleague = self._moves.colleague(agent, target.value)
                third = Third(colleague.leg or "", colleague.name, colleague.name, colleague=colleague)
            else:
                third = await self.thirds.ready(agent, call, target)
            exchange = Exchange(call, agent, third, Talk.RINGING)
            self._exchanges.put(exchange)
            try:
                self._moves.check(agent, call)
                await self._hands.hold(agent)
                self._moves.check(agent, call)
            except AgentRefused:
                self._exchanges.remove(exchange)
                self.thirds.end(third)
                raise
            self._moves.note(call, "consult", by, agent=agent.name, to=third.masked)
            if third.colleague is not None:
                await self._ask(exchange, third.colleague)
            else:
                exchange.ringing = ids.playback(agent.bridge, secrets.token_hex(4))
                self._spawn(tried(self._ari.ring(agent.bridge, exchange.ringing), "ring"), "ring")
                self._spawn(self.thirds.dial(agent, third), f"call {third.masked}")
            self._changed(agent)

    async def cancel(self, agent: Agent, by: str) -> None:
        """The third party goes; the agent is back with the person."""
        exchange = self._own(agent)
        with self._moves.alone(exchange.call):
            exchange.step(Do.CANCEL)
            self._drop(exchange)
            self._moves.note(exchange.call, "consult.cancelled", by, agent=agent.name)
            await self._hands.unhold(agent)
            self._changed(agent)

    async def conference(self, agent: Agent, by: str) -> None:
        """All three hear each other."""
        exchange = self._own(agent)
        with self._moves.alone(exchange.call):
            exchange.may(Do.CONFER)
            await asked(self._ari.join(agent.bridge, exchange.call.attempt))
            agent.on_hold = False
            if self._exchanges.holds(exchange):
                exchange.step(Do.CONFER)
            self._moves.note(exchange.call, "conference", by, agent=agent.name, to=exchange.third.masked)
            self._changed(agent)

    async def complete(self, agent: Agent, by: str) -> None:
        """The person stays with the third party, or waits for its answer; the agent wraps up."""
        exchange = self._own(agent)
        call, third = exchange.call, exchange.third
        with self._moves.alone(call):
            exchange.may(Do.COMPLETE)
            if third.colleague is not None:
                await self._complete_with(exchange, third.colleague, by)
                return
            if exchange.talk is Talk.RINGING:
                await self._moves.aside(agent, call)
            else:
                call.away = True
            if exchange.talk is not Talk.RINGING:  # also when it answered meanwhile
                await self._pair(exchange)
            if not self._exchanges.holds(exchange):
                call.away = False
                self._doubt()
                raise AgentRefused("third_gone", "the third party is gone")
            self._stop_ringing(exchange)
            exchange.step(Do.COMPLETE)
            self._moves.note(call, "transferred", by, agent=agent.name, to=third.masked)
            self._moves.out(agent, call, says=True)

    async def hand_over(self, agent: Agent, call: Call, to: Agent, kind: str, by: str) -> None:
        """The person goes to another agent who is ready."""
        await self._moves.aside(agent, call)
        self._moves.note(call, kind, by, agent=agent.name, to=to.name)
        exchange = self._exchanges.get(call.attempt)
        if exchange is not None:
            self._drop(exchange)
        self._moves.out(agent, call, says=False)
        if to.state is AgentState.READY:
            call.away, call.hold_seconds = False, self._node.config.incall.queue_seconds
            self._talk.give(call, to)
        else:
            self._moves.wait(call, agent)

    def leave(self, colleague: Agent) -> None:
        """An agent who is asked about a call has had enough of it."""
        exchange = self._exchanges.asking(colleague)
        if exchange is not None:
            self._third_gone(exchange)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _begin(self, agent: Agent, to: str, do: Do) -> tuple[Call, Target]:
        call = self._moves.call_for(agent, do)
        try:
            return call, targets.parse(to, lambda digits: self._moves.by_login(agent, digits) is not None)
        except targets.TargetRefused as refused:
            raise AgentRefused("bad_target", str(refused)) from None

    async def _send(self, agent: Agent, call: Call, target: Target, by: str) -> None:
        third = await self.thirds.ready(agent, call, target)
        exchange = Exchange(call, agent, third, Talk.SENT)
        try:
            self._moves.check(agent, call)
            self._exchanges.put(exchange)
            await self._moves.aside(agent, call)
        except AgentRefused:
            self._exchanges.remove(exchange)
            self.thirds.end(third)
            raise
        self._moves.note(call, "transfer", by, agent=agent.name, to=third.masked)
        self._moves.out(agent, call, says=True)
        self._spawn(self.thirds.dial(agent, third), f"call {third.masked}")

    async def _to_queue(self, agent: Agent, call: Call, queue: str, by: str) -> None:
        if not any(a is not agent for a in self._node.agents.serving(queue, agent.tenant_id)):
            raise AgentRefused("no_such_queue", f"no other agent serves a queue {queue!r}")
        await self._moves.aside(agent, call)
        self._moves.note(call, "transferred", by, agent=agent.name, to=f"queue {queue}")
        call.queue = queue
        self._moves.out(agent, call, says=False)
        self._moves.wait(call)

    async def _pair(self, exchange: Exchange) -> None:
        call, agent = exchange.call, exchange.agent
        try:
            await self._rooms.pair(call.attempt, exchange.third.channel)
        except AgentRefused:
            call.away = False
            back = agent.room if agent.on_hold else agent.bridge
            await tried(self._ari.join(back, call.attempt), "put back")
            raise

    async def _complete_with(self, exchange: Exchange, colleague: Agent, by: str) -> None:
        call, agent = exchange.call, exchange.agent
        await asked(self._ari.join(colleague.bridge, colleague.leg or ""))
        await asked(self._ari.join(colleague.bridge, call.attempt))
        if not self._exchanges.holds(exchange) or colleague.state is not AgentState.ON_CALL:
            self._doubt()
            raise AgentRefused("third_gone", "the colleague is gone")
        self._theirs_now(exchange, colleague)
        self._moves.note(call, "transferred", by, agent=agent.name, to=colleague.name)
        self._moves.out(agent, call, says=False)

    def _theirs_now(self, exchange: Exchange, colleague: Agent) -> None:
        """The colleague who was asked has the call."""
        self._exchanges.remove(exchange)
        colleague.consulted, exchange.call.agent_id = False, colleague.id
        self._changed(colleague)

    async def _ask(self, exchange: Exchange, colleague: Agent) -> None:
        if colleague.state is not AgentState.READY:
            self._third_gone(exchange)
            raise AgentRefused("agent_not_ready", f"{colleague.name} is {colleague.state.replace('_', ' ')}")
        colleague.attempt, colleague.consulted = exchange.call.attempt, True
        self._node.agents.step(colleague, Step.RESERVE)
        try:
            await asked(self._ari.join(exchange.agent.bridge, colleague.leg or ""))
        except AgentRefused:
            self._third_gone(exchange)
            raise
        if colleague.consulted and self._exchanges.holds(exchange):
            self._node.agents.step(colleague, Step.JOIN)
            exchange.step(Do.ANSWER)

    # -- what happens ---------------------------------------------------------------------------------------------

    def answered(self, channel: str) -> bool:
        """A third party is in our app; false: nobody waits for it."""
        exchange = self._exchanges.with_third(channel)
        if exchange is None or exchange.third.over or exchange.third.answered_monotonic is not None:
            return False
        exchange.third.answered_monotonic, exchange.third.called = self._node.clock.monotonic(), True
        self._spawn(self._meet(exchange), f"meet {channel}")
        return True

    async def _meet(self, exchange: Exchange) -> None:
        call, third = exchange.call, exchange.third
        self._stop_ringing(exchange)
        try:
            if exchange.talk is Talk.RINGING:
                await asked(self._ari.join(exchange.agent.bridge, third.channel))
            else:
                await self._rooms.pair(call.attempt, third.channel)
        except AgentRefused as error:
            log.warning("third.join_failed", attempt=call.attempt, third=third.masked, error=str(error))
            self._third_gone(exchange)
            return
        if not self._exchanges.holds(exchange):
            self._doubt()  # it ended while they were being joined: reconcile sees where the person is
            return
        was_sent = exchange.talk is Talk.SENT
        exchange.step(Do.ANSWER)
        if was_sent and not self._is_paired(call):  # the agent completed between the answer and the join
            self._spawn(self._pair_or_wait(exchange), f"pair {call.attempt}")
        self._moves.note(call, "third.answered", "the third party", to=third.masked)
        self._changed(exchange.agent)

    def _is_paired(self, call: Call) -> bool:
        return not self._rooms.unknown(ids.pair_bridge(call.attempt))

    def third_gone(self, channel: str) -> None:
        """A channel ended, or could not be called."""
        exchange = self._exchanges.with_third(channel)
        if exchange is not None and exchange.third.colleague is None:
            self._third_gone(exchange)

    def _third_gone(self, exchange: Exchange) -> None:
        if not self._exchanges.holds(exchange):
            return
        call, agent, third = exchange.call, exchange.agent, exchange.third
        before, after = exchange.talk, exchange.step(Do.THIRD_GONE)
        answered = third.colleague is not None or third.answered_monotonic is not None
        self._drop(exchange)
        what = "hung up" if answered else "did not answer"
        self._moves.note(call, "third.gone", "the third party", to=third.masked, what=what)
        if after is Talk.WAITING:
            self._moves.wait(call, agent)
        elif after is Talk.OVER:
            self._talk.end_call(call.attempt)
        elif before is not Talk.THREE_WAY:
            self._spawn(self._resume(agent), f"resume {agent.name}")
        if after is Talk.TALKING:
            agent.notice = f"{third.words} {what}"
            self._changed(agent)

    async def _resume(self, agent: Agent) -> None:
        try:
            await self._hands.unhold(agent)
        except AgentRefused as refused:
            log.warning("talk.not_resumed", agent=agent.name, why=str(refused))  # the agent can, by hand

    def stepped(self, agent: Agent) -> None:
        """An agent's state is another one; who is offline has left every call."""
        if agent.state is not AgentState.OFFLINE:
            return
        self.leave(agent)
        for exchange in self._exchanges:
            if exchange.agent is agent and exchange.talk in WITH_AGENT:
                self._agent_gone(exchange)

    def _agent_gone(self, exchange: Exchange) -> None:
        call, colleague = exchange.call, exchange.third.colleague
        after = exchange.step(Do.AGENT_GONE)
        call.agent_id = None
        self._moves.note(call, "agent.gone", exchange.agent.name, to=exchange.third.masked)
        if after is Talk.TOGETHER and colleague is not None:
            self._theirs_now(exchange, colleague)
            self._spawn(self._move(call, colleague), f"move {call.attempt}")
            return
        call.away = True
        if after is Talk.TOGETHER:
            self._spawn(self._pair_or_wait(exchange), f"pair {call.attempt}")
        else:
            self._drop(exchange)
            self._spawn(self._aside_and_wait(call), f"aside {call.attempt}")

    async def _move(self, call: Call, colleague: Agent) -> None:
        await tried(self._ari.join(colleague.bridge, colleague.leg or ""), "home")
        await tried(self._ari.join(colleague.bridge, call.attempt), "move")

    async def _pair_or_wait(self, exchange: Exchange) -> None:
        try:
            await self._rooms.pair(exchange.call.attempt, exchange.third.channel)
        except AgentRefused:
            self._drop(exchange)
            self._moves.wait(exchange.call)

    async def _aside_and_wait(self, call: Call) -> None:
        try:
            await self._rooms.put(call.attempt, ids.waiting_room(call.attempt, secrets.token_hex(4)))
        except AgentRefused as refused:
            log.warning("talk.no_room", attempt=call.attempt, why=str(refused))
        self._moves.wait(call)

    def call_ended(self, call: Call) -> None:
        """The person is gone: so is the third party."""
        exchange = self._exchanges.get(call.attempt)
        if exchange is not None:
            exchange.step(Do.PERSON_GONE)
            self._drop(exchange)

    def _drop(self, exchange: Exchange) -> None:
        """The third party has no more to do with the call."""
        self._exchanges.remove(exchange)
        self._stop_ringing(exchange)
        self.thirds.end(exchange.third)
        colleague = exchange.third.colleague
        if colleague is None or not colleague.consulted:
            return
        colleague.consulted = False
        if colleague.leg is not None and colleague.state is not AgentState.OFFLINE:
            self._spawn(tried(self._ari.join(colleague.bridge, colleague.leg), "home"), f"home {colleague.name}")
        if colleague.state is AgentState.ON_CALL:
            self._talk.wrap_up(colleague, 0.0, "was asked")
        elif colleague.state is AgentState.RESERVED:
            self._talk.release(colleague, "was to be asked")

    def _stop_ringing(self, exchange: Exchange) -> None:
        ringing, exchange.ringing = exchange.ringing, None
        if ringing is not None:
            self._spawn(tried(self._ari.stop_playing(ringing), "stop ringing"), "stop ringing")

    def _own(self, agent: Agent) -> Exchange:
        exchange = self._exchanges.get(call_of(agent))
        if exchange is None:
            raise AgentRefused("no_third_party", "there is no third party in this call")
        return exchange

    def _spawn(self, work: Any, name: str) -> None:
        self._node.spawn(work, name)
