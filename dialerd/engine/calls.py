"""The live attempts of this node: each with its facts. Everything that is learned of a call goes through `learn`."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

import structlog

from dialerd.core import attempt as core
from dialerd.core.agentview import Person
from dialerd.core.attempt import Event, Facts, State
from dialerd.core.causes import Outcome
from dialerd.core.flow import Script
from dialerd.core.machines import VERDICT, WITHOUT_AGENT
from dialerd.core.reconcile import Believed
from dialerd.core.retry import History
from dialerd.core.singlecall import Options
from dialerd.engine.campaign import Campaign

_QUEUED_SECONDS = 5.0  # between the claim and a channel that every list shows

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Call:
    """A live attempt. `agent_id`: who is reserved for it or talks on it; `for_agent`: whose agreed callback it is.
    `waits`: answered, and nobody for it yet. `chance`: of being answered by a person, as it was believed when the line
    was started. `counted`: whether the answer was abandoned, once that is sure."""

    attempt: str
    campaign: Campaign
    contact_id: int
    e164: str
    history: History
    facts: Facts
    claimed_monotonic: float
    caller_id: str | None = None
    agent_id: int | None = None
    for_agent: int | None = None
    waits: bool = False
    joining: bool = False  # a request to put it into an agent's bridge is under way
    arrived_monotonic: float | None = None  # when it came into our hands: its grace runs from here
    settling: asyncio.Future[None] | None = None  # a request to put it into a queue's room, and its end
    joined_monotonic: float | None = None
    chance: float = 1.0
    segment: tuple[int | None, int] | None = None  # what its chance was taken from: list, hour
    learned: bool = False  # how the line ended has been told to the pacing, or never will be
    counted: bool | None = None
    in_flow: bool = False  # a flow has it: no agent is offered it
    flow_node: str = ""  # where in its flow it is, or was
    flow_next: str | None = None  # where it goes on when nobody came for it; None: to the message
    wait_seconds: float | None = None  # that its flow lets it wait for an agent; None: the campaign's grace
    cut_short: bool = False  # we ended it before it could end by itself
    away: bool = False  # in no agent's hands, and not to be offered: sent to a third party, with one, or parked
    queue: str | None = None  # whose agents it is for since a transfer; None: the campaign's
    hold_seconds: float | None = None  # that it may wait, with music, for the next agent; None: the campaign's grace
    sent_over: str | None = None  # the trunk over which its flow put it through to somebody: it counts there, too
    preview: bool = False  # an agent looked at it first: it is for this one and no other, as long as they are there
    returns: str | None = None  # the attempt that this one returns: they called us; None: we dialled
    forsaken: bool = False  # nobody came for it: it hears the safe-harbour message, and no agent is offered it
    checked: bool = False  # a machine by the verdict, that goes to an agent like a person, who says what it is
    recording: str = ""  # announcing, recording, paused or refused; "": none of these
    person: Person | None = None  # what the agent is shown, once it is read
    asked: Options | None = None  # how a single call was asked for; None: it is none
    preferred_caller_id: int | None = None  # the number of the pool that goes first when it is free

    @property
    def state(self) -> State:
        return core.state(self.facts)

    @property
    def is_machine(self) -> bool:
        """Whether it goes a machine's way: by the verdict, unless an agent is to check that."""
        verdict = self.facts.machine == VERDICT and self.campaign.machine_detection in WITHOUT_AGENT
        return verdict and not self.checked

    @property
    def on_machine(self) -> bool:
        """Whether a machine has it, so that no agent will, unless its flow hands it to them."""
        return self.is_machine and self.facts.handed_at is None and self.facts.connected_at is None

    @property
    def wants_agent(self) -> bool:
        """Whether an agent may be wanted for it."""
        return self.campaign.wants_agents and (not self.on_machine or self._flow_hands_over)

    @property
    def _flow_hands_over(self) -> bool:
        return self.script is not None and self.script.flow.wants_agents

    @property
    def script(self) -> Script | None:
        """The flow that it goes through; None: none, or one that cannot run."""
        if self.is_machine:
            return self.campaign.machine_script
        return self.campaign.flow_script if self.walks else None

    @property
    def outcome(self) -> Outcome:
        """How it ended, once it is over."""
        campaign = self.campaign
        if self.returns is not None:
            return Outcome.RETURNED
        kept = campaign.broadcast is not None or (campaign.flow is not None and self.facts.handed_at is None)
        mode = "connect" if self.checked else campaign.machine_detection
        return core.outcome(self.facts, campaign.grace_seconds, campaign.from_answer, kept, mode)

    @property
    def ring_seconds(self) -> int:
        """How long it may ring: as it was asked for, but no less than the campaign's legal profile wants."""
        if self.asked is None or self.asked.ring_seconds is None:
            return self.campaign.ring_timeout_seconds
        return max(self.asked.ring_seconds, ceil(self.campaign.allowance.min_ring_seconds))

    @property
    def walks(self) -> bool:
        """Whether it goes through its campaign's flow."""
        return self.campaign.flow is not None and self.returns is None

    @property
    def queue_name(self) -> str:
        """Whose agents it is for."""
        return self.queue or self.campaign.queue_name

    @property
    def patience_seconds(self) -> float:
        """How long it may wait for an agent."""
        if self.hold_seconds is not None:
            return self.hold_seconds
        by_flow = self.wait_seconds is not None and self.state is not State.CONNECTED
        return self.wait_seconds if by_flow and self.wait_seconds is not None else self.campaign.grace_seconds


# What is told of each thing learned: the call, the event, and the state before it.
Listener = Callable[[Call, Event, State], None]


class Calls:
    """All live calls by attempt id. `on_learned` is told every event that changed what is known."""

    def __init__(self, on_learned: Listener) -> None:
        self._calls: dict[str, Call] = {}
        self._on_learned = on_learned

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def __contains__(self, attempt: object) -> bool:
        return attempt in self._calls

    def get(self, attempt: str) -> Call | None:
        return self._calls.get(attempt)

    def add(self, call: Call) -> None:
        self._calls[call.attempt] = call

    def learn(self, attempt: str, event: Event) -> None:
        """Takes in one event; one about a call that is not ours, or that teaches nothing new, changes nothing."""
        call = self._calls.get(attempt)
        if call is None:
            return
        facts = core.apply(call.facts, event)
        if facts == call.facts:
            return
        before = call.state
        call.facts = facts
        after = call.state
        if after is not before and after not in core.TRANSITIONS[before]:
            log.error("call.illegal_transition", attempt=attempt, before=before, event_kind=event.kind, after=after)
        if after is not before:
            log.info("call.state", attempt=attempt, transition=f"{before} -[{event.kind}]-> {after}")
        if after is State.ENDED:
            del self._calls[attempt]
        self._on_learned(call, event, before)

    def by_state(self) -> dict[str, int]:
        """How many calls are in each state."""
        return dict(Counter(call.state.value for call in self._calls.values()))

    def of(self, campaign_id: int) -> list[Call]:
        return [call for call in self._calls.values() if call.campaign.id == campaign_id]

    def awaited(self) -> set[int]:
        """The agents for whom an agreed callback is under way that they are not on yet."""
        return {call.for_agent for call in self._calls.values() if call.for_agent is not None and call.agent_id is None}

    def on_trunk(self, trunk: str) -> int:
        """How many calls of ours a trunk carries; one that a flow put through is two."""
        return sum((call.campaign.trunk == trunk) + (call.sent_over == trunk) for call in self._calls.values())

    def believed(self, monotonic: float, margin_seconds: float) -> list[Believed]:
        """What reconcile compares with Asterisk's list. `margin_seconds`: patience beyond the ring time."""
        return [
            Believed(
                call.attempt,
                monotonic - call.claimed_monotonic,
                call.ring_seconds + margin_seconds,
                _has_a_channel(call, monotonic),
            )
            for call in self._calls.values()
        ]


def _has_a_channel(call: Call, monotonic: float) -> bool:
    """Whether Asterisk must have a channel of it by now. "Successfully queued" comes before there is one."""
    if call.state is State.DIALING:
        return monotonic - call.claimed_monotonic > _QUEUED_SECONDS
    return call.state not in (State.CLAIMED, State.UNKNOWN)


def waits_or_rings(call: Call) -> bool:
    """Whether a call is a *line*: in progress, and nobody of ours talks on it yet, nor a machine."""
    return call.state is not State.CONNECTED and not call.on_machine
