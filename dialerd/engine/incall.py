"""Everything that is done with a call in mid-talk beyond hold and mute, behind one door: transfers, parking, the
message left on a machine, supervisors. Verbs come from the page, the API and the keys of a phone; Asterisk's events and
reconcile come in here as well.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

import structlog

from dialerd.ari.link import AriLink
from dialerd.core import ids
from dialerd.core.agent import AgentState
from dialerd.core.agentview import AgentView
from dialerd.core.attempt import Event, Kind
from dialerd.core.featurekeys import Keypad, Pressed
from dialerd.core.incall import Do, Talk
from dialerd.core.reconcile import Channel
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.conversations import Conversations
from dialerd.engine.desk import CallerIdDesk
from dialerd.engine.dialing import Dialing
from dialerd.engine.exchange import WITH_AGENT, Exchange, Exchanges
from dialerd.engine.hands import Hands
from dialerd.engine.moves import Moves
from dialerd.engine.node import Node
from dialerd.engine.parking import Parking
from dialerd.engine.queues import Queues
from dialerd.engine.rooms import Rooms, asked, tried
from dialerd.engine.supervision import Mode, Supervision
from dialerd.engine.thirds import Third, Thirds
from dialerd.engine.transfers import Transfers

log = structlog.get_logger(__name__)

Verb = Callable[[Agent, Mapping[str, str], str], Awaitable[None]]


class InCall:
    """`talk_ended` is told of an agent who is to say what became of a call that goes on without them; `changed` of each
    agent whose view is another one. `by_key`: what is done by a key of the phone and is not done in here; they are
    given the agent and whose door it was."""

    def __init__(
        self, node: Node, ari: AriLink, desk: CallerIdDesk, dialing: Dialing, talk: Conversations, hands: Hands,
        talk_ended: Callable[[Agent, Call], None], changed: Callable[[Agent], None], doubt: Callable[[], None],
        by_key: Mapping[str, Callable[[Agent, str], Awaitable[None]]],
    ) -> None:  # fmt: skip
        self._node = node
        self._ari = ari
        self._talk = talk
        self._hands = hands
        self._changed = changed
        self._by_key_elsewhere = by_key
        self._rooms = Rooms(ari, node.spawn)
        self.queues = Queues(node, ari, self._rooms)
        self._exchanges = Exchanges()
        self._moves = Moves(node, self._rooms, talk, self._exchanges, talk_ended)
        self._transfers = Transfers(node, ari, self._rooms, hands, talk, self._exchanges, self._moves, changed, doubt)
        self._transfers.thirds = Thirds(node, ari, desk, dialing, self._transfers.third_gone)
        self._parking = Parking(node, self._rooms, talk, self._moves, changed)
        self._supervision = Supervision(node, ari, talk, self._moves, self._transfers, changed)
        self._keypads: dict[int, Keypad] = {}
        transfers, watch = self._transfers, self._supervision
        self.verbs: dict[str, Verb] = {
            "transfer": lambda agent, said, by: transfers.transfer(agent, said.get("to", ""), by),
            "consult": lambda agent, said, by: transfers.consult(agent, said.get("to", ""), by),
            "complete": lambda agent, said, by: transfers.complete(agent, by),
            "conference": lambda agent, said, by: transfers.conference(agent, by),
            "cancel": lambda agent, said, by: transfers.cancel(agent, by),
            "park": lambda agent, said, by: self._parking.park(agent, said.get("to") or None, by),
            "pickup": lambda agent, said, by: self._parking.pick_up(agent, said.get("attempt") or None, by),
            "message": lambda agent, said, by: self._leave_message(agent, by),
            **{
                mode.value: partial(self._watch, mode) for mode in Mode
            },
            "takeover": lambda agent, said, by: watch.take_over(agent, said.get("to") or None, by),
            "unwatch": lambda agent, said, by: watch.stop(agent, by),
        }  # fmt: skip

    async def do(self, agent: Agent, verb: str, said: Mapping[str, str], by: str) -> None:
        """One of `verbs`; `said`: `to` (whom) and `attempt`, where a verb takes them. Raises `AgentRefused`."""
        await self.verbs[verb](agent, said, by)

    async def _watch(self, mode: Mode, agent: Agent, said: Mapping[str, str], by: str) -> None:
        await self._supervision.watch(agent, said.get("to") or None, mode, by)

    async def _leave_message(self, agent: Agent, by: str) -> None:
        """The campaign's message is played to what answered, which is a machine; the agent is free at once."""
        call = self._moves.call_for(agent, Do.LEAVE_MESSAGE)
        sound = call.campaign.voicemail_sound
        if sound is None:
            raise AgentRefused("no_message", "the campaign has none: set its voicemail_sound")
        with self._moves.alone(call):
            call.away = True
            try:
                await asked(self._ari.leave_message(call.attempt, sound))
            except AgentRefused:
                call.away = False
                raise
            self._node.calls.learn(call.attempt, Event(Kind.MESSAGE, self._node.clock.now(), agent_id=agent.id))
            self._moves.note(call, "message", by, agent=agent.name, sound=sound)
            self._moves.out(agent, call, says=False, wrap_up_seconds=0.0)

    async def hold(self, agent: Agent) -> None:
        """The person hears music until `unhold`; a second time changes nothing. Raises `AgentRefused`."""
        call = self._moves.call_for(agent, Do.HOLD if not agent.on_hold else Do.RESUME)
        with self._moves.alone(call):
            await self._hands.hold(agent)

    async def unhold(self, agent: Agent) -> None:
        """Back to the agent; with nobody on hold nothing changes. Raises `AgentRefused`."""
        call = self._moves.call_for(agent, Do.RESUME if agent.on_hold else Do.HOLD)
        with self._moves.alone(call):
            await self._hands.unhold(agent)

    def leave(self, agent: Agent) -> bool:
        """An agent who is asked about a colleague's call hangs up: false, where nobody asks them."""
        if not agent.consulted:
            return False
        self._transfers.leave(agent)
        return True

    # -- keys -----------------------------------------------------------------------------------------------------

    def key(self, agent: Agent, key: str) -> bool:
        """A key of the agent's phone; whether it is part of a verb's sequence."""
        keypad = self._keypads.setdefault(agent.id, Keypad(self._node.config.incall.keys))
        taken, pressed = keypad.press(key, self._node.clock.monotonic())
        if pressed is not None:
            self._node.spawn(self._by_key(agent, pressed), f"{pressed.verb} of {agent.name}")
        return taken

    async def _by_key(self, agent: Agent, pressed: Pressed) -> None:
        hands, by = self._hands, f"the phone of {agent.name}"
        elsewhere = self._by_key_elsewhere.get(pressed.verb)
        try:
            if elsewhere is not None:
                await elsewhere(agent, by)
            elif pressed.verb == "hold":
                await (self.unhold(agent) if agent.on_hold else self.hold(agent))
            elif pressed.verb == "mute":
                await (hands.unmute(agent) if agent.muted else hands.mute(agent))
            else:
                await self.do(agent, pressed.verb, {"to": pressed.digits}, by)
        except AgentRefused as refused:
            log.info("agent.key_refused", agent=agent.name, verb=pressed.verb, why=refused.reason)
            agent.notice = str(refused)
            self._changed(agent)

    # -- what agents see ------------------------------------------------------------------------------------------

    def seen(self, agent: Agent, view: AgentView) -> AgentView:
        """The view with what is in here."""
        exchange = self._exchanges.get(agent.attempt)
        with_third = exchange is not None and exchange.agent is agent and exchange.talk in WITH_AGENT
        call = self._node.calls.get(agent.attempt or "")
        return replace(
            view,
            talk=exchange.talk.value if exchange is not None and with_third else "",
            third=exchange.third.words if exchange is not None and with_third else "",
            asked=agent.consulted,
            message=call is not None and call.campaign.voicemail_sound is not None,
            parked=self._parking.view(agent),
            supervisor=agent.supervisor,
            watching=self._supervision.words(agent),
        )

    # -- what happens ---------------------------------------------------------------------------------------------

    def arrived(self, channel: str) -> bool:
        """A channel that we asked for is in our app: a third party, or what a supervisor hears. False: it is neither,
        or nobody wants it any more."""
        return self._transfers.answered(channel) or self._supervision.arrived(channel)

    def gone(self, channel: str) -> None:
        """Any channel ended."""
        self._transfers.third_gone(channel)

    def entered(self, attempt: str, bridge: str) -> None:
        """A person is in another bridge."""
        self.queues.entered(attempt, bridge)
        self._rooms.entered(attempt, bridge)
        call = self._node.calls.get(attempt)
        if call is not None and ids.agent_of(bridge) is not None:
            call.hold_seconds = None  # who loses this agent, too, waits as any other caller

    def stepped(self, agent: Agent, before: AgentState) -> None:
        """An agent's state is another one."""
        self._transfers.stepped(agent)
        self._supervision.stepped(agent, before)
        if agent.state is AgentState.OFFLINE:
            self._keypads.pop(agent.id, None)

    def call_ended(self, call: Call) -> None:
        """A call is over."""
        self._transfers.call_ended(call)
        self._parking.call_ended(call)
        self.queues.call_ended(call.attempt)
        self._rooms.ended(call.attempt)

    # -- reconcile ------------------------------------------------------------------------------------------------

    def known(self) -> set[str]:
        """The third parties whose channels Asterisk must have: written down before its list is asked for."""
        return {e.third.channel for e in self._exchanges if e.third.called and e.third.colleague is None}

    def reconcile(self, known: set[str], channels: list[Channel], bridges: Mapping[str, list[str]]) -> set[str]:
        """Holds what we believe against Asterisk's lists, and takes over what a daemon before us left. Returns the
        channels that are ours."""
        where = {channel: bridge for bridge, inside in bridges.items() for channel in inside}
        there = {channel.id for channel in channels}
        for lost in known - there:
            self._transfers.third_gone(lost)
        for channel in channels:
            if channel.in_app and ids.caller_of(channel.id) is not None:
                self._take_over(channel.id, where)
            elif channel.in_app and ids.is_attempt(channel.id):
                self._find(channel.id, where.get(channel.id, ""))
        ours = {e.third.channel for e in self._exchanges} | self._supervision.channels()
        for channel in channels:
            if ids.listener_of(channel.id) is not None and channel.id not in ours:
                self._node.spawn(tried(self._ari.hang_up(channel.id), "snoop"), f"hang up {channel.id}")
        for agent in self._node.agents:
            bridge = where.get(agent.leg or "", agent.bridge)
            if bridge != agent.bridge and not agent.consulted and not self._supervision.words(agent):
                self._node.spawn(tried(self._ari.join(agent.bridge, agent.leg or ""), "home"), f"home {agent.name}")
        for call in self._node.calls:
            if call.away and not self._has_place(call):
                call.away = False  # something went wrong on the way: it is offered to the agents as any other
        for bridge, inside in bridges.items():
            if self._rooms.unknown(bridge) and not inside:
                self._node.spawn(tried(self._ari.end_bridge(bridge), "room"), f"end {bridge}")
        return ours

    def _has_place(self, call: Call) -> bool:
        attempt = call.attempt
        return (
            self._exchanges.get(attempt) is not None or self._parking.holds(attempt)
            or self._moves.under_way(attempt) or call.facts.message
        )  # fmt: skip

    def _find(self, attempt: str, bridge: str) -> None:
        """A person in a room of which we know nothing."""
        call, parked = self._node.calls.get(attempt), ids.parked(bridge)
        if call is None or not self._rooms.unknown(bridge) or ids.room_of(bridge) != attempt:
            return
        self._rooms.found(attempt, bridge)
        if parked is not None:
            self._parking.found(call, *parked)
        elif (node := ids.queue_node(bridge)) is not None:
            self.queues.found(call, bridge, node)
        elif ids.is_waiting_room(bridge):
            call.hold_seconds = self._node.config.incall.queue_seconds  # reconcile offers it to the agents

    def _take_over(self, channel: str, where: Mapping[str, str]) -> None:
        """A third party of a daemon before us, where it stands with somebody; else it is nobody's, and is ended."""
        agent = self._node.agents.get(ids.caller_of(channel))
        bridge = where.get(channel, "")
        if agent is None or self._exchanges.with_third(channel) is not None:
            return
        people = {b: a for a, b in where.items() if ids.is_attempt(a)}
        third = Third(channel, "the third party", "the third party", called=True)
        third.answered_monotonic = self._node.clock.monotonic()
        paired = self._node.calls.get(ids.room_of(bridge) or "")
        if paired is not None and where.get(paired.attempt) == bridge:
            paired.away, paired.agent_id = True, None
            self._rooms.found(paired.attempt, bridge)
            self._exchanges.put(Exchange(paired, agent, third, Talk.TOGETHER))
        elif bridge == agent.bridge and where.get(agent.leg or "") == bridge:
            held = people.get(agent.room)
            call = self._node.calls.get(held or people.get(bridge, ""))
            if call is not None:
                talk = Talk.CONSULTING if held is not None else Talk.THREE_WAY
                self._exchanges.put(Exchange(call, agent, third, talk))
