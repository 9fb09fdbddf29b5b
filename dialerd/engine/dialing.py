"""From a decision to calls: claim → caller ID → do-not-call lists again → originate. One claim at a time per campaign,
each in a task of its own, so that a slow one holds nobody else up.

What a claim asks for counts as lines from the moment it begins (`Campaign.claiming`): two campaigns that share agents,
or a trunk, never count on the same one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from dialerd.ami.action import Originate, ValueRefused
from dialerd.ami.link import AmiLink, LinkDown
from dialerd.config import Trunk
from dialerd.core import machines
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.callerid import Request
from dialerd.core.phone import masked
from dialerd.core.retry import History
from dialerd.core.terms import Judgement, closed_zones
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.desk import OURS, CallerIdDesk
from dialerd.engine.node import Node
from dialerd.engine.observe import segment
from dialerd.pacing.bucket import Bucket
from dialerd.places.zones import country_of
from dialerd.store.claim import Claim, claim
from dialerd.store.dnc import bars
from dialerd.store.errors import DB_ERRORS
from dialerd.store.queue import promote

log = structlog.get_logger(__name__)

_PROMOTE_SECONDS = 1.0
_FAILED_SECONDS = 1.0  # how long a campaign rests after a claim that failed
# how long not to ask again; other gates: a second
_IDLE_SECONDS = {"list_used_up": 5.0, "nothing_due": 1.0, "still_looking": 0.0}
_NOT_SENT_SECONDS = 5.0  # how long a campaign rests after an attempt that could not leave
_ROOM_SECONDS = 3.0  # how long a call that somebody asks for waits for its trunk's rate
COUNTRY_OF = country_of()


@dataclass(frozen=True, slots=True)
class Claimed:
    """What came of a claim: how many attempts, and why none (None: no reason)."""

    campaign: Campaign
    wanted: int
    taken: int
    why_not: str | None


class Dialing:
    """`on_claimed` is told what came of each claim, `on_complete` of a list that is used up."""

    def __init__(
        self,
        node: Node,
        ami: AmiLink,
        desk: CallerIdDesk,
        on_claimed: Callable[[Claimed], None],
        on_complete: Callable[[Campaign], None],
    ) -> None:
        self._node = node
        self._clock = node.clock
        self._ami = ami
        self._desk = desk
        self._on_claimed = on_claimed
        self._on_complete = on_complete
        trunks = node.config.trunks
        # A claim may be slow, and several may come back at once: the second bucket holds on the wire what the first
        # one, which a claim is cut to, could not.
        self._to_claim = {name: Bucket(trunk.calls_per_second) for name, trunk in trunks.items()}
        self._to_send = {name: Bucket(trunk.calls_per_second) for name, trunk in trunks.items()}
        self._refusals: dict[int, str | None] = {}  # the last gate on record, per campaign

    def room(self, trunk: str) -> int:
        """How many calls a trunk's rate allows now."""
        return self._to_claim[trunk].available(self._clock.monotonic())

    def take_turn(self, trunk: str) -> bool:
        """One call that is no attempt, counted against the trunk's rate; false: not now."""
        if self.room(trunk) < 1 or self._to_send[trunk].available(self._clock.monotonic()) < 1:
            return False
        self._to_claim[trunk].take(1)
        self._to_send[trunk].take(1)
        return True

    async def wait_turn(self, trunk: str) -> bool:
        """The same for somebody who is on the line: waits for it, but not for long."""
        if not await self._room_for_one(trunk):
            return False
        await self._turn(trunk)
        return True

    def next_room(self, trunk: str) -> float:
        """Seconds until its rate allows one more."""
        return self._to_claim[trunk].next_in()

    def start(self, campaign: Campaign, trunk: Trunk, lines: int) -> None:
        """Claims and dials, in a task of its own; there must be room, and no claim of this campaign under way."""
        campaign.claiming = lines
        self._to_claim[campaign.trunk].take(lines)
        self._node.spawn(self._dial(campaign, trunk, lines), f"dial for campaign {campaign.id}")

    async def _dial(self, campaign: Campaign, trunk: Trunk, lines: int) -> None:
        fresh: list[Call] = []
        why_not: str | None = "the claim failed"
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._node.claims.add(under_way)
        try:
            judgement = campaign.judge(self._node.zone_sets, COUNTRY_OF, self._clock.now())
            await self._note_windows(campaign, judgement)
            result = await self.claim(campaign, lines, judgement)
            fresh = self._begin(campaign, result)
            why_not = None if result.refusal is None else self._refused(campaign, result.refusal)
        except DB_ERRORS as error:
            # Whether it was committed is not known (F14); reconcile reads it back. Zero times beats twice.
            log.warning("claim.failed", campaign=campaign.id, error=str(error) or type(error).__name__)
            campaign.idle_until = self._clock.monotonic() + _FAILED_SECONDS
            why_not = "the claim failed: PostgreSQL did not answer"
        finally:
            self._node.claims.discard(under_way)
            under_way.set_result(None)
            campaign.claiming = 0
            self._to_claim[campaign.trunk].give_back(lines - len(fresh))
            self._on_claimed(Claimed(campaign, lines, len(fresh), why_not))
        if fresh:
            self._refusals[campaign.id] = None
            await self.place(fresh, trunk, judgement.until)

    async def one(
        self,
        campaign: Campaign,
        trunk: Trunk,
        take: Callable[[Judgement], Awaitable[Claim]],
        begun: Callable[[Call], None],
    ) -> str | None:
        """Dials one contact that somebody asks for: `take` claims it, and `begun` is told of its call before it is
        placed. Returns why it was not claimed, or None."""
        if not await self._room_for_one(campaign.trunk):
            return "trunk_busy"
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._node.claims.add(under_way)
        fresh: list[Call] = []
        try:
            judgement = campaign.judge(self._node.zone_sets, COUNTRY_OF, self._clock.now())
            result = await take(judgement)
            if result.refusal == "judgement_too_old":
                campaign.judged = None
            fresh = self._begin(campaign, result)
        except DB_ERRORS as error:
            log.warning("claim.failed", campaign=campaign.id, error=str(error) or type(error).__name__)
            return "postgres_down"
        finally:
            self._node.claims.discard(under_way)
            under_way.set_result(None)
            self._to_claim[campaign.trunk].give_back(1 - len(fresh))
        for call in fresh:
            begun(call)
        await self.place(fresh, trunk, judgement.until)
        return result.refusal

    async def _room_for_one(self, trunk: str) -> bool:
        """Takes room for one call from what a trunk's rate allows; waits for it, but not for long."""
        limit = self._clock.monotonic() + _ROOM_SECONDS
        while self.room(trunk) < 1:
            if self._clock.monotonic() >= limit:
                return False
            await asyncio.sleep(self.next_room(trunk))
        self._to_claim[trunk].take(1)
        return True

    async def _note_windows(self, campaign: Campaign, judgement: Judgement) -> None:
        """Which zones are open goes on record when it changes: the decision about every contact of the others."""
        judged = judgement.terms.version, judgement.open
        if judged == campaign.noted:
            return
        campaign.noted = judged
        now, sets = self._clock.now(), dict(self._node.zone_sets)
        shut = await asyncio.to_thread(closed_zones, judgement, sets, COUNTRY_OF, now)
        zones = {zone for members in sets.values() for zone in members}
        self._node.ledger.put(record.windows(campaign, judgement.terms.version, zones - shut.keys(), shut, now))

    def _begin(self, campaign: Campaign, result: Claim) -> list[Call]:
        """The attempts of a claim as live calls."""
        campaign.pending = max(0, campaign.pending - len(result.taken))
        now, monotonic = self._clock.now(), self._clock.monotonic()
        fresh = []
        for t in result.taken:
            part = segment(now, t.list_id)
            call = Call(
                t.attempt, campaign, t.contact_id, t.e164, History(t.attempts, t.tries), Facts(now),
                monotonic, for_agent=t.for_agent, chance=campaign.pilot.chance(part), segment=part,
            )  # fmt: skip
            campaign.list_id = t.list_id
            self._node.calls.add(call)
            fresh.append(call)
        return fresh

    async def claim(self, campaign: Campaign, lines: int, judgement: Judgement) -> Claim:
        """The claim itself. Raises what `store.claim` does, and ConnectionError."""
        pool = self._node.reach()
        if self._clock.monotonic() >= campaign.promoted + _PROMOTE_SECONDS:
            await promote(pool, campaign.id)
            campaign.promoted = self._clock.monotonic()
        ready = self._node.agents.ready(campaign.queue_name, campaign.tenant_id)
        free = {agent.id for agent in ready} - self._node.calls.awaited()
        return await claim(pool, campaign.id, lines, self._node.config.node, judgement, sorted(free))

    async def place(self, fresh: list[Call], trunk: Trunk, until: datetime) -> None:
        """Originates what may still be called, right after the last look at the do-not-call lists (F29)."""
        if trunk.route == "direct":
            shown = await asyncio.gather(*map(self._show, fresh))
            fresh = [call for call, has in zip(fresh, shown, strict=True) if has]
        if not fresh:
            return
        try:
            barred = await self._barred(fresh)
        except DB_ERRORS as error:
            log.warning("dnc.unknown", error=str(error) or type(error).__name__)
            for call in fresh:
                self._not_sent(call, "not dialled: the do-not-call lists could not be read")
            return
        for call in fresh:
            await self._turn(call.campaign.trunk)
            self._originate(call, trunk, barred.get(call.e164), until)

    async def _turn(self, trunk: str) -> None:
        """Waits until the trunk's rate lets one more out; as a rule it does at once."""
        bucket = self._to_send[trunk]
        while bucket.available(self._clock.monotonic()) < 1:  # noqa: ASYNC110 - a token comes with time alone
            await asyncio.sleep(bucket.next_in())
        bucket.take(1)

    async def _barred(self, fresh: list[Call]) -> dict[str, str]:
        """Numbers of one campaign's fresh calls that were put on a list since the claim."""
        campaign = fresh[0].campaign
        return await bars(self._node.reach(), campaign.tenant_id, campaign.id, [call.e164 for call in fresh])

    async def _show(self, call: Call) -> bool:
        """Gives a call its caller ID. Every call shows a number: false when there is none, and it is not placed."""
        request = Request(call.e164, str(call.campaign.id), "", call.attempt, OURS)
        selection = await self._desk.next_cid(request, call.preferred_caller_id)
        call.caller_id = selection.caller_id
        if selection.caller_id is None:
            reasons = dict(selection.reasons)
            self._not_sent(call, f"no caller ID: {reasons}; add one, or give the campaign a fallback")
        return selection.caller_id is not None

    def _originate(self, call: Call, trunk: Trunk, barred_by: str | None, until: datetime) -> None:
        campaign = call.campaign
        if barred_by is not None:  # this number, and no other: the campaign need not rest
            detail = f"not dialled any more: on the do-not-call list {barred_by!r} since a moment ago"
            self._node.calls.learn(call.attempt, Event(Kind.NOT_SENT, self._clock.now(), detail=detail))
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
                    call.ring_seconds,
                    self._variables(call, trunk),
                    call.asked.name if call.asked is not None else None,
                )
            )
        except (ValueRefused, LinkDown, _TooLate) as error:
            self._not_sent(call, str(error))
            return
        log.info("call.originate", attempt=call.attempt, campaign=campaign.id, number=masked(call.e164))

    def _not_sent(self, call: Call, why: str) -> None:
        self._node.calls.learn(call.attempt, Event(Kind.NOT_SENT, self._clock.now(), detail=why))
        # What keeps one number from leaving keeps the next: the list must not run through attempts that do not.
        call.campaign.idle_until = self._clock.monotonic() + _NOT_SENT_SECONDS

    def _check_still(self, call: Call, until: datetime) -> None:
        """The claim and the caller ID took a while: a drain, a lost link, a stop may have come in between."""
        gate = self._node.gate() or call.campaign.mute
        if gate is None and call.campaign.state != "active":
            gate = f"the campaign is {call.campaign.state}"
        if gate is None and self._clock.now() >= until:
            gate = "the calling window may have closed"
        if gate is None and call.attempt not in self._node.calls:
            gate = "reconcile has closed the attempt"
        if gate is not None:
            raise _TooLate(f"not dialled any more: {gate}")

    def _variables(self, call: Call, trunk: Trunk) -> dict[str, str]:
        campaign, config = call.campaign, self._node.config
        variables = dict(call.asked.variables) if call.asked is not None else {}
        if call.asked is not None:
            variables |= {"CAMPAIGN_ID": str(campaign.id), "CONTACT_ID": str(call.contact_id)}
        variables |= {
            "DIALERD_APP": config.ari.app,
            "DIALERD_MAX_SECONDS": str(config.dialing.max_call_seconds),
            "DIALERD_AMD": "0" if campaign.machine_detection == "off" else "1",
        }
        if campaign.machine_detection != "off":
            variables |= machines.variables(campaign.machine_parameters)
        if campaign.machine_detection == "message" and campaign.machine_message is not None:
            variables["DIALERD_MACHINE_MESSAGE"] = campaign.machine_message
            variables["DIALERD_MACHINE_SECONDS"] = str(campaign.machine_wait_seconds)
        if campaign.broadcast is not None:
            variables["DIALERD_BROADCAST"] = campaign.broadcast
        if campaign.message is not None:  # for the dialplan, where we are away
            variables["DIALERD_PROMPT"] = campaign.message.rpartition("/")[2]
        if trunk.route == "dialplan":
            variables |= {
                "DIALERD_ATTEMPT": call.attempt,
                "DIALERD_CAMPAIGN": str(campaign.id),
                "DIALERD_TRUNK": trunk.endpoint,
                "DIALERD_RING_SECONDS": str(call.ring_seconds),
            }
        return variables

    def _refused(self, campaign: Campaign, refusal: str) -> str:
        if refusal == "judgement_too_old":
            campaign.judged = None
        campaign.idle_until = self._clock.monotonic() + _IDLE_SECONDS.get(refusal, 1.0)
        if refusal == "list_used_up":
            self._on_complete(campaign)
        if self._refusals.get(campaign.id) != refusal:  # on record when it changes, not every second
            self._refusals[campaign.id] = refusal
            detail = {"rule": refusal, "version": campaign.terms.version}
            row = record.note(campaign.tenant_id, campaign.id, self._clock.now(), "not_dialed", detail)
            self._node.ledger.put(row)
        return f"the claim gave nothing: {refusal}"


class _TooLate(Exception):
    """Claimed, and not allowed any more."""
