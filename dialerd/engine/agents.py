"""The agents of this node: who is in which state since when, and who takes the next call.

Every step goes through `step`, so that the record, the live board and the pacing see the same thing at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from dialerd.clock import Clock
from dialerd.core import ids
from dialerd.core.agent import IN_CALL, AgentState, Do, IllegalStep
from dialerd.core.agent import step as next_state
from dialerd.core.agentview import Person
from dialerd.core.disposition import Disposition
from dialerd.core.status import AgentRefused, AgentStatus, AgentUnknown
from dialerd.engine.calls import Call

log = structlog.get_logger(__name__)
_MORE = ("phone", "phone_trunk", "login_number", "pin_hash")  # None where there is none
BY_LIMIT = "the wrap-up limit"  # who says something of a call of which nobody did


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a call. `callback_at`: when the person is to be called back; None: no time was agreed."""

    disposition: Disposition
    by: str
    message: str | None = None
    callback_at: datetime | None = None


@dataclass(slots=True)
class Preview:
    """A contact that is held for an agent to look at; `asked`: they want it called; `attempt`: its call."""

    campaign_id: int
    person: Person
    until: datetime
    asked: bool = False
    attempt: str | None = None


@dataclass(slots=True)
class Agent:
    """One agent. `leg`: the channel of the standing phone call; `attempt`: the call they are reserved for or on;
    `talked`: their last call, while nothing has been said of it; `said`: what was said of the one they are on."""

    id: int
    tenant_id: int
    name: str
    endpoint: str
    queues: frozenset[str]
    default_region: str  # the tenant's
    state: AgentState = AgentState.OFFLINE
    since: datetime = field(default_factory=lambda: datetime.min)
    since_monotonic: float = 0.0
    reason: str = ""
    leg: str | None = None
    bridge: str = ""  # where the leg stands, or last stood
    attempt: str | None = None
    pause_after: str | None = None  # a pause asked for during a call: its reason
    full_name: str = ""
    phone: str | None = None
    phone_trunk: str | None = None  # the phone is called at `phone` over this trunk; None: at its endpoint
    login_number: str | None = None
    pin_hash: str | None = None
    on_hold: bool = False  # the person hears music, and not the agent
    has_room: bool = False  # there is a waiting room, for a person on hold
    muted: bool = False
    consulted: bool = False  # a colleague asks them about the call; the person is not theirs
    supervisor: bool = False
    talked: Call | None = None
    said: Said | None = None
    preview: Preview | None = None
    notice: str = ""  # what became of the last thing that they asked for

    @property
    def room(self) -> str:
        """The bridge of a person on hold."""
        return ids.hold_bridge(self.bridge)

    def status(self) -> AgentStatus:
        """As supervisors see them."""
        return AgentStatus(
            self.name, self.state.value, self.since, self.reason, tuple(sorted(self.queues)), self.attempt
        )


class Agents:
    """All agents by id and by name. `on_step(agent, before, seconds)` is told every step, and how long the state before
    it had lasted."""

    def __init__(self, clock: Clock, on_step: Callable[[Agent, AgentState, float], None]) -> None:
        self._clock = clock
        self._on_step = on_step
        self._agents: dict[int, Agent] = {}

    def __iter__(self) -> Iterator[Agent]:
        return iter(list(self._agents.values()))

    def get(self, agent_id: int | None) -> Agent | None:
        return None if agent_id is None else self._agents.get(agent_id)

    def named(self, who: str | int) -> Agent:
        """By name, or by id. Raises `AgentUnknown`."""
        for agent in self._agents.values():
            if who in (agent.name, agent.id):
                return agent
        raise AgentUnknown(str(who))

    def signing_in(self, typed: str) -> list[Agent]:
        """Whom somebody means who signs in with a name or a login number: of each tenant one, at most."""
        return [a for a in self._agents.values() if typed in (a.name, a.login_number) and a.pin_hash and a.queues]

    def at(self, channel: str) -> Agent | None:
        """The agent whose leg a channel is."""
        named = ids.agent_of(channel)
        if named is not None or ids.is_attempt(channel):
            agent = self.get(named)
            return agent if agent is not None and agent.leg == channel else None
        return next((agent for agent in self._agents.values() if agent.leg == channel), None)

    def load(self, rows: list[Mapping[str, Any]]) -> list[Agent]:
        """Takes over the agents of PostgreSQL: new ones come in, changed ones change, missing ones get no more calls
        and go when offline. Returns the new ones."""
        found = {row["id"]: row for row in rows}
        now, monotonic = self._clock.now(), self._clock.monotonic()
        new = []
        for id_, row in found.items():
            agent = self._agents.get(id_)
            if agent is None:
                names = row["name"], row["endpoint"], frozenset(row["queues"]), row["default_region"]
                agent = Agent(id_, row["tenant_id"], *names, since=row["state_at"])
                agent.since_monotonic = monotonic - max(0.0, (now - agent.since).total_seconds())
                self._agents[id_] = agent
                new.append(agent)
            agent.name, agent.endpoint, agent.queues = row["name"], row["endpoint"], frozenset(row["queues"])
            for name in _MORE:
                setattr(agent, name, row.get(name))
            agent.full_name, agent.supervisor = row.get("full_name") or "", bool(row.get("supervisor"))
        for id_ in [id_ for id_ in self._agents if id_ not in found]:
            if self._agents[id_].state is AgentState.OFFLINE:
                del self._agents[id_]
            else:
                self._agents[id_].queues = frozenset()  # deactivated in mid-work: gets no more calls
        return new

    def step(self, agent: Agent, do: Do, reason: str = "") -> None:
        """One legal step, or `AgentRefused`; nothing happens when the state stays."""
        try:
            after = next_state(agent.state, do)
        except IllegalStep as error:
            raise AgentRefused(f"agent_is_{agent.state}", str(error)) from None
        if after is agent.state:
            return
        before, agent.state = agent.state, after
        agent.since, agent.reason, agent.notice = self._clock.now(), reason, ""
        monotonic = self._clock.monotonic()
        lasted, agent.since_monotonic = monotonic - agent.since_monotonic, monotonic
        if after is AgentState.OFFLINE:
            agent.leg, agent.pause_after, agent.said = None, None, None
        log.info("agent.state", agent=agent.name, transition=f"{before} -[{do}]-> {after}", reason=reason)
        self._on_step(agent, before, lasted)
        if after not in IN_CALL:
            agent.attempt = None

    def ready(self, queue: str, tenant_id: int) -> list[Agent]:
        """Who could take a call of this queue now, the longest idle first."""
        free = [
            a
            for a in self._agents.values()
            if a.state is AgentState.READY and queue in a.queues and a.tenant_id == tenant_id
        ]
        return sorted(free, key=lambda agent: agent.since_monotonic)

    def serving(self, queue: str, tenant_id: int) -> list[Agent]:
        """All agents of a queue, whatever they do."""
        return [a for a in self._agents.values() if queue in a.queues and a.tenant_id == tenant_id]

    def legs(self) -> dict[int, str]:
        """Agent id → the channel that we believe stands for them."""
        return {agent.id: agent.leg for agent in self._agents.values() if agent.leg is not None}
