"""Preview: an agent looks at the next contact of a campaign, and calls or skips it. Nothing is dialled by itself.

The contact is held in PostgreSQL for so long; the hold ends by itself, whatever becomes of us. The call passes every
gate at the moment when it is asked for, and its answer is for this agent: nobody else is given to them meanwhile.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from dialerd.core.agent import AgentState, Do
from dialerd.core.agentview import Person
from dialerd.core.status import AgentRefused
from dialerd.core.terms import Judgement
from dialerd.engine.agents import Agent, Agents, Preview
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.dialing import COUNTRY_OF, Dialing
from dialerd.engine.node import Node
from dialerd.engine.views import serves
from dialerd.store import previews as store
from dialerd.store.claim import Claim
from dialerd.store.errors import DB_ERRORS
from dialerd.store.people import people
from dialerd.store.queue import promote

log = structlog.get_logger(__name__)

REASON = "preview"  # of the pause in which an agent looks at a contact
SKIP_SECONDS = 3_600.0  # after which a contact that was skipped comes again
MAX_SKIP_SECONDS = 30 * 86_400.0


class Previews:
    """Verbs raise `AgentRefused`. `hang_up(channel)` ends a call, `serve(agent)` gives a free agent who waits,
    `changed(agent)` is told of another view."""

    def __init__(
        self,
        node: Node,
        dialing: Dialing,
        hang_up: Callable[[str], Coroutine[Any, Any, None]],
        serve: Callable[[Agent], None],
        changed: Callable[[Agent], None],
    ) -> None:
        self._node = node
        self._agents: Agents = node.agents
        self._dialing = dialing
        self._hang_up = hang_up
        self._serve = serve
        self._changed = changed

    async def next(self, agent: Agent, campaign: str | None = None) -> None:
        """Holds the next contact for the agent, who gets no other calls while they look. `campaign`: name or id of the
        one that is meant; None: any that they serve."""
        if agent.state not in (AgentState.READY, AgentState.WRAP_UP):
            raise AgentRefused(f"agent_is_{agent.state}", "the next contact is for who is ready, or wraps up")
        wanted = [c for c in self._node.campaigns.values() if serves(c, agent) and _is(c, campaign)]
        if not wanted:
            raise AgentRefused("no_preview_campaign", "no active campaign in mode preview is served by this agent")
        self._agents.step(agent, Do.PAUSE, REASON)
        try:
            found = await self._held(agent, wanted)
        except DB_ERRORS as error:
            self._free(agent)
            log.warning("preview.failed", error=str(error) or type(error).__name__)
            raise AgentRefused("postgres_down", "PostgreSQL did not answer: try again") from None
        if found is None:
            self._free(agent)
            raise AgentRefused("nothing_due", "there is no contact that may be called now")
        if not _looks(agent):
            self._give_back(agent, found, 0.0, {"why": "the agent went away"})
            raise AgentRefused(f"agent_is_{agent.state}", "the agent went away meanwhile")
        agent.preview = found
        left = (found.until - self._node.clock.now()).total_seconds()
        asyncio.get_running_loop().call_later(max(0.0, left), self._expired, agent, found)
        self._changed(agent)

    async def skip(self, agent: Agent, reason: str, seconds: float = SKIP_SECONDS) -> None:
        """The contact's turn comes again after `seconds`; who skipped it and why is on record."""
        if not 0 <= seconds <= MAX_SKIP_SECONDS:
            raise AgentRefused("bad_delay", f"a contact is put off by 0 to {MAX_SKIP_SECONDS:g} seconds")
        held = _looked_at(agent)
        agent.preview = None
        self._give_back(agent, held, seconds, {"why": "skipped", "reason": reason})
        self._free(agent)

    async def call(self, agent: Agent) -> None:
        """Calls the contact, if every gate still allows it; what becomes of the call the agent's view tells."""
        held = _looked_at(agent)
        campaign = self._node.campaigns.get(held.campaign_id)
        gate = self._node.gate()
        trunk = self._node.config.trunks.get(campaign.trunk) if campaign is not None else None
        if gate is not None or campaign is None or trunk is None:
            raise AgentRefused(gate or "unknown_trunk", f"nothing is dialled now: {gate or 'no such trunk here'}")
        held.asked = True

        async def take(judgement: Judgement) -> Claim:
            return await store.claim_held(
                self._node.reach(), campaign.id, agent.id, self._node.config.node, judgement
            )  # fmt: skip

        def begun(call: Call) -> None:
            call.preview, call.person = True, held.person
            held.attempt = call.attempt
            self._changed(agent)

        refusal = await self._dialing.one(campaign, trunk, take, begun)
        if refusal is not None:
            agent.preview = None if agent.preview is held else agent.preview
            self._give_back(agent, held, 0.0, {"why": refusal})
            self._free(agent)
            raise AgentRefused(refusal, f"not dialled: {refusal.replace('_', ' ')}")

    def drop(self, agent: Agent) -> None:
        """The agent does not want it any more: its call ends, or the contact goes back at once."""
        held, agent.preview = agent.preview, None
        if held is not None:
            self._let_go(agent, held)

    def ended(self, call: Call) -> None:
        """A call is over; if its agent still waited for the answer, they are free again."""
        agent = self._agents.get(call.for_agent)
        if agent is not None and agent.preview is not None and agent.preview.attempt == call.attempt:
            agent.preview = None
            self._free(agent)
            agent.notice = f"not reached: {call.outcome.value.replace('_', ' ')}"
            self._changed(agent)

    def stepped(self, agent: Agent, before: AgentState) -> None:
        """An agent who is offline looks at nothing."""
        if agent.state is AgentState.OFFLINE:
            self.drop(agent)

    def _let_go(self, agent: Agent, held: Preview) -> None:
        if held.attempt is not None:
            self._node.spawn(self._hang_up(held.attempt), f"hang up {held.attempt}")
        else:
            self._give_back(agent, held, 0.0, {"why": "the agent went on without it"})

    def _expired(self, agent: Agent, held: Preview) -> None:
        if agent.preview is held and not held.asked:
            agent.preview = None
            self._free(agent)
            agent.notice = "that contact was held for its time and went back to the queue"
            self._changed(agent)

    def _free(self, agent: Agent) -> None:
        if _looks(agent):
            self._agents.step(agent, Do.READY)
            self._serve(agent)

    def _give_back(self, agent: Agent, held: Preview, seconds: float, why: dict[str, Any]) -> None:
        self._node.spawn(self._gave_back(agent, held, seconds, why), f"end of a preview of {agent.name}")

    async def _gave_back(self, agent: Agent, held: Preview, seconds: float, why: dict[str, Any]) -> None:
        detail = {"agent_id": agent.id, "number": held.person.number} | why
        try:
            await store.end(self._node.reach(), agent.tenant_id, held.campaign_id, agent.id, seconds, detail)
        except DB_ERRORS as error:  # then the hold ends by itself
            log.warning("preview.not_ended", error=str(error) or type(error).__name__)

    async def _held(self, agent: Agent, wanted: list[Campaign]) -> Preview | None:
        pool = self._node.reach()
        for campaign in wanted:
            await promote(pool, campaign.id)  # no pacing does it for a campaign of this mode
            judgement = campaign.judge(self._node.zone_sets, COUNTRY_OF, self._node.clock.now())
            held = await store.hold_next(pool, campaign.id, agent.id, judgement, campaign.preview_seconds)
            if held is not None:
                found = await people(pool, [(held.contact_id, held.e164)])
                person = found.get(held.contact_id) or Person(held.contact_id, held.e164)
                return Preview(campaign.id, person, held.until)
        return None


def _is(campaign: Campaign, wanted: str | None) -> bool:
    return wanted is None or wanted in (campaign.name, str(campaign.id))


def _looks(agent: Agent) -> bool:
    return agent.state is AgentState.PAUSED and agent.reason == REASON


def _looked_at(agent: Agent) -> Preview:
    held = agent.preview
    if held is None:
        raise AgentRefused("no_preview", "no contact is held for this agent")
    if held.asked:
        raise AgentRefused("already_dialed", "this contact is being called")
    return held
