"""The pacing loop: at each event that may change a decision every running campaign is asked how many lines it wants.

Rounds come at most every quarter of a second, however many events there are, and at least every second: ages grow
without events. All campaigns of a round are asked one after the other with nothing in between, those first that are
owed most (`pacing/shares.py`); what one has begun to claim the next one sees as lines. Claims run beside.
"""

import asyncio
from collections.abc import Callable

import structlog

from dialerd.core.status import Decision
from dialerd.engine.campaign import Campaign
from dialerd.engine.dialing import Claimed, Dialing
from dialerd.engine.node import DRY_RUN, Node
from dialerd.engine.observe import observe, segment, serial_wait
from dialerd.pacing import snapshot as pacing
from dialerd.pacing.bucket import HELD_BEAT
from dialerd.pacing.shares import Claimant, Shares

log = structlog.get_logger(__name__)

BEAT = 0.25  # seconds between two decisions of a campaign, at least
_TICK = 1.0  # and at most; windows open and retry times come without an event
_PREDICTIVE_TICK = 0.5  # agents in wrap-up come back without an event before
_FAILED_SECONDS = 5.0  # how long a campaign rests whose pacing failed

# What is told of each decision: the campaign, what was looked at, and what was answered.
OnDecision = Callable[[Campaign, pacing.Snapshot, pacing.Decision], None]


class Pacer:
    """`on_decision` keeps what was decided."""

    def __init__(self, node: Node, dialing: Dialing, on_decision: OnDecision) -> None:
        self._node = node
        self._clock = node.clock
        self._dialing = dialing
        self._on_decision = on_decision
        self._wake = asyncio.Event()
        self._shares = Shares()
        self._reasons: dict[int, str] = {}  # of the lines that are being claimed

    def wake(self) -> None:
        """Something happened that may change a decision."""
        self._wake.set()

    async def run(self) -> None:
        """Paces; ends only by cancellation."""
        while True:
            try:
                async with asyncio.timeout(self._tick()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await asyncio.sleep(self.round())

    def round(self) -> float:
        """Asks every running campaign whose time has come. Returns the seconds until there may be another round."""
        now, gate = self._clock.monotonic(), self._node.gate()
        active = [c for c in self._node.campaigns.values() if c.state == "active" and not c.single_calls]
        claimants = []
        for campaign in active:
            shut = (gate if gate != DRY_RUN else None) or self._no_trunk(campaign) or campaign.mute
            early = now < campaign.asked_monotonic + BEAT * 0.9 and not campaign.held
            if shut is not None or now < campaign.idle_until:
                campaign.held = False
                if shut is not None:
                    self._decided(campaign, 0, f"nothing is dialled: {shut}")
            elif campaign.dial_mode == "preview":
                self._pace(campaign, now)  # it wants no lines, and is not owed any
            else:
                group = campaign.tenant_id, campaign.queue_name
                claimants.append(Claimant(campaign.id, campaign.weight, group, early or campaign.claiming > 0))
                if early and not campaign.claiming:
                    self._wake.set()  # its own beat is not over: it is asked in the next round
        for id_ in self._shares.order(now, claimants):
            self._pace(self._node.campaigns[id_], now)
        held = [self._dialing.next_room(c.trunk) for c in active if c.held]
        if not held:
            return BEAT
        self._wake.set()
        return max(HELD_BEAT, min(held))

    def claimed(self, claimed: Claimed) -> None:
        """What came of a claim."""
        campaign = claimed.campaign
        self._shares.started(campaign.id, claimed.taken - claimed.wanted)
        reason = claimed.why_not or self._reasons.pop(campaign.id, "")
        self._decided(campaign, claimed.wanted, reason)
        self.wake()

    def _tick(self) -> float:
        """Seconds until the next round without an event; to the moment for the next call of a serial campaign."""
        now, active = self._clock.monotonic(), [c for c in self._node.campaigns.values() if c.state == "active"]
        tick = _PREDICTIVE_TICK if any(c.dial_mode == "predictive" for c in active) else _TICK
        waits = [wait for c in active if (wait := serial_wait(c, now))]
        return min([tick, *waits])

    def _no_trunk(self, campaign: Campaign) -> str | None:
        if campaign.trunk in self._node.config.trunks:
            return None
        return f"trunk '{campaign.trunk}' is not in this node's configuration"

    def _pace(self, campaign: Campaign, now: float) -> None:
        try:
            self._ask(campaign, now)
        except Exception:  # a mistake of ours about one campaign must cost its lines, not everybody's calls
            log.exception("pacing.failed", campaign=campaign.id)
            campaign.idle_until = now + _FAILED_SECONDS
            self._decided(campaign, 0, "nothing is dialled: pacing failed, and the log says how")

    def _ask(self, campaign: Campaign, now: float) -> None:
        trunk = self._node.config.trunks[campaign.trunk]
        snapshot = observe(self._node, campaign, trunk)
        part = segment(self._clock.now(), campaign.list_id)
        decision = campaign.pilot.decide(now, snapshot, part)
        campaign.asked_monotonic, campaign.seen = now, snapshot
        self._on_decision(campaign, snapshot, decision)
        lines, reason = decision.lines, decision.reason
        if lines > 0 and self._node.gate() == DRY_RUN:
            self._decided(campaign, lines, f"dry run, nothing is dialled: {reason}")
            return
        room = self._dialing.room(campaign.trunk)
        campaign.held = room < lines
        if campaign.held:
            lines, reason = room, f"{reason}; {trunk.calls_per_second:g} calls a second allow {room} now"
        if lines > 0:
            self._reasons[campaign.id] = reason
            self._shares.started(campaign.id, lines)
            self._dialing.start(campaign, trunk, lines)
        else:
            self._decided(campaign, lines, reason)

    def _decided(self, campaign: Campaign, lines: int, reason: str) -> None:
        old = campaign.decision
        if old is None or (old.lines, old.reason) != (lines, reason):
            campaign.decision = Decision(lines, reason, self._clock.now())
