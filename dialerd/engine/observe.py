"""What a campaign looks like at this instant, as pacing wants to see it: the snapshot.

Ages are rounded to a millisecond and chances to four digits, so that a decision that is kept can be made again from
what was written down, byte for byte.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from dialerd.config import Trunk
from dialerd.core.agent import AgentState
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call, waits_or_rings
from dialerd.engine.campaign import Campaign
from dialerd.engine.node import Node
from dialerd.engine.phones import carried
from dialerd.pacing.snapshot import Line, Snapshot

_AT_WORK = frozenset({AgentState.READY, AgentState.RESERVED, AgentState.ON_CALL, AgentState.WRAP_UP})


def segment(now: datetime, list_id: int | None) -> tuple[int | None, int]:
    """What a campaign's chances are told apart by: the list, and the hour of the day (UTC)."""
    return list_id, now.astimezone(UTC).hour


def observe(node: Node, campaign: Campaign, trunk: Trunk) -> Snapshot:
    """The snapshot of one campaign."""
    now = node.clock.monotonic()
    serving = node.agents.serving(campaign.queue_name, campaign.tenant_id) if campaign.wants_agents else ()
    crew = [agent for agent in serving if agent.state in _AT_WORK]
    ready = [agent for agent in crew if agent.state is AgentState.READY]
    lines, waiting = _out_for(node, campaign, crew if campaign.dial_mode == "predictive" else ready, now)
    own = node.calls.of(campaign.id)
    own_lines = sum(map(waits_or_rings, own))
    return Snapshot(
        mode=campaign.dial_mode,
        ready=len(ready),
        lines=own_lines + campaign.claiming,
        connected=len(own) - own_lines,
        max_concurrent_calls=campaign.max_concurrent_calls,
        headroom=headroom(node, campaign, trunk),
        waiting=waiting,
        ringing=tuple(lines),
        talking=tuple(_talking(crew, now)),
        wrapping_up=tuple(_age(now, a.since_monotonic) for a in crew if a.state is AgentState.WRAP_UP),
        pacing_ratio=campaign.pacing_ratio,
        budget=campaign.book.budget(now, campaign.allowance.cap),
        serial_wait=serial_wait(campaign, now),
        broadcast=not campaign.wants_agents,
    )


def headroom(node: Node, campaign: Campaign, trunk: Trunk) -> int:
    """How many more calls the trunk and the tenant carry, those that are being claimed counted."""
    campaigns = node.campaigns.values()
    on_trunk = carried(node, campaign.trunk) + sum(c.claiming for c in campaigns if c.trunk == campaign.trunk)
    room = trunk.max_calls - on_trunk
    if campaign.tenant_max_calls is None:
        return room
    theirs = sum(call.campaign.tenant_id == campaign.tenant_id for call in node.calls)
    theirs += sum(c.claiming for c in campaigns if c.tenant_id == campaign.tenant_id)
    return min(room, campaign.tenant_max_calls - theirs)


def _out_for(node: Node, campaign: Campaign, agents: Iterable[Agent], now: float) -> tuple[list[Line], int]:
    """The lines out for these agents, whosever they are, and how many answered calls wait for one of them."""
    queues = frozenset().union(*(agent.queues for agent in agents))
    ringing: list[Line] = []
    waiting = 0
    for call in node.calls:
        if _is_for(call.campaign, queues, campaign.tenant_id) and _lacks_agent(call):
            if call.waits or call.joining or call.in_flow:  # who is in a flow may want an agent any moment
                waiting += 1
            elif call.facts.entered_at is None:
                ringing.append((_age(now, call.claimed_monotonic), round(call.chance, 4)))
    for other in node.campaigns.values():
        if other.claiming and _is_for(other, queues, campaign.tenant_id):
            ringing += [(0.0, round(other.pilot.chance(), 4))] * other.claiming
    return ringing, waiting


def _is_for(campaign: Campaign, queues: Collection[str], tenant_id: int) -> bool:
    """Whether a campaign's calls want an agent of these queues."""
    return campaign.wants_agents and campaign.queue_name in queues and campaign.tenant_id == tenant_id


def _lacks_agent(call: Call) -> bool:
    """A line whose agent is reserved already does not need another one, nor does one that is over, nor one that an
    agent has called for themselves, nor a machine's."""
    return call.agent_id is None and call.facts.hung_up_at is None and not call.preview and call.wants_agent


def _talking(crew: Iterable[Agent], now: float) -> Iterable[float]:
    """Who asked for a pause after the call is not awaited back."""
    for agent in crew:
        if agent.pause_after is None and agent.state is AgentState.ON_CALL:
            yield _age(now, agent.since_monotonic)
        elif agent.pause_after is None and agent.state is AgentState.RESERVED:
            yield 0.0


def serial_wait(campaign: Campaign, now: float) -> float | None:
    """Seconds until the next call of a campaign that dials one at a time may start; None: it does not."""
    if campaign.serial_interval_seconds is None:
        return None
    if campaign.ended_monotonic is None:
        return 0.0
    return round(max(0.0, campaign.serial_interval_seconds - (now - campaign.ended_monotonic)), 3)


def _age(now: float, since: float) -> float:
    return round(max(0.0, now - since), 3)
