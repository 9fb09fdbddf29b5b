"""Caller-ID selection behind every door (FastAGI now, HTTP later): same answer, same limits, same log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from dialerd.clock import Clock
from dialerd.core import ids, phone
from dialerd.core.callerid import CallEnd, Request, Selection, shown
from dialerd.engine.lookups import Lookups
from dialerd.live.callerids import CallerIds

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made. `campaign_id` 0: for no campaign, from the tenant's own pool."""

    tenant_id: int
    campaign_id: int
    fallback: str | None  # the campaign's caller_id, as stored
    default_region: str


class CallerIdDesk:
    """Implements `fastagi.desk.Desk`.

    `caller` finds on whose behalf a call is made, from the campaign's id and the agent's name as the dialplan wrote
    them (one of the two may be empty), without I/O.
    `selected` is told of each answer to an attempt of ours before the dialplan is, to record it on the attempt; it
    must not wait and must not raise.
    """

    def __init__(
        self,
        node: str,
        callerids: CallerIds,
        clock: Clock,
        caller: Callable[[str, str], Caller | None],
        selected: Callable[[str, Selection], None],
        lookups: Lookups | None = None,
    ) -> None:
        self._node = node
        self._callerids = callerids
        self._clock = clock
        self._caller = caller
        self._selected = selected
        self._lookups = lookups

    async def next_cid(self, request: Request) -> Selection:
        """See `Desk`. A holder that is no attempt of ours is known per node: other boxes may use its name too."""
        to, campaign, agent, holder = request.to, request.campaign, request.agent, request.holder
        caller = self._caller(campaign, agent)
        if caller is None:
            return self._logged(Selection.without_pool(None, {"unknown_campaign": 1}), "", campaign, agent, holder)
        fallback = shown(caller.fallback)
        try:
            number = phone.parse(to, caller.default_region)
        except phone.NumberRefused as refused:
            # No fallback either: a number that may not be dialled is not helped out.
            selection = Selection.without_pool(None, {f"bad_number_{refused.reason}": 1})
            return self._logged(selection, "", campaign, agent, holder)
        selection = await self._callerids.select(
            caller.tenant_id, caller.campaign_id, number.e164, self._key(holder), fallback, self._clock.now()
        )
        if ids.is_attempt(holder):
            self._selected(holder, selection)
        return self._logged(selection, phone.masked(number.e164), campaign, agent, holder)

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        """See `Desk`."""
        return await self._callerids.release(self._key(holder), self._clock.now())

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        """See `Desk`."""
        return await self._lookups.dnc_lists(to, campaign) if self._lookups else None

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        """See `Desk`."""
        return await self._lookups.contact_info(number, campaign) if self._lookups else None

    def _key(self, holder: str) -> str:
        return holder if ids.is_attempt(holder) else f"{self._node}/{holder}"

    def _logged(self, selection: Selection, to: str, campaign: str, agent: str, holder: str) -> Selection:
        log.info(
            "caller ID selected",
            attempt=holder,
            to=to,
            campaign=campaign,
            agent=agent,
            status=str(selection.status),
            cid_id=selection.cid_id,
            reasons=dict(selection.reasons),
        )
        return selection
