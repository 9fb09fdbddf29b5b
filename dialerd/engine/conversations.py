"""Answered calls and agents brought together, and nobody left in silence (rule 4).

An answered call gets the longest-idle agent of its queue at once, in one ARI request. With nobody free it waits; the
next agent who gets free takes the one who has waited longest; after the grace the dialplan plays the message.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import structlog

from dialerd.ari.leg import Legs
from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.clock import Clock
from dialerd.core import ids, machines
from dialerd.core.agent import AgentState, Do
from dialerd.core.attempt import Event, Kind, State
from dialerd.core.machines import VERDICT
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.calls import Call, Calls
from dialerd.engine.node import Spawn
from dialerd.engine.phones import Way

log = structlog.get_logger(__name__)

_PHONE_RINGS_SECONDS = 30
_BRIDGE_TROUBLE = (404, 409)  # addChannel: no such bridge, or not ours; 400 and 422 are about the channel


class Conversations:
    """Joins calls to agents. Methods are called from the event handlers and never wait; requests run as tasks.
    `nobody_came` is told of each call whose grace is over, `ended` of each conversation before its wrap-up begins,
    `key` of what agents press; `shown` waits, for some turns of the loop, until a reserved agent's page has been told.
    `tone`: the sound that an agent hears before a caller's voice. `say` begins the safe-harbour message; false: the
    dialplan has to."""

    def __init__(
        self,
        calls: Calls,
        agents: Agents,
        ari: AriLink,
        clock: Clock,
        spawn: Spawn,
        doubt: Callable[[], None],
        nobody_came: Callable[[Call], None],
        run_flow: Callable[[Call], None] | None = None,
        legs: Legs | None = None,
        tone: str = "",
        ended: Callable[[Agent, Call], None] = lambda agent, call: None,
        key: Callable[[Agent, str], None] = lambda agent, key: None,
        shown: Callable[[Agent], Coroutine[Any, Any, None]] | None = None,
        say: Callable[[Call], bool] = lambda call: False,
        waits: Callable[[Call], None] = lambda call: None,
    ) -> None:
        self._calls = calls
        self._agents = agents
        self._ari = ari
        self._clock = clock
        self._spawn = spawn
        self._doubt = doubt
        self._on_nobody_came = nobody_came
        self._run_flow = run_flow
        self._legs = legs or Legs(ari)
        self._tone = tone
        self._on_ended = ended
        self._on_key = key
        self._shown = shown
        self._say = say
        self._on_waits = waits

    # -- the customer's side --------------------------------------------------------------------------------------

    def customer_arrived(self, attempt: str, at: datetime, machine: str, cause: str = "") -> None:
        """An answered call entered our app. `machine` and `cause`: what AMD() said of it."""
        call = self._calls.get(attempt)
        if call is not None and machine == VERDICT:
            call.checked = machines.checked(attempt, call.campaign.check_share)
            if call.checked:
                self._spawn(self._check(call), f"check {attempt}")
        self._calls.learn(attempt, Event(Kind.ENTERED, at, status=machine, detail=cause))
        if call is None or attempt not in self._calls:
            log.warning("call.unknown", attempt=attempt, does="plays the message and hangs up")
            self._spawn(self._to_message(attempt), f"message {attempt}")
        elif call.on_machine:
            self._leave_machine(call)
        elif call.campaign.broadcast is not None:
            self._spawn(self._to_message(attempt), f"message {attempt}")
        elif call.walks and self._run_flow is not None:
            self._run_flow(call)
        else:
            if call.campaign.from_answer and call.facts.answered_at is not None:
                detection = max(0.0, (at - call.facts.answered_at).total_seconds())
                call.arrived_monotonic = self._clock.monotonic() - detection
            self.offer(call)

    async def _check(self, call: Call) -> None:
        """A call whose verdict an agent checks: with nobody free the dialplan plays what persons hear.
        (Emptying DIALERD_MACHINE_MESSAGE instead changes nothing: tried with 22.10.)"""
        if call.campaign.machine_detection == "message":
            another = self._ari.set_variable(call.attempt, "AMDSTATUS", "CHECKED")
            await self._tried("set_variable", call.attempt, another)

    def _leave_machine(self, call: Call) -> None:
        """A machine gets no agent: it is hung up, goes through its flow, or the dialplan leaves it a message."""
        if call.campaign.machine_detection == "drop":
            self.end_call(call.attempt)
        elif call.campaign.machine_detection == "flow" and self._run_flow is not None:
            self._run_flow(call)
        else:
            self._spawn(self._to_message(call.attempt), f"message {call.attempt}")

    def attend(self, call: Call) -> None:
        """A call that stands in our app alone: its flow goes on where it was, one that was past it gets an agent."""
        if call.forsaken:
            self.to_message(call)
        elif call.on_machine:
            self._leave_machine(call)
        elif (
            call.walks
            and self._run_flow is not None
            and call.facts.handed_at is None
            and call.facts.connected_at is None
        ):
            self._run_flow(call)
        else:
            self.offer(call)

    def offer(self, call: Call) -> None:
        """Gives a call that nobody talks on to a free agent, or lets it wait for the rest of its grace."""
        if call.preview and (own := self._agents.get(call.for_agent)) is not None and _awaits(own, call):
            self._agents.step(own, Do.READY)
            self._reserve(own, call)
            return
        free = self._agents.ready(call.queue_name, call.campaign.tenant_id)
        if free:
            awaited = self._calls.awaited() - {call.for_agent}
            # The agent who agreed to call back; else whoever is longest idle and not awaiting such a call of their own.
            self._reserve(min(free, key=lambda agent: (agent.id != call.for_agent, agent.id in awaited)), call)
            return
        now = self._clock.monotonic()
        if call.arrived_monotonic is None or call.state is State.CONNECTED:
            call.arrived_monotonic = now  # one that lost its agent in mid-talk gets a grace of its own
        call.waits = True
        self._on_waits(call)
        left = max(0.0, call.patience_seconds - (now - call.arrived_monotonic))
        asyncio.get_running_loop().call_later(left, self._nobody_came, call, call.arrived_monotonic)

    def joined(self, attempt: str, bridge: str, at: datetime) -> None:
        """A channel entered a bridge: if it is a call of ours in an agent's bridge, they hear each other now."""
        agent = self._agents.get(ids.agent_of(bridge))
        call = self._calls.get(attempt)
        if agent is None or call is None or agent.bridge != bridge:  # the last: of a leg that is gone
            return
        if agent.state is AgentState.RESERVED and agent.attempt == attempt:
            self._agents.step(agent, Do.JOIN)
        if call.state is not State.CONNECTED and call.facts.entered_at is not None:
            call.campaign.connect_ms.append((at - call.facts.entered_at).total_seconds() * 1000)
        self._calls.learn(attempt, Event(Kind.JOINED, at, agent_id=agent.id))

    def call_ended(self, call: Call) -> None:
        """A call is over: its agent goes to wrap-up, or is free again when they never met."""
        agent = self._agents.get(call.agent_id)
        if agent is None or agent.attempt != call.attempt:
            return
        if agent.state is AgentState.ON_CALL:
            self._on_ended(agent, call)
            self.wrap_up(agent, call.campaign.wrap_up_seconds)
        elif agent.state is AgentState.RESERVED:
            self.release(agent, "the caller hung up")

    def release(self, agent: Agent, reason: str) -> None:
        """A reserved agent is free again, unless a pause was asked for meanwhile."""
        self._agents.step(agent, Do.RELEASE, reason)
        if agent.pause_after is not None:
            self._agents.step(agent, Do.PAUSE, agent.pause_after)
            agent.pause_after = None
        else:
            self.serve(agent)

    def give(self, call: Call, agent: Agent) -> None:
        """Gives a call that nobody talks on to this ready agent."""
        self._reserve(agent, call)

    def _reserve(self, agent: Agent, call: Call) -> None:
        call.waits = False
        call.agent_id = agent.id
        agent.attempt = call.attempt
        call.joining = True
        agent.preview = None
        self._agents.step(agent, Do.RESERVE)  # the screen pop goes out here, before anything is asked of Asterisk
        if self._tone and agent.leg is not None:
            playback = ids.playback(agent.leg, secrets.token_hex(4))
            tone = self._ari.play(agent.leg, playback, self._tone)
            self._spawn(self._tried("play", agent.leg, tone), f"tone to {agent.name}")
        self._spawn(self._join(agent, call), f"join {call.attempt}")

    async def _join(self, agent: Agent, call: Call) -> None:
        refused: AriError | None = None
        try:
            if self._shown is not None:
                await self._shown(agent)
            if call.settling is not None and not call.settling.done():
                await asyncio.wait([call.settling])  # lest it overtakes ours
            await self._ari.join(agent.bridge, call.attempt)
        except AriUnreachable as error:
            log.warning("call.join_unknown", attempt=call.attempt, agent=agent.name, error=str(error))
            self._doubt()  # reconcile sees whether they are together
        except AriError as error:
            log.warning("call.join_failed", attempt=call.attempt, agent=agent.name, error=str(error))
            refused = error
        finally:
            call.joining = False
        if call.agent_id is None:
            self._offer_again(call)  # its agent went while the request was under way
        elif refused is not None:
            self._undo(agent, call, refused.status in _BRIDGE_TROUBLE)

    def _undo(self, agent: Agent, call: Call, bridge_is_bad: bool) -> None:
        if agent.state is not AgentState.RESERVED or agent.attempt != call.attempt:
            return  # the call ended or the agent went meanwhile: that has had its consequences
        if bridge_is_bad:
            self.leg_down(agent, "the agent's bridge was gone")
        else:
            call.agent_id = None
            self.release(agent, "the caller hung up")

    def _offer_again(self, call: Call) -> None:
        """A call that lost its agent goes to the next one; with a join under way only after it, lest two overtake
        each other."""
        if call.attempt in self._calls and call.facts.hung_up_at is None and not call.joining and not call.away:
            self.offer(call)

    def _nobody_came(self, call: Call, since: float) -> None:
        """The end of the grace that began at `since`; a call that got another one meanwhile is not meant."""
        if call.waits and call.arrived_monotonic == since and call.attempt in self._calls:
            call.waits = False
            log.info("call.nobody_free", attempt=call.attempt, grace_seconds=call.patience_seconds)
            self._on_nobody_came(call)
            if call.flow_next is not None and self._run_flow is not None and call.state is not State.CONNECTED:
                call.flow_node, call.flow_next = call.flow_next, None
                self._run_flow(call)
            else:
                self.to_message(call)

    def to_message(self, call: Call) -> None:
        """Lets a call hear the safe-harbour message; one that has gone is fine."""
        if not self._say(call):
            self._spawn(self._to_message(call.attempt), f"message {call.attempt}")

    async def _to_message(self, attempt: str) -> None:
        call = self._calls.get(attempt)
        if call is not None and call.checked:
            await self._check(call)  # again, and now before: the grace may be over as soon as the call arrives
        await self._tried("to_dialplan", attempt, self._ari.to_dialplan(attempt))

    async def _hang_up(self, channel: str) -> None:
        await self._tried("hang_up", channel, self._ari.hang_up(channel))

    async def _tried(self, what: str, channel: str, request: Coroutine[Any, Any, None]) -> None:
        """A request whose failure reconcile or TIMEOUT(absolute) makes good."""
        try:
            await request
        except (AriError, AriUnreachable) as error:
            log.warning("ari.request_failed", what=what, channel=channel, error=str(error))

    # -- the agent's side -----------------------------------------------------------------------------------------

    def connect(self, agent: Agent, way: Way | None = None) -> None:
        """Calls the agent's phone. Raises `AgentRefused` when it stands already."""
        if not self._ari.up:
            raise AgentRefused("ari_down", "Asterisk's ARI is not reachable: try again when /health says so")
        self._agents.step(agent, Do.CONNECT)
        agent.leg = ids.agent_leg(agent.id, secrets.token_hex(4))
        agent.bridge = ids.agent_bridge(agent.id, secrets.token_hex(4))
        self._spawn(self._call_phone(agent, agent.leg, way or Way(agent.endpoint)), f"phone of {agent.name}")

    def logged_in(self, agent: Agent, channel: str) -> None:
        """The agent called us, and is who they say: this channel is their leg. Raises `AgentRefused` when another one
        stands."""
        self._agents.step(agent, Do.CONNECT)
        agent.leg, agent.bridge = channel, ids.agent_bridge(agent.id, secrets.token_hex(4))
        self._spawn(self._stand(agent, channel), f"leg of {agent.name}")

    def follow(self, agent: Agent) -> None:
        """Hears which keys the agent presses; nothing changes when it does already."""
        if agent.leg is not None and self._legs.get(agent.leg) is None:
            self._legs.take(agent.leg, lambda key: self._on_key(agent, key))

    def disconnect(self, agent: Agent) -> None:
        """Ends the agent's leg; the rest follows from its end."""
        if agent.leg is None:
            raise AgentRefused("agent_is_offline", "the agent's phone is not connected")
        self._spawn(self._hang_up(agent.leg), f"hang up {agent.leg}")

    def pause(self, agent: Agent, reason: str) -> None:
        """No more calls. During a call: after it."""
        if agent.state in (AgentState.RESERVED, AgentState.ON_CALL):
            agent.pause_after = reason
        else:
            self._agents.step(agent, Do.PAUSE, reason)

    def ready(self, agent: Agent) -> None:
        """Takes calls again; during a call it only takes back a pause."""
        agent.pause_after = None
        if agent.state not in (AgentState.RESERVED, AgentState.ON_CALL, AgentState.READY):
            self._agents.step(agent, Do.READY)
            self.serve(agent)

    def hang_up_call(self, agent: Agent) -> None:
        """Ends the call that the agent is on."""
        if agent.state is not AgentState.ON_CALL or agent.attempt is None:
            raise AgentRefused(f"agent_is_{agent.state}", "there is no call to hang up")
        self.end_call(agent.attempt)

    def end_call(self, attempt: str) -> None:
        """Hangs up a call; the rest follows from its end."""
        self._spawn(self._hang_up(attempt), f"hang up {attempt}")

    def serve(self, agent: Agent) -> None:
        """A free agent takes their own callback, else the call that has waited longest, if any does."""
        waiting = [
            call
            for call in self._calls
            if call.waits and call.queue_name in agent.queues and call.campaign.tenant_id == agent.tenant_id
        ]
        if waiting and agent.state is AgentState.READY:
            self._reserve(
                agent, min(waiting, key=lambda call: (call.for_agent != agent.id, call.arrived_monotonic or 0.0))
            )

    def leg_answered(self, agent_id: int, channel: str) -> None:
        """A phone that we called entered our app."""
        agent = self._agents.get(agent_id)
        if agent is None or agent.leg != channel:
            self._spawn(self._hang_up(channel), f"hang up {channel}")
        else:
            self._spawn(self._stand(agent, channel), f"leg of {agent.name}")

    def leg_gone(self, channel: str) -> None:
        """An agent's leg ended."""
        if (agent := self._agents.at(channel)) is not None:
            self.leg_down(agent, "the phone hung up")

    def leg_down(self, agent: Agent, reason: str) -> None:
        """The agent is offline; the person they talked to goes to the next agent, or hears the message."""
        call = self._calls.get(agent.attempt) if agent.attempt else None
        bridge = agent.bridge
        self._agents.step(agent, Do.LEG_DOWN, reason)
        if call is not None and call.agent_id == agent.id:
            call.agent_id = None
            self._offer_again(call)
        self._spawn(self._tried("end_bridge", bridge, self._ari.end_bridge(bridge)), f"end {bridge}")

    def wrap_up_over(self, agent: Agent, since: datetime) -> None:
        """The limit: a wrap-up that is still the same one ends now."""
        if agent.state is AgentState.WRAP_UP and agent.since == since:
            self.ready(agent)

    def resume_wrap_up(self, agent: Agent, seconds: float) -> None:
        """The wrap-up's limit, from now."""
        asyncio.get_running_loop().call_later(seconds, self.wrap_up_over, agent, agent.since)

    def wrap_up(self, agent: Agent, seconds: float, reason: str = "") -> None:
        """The agent's call is over; wrap-up, or the pause that was asked for, follows."""
        self._agents.step(agent, Do.CALL_ENDED, reason)
        if agent.pause_after is not None:
            self._agents.step(agent, Do.PAUSE, agent.pause_after)
            agent.pause_after = None
        else:
            self.resume_wrap_up(agent, seconds)

    async def _call_phone(self, agent: Agent, leg: str, way: Way) -> None:
        try:
            await self._ari.call_phone(leg, way.endpoint, agent.id, ids.ACCOUNT, _PHONE_RINGS_SECONDS, way.shows)
        except (AriError, AriUnreachable) as error:
            log.warning("agent.phone_failed", agent=agent.name, phone=way.words, error=str(error))
            if agent.leg == leg:
                self._agents.step(agent, Do.LEG_DOWN, f"the phone '{way.words}' could not be called")

    async def _stand(self, agent: Agent, channel: str) -> None:
        try:
            await self._ari.make_bridge(agent.bridge)
            await self._ari.join(agent.bridge, channel)
        except (AriError, AriUnreachable) as error:
            log.warning("agent.bridge_failed", agent=agent.name, error=str(error))
            await self._hang_up(channel)
            return
        if agent.leg == channel and agent.state is AgentState.CONNECTING:
            self.follow(agent)
            self._agents.step(agent, Do.LEG_UP)
            self.serve(agent)


def _awaits(agent: Agent, call: Call) -> bool:
    """Whether an agent looked at this person, had them called, and is still there for them."""
    return agent.state is AgentState.PAUSED and agent.preview is not None and agent.preview.attempt == call.attempt
