"""Caller-ID selection behind every door (FastAGI now, HTTP later): same answer, same limits, same log."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dialerd.clock import Clock
from dialerd.core import ids, phone
from dialerd.core.callerid import Selection, shown
from dialerd.live.callerids import CallerIds

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """What a selection needs to know of a campaign."""

    tenant_id: int
    campaign_id: int
    fallback: str | None  # the campaign's caller_id, as stored
    default_region: str


class CallerIdDesk:
    """Implements `fastagi.desk.Desk`.

    `campaign` finds the running daemon's view of a campaign by its id as the dialplan wrote it, without I/O.
    `selected` is told of each answer to an attempt of ours before the dialplan is, to record it on the attempt; it
    must not wait and must not raise.
    """

    def __init__(
        self,
        node: str,
        callerids: CallerIds,
        clock: Clock,
        campaign: Callable[[str], Caller | None],
        selected: Callable[[str, Selection], None],
    ) -> None:
        self._node = node
        self._callerids = callerids
        self._clock = clock
        self._campaign = campaign
        self._selected = selected

    async def next_cid(self, to: str, campaign: str, agent: str, holder: str) -> Selection:
        """See `Desk`. A holder that is no attempt of ours is known per node: other boxes may use its name too."""
        caller = self._campaign(campaign)
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

    async def release_cid(self, holder: str) -> None:
        """See `Desk`."""
        await self._callerids.release(self._key(holder), self._clock.now())

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
