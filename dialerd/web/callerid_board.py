"""What the page of caller IDs shows: one look at everything, shared by all who watch, and each one's page of it.

While somebody watches a tenant's numbers, a look is taken every two seconds, or less often where it takes long: looking
costs at most a twentieth of a core, however many watch and however many numbers there are.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError

from dialerd.clock import Clock
from dialerd.core.callerid import CallerId, Rule, Usage, refusal
from dialerd.core.status import LiveEvent
from dialerd.live.callerids import CallerIds
from dialerd.store import callerid_admin
from dialerd.store.callerid_admin import Asked, CampaignUse, PoolEntry
from dialerd.web.events import Snapshot

log = structlog.get_logger(__name__)

FREE = "free"
STATES = (FREE, Rule.RESERVED, Rule.RESTING, Rule.HOURLY_LIMIT, Rule.DAILY_LIMIT, Rule.INACTIVE)
SORTS = ("number", "busiest", "latest")
_EVERY_SECONDS = 2.0
_SHARE = 20  # a look may take this part of the time between looks
_CAMPAIGNS_SECONDS = 15.0  # to count a day's requests is more work than all the rest
_RECENT = 50
_CAMPAIGNS = 50
_VIEWS = 64  # pages of a look that are kept for others who watch the same
_WAITING = 8  # events of one reader
_CHUNK = 1000  # numbers looked at without letting others run


class Number(NamedTuple):
    """A number now. `state`: `STATES`; a tuple, because ten thousand of them are compared every two seconds."""

    row: CallerId
    state: str
    used_this_hour: int
    used_today: int
    last_used: datetime | None
    holder: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of the numbers somebody looks at. `pool`: a campaign's id, 0 the tenant's own, None all."""

    search: str = ""
    state: str = ""
    pool: int | None = None
    sort: str = "number"
    page: int = 1
    size: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """That page: its numbers and what the database has on each besides."""

    wanted: Wanted
    found: int
    pages: int
    numbers: Sequence[Number]
    more: Mapping[int, PoolEntry]


@dataclass(slots=True)
class Look:
    """Everything at one moment. `version` changes when something but the time did. `uses_known`: Redis answered."""

    version: int
    at: datetime
    taken: float
    uses_known: bool
    numbers: Sequence[Number]
    tally: Mapping[str, int]
    pools: Mapping[int, str]  # those that have numbers: campaign's id (0: the tenant's own) and name
    campaigns: Sequence[CampaignUse]
    recent: Sequence[Asked]
    views: dict[Wanted, Page] = field(default_factory=dict)


class Board:
    """A tenant's caller IDs; what `events.EventStream` wants as the source of events and of figures.

    `pool` gives the tenant's database, and raises `Problem` while it is away.
    """

    def __init__(
        self,
        tenant_id: int,
        pool: Callable[[], Any],
        caller_ids: CallerIds,
        clock: Clock,
        every: float = _EVERY_SECONDS,
    ) -> None:
        self._tenant_id = tenant_id
        self._pool = pool
        self._caller_ids = caller_ids
        self._clock = clock
        self._every = every
        self._last: Look | None = None
        self._campaigns: tuple[float, Sequence[CampaignUse]] = (float("-inf"), ())
        self._looking = asyncio.Lock()
        self._readers: set[asyncio.Queue[LiveEvent]] = set()
        self._watching: asyncio.Task[None] | None = None

    @property
    def watched(self) -> bool:
        """Whether somebody has the page open."""
        return bool(self._readers)

    async def look(self, *, fresh: bool = False) -> Look:
        """The last look, taken again when it is old, or when `fresh` is wanted. Raises what the database raises."""
        asked = self._clock.monotonic()
        async with self._looking:
            last = self._last
            good = last is not None and (last.taken >= asked if fresh else last.taken > asked - self._every)
            if last is None or not good:
                last = self._last = await self._take(last)
            return last

    async def page(self, look: Look, wanted: Wanted) -> Page:
        """A page of a look."""
        known = look.views.get(wanted)
        if known is None:
            known = await self._page(look, wanted)
            if len(look.views) < _VIEWS:
                look.views[wanted] = known
        return known

    def changed(self) -> None:
        """Somebody changed a number here: the next look is a new one."""
        if self._last is not None:
            self._last.taken = float("-inf")

    # -- the source of a live stream

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """Says `figures` when something changed; looks are taken for as long as anybody listens."""
        queue: asyncio.Queue[LiveEvent] = asyncio.Queue(_WAITING)
        self._readers.add(queue)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="caller-id board")

        async def events() -> AsyncIterator[LiveEvent]:
            while True:
                yield await queue.get()

        try:
            yield events()
        finally:
            self._readers.discard(queue)
            if not self._readers and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    def since(self, moment: float) -> Snapshot | None:
        """What the stream sends: that there is something new, and no more; the page fetches its own part."""
        del moment  # a look is taken for all readers, not for one
        last = self._last
        return Snapshot(last.version, {"version": last.version, "tally": dict(last.tally)}) if last else None

    def wait_seconds(self) -> float:
        """How long a stream waits before it asks again."""
        return 0.0 if self._last else self._every

    async def _watch(self) -> None:
        failed = False
        while True:
            began, before = self._clock.monotonic(), self._last
            try:
                look = await self.look(fresh=True)
                failed = False
            except Exception as error:  # whatever it is, the pages wait for it to be over
                if not failed:
                    log.warning("callerids.board_waits", error=f"{type(error).__name__}: {error}"[:200])
                failed = True
            else:
                if before is None or look.version != before.version:
                    for reader in self._readers:
                        if not reader.full():
                            reader.put_nowait(LiveEvent("figures"))
            took = self._clock.monotonic() - began
            await asyncio.sleep(max(self._every, _SHARE * took))

    # -- taking it

    async def _take(self, last: Look | None) -> Look:
        pool, now = self._pool(), self._clock.now()
        recent = await callerid_admin.recent(pool, self._tenant_id, _RECENT)
        campaigns = await self._campaign_uses(pool, now)
        usages: Mapping[int, Usage] = {}
        uses_known = True
        try:
            usages = await self._caller_ids.usages(now, self._tenant_id)
        except (RedisError, OSError, TimeoutError):
            uses_known = False
        ids = list(usages) or await callerid_admin.ids_of(pool, self._tenant_id)
        known = {number.row.id: number for number in last.numbers} if last else {}
        numbers: list[Number] = []
        tally: dict[str, int] = dict.fromkeys(STATES, 0)
        for start in range(0, len(ids), _CHUNK):
            for id_ in ids[start : start + _CHUNK]:
                row = self._caller_ids.row(id_)
                if row is not None:
                    # The same tuple again where nothing changed: little for the collector to look through.
                    number = _number(row, usages.get(id_) or Usage(id_), now)
                    before = known.get(id_)
                    number = before if before == number else number
                    numbers.append(number)
                    tally[number.state] += 1
            await asyncio.sleep(0)
        pools = await self._pools(pool, numbers)
        same = last is not None and (
            uses_known == last.uses_known and recent == last.recent and campaigns == last.campaigns
            and pools == last.pools and numbers == last.numbers
        )  # fmt: skip
        version = (last.version if last else 0) + (not same)
        return Look(version, now, self._clock.monotonic(), uses_known, numbers, tally, pools, campaigns, recent)

    async def _campaign_uses(self, pool: Any, now: datetime) -> Sequence[CampaignUse]:
        """Those of this day (UTC, as the limits')."""
        taken, found = self._campaigns
        if self._clock.monotonic() - taken >= _CAMPAIGNS_SECONDS:
            day = now.replace(hour=0, minute=0, second=0, microsecond=0)
            found = await callerid_admin.campaigns_since(pool, self._tenant_id, day, _CAMPAIGNS)
            self._campaigns = (self._clock.monotonic(), found)
        return found

    async def _pools(self, pool: Any, numbers: Sequence[Number]) -> Mapping[int, str]:
        ids = {number.row.campaign_id or 0 for number in numbers}
        names = await callerid_admin.campaign_names(pool, self._tenant_id, [id_ for id_ in ids if id_])
        return {id_: names.get(id_, "") for id_ in sorted(ids)}

    async def _page(self, look: Look, wanted: Wanted) -> Page:
        found: list[Number] = []
        for start in range(0, len(look.numbers), _CHUNK):
            some = look.numbers[start : start + _CHUNK]
            found += [number for number in some if _is_wanted(number, wanted, look.pools)]
            await asyncio.sleep(0)
        found.sort(key=_ORDERS[wanted.sort])
        pages = max(1, -(-len(found) // wanted.size))
        start = (min(wanted.page, pages) - 1) * wanted.size
        shown = found[start : start + wanted.size]
        entries = await callerid_admin.of_ids(self._pool(), self._tenant_id, [number.row.id for number in shown])
        more = {entry.id: entry for entry in entries}
        numbers = [_as_stored(number, more[number.row.id], look.at) for number in shown if number.row.id in more]
        return Page(wanted, len(found), pages, numbers, more)


def _number(row: CallerId, usage: Usage, now: datetime) -> Number:
    state = str(refusal(row, usage, now) or FREE)
    return Number(row, state, usage.used_this_hour, usage.used_today, usage.last_used, usage.holder)


def _as_stored(number: Number, entry: PoolEntry, now: datetime) -> Number:
    """The number with what the database has on it: the daemon may not have heard of a change yet."""
    row = replace(
        number.row,
        active=entry.active,
        daily_limit=entry.daily_limit,
        hourly_limit=entry.hourly_limit,
        resting_until=entry.resting_until,
    )
    return _number(row, Usage(row.id, *number[2:]), now)


def reserved_until(number: Number, reservation_seconds: int) -> datetime | None:
    """When the reservation of a number ends by itself."""
    if number.holder is None or number.last_used is None:
        return None
    return number.last_used + timedelta(seconds=reservation_seconds)


def _is_wanted(number: Number, wanted: Wanted, pools: Mapping[int, str]) -> bool:
    row = number.row
    if wanted.state and number.state != wanted.state:
        return False
    if wanted.pool is not None and (row.campaign_id or 0) != wanted.pool:
        return False
    if not wanted.search:
        return True
    text = f"{row.e164} {row.carrier} {row.area_code} {pools.get(row.campaign_id or 0, '')}"
    return wanted.search.casefold() in text.casefold()


_ORDERS: Mapping[str, Callable[[Number], Any]] = {
    "number": lambda number: (number.row.e164, number.row.id),
    "busiest": lambda number: (-number.used_today, number.row.e164, number.row.id),
    "latest": lambda number: (-(number.last_used.timestamp() if number.last_used else 0.0), number.row.e164),
}
