"""Single calls: each through the claim of all campaigns, every gate inside, committed, then dialled (rules 1 and 3).

The daemon that is asked places them: it is the node. A campaign of each tenant's own (store/single.py) has the
settings. What is refused leaves nothing behind but the decision on record.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg

from dialerd.config import Trunk
from dialerd.core import attempt as core
from dialerd.core import phone
from dialerd.core.attempt import State
from dialerd.core.phone import masked
from dialerd.core.singlecall import CallRefused, Placed, Wanted
from dialerd.core.status import LiveEvent
from dialerd.core.terms import Judgement
from dialerd.engine import record
from dialerd.engine.bus import Bus
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.desk import CallerIdDesk
from dialerd.engine.dialing import Dialing
from dialerd.engine.node import DRY_RUN, Node
from dialerd.store import single
from dialerd.store.claim import Claim
from dialerd.store.queue import promote

_LOADED_SECONDS = 5.0  # how long a campaign that was just made may take to be known here
_LATER = {
    "trunk_busy": "the trunk's calls per second are used up: ask again",
    "postgres_down": "PostgreSQL did not answer: whether there is an attempt is not known, and none is dialled",
}


class SingleCalls:
    """`until(condition, seconds)` waits for a condition that events of this node bring about."""

    def __init__(
        self,
        node: Node,
        dialing: Dialing,
        desk: CallerIdDesk,
        bus: Bus,
        until: Callable[[Callable[[], bool], float], Awaitable[bool]],
    ) -> None:
        self._node = node
        self._dialing = dialing
        self._desk = desk
        self._bus = bus
        self._until = until

    async def place(self, tenant_id: int, wanted: Wanted) -> Placed:
        """Returns when the Originate was handed to Asterisk. Raises `CallRefused`, `store.errors.NotFound`, and
        `store.errors.DB_ERRORS`: then nothing was claimed."""
        pool = self._node.reach()
        before = await single.known(pool, tenant_id, wanted)
        if before is not None:
            return before
        gate = self._node.gate()
        if gate is not None and gate != DRY_RUN:
            raise CallRefused("unavailable", gate, f"nothing is dialled now: {gate.replace('_', ' ')}")
        campaign = await self._campaign(pool, tenant_id, wanted)
        trunk, preferred = self._trunk(campaign), self._preferred(campaign, wanted)
        if wanted.campaign_id is not None:
            await promote(pool, campaign.id)  # no pacing does it for a campaign in mode preview
        zones = await single.zone_set(pool, wanted.number)
        if zones not in self._node.zone_sets:
            self._node.zone_sets[zones] = wanted.number.zones
            campaign.judged = None
        return await self._dial(campaign, trunk, wanted, zones, preferred)

    async def _dial(
        self, campaign: Campaign, trunk: Trunk, wanted: Wanted, zones: int, preferred: int | None
    ) -> Placed:  # fmt: skip
        placed: list[Placed] = []
        calls: list[Call] = []

        async def take(judgement: Judgement) -> Claim:
            config, now = self._node.config, self._node.clock.now()
            found, claimed = await single.take(
                self._node.reach(), campaign.tenant_id, campaign.id, wanted, zones, config.node, judgement, now,
                config.calls.dry_run,
            )  # fmt: skip
            placed.append(found)
            return Claim((claimed,) if claimed is not None else (), None)

        def begun(call: Call) -> None:
            call.asked, call.preferred_caller_id = wanted.options, preferred
            calls.append(call)

        try:
            refusal = await self._dialing.one(campaign, trunk, take, begun)
        except CallRefused as refused:
            self._note(campaign, wanted, refused)
            raise
        if refusal is not None:
            raise CallRefused("unavailable", refusal, _LATER[refusal])
        if calls and calls[0].facts.not_sent:
            raise CallRefused("refused", "not_sent", f"{calls[0].facts.detail}; the attempt is {calls[0].attempt}")
        return placed[0]

    async def _campaign(self, pool: asyncpg.Pool, tenant_id: int, wanted: Wanted) -> Campaign:
        """The campaign whose settings hold. One that was just made becomes known by the notification of its commit."""
        campaigns, id_ = self._node.campaigns, wanted.campaign_id
        if id_ is None:
            id_ = await single.campaign_for(pool, tenant_id, self._default_trunk())
            await self._until(lambda: id_ in campaigns, _LOADED_SECONDS)
        campaign = campaigns.get(id_)
        if campaign is None or campaign.tenant_id != tenant_id:
            raise CallRefused(
                "refused", "not_active", f"no active campaign {id_} runs here: dialer-admin campaign start"
            )
        if campaign.mute is not None:
            raise CallRefused("refused", "campaign_mute", campaign.mute)
        return campaign

    def _default_trunk(self) -> str | None:
        """Of the campaign when it is made; later its own setting counts."""
        trunks, named = self._node.config.trunks, self._node.config.calls.trunk
        if named is None:
            return next(iter(trunks)) if len(trunks) == 1 else None
        return named if named in trunks else None

    def _trunk(self, campaign: Campaign) -> Trunk:
        trunk = self._node.config.trunks.get(campaign.trunk)
        if trunk is None:
            says = f"trunk {campaign.trunk!r} is not in this node's configuration"
            raise CallRefused("refused", "unknown_trunk", says)
        return trunk

    def _preferred(self, campaign: Campaign, wanted: Wanted) -> int | None:
        """The number of the pool that is to be shown, if one was named: nobody shows a stranger's."""
        text = wanted.options.number
        if text is None:
            return None
        try:
            e164 = phone.parse(text, campaign.default_region).e164
        except phone.NumberRefused:
            e164 = text
        found = self._desk.number_of(campaign.tenant_id, campaign.id, e164)
        if found is None and campaign.caller_id not in (text, e164):
            says = "caller_id: that number is neither the campaign's nor in its pool: dialer-admin callerid list"
            raise CallRefused("invalid", "caller_id_not_ours", says)
        return found

    def _note(self, campaign: Campaign, wanted: Wanted, refused: CallRefused) -> None:
        """The decision not to dial goes on record, as campaigns' own do."""
        detail = {"rule": refused.reason, "number": wanted.number.e164, "contact": wanted.contact_id, "single": True}
        detail["version"] = campaign.terms.version
        now = self._node.clock.now()
        self._node.ledger.put(record.note(campaign.tenant_id, campaign.id, now, "not_dialed", detail))

    # -- what becomes of one --------------------------------------------------------------------------------------

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """This node's live events; of a call: what `seen` gives."""
        return self._bus.subscribe()

    async def now(self, attempt: str) -> Mapping[str, Any] | None:
        """A live call of this node, as the event `call` has it; None: it is not live here, and if it has just ended its
        end is in PostgreSQL when this returns."""
        call = self._node.calls.get(attempt)
        if call is not None:
            return self.seen(call)
        if attempt in self._node.ledger.ending:
            await self._node.ledger.written()
        return None

    def seen(self, call: Call) -> dict[str, Any]:
        """What is told of a call, live."""
        now, over = self._node.clock.now(), call.state is State.ENDED
        return {
            "attempt": call.attempt, "campaign": call.campaign.id, "state": call.state.value,
            "outcome": call.outcome.value if over else None, "number": masked(call.e164),
            "answered_at": call.facts.answered_at, "ended_at": core.ended_at(call.facts, now) if over else None,
        }  # fmt: skip
