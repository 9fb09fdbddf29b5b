"""What a campaign's own calls and its agents teach its pacing, told as it happens."""

from dialerd.clock import Clock
from dialerd.core.agent import AgentState
from dialerd.core.attempt import Event, Kind
from dialerd.core.causes import Outcome
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign

# Ends of a line that nobody of ours caused. An answer that hung up before it came into our hands is one of them.
_ENDED_BY_ITSELF = frozenset({
    Outcome.BUSY, Outcome.NO_ANSWER, Outcome.REJECTED, Outcome.INVALID, Outcome.FAILED, Outcome.MACHINE,
    Outcome.MESSAGE_LEFT, Outcome.HUNG_UP,
})  # fmt: skip


class Lessons:
    """Tells the pilot of each campaign what its lines and conversations come to, and its agents' comings and goings."""

    def __init__(self, clock: Clock, campaigns: dict[int, Campaign]) -> None:
        self._clock = clock
        self._campaigns = campaigns
        self._last: dict[int, Campaign] = {}  # agent → whose call they had last

    def learned(self, call: Call, event: Event) -> None:
        """An event of a call that has not ended."""
        now = self._clock.monotonic()
        if event.kind is Kind.ENTERED:
            self._line(call, now, answered=not call.on_machine)
            if call.on_machine:
                call.campaign.book.count_machine(call.attempt)
        elif event.kind is Kind.JOINED:
            call.learned = True  # taken over with nobody having seen it answered: when it was is not known
            self._last[event.agent_id or 0] = call.campaign
            if call.joined_monotonic is None:
                call.joined_monotonic = now
                self._count(call, abandoned=False)

    def nobody_came(self, call: Call) -> None:
        """The grace of an answered call is over."""
        self._count(call, abandoned=True)

    def ended(self, call: Call, outcome: Outcome) -> None:
        """The end of a call."""
        now = self._clock.monotonic()
        if outcome is not Outcome.NOT_SENT:
            call.campaign.ended_monotonic = now
        if outcome in _ENDED_BY_ITSELF and not call.cut_short and not call.facts.gone:
            self._line(call, now, answered=False)
        if outcome in (Outcome.CONNECTED, Outcome.ABANDONED, Outcome.HUNG_UP):
            self._count(call, abandoned=outcome is Outcome.ABANDONED)
        if call.joined_monotonic is not None:
            call.campaign.pilot.learner.talk_ended(now, now - call.joined_monotonic)

    def stepped(self, agent: Agent, before: AgentState, seconds: float) -> None:
        """An agent is in another state than before, which had lasted so many seconds."""
        if before is AgentState.READY:
            left = agent.state is not AgentState.RESERVED
            for campaign in self._campaigns.values():
                if campaign.queue_name in agent.queues and campaign.tenant_id == agent.tenant_id:
                    campaign.pilot.learner.agent_stood(seconds, left)
        elif before is AgentState.WRAP_UP and agent.state in (AgentState.READY, AgentState.PAUSED):
            last = self._last.get(agent.id)
            if last is not None and agent.pause_after is None:  # else the pause was asked for before the wrap-up began
                last.pilot.learner.wrap_up_ended(self._clock.monotonic(), seconds)

    def _line(self, call: Call, now: float, answered: bool) -> None:
        if not call.learned:
            call.learned = True
            age = now - call.claimed_monotonic
            call.campaign.pilot.learner.line_ended(now, age, answered, call.segment)

    def _count(self, call: Call, abandoned: bool) -> None:
        """Into the budget, as soon as it is sure what became of the answer; once."""
        if call.counted is None:
            call.counted = abandoned
            call.campaign.book.count(call.attempt, abandoned)
