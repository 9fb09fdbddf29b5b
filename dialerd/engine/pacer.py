"""The originate loop: observe → decide → claim → caller ID → DNC again → originate, for every campaign of this node.

One task does it for all campaigns, one after the other, so that two campaigns which share agents never count the
same free agent at the same instant. It sleeps until something happens that may change a decision.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import asyncpg
import structlog

from dialerd.ami.action import Originate, ValueRefused
from dialerd.ami.link import AmiLink, LinkDown
from dialerd.clock import Clock
from dialerd.config import Config, Trunk
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.phone import masked
from dialerd.core.retry import History
from dialerd.core.status import Decision
from dialerd.core.terms import Judgement, ZoneSets, closed_zones
from dialerd.engine import record
from dialerd.engine.agents import Agents
from dialerd.engine.calls import Call, Calls, waits_or_rings
from dialerd.engine.campaign import Campaign
from dialerd.live.callerids import CallerIds
from dialerd.pacing import policy
from dialerd.pacing.bucket import Bucket
from dialerd.pacing.snapshot import Snapshot
from dialerd.places.zones import country_of
from dialerd.store.claim import Claim, claim
from dialerd.store.dnc import bars
from dialerd.store.ledger import Ledger
from dialerd.store.queue import promote

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0  # windows open and retry times come without an event
# how long not to ask again; other gates: a second
_IDLE_SECONDS = {"list_used_up": 5.0, "nothing_due": 1.0, "still_looking": 0.0}
_NOT_SENT_SECONDS = 5.0  # how long a campaign rests after an attempt that could not leave
_COUNTRY_OF = country_of()


class Pacer:
    """`gate` says why nothing may be dialled now, or None. `on_complete` is told of a list that is used up."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        calls: Calls,
        agents: Agents,
        campaigns: dict[int, Campaign],
        zone_sets: ZoneSets,
        ami: AmiLink,
        caller_ids: CallerIds,
        ledger: Ledger,
        pool: Callable[[], asyncpg.Pool | None],
        claiming: asyncio.Lock,
        gate: Callable[[], str | None],
        on_complete: Callable[[Campaign], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._calls = calls
        self._agents = agents
        self._campaigns = campaigns
        self._zone_sets = zone_sets
        self._ami = ami
        self._caller_ids = caller_ids
        self._ledger = ledger
        self._pool = pool
        self._claiming = claiming
        self._gate = gate
        self._on_complete = on_complete
        self._wake = asyncio.Event()
        self._buckets = {name: Bucket(trunk.calls_per_second) for name, trunk in config.trunks.items()}
        self._refusals: dict[int, str | None] = {}  # the last gate on record, per campaign

    def wake(self) -> None:
        """Something happened that may change a decision."""
        self._wake.set()

    async def run(self) -> None:
        """Paces; ends only by cancellation."""
        while True:
            try:
                async with asyncio.timeout(self._rest()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            for campaign in list(self._campaigns.values()):
                if campaign.state == "active":
                    await self._pace(campaign)

    def _rest(self) -> float:
        """Until the next tick, or the next token of a trunk that held a campaign back."""
        return min([_TICK_SECONDS, *(bucket.next_in() for bucket in self._buckets.values() if bucket.tokens < 1)])

    async def _pace(self, campaign: Campaign) -> None:
        gate = self._gate()
        trunk = self._config.trunks.get(campaign.trunk)
        if trunk is None:
            gate = gate or f"trunk '{campaign.trunk}' is not in this node's configuration"
        if gate is not None or trunk is None:
            self._decided(campaign, 0, f"nothing is dialled: {gate}")
            return
        if self._clock.monotonic() < campaign.idle_until:
            return
        decision = policy.decide(self._observe(campaign, trunk))
        room = self._buckets[campaign.trunk].available(self._clock.monotonic())
        lines, reason = decision.lines, decision.reason
        if room < lines:
            lines, reason = room, f"{reason}; {trunk.calls_per_second:g} calls a second allow {room} now"
        if lines > 0:
            reason = await self._dial(campaign, trunk, lines) or reason
        self._decided(campaign, lines, reason)

    def _observe(self, campaign: Campaign, trunk: Trunk) -> Snapshot:
        ready = self._agents.ready(campaign.queue_name, campaign.tenant_id)
        queues = frozenset().union(*(agent.queues for agent in ready))
        own = self._calls.of(campaign.id)
        lines = sum(map(waits_or_rings, own))
        shared = sum(
            waits_or_rings(call) and self._needs_an_agent(call)
            for call in self._calls
            if call.campaign.queue_name in queues and call.campaign.tenant_id == campaign.tenant_id
        )
        headroom = trunk.max_calls - self._calls.on_trunk(campaign.trunk)
        return Snapshot(
            mode=campaign.dial_mode,
            ready=len(ready),
            lines=lines,
            connected=len(own) - lines,
            max_concurrent_calls=campaign.max_concurrent_calls,
            headroom=headroom,
            ringing=((0.0, 1.0),) * shared,
        )

    def _needs_an_agent(self, call: Call) -> bool:
        """A line whose agent is reserved already does not need another one."""
        return call.agent_id is None and call.facts.hung_up_at is None

    async def _dial(self, campaign: Campaign, trunk: Trunk, lines: int) -> str | None:
        """Claims and dials. Returns why not, when the claim gave nothing."""
        try:
            async with self._claiming:
                judgement = campaign.judge(self._zone_sets, _COUNTRY_OF, self._clock.now())
                await self._note_windows(campaign, judgement)
                result = await self._claim(campaign, lines, judgement)
                fresh = self._begin(campaign, result)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Whether it was committed is not known (F14); reconcile reads it back. Zero times beats twice.
            log.warning("claim.failed", campaign=campaign.id, error=str(error) or type(error).__name__)
            campaign.idle_until = self._clock.monotonic() + _TICK_SECONDS
            return "the claim failed: PostgreSQL did not answer"
        if result.refusal is not None:
            return self._refused(campaign, result.refusal)
        self._refusals[campaign.id] = None
        self._buckets[campaign.trunk].take(len(fresh))
        await self._place(fresh, trunk, judgement.until)
        return None

    async def _note_windows(self, campaign: Campaign, judgement: Judgement) -> None:
        """Which zones are open goes on record when it changes: the decision about every contact of the others."""
        judged = judgement.terms.version, judgement.open
        if judged == campaign.noted:
            return
        campaign.noted = judged
        now, sets = self._clock.now(), dict(self._zone_sets)
        shut = await asyncio.to_thread(closed_zones, judgement, sets, _COUNTRY_OF, now)
        zones = {zone for members in sets.values() for zone in members}
        self._ledger.put(record.windows(campaign, judgement.terms.version, zones - shut.keys(), shut, now))

    def _begin(self, campaign: Campaign, result: Claim) -> list[Call]:
        """The attempts of a claim as live calls."""
        campaign.pending = max(0, campaign.pending - len(result.taken))
        now, monotonic = self._clock.now(), self._clock.monotonic()
        fresh = [
            Call(
                t.attempt, campaign, t.contact_id, t.e164, History(t.attempts, t.tries), Facts(now),
                monotonic, for_agent=t.for_agent,
            )
            for t in result.taken
        ]  # fmt: skip
        for call in fresh:
            self._calls.add(call)
        return fresh

    async def _claim(self, campaign: Campaign, lines: int, judgement: Judgement) -> Claim:
        pool = self._reach()
        if self._clock.monotonic() >= campaign.promoted + _TICK_SECONDS:
            await promote(pool, campaign.id)
            campaign.promoted = self._clock.monotonic()
        ready = self._agents.ready(campaign.queue_name, campaign.tenant_id)
        free = {agent.id for agent in ready} - self._calls.awaited()
        return await claim(pool, campaign.id, lines, self._config.node, judgement, sorted(free))

    def _reach(self) -> asyncpg.Pool:
        pool = self._pool()
        if pool is None:
            raise ConnectionError("PostgreSQL is not connected")
        return pool

    async def _place(self, fresh: list[Call], trunk: Trunk, until: datetime) -> None:
        """Originates what may still be called, right after the last look at the do-not-call lists (F29)."""
        if trunk.route == "direct":
            shown = await asyncio.gather(*map(self._show, fresh))
            fresh = [call for call, has in zip(fresh, shown, strict=True) if has]
        if not fresh:
            return
        try:
            barred = await self._barred(fresh)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("dnc.unknown", error=str(error) or type(error).__name__)
            for call in fresh:
                self._not_sent(call, "not dialled: the do-not-call lists could not be read")
            return
        for call in fresh:
            self._originate(call, trunk, barred.get(call.e164), until)

    async def _barred(self, fresh: list[Call]) -> dict[str, str]:
        """Numbers of one campaign's fresh calls that were put on a list since the claim."""
        campaign = fresh[0].campaign
        return await bars(self._reach(), campaign.tenant_id, campaign.id, [call.e164 for call in fresh])

    async def _show(self, call: Call) -> bool:
        """Gives a call its caller ID. Every call shows a number: false when there is none, and it is not placed."""
        campaign = call.campaign
        selection = await self._caller_ids.select(
            campaign.tenant_id, campaign.id, call.e164, call.attempt, campaign.caller_id, self._clock.now()
        )
        call.caller_id = selection.caller_id
        if selection.caller_id is None:
            reasons = dict(selection.reasons)
            self._not_sent(call, f"no caller ID: {reasons}; add one, or give the campaign a fallback")
        return selection.caller_id is not None

    def _originate(self, call: Call, trunk: Trunk, barred_by: str | None, until: datetime) -> None:
        campaign = call.campaign
        if barred_by is not None:  # this number, and no other: the campaign need not rest
            detail = f"not dialled any more: on the do-not-call list {barred_by!r} since a moment ago"
            self._calls.learn(call.attempt, Event(Kind.NOT_SENT, self._clock.now(), detail=detail))
            return
        try:
            self._check_still(call, until)
            self._ami.originate(
                Originate(
                    call.attempt,
                    call.e164,
                    trunk.endpoint,
                    trunk.route,
                    call.caller_id,
                    campaign.ring_timeout_seconds,
                    self._variables(call, trunk),
                )
            )
        except (ValueRefused, LinkDown, _TooLate) as error:
            self._not_sent(call, str(error))
            return
        log.info("call.originate", attempt=call.attempt, campaign=campaign.id, number=masked(call.e164))

    def _not_sent(self, call: Call, why: str) -> None:
        self._calls.learn(call.attempt, Event(Kind.NOT_SENT, self._clock.now(), detail=why))
        # What keeps one number from leaving keeps the next: the list must not run through attempts that do not.
        call.campaign.idle_until = self._clock.monotonic() + _NOT_SENT_SECONDS

    def _check_still(self, call: Call, until: datetime) -> None:
        """The claim and the caller ID took a while: a drain, a lost link, a stop may have come in between."""
        gate = self._gate()
        if gate is None and call.campaign.state != "active":
            gate = f"the campaign is {call.campaign.state}"
        if gate is None and self._clock.now() >= until:
            gate = "the calling window may have closed"
        if gate is None and call.attempt not in self._calls:
            gate = "reconcile has closed the attempt"
        if gate is not None:
            raise _TooLate(f"not dialled any more: {gate}")

    def _variables(self, call: Call, trunk: Trunk) -> dict[str, str]:
        campaign, limit = call.campaign, self._config.dialing.max_call_seconds
        variables = {
            "DIALERD_APP": self._config.ari.app,
            "DIALERD_MAX_SECONDS": str(limit),
            "DIALERD_AMD": "0" if campaign.machine_detection == "off" else "1",
        }
        if trunk.route == "dialplan":
            variables |= {
                "DIALERD_ATTEMPT": call.attempt,
                "DIALERD_CAMPAIGN": str(campaign.id),
                "DIALERD_TRUNK": trunk.endpoint,
                "DIALERD_RING_SECONDS": str(campaign.ring_timeout_seconds),
            }
        return variables

    def _refused(self, campaign: Campaign, refusal: str) -> str:
        if refusal == "judgement_too_old":
            campaign.judged = None
        campaign.idle_until = self._clock.monotonic() + _IDLE_SECONDS.get(refusal, _TICK_SECONDS)
        if refusal == "list_used_up":
            self._on_complete(campaign)
        if self._refusals.get(campaign.id) != refusal:  # on record when it changes, not every second
            self._refusals[campaign.id] = refusal
            detail = {"rule": refusal, "version": campaign.terms.version}
            self._ledger.put(record.note(campaign.tenant_id, campaign.id, self._clock.now(), "not_dialed", detail))
        return f"the claim gave nothing: {refusal}"

    def _decided(self, campaign: Campaign, lines: int, reason: str) -> None:
        old = campaign.decision
        if old is None or (old.lines, old.reason) != (lines, reason):
            campaign.decision = Decision(lines, reason, self._clock.now())


class _TooLate(Exception):
    """Claimed, and not allowed any more."""
