"""What each agent sees, and who is told when it changes.

A view is built only for whoever listens. It goes out in the step that reserves an agent, before the request that joins
the caller: from memory, because the person's data were read while the phone rang.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg
import structlog

from dialerd.core.agentview import AgentView, CallView, Choice, Person
from dialerd.core.status import AgentRefused, LiveEvent, to_json
from dialerd.engine.agents import Agent
from dialerd.engine.bus import Bus
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.node import Node, Spawn
from dialerd.engine.wrapups import Wrapups
from dialerd.store.errors import DB_ERRORS
from dialerd.store.people import people

log = structlog.get_logger(__name__)

LISTENERS = 4  # of one agent: pages that are open at a time
_TURNS = 3  # from an event to its bytes in the socket: the queue's, the stream's, and one to spare
_AT_ONCE = 200  # people that are read by one query


class Views:
    """`subscribe` gives `view` events, the first one at once. `more` completes a view."""

    def __init__(
        self, node: Node, wrapups: Wrapups, more: Callable[[Agent, AgentView], AgentView] = lambda agent, view: view
    ) -> None:
        self._more = more
        self._node = node
        self._clock = node.clock
        self._wrapups = wrapups
        self._buses: dict[int, tuple[Bus, int]] = {}  # agent id → its listeners' bus, and how many they are

    def view(self, agent: Agent) -> AgentView:
        """As it is now."""
        call = self._call(agent) or self._preview(agent)
        view = AgentView(
            name=agent.name,
            full_name=agent.full_name,
            state=agent.state.value,
            since=agent.since,
            at=self._clock.now(),
            reason=agent.reason,
            pause_after=agent.pause_after,
            queues=tuple(sorted(agent.queues)),
            on_hold=agent.on_hold,
            muted=agent.muted,
            can_preview=any(serves(campaign, agent) for campaign in self._node.campaigns.values()),
            notice=agent.notice,
            call=call,
        )
        return self._more(agent, view)

    def changed(self, agent: Agent) -> None:
        """Tells the agent's listeners, if there are any."""
        if agent.id in self._buses:
            self._buses[agent.id][0].publish("view", to_json(self.view(agent)))

    async def shown(self, agent: Agent) -> None:
        """Returns when what was published has left us, where somebody listens: after a few turns of the loop."""
        if agent.id in self._buses:
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    @asynccontextmanager
    async def subscribe(self, agent: Agent) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """What the agent sees from now on, beginning with the present. Raises `AgentRefused`: too many listen."""
        bus, listeners = self._buses.get(agent.id, (Bus(), 0))
        if listeners >= LISTENERS:
            raise AgentRefused("too_many_pages", f"{LISTENERS} pages of this agent are open: close one")
        self._buses[agent.id] = bus, listeners + 1
        try:
            async with bus.subscribe() as events:
                self.changed(agent)
                yield events
        finally:
            bus, listeners = self._buses[agent.id]
            if listeners > 1:
                self._buses[agent.id] = bus, listeners - 1
            else:
                del self._buses[agent.id]

    def _call(self, agent: Agent) -> CallView | None:
        call, until = self._node.calls.get(agent.attempt or ""), None
        if call is None and agent.talked is not None:
            call = agent.talked
            until = agent.since + timedelta(seconds=call.campaign.wrap_up_seconds)
        if call is None:
            return None
        said = agent.said.disposition.code if agent.said is not None else None
        person = call.person or Person(call.contact_id, call.e164)
        shown = self._shown(call.campaign, call.attempt, person)
        return replace(
            shown, said=said, until=until, returned=call.returns is not None, recording=call.recording,
            records=call.campaign.recording,
        )  # fmt: skip

    def _preview(self, agent: Agent) -> CallView | None:
        held = agent.preview
        campaign = self._node.campaigns.get(held.campaign_id) if held is not None else None
        if held is None or campaign is None:
            return None
        shown = self._shown(campaign, held.attempt, held.person)
        return replace(shown, until=None if held.attempt else held.until, dialing=held.attempt is not None)

    def _shown(self, campaign: Campaign, attempt: str | None, person: Person) -> CallView:
        found = self._wrapups.choices_of(campaign)
        choices = tuple(Choice(d.code, d.label, d.meaning.value, d.key) for d in found)
        return CallView(attempt, campaign.id, campaign.name, campaign.script, person, choices)


def serves(campaign: Campaign, agent: Agent) -> bool:
    """Whether an agent may ask this campaign for contacts to look at."""
    return (
        campaign.dial_mode == "preview" and campaign.state == "active" and not campaign.single_calls
        and campaign.queue_name in agent.queues and campaign.tenant_id == agent.tenant_id
    )  # fmt: skip


class People:
    """Reads whom calls are with while they ring, many by one query. `loaded` is told of each call that an agent has
    already when its person is known."""

    def __init__(self, reach: Callable[[], asyncpg.Pool], spawn: Spawn, loaded: Callable[[Call], None]) -> None:
        self._reach = reach
        self._spawn = spawn
        self._loaded = loaded
        self._wanted: dict[str, Call] = {}
        self._reading = False

    def want(self, call: Call) -> None:
        """Read this one, unless it is known."""
        if call.person is not None or call.campaign.broadcast is not None:
            return
        self._wanted[call.attempt] = call
        if not self._reading:
            self._reading = True
            self._spawn(self._read(), "people of calls")

    async def _read(self) -> None:
        try:
            while self._wanted:
                batch = [self._wanted.pop(key) for key in list(self._wanted)[:_AT_ONCE]]
                found = await people(self._reach(), [(call.contact_id, call.e164) for call in batch])
                for call in batch:
                    call.person = found.get(call.contact_id)
                    if call.agent_id is not None:
                        self._loaded(call)
        except DB_ERRORS as error:
            self._wanted.clear()  # the agent sees the number alone, and asks for more by reloading
            log.warning("people.unread", error=str(error) or type(error).__name__)
        finally:
            self._reading = False
