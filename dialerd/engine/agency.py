"""Everything that agents do, behind one door: the page, the API and the phone come in here.

`who` is an agent's name, or their id. Verbs raise `AgentUnknown` or `AgentRefused` (core.status).
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from dialerd.ari.leg import Legs
from dialerd.ari.link import AriLink
from dialerd.core.agent import AgentState
from dialerd.core.agentview import AgentView, Identity
from dialerd.core.attempt import Kind
from dialerd.core.disposition import Choices
from dialerd.core.status import AgentRefused, LiveEvent
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.conversations import Conversations
from dialerd.engine.desk import CallerIdDesk
from dialerd.engine.dialing import Dialing
from dialerd.engine.hands import Hands
from dialerd.engine.incall import InCall
from dialerd.engine.logins import PhoneLogins, Pins
from dialerd.engine.mover import Mover
from dialerd.engine.node import Node
from dialerd.engine.phones import way_to
from dialerd.engine.previews import SKIP_SECONDS, Previews
from dialerd.engine.recordings import Recordings
from dialerd.engine.views import People, Views
from dialerd.engine.wrapups import Wrapups

_RECORDED = ("announcing", "recording", "paused")
_SOON_ANSWERED = (Kind.RINGING, Kind.DIAL_ENDED, Kind.ENTERED)


class Agency:
    """`draining`: whether this daemon is stopping; `doubt` asks for a reconcile."""

    def __init__(
        self,
        node: Node,
        ari: AriLink,
        legs: Legs,
        conversations: Conversations,
        dialing: Dialing,
        choices: Choices,
        draining: Callable[[], bool],
        desk: CallerIdDesk,
        doubt: Callable[[], None],
    ) -> None:
        self._node = node
        self._agents = node.agents
        self._conversations = conversations
        self._draining = draining
        self._wrapups = Wrapups(
            node.clock, node.calls, choices, node.ledger.put, conversations.wrap_up_over, self._changed
        )
        self._people = People(node.reach, node.spawn, self._person_known)
        self._hands = Hands(ari, node.spawn, self._changed, music=node.config.agents.music)
        self.in_call = InCall(
            node, ari, desk, dialing, conversations, self._hands, self._wrapups.ended, self._changed, doubt,
            {"machine": self._machine, "record": self._record_or_stop, "record_pause": self._pause_or_resume},
        )  # fmt: skip
        self._views = Views(node, self._wrapups, self.in_call.seen)
        self._previews = Previews(node, dialing, ari.hang_up, conversations.serve, self._changed)
        self.mover = Mover(node, ari)
        self.recordings = Recordings(node, ari, self.mover, self._call_changed)
        self._pins = Pins(node.clock, node.agents)
        self.phone_logins = PhoneLogins(
            self._pins, legs, node.spawn, conversations.logged_in, lambda: not self._draining()
        )

    # -- what the engine tells ------------------------------------------------------------------------------------

    def stepped(self, agent: Agent, before: AgentState) -> None:
        """An agent's state is another one."""
        self._hands.stepped(agent, before)
        self._wrapups.stepped(agent, before)
        self._previews.stepped(agent, before)
        self.in_call.stepped(agent, before)
        self._views.changed(agent)

    def learned(self, call: Call, kind: Kind) -> None:
        """Something was learned of a live call: whom it is with is read while it rings."""
        if kind in _SOON_ANSWERED:
            self._people.want(call)

    def talk_ended(self, agent: Agent, call: Call) -> None:
        """A conversation is over; the wrap-up comes next."""
        self._wrapups.ended(agent, call)

    def taken_over(self, call: Call, row: Mapping[str, Any]) -> None:
        """A call of a daemon before us, and who was the last to be on it. If they gave it away they have said something
        of it, or are still to."""
        agent = self._agents.get(row["agent_id"])
        call.agent_id = row["agent_id"]
        if row["said"]:
            self._wrapups.keep(call, agent, row["said"])
        elif agent is not None and row["wraps_up"] and agent.state is AgentState.WRAP_UP:
            self._wrapups.ended(agent, call)

    def call_ended(self, call: Call) -> None:
        """Any call is over."""
        self._wrapups.call_ended(call)
        self.recordings.call_ended(call)
        self.in_call.call_ended(call)
        if call.preview:
            self._previews.ended(call)

    async def shown(self, agent: Agent) -> None:
        """Lets the agent's page be told before the voice is."""
        await self._views.shown(agent)

    def key(self, agent: Agent, key: str) -> None:
        """An agent pressed a key of their phone."""
        if not self.in_call.key(agent, key):
            self._wrapups.key(agent, key)

    # -- who is it, and what do they see --------------------------------------------------------------------------

    async def sign_in(self, typed: str, pin: str, address: str) -> Identity | None:
        """Who has this name or login number and this PIN; None: nobody. Raises `AgentRefused` after too many tries."""
        agent = await self._pins.verify(typed, pin, address)
        return None if agent is None else _identity(agent)

    def identity(self, agent_id: int) -> Identity | None:
        """An agent who may sign in, as they are now."""
        agent = self._agents.get(agent_id)
        return _identity(agent) if agent is not None and agent.queues and agent.pin_hash else None

    def tenant_of(self, who: str | int) -> int:
        """The agent's tenant."""
        return self._agents.named(who).tenant_id

    def view(self, who: str | int) -> AgentView:
        """What the agent sees now."""
        agent = self._agents.named(who)
        call = self._node.calls.get(agent.attempt or "") or agent.talked
        if call is not None:
            self._people.want(call)
        return self._views.view(agent)

    def subscribe(self, who: str | int) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """`view` events of one agent, the present first."""
        self.view(who)
        return self._views.subscribe(self._agents.named(who))

    # -- the day --------------------------------------------------------------------------------------------------

    async def connect(self, who: str | int) -> None:
        """Calls the agent's phone."""
        agent = self._agents.named(who)
        if self._draining():
            raise AgentRefused("draining", "this dialerd is stopping: no phone is connected any more")
        self._conversations.connect(agent, way_to(agent, self._node))

    async def disconnect(self, who: str | int) -> None:
        """Ends the agent's leg."""
        self._conversations.disconnect(self._agents.named(who))

    async def pause(self, who: str | int, reason: str) -> None:
        """No more calls; during a call, after it."""
        agent = self._agents.named(who)
        self._conversations.pause(agent, reason)
        self._changed(agent)

    async def ready(self, who: str | int) -> None:
        """Takes calls again; ends a pause, a wrap-up, and the look at a contact."""
        agent = self._agents.named(who)
        self._previews.drop(agent)
        self._conversations.ready(agent)
        self._changed(agent)

    # -- the call -------------------------------------------------------------------------------------------------

    async def hangup(self, who: str | int) -> None:
        """Ends the agent's call, also one that rings for them."""
        agent = self._agents.named(who)
        if self.in_call.leave(agent):
            return
        if agent.preview is not None and agent.preview.attempt is not None:
            self._conversations.end_call(agent.preview.attempt)
        else:
            self._conversations.hang_up_call(agent)

    async def hold(self, who: str | int) -> None:
        """The person hears music."""
        await self.in_call.hold(self._agents.named(who))

    async def unhold(self, who: str | int) -> None:
        """Back to the agent."""
        await self.in_call.unhold(self._agents.named(who))

    async def mute(self, who: str | int) -> None:
        """The person does not hear the agent."""
        await self._hands.mute(self._agents.named(who))

    async def unmute(self, who: str | int) -> None:
        """The end of it."""
        await self._hands.unmute(self._agents.named(who))

    async def dtmf(self, who: str | int, digits: str) -> None:
        """Keys to the person's side."""
        await self._hands.dtmf(self._agents.named(who), digits)

    async def record(self, who: str | int, do: str) -> None:
        """`start`, `stop`, `pause` or `resume`: the recording of the agent's call."""
        verbs = {
            "start": self.recordings.start, "stop": self.recordings.stop,
            "pause": self.recordings.pause, "resume": self.recordings.resume,
        }  # fmt: skip
        await verbs[do](self._on_call(self._agents.named(who)))

    async def do_in_call(self, who: str | int, verb: str, said: Mapping[str, str], by: str) -> None:
        """One of `core.featurekeys.VERBS`; see `InCall.do`."""
        agent = self._agents.named(who)
        await self.in_call.do(agent, verb, said, by)

    async def dispose(
        self, who: str | int, code: str, by: str, message: str | None = None, callback_at: datetime | None = None,
        attempt: str | None = None,
    ) -> None:  # fmt: skip
        """Says something of the call; see `Wrapups.dispose`."""
        self._wrapups.dispose(self._agents.named(who), code, by, message, callback_at, attempt)

    async def machine(self, who: str | int, by: str, attempt: str | None = None) -> None:
        """What answered was a machine: says so of the call, and ends it."""
        await self._machine(self._agents.named(who), by, attempt)

    async def preview_next(self, who: str | int, campaign: str | None = None) -> None:
        """Holds the next contact for the agent."""
        await self._previews.next(self._agents.named(who), campaign)

    async def preview_skip(self, who: str | int, reason: str, seconds: float = SKIP_SECONDS) -> None:
        """Not this one now."""
        await self._previews.skip(self._agents.named(who), reason, seconds)

    async def preview_call(self, who: str | int) -> None:
        """Calls the contact that is held."""
        await self._previews.call(self._agents.named(who))

    async def _machine(self, agent: Agent, by: str, attempt: str | None = None) -> None:
        if self._wrapups.machine(agent, by, attempt):
            self._conversations.hang_up_call(agent)

    async def _record_or_stop(self, agent: Agent, by: str) -> None:
        call = self._on_call(agent)
        await (self.recordings.stop(call) if call.recording in _RECORDED else self.recordings.start(call))

    async def _pause_or_resume(self, agent: Agent, by: str) -> None:
        call = self._on_call(agent)
        await (self.recordings.resume(call) if call.recording == "paused" else self.recordings.pause(call))

    def _on_call(self, agent: Agent) -> Call:
        call = self._node.calls.get(agent.attempt or "")
        if agent.state is not AgentState.ON_CALL or call is None:
            raise AgentRefused(f"agent_is_{agent.state}", "there is no call to do this with")
        return call

    def _call_changed(self, call: Call) -> None:
        agent = self._agents.get(call.agent_id)
        if agent is not None:
            self._views.changed(agent)

    def _changed(self, agent: Agent) -> None:
        self._views.changed(agent)

    def _person_known(self, call: Call) -> None:
        self._call_changed(call)


def _identity(agent: Agent) -> Identity:
    stamp = hashlib.sha256((agent.pin_hash or "").encode()).hexdigest()[:16]
    return Identity(agent.id, agent.tenant_id, agent.name, agent.full_name, stamp)
