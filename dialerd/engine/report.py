"""What the engine shows: health and status, read from memory. Nothing secret, numbers never."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from dialerd import __version__
from dialerd.config import Trunk
from dialerd.core.attempt import State
from dialerd.core.causes import Outcome
from dialerd.core.status import BudgetWindow, CampaignStatus, Lines, Link, Pacing, Status, TrunkStatus
from dialerd.engine.agents import Agents
from dialerd.engine.calls import Calls
from dialerd.engine.campaign import Campaign


def status(
    node: str,
    now: datetime,
    started_at: datetime,
    draining: bool,
    gate: str | None,
    links: Iterable[Link],
    campaigns: Iterable[Campaign],
    calls: Calls,
    agents: Agents,
    trunks: Mapping[str, Trunk],
    monotonic: float,
) -> Status:
    """The whole picture of this node."""
    return Status(
        node=node,
        version=__version__,
        at=now,
        started_at=started_at,
        draining=draining,
        dialing_allowed=gate is None,
        dialing_reason=gate or "",
        links=tuple(links),
        campaigns=tuple(_campaign(c, calls, monotonic) for c in campaigns),
        agents=tuple(agent.status() for agent in agents),
        trunks=tuple(TrunkStatus(name, calls.on_trunk(name), trunk.max_calls) for name, trunk in trunks.items()),
        calls_by_state=calls.by_state(),
    )


def _campaign(campaign: Campaign, calls: Calls, monotonic: float) -> CampaignStatus:
    counts = campaign.counts()
    dialled = counts.attempts - campaign.outcomes.get(Outcome.NOT_SENT, 0)
    lines = _lines(campaign, calls)
    return CampaignStatus(
        id=campaign.id,
        name=campaign.name,
        state=campaign.state,
        dial_mode=campaign.dial_mode,
        queue_name=campaign.queue_name,
        pending=campaign.pending,
        lines=lines,
        counts=replace(counts, attempts=counts.attempts + len(calls.of(campaign.id))),
        answer_rate=counts.live_answers / dialled if dialled else None,
        abandonment_rate=counts.abandoned / counts.live_answers if counts.live_answers else None,
        abandonment_budget=campaign.allowance.cap,
        connect_ms=campaign.percentiles(),
        decision=campaign.decision,
        pacing=_pacing(campaign, monotonic),
        recording_problem=campaign.recording_problem,
    )


def _pacing(campaign: Campaign, monotonic: float) -> Pacing:
    allowance, book = campaign.allowance, campaign.book
    model = campaign.pilot.last if campaign.dial_mode == "predictive" else None
    budget = book.budget(monotonic, allowance.cap)
    windows = zip(book.starts, budget.windows, strict=True) if budget else ()
    return Pacing(
        mode=campaign.dial_mode,
        lines=campaign.seen.shared_lines if campaign.seen and campaign.state == "active" else 0,
        answer_chance=model.curves.chance if model else None,
        ring_seconds=round(model.ring_seconds, 1) if model else None,
        service_seconds=round(model.service_seconds, 1) if model else None,
        risk=budget.risk(campaign.seen.agents) if budget and campaign.seen else None,
        cap=allowance.cap,
        cap_source=allowance.source,
        grace_seconds=campaign.grace_seconds,
        windows=tuple(
            BudgetWindow(since, w.answers, w.abandoned, w.left(allowance.cap), w.lost) for since, w in windows
        ),
    )


def _lines(campaign: Campaign, calls: Calls) -> Lines:
    states = [call.state for call in calls.of(campaign.id)]
    return Lines(
        dialing=sum(s in (State.CLAIMED, State.DIALING, State.UNKNOWN) for s in states),
        ringing=states.count(State.RINGING),
        answered=states.count(State.ANSWERED),
        connected=states.count(State.CONNECTED),
    )
