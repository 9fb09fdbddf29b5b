"""Caller-ID selection behind every door (FastAGI, HTTP, our own calls): same answer, same limits, same log."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog

from dialerd.clock import Clock
from dialerd.core import ids, phone
from dialerd.core.callerid import CallEnd, Request, Selection, shown
from dialerd.core.hours import UNKNOWN, Hours
from dialerd.engine.directory import Caller, Directory
from dialerd.live.callerids import CallerIds
from dialerd.store.callerid_log import RequestLog, Row
from dialerd.store.errors import DB_ERRORS

log = structlog.get_logger(__name__)

OURS = "daemon"  # the door of our own calls


class CallerIdDesk:
    """The one selection. `selected` is told of each answer that another door gave to an attempt of ours before that
    door is, to record it on the attempt; it must not wait and must not raise."""

    def __init__(
        self,
        node: str,
        callerids: CallerIds,
        clock: Clock,
        directory: Directory,
        requests: RequestLog,
        selected: Callable[[str, Selection], None],
    ) -> None:
        self._node = node
        self._callerids = callerids
        self._clock = clock
        self._directory = directory
        self._requests = requests
        self._selected = selected

    async def next_cid(self, request: Request, preferred: int | None = None) -> Selection:
        """See `fastagi.desk.Desk`. `preferred`: the id of a number of the pool that goes first, if it is free. A holder
        that is no attempt of ours is known per node: other boxes may use its name too."""
        caller, now = self._directory.caller(request.campaign, request.agent), self._clock.now()
        if caller is None:
            return self._kept(request, now, None, "", Selection.without_pool(None, {"unknown_campaign": 1}))
        try:
            number = phone.parse(request.to, caller.default_region)
        except phone.NumberRefused as refused:
            # No fallback either: a number that may not be dialled is not helped out.
            reasons = {f"bad_number_{refused.reason}": 1}
            return self._kept(request, now, caller, "", Selection.without_pool(None, reasons))
        to = number.e164
        if self._callerids.is_own(to) or to == caller.fallback:
            return self._kept(request, now, caller, "", Selection.without_pool(None, {"bad_number_own": 1}))
        selection = await self._callerids.select(
            caller.tenant_id,
            caller.campaign_id,
            to,
            self._key(request.holder),
            shown(caller.fallback),
            now,
            local_presence=caller.local_presence,
            preferred=preferred or (await self._seen_last(caller, to) if caller.sticky else None),
            region=number.region,
        )
        if request.door != OURS and ids.is_attempt(request.holder):
            self._selected(request.holder, selection)
        return self._kept(request, now, caller, to, selection)

    def number_of(self, tenant_id: int, campaign_id: int, e164: str) -> int | None:
        """The id of a number of the pool that a campaign draws from; None: it is not in it."""
        return self._callerids.number_of(tenant_id, campaign_id, e164)

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        """See `fastagi.desk.Desk`. How a call ended is kept also when its reservation is over."""
        key, now = self._key(holder), self._clock.now()
        self._requests.release(key, now, end)
        return await self._callerids.release(key, now)

    async def _seen_last(self, caller: Caller, to: str) -> int | None:
        try:
            return await self._requests.last_shown(caller.tenant_id, caller.campaign_id, to)
        except DB_ERRORS as error:
            log.debug("callerids.not_sticky", error=str(error) or type(error).__name__)  # the call goes on without
            return None

    def _key(self, holder: str) -> str:
        return holder if ids.is_attempt(holder) else f"{self._node}/{holder}"

    def _kept(self, request: Request, now: datetime, caller: Caller | None, to: str, answer: Selection) -> Selection:
        """The answer, logged at the time by which its use was counted."""
        self._requests.put(
            Row(
                now,
                caller.tenant_id if caller else self._directory.foreign_tenant,
                request.door,
                request.peer,
                (caller.campaign_id or None) if caller else None,
                request.campaign,
                request.agent,
                self._key(request.holder),
                to,
                answer.status.value,
                answer.cid_id,
                answer.caller_id,
                answer.reasons,
                answer.again,
            )
        )
        return answer


class Lookups(Protocol):
    """The other half of `fastagi.desk.Desk`: what is asked of PostgreSQL alone."""

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None: ...

    async def hours(self, to: str, campaign: str, agent: str) -> Hours: ...

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None: ...


class NoLookups:
    """Where nobody can be asked: nothing is known, so nothing may be called."""

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        return None

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        return Hours("", UNKNOWN)

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        return None


class FrontDesk:
    """Implements `fastagi.desk.Desk`: caller IDs by one, everything else by the other."""

    def __init__(self, caller_ids: CallerIdDesk, lookups: Lookups) -> None:
        self.next_cid = caller_ids.next_cid
        self.release_cid = caller_ids.release_cid
        self.dnc_lists = lookups.dnc_lists
        self.hours = lookups.hours
        self.contact_info = lookups.contact_info
