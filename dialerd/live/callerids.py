"""The caller-ID pool: one atomic Redis script gives each call a number that no other call has.

Guarantees: a reserved number is never given twice, no limit is passed, the least recently used goes first, a call
that asks twice gets the same answer. Redis may be flushed or restarted at any moment: the next selection notices,
brings counts, last uses and reservations back from PostgreSQL and from this process' own memory, and only then
answers. While that is impossible nothing of the pool is given: the campaign's fallback, or none.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dialerd.core.callerid import CallerId, Rule, Selection, Status, Usage, pool_of, wanted_levels
from dialerd.core.nearness import levels
from dialerd.live.together import Together

log = structlog.get_logger(__name__)

_AT_ONCE = 32  # selections in one script call: some two milliseconds of Redis' time
_BATCH = 100  # numbers per script call of a rebuild: some milliseconds of Redis' time
_PAUSE_SECONDS = 1.0  # after a failure: calls must not queue up behind a Redis that does not answer
_READ = 500  # numbers whose live state is read at a time
_NOT_RESERVED = ("", 0)
_COUNTED = (Rule.RESTING, Rule.RESERVED, Rule.DAILY_LIMIT, Rule.HOURLY_LIMIT)  # as reserve.lua counts them
_T = TypeVar("_T")


def _script(name: str) -> str:
    folder = files(__package__)
    return (folder / "common.lua").read_text() + (folder / name).read_text()


@dataclass(frozen=True, slots=True)
class _Taken:
    """This process' memory of a number's use: what a flush may take before PostgreSQL has it."""

    last_used: datetime
    used_this_hour: int
    used_today: int
    holder: str | None

    def then(self, now: datetime, holder: str) -> "_Taken":
        hour = self.used_this_hour if _hour(self.last_used) == _hour(now) else 0
        day = self.used_today if _day(self.last_used) == _day(now) else 0
        return _Taken(now, hour + 1, day + 1, holder)


class CallerIds:
    """Selection from the pool. `usage` fetches from PostgreSQL what the log says of this hour and day."""

    def __init__(
        self, client: Redis, reservation_seconds: int, usage: Callable[[], Awaitable[Iterable[Usage]]]
    ) -> None:
        self._client = client
        self._ttl = reservation_seconds
        self._usage = usage
        self._rows: Sequence[CallerId] = ()
        self._row_of: dict[int, CallerId] = {}
        self._own: frozenset[str] = frozenset()
        self._definitions: dict[int, str] = {}  # what Redis has of each number, for as long as the epoch holds
        self._pools: dict[tuple[int, int | None], int] = {}  # how many inactive numbers each pool holds
        self._epoch: str | None = None  # what Redis must still hold for our view of it to be true
        self._loaded = 0  # counts load(); `_written` is the last that Redis has
        self._written = 0
        self._taken: dict[int, _Taken] = {}
        self._held: dict[str, int] = {}  # holder -> number, for the release
        self._writing = asyncio.Lock()
        self._out_until = 0.0  # loop time; 0: not out
        script = client.register_script(_script("reserve.lua"))
        self._reserve = Together[list[str | int]](lambda requests: script(args=requests), _AT_ONCE)
        self._release = client.register_script(_script("release.lua"))
        self._restore = client.register_script(_script("restore.lua"))
        self._finish = client.register_script(_script("finish.lua"))

    def load(self, rows: Iterable[CallerId]) -> None:
        """Replaces the pool; Redis learns of it before the next selection. Every process must be given every row."""
        self._rows = tuple(rows)
        pools: dict[tuple[int, int | None], int] = {}
        for row in self._rows:
            key = (row.tenant_id, row.campaign_id)
            pools[key] = pools.get(key, 0) + (not row.active)
        self._pools = pools
        self._row_of = {row.id: row for row in self._rows}
        self._own = frozenset(row.e164 for row in self._rows)
        self._taken = {cid: taken for cid, taken in self._taken.items() if cid in self._row_of}
        self._loaded += 1

    def number_of(self, tenant_id: int, campaign_id: int, e164: str) -> int | None:
        """The id of an active number of the pool that a campaign draws from; None: it is not in it."""
        pool = pool_of(self._rows, tenant_id, campaign_id)
        return next((row.id for row in pool if row.e164 == e164 and row.active), None)

    def row(self, cid_id: int) -> CallerId | None:
        """A number of the pool by its id."""
        return self._row_of.get(cid_id)

    def is_own(self, e164: str) -> bool:
        """Whether this is a number of some pool: a call to it would come back to our own trunk."""
        return e164 in self._own

    async def select(
        self,
        tenant_id: int,
        campaign_id: int,
        to_e164: str,
        holder: str,
        fallback: str | None,
        now: datetime,
        *,
        local_presence: bool = True,
        preferred: int | None = None,
        region: str | None = None,
    ) -> Selection:
        """A number for the call `holder`, reserved until `release(holder)` or the reservation's end.

        `preferred`: the id of the number that the same person saw last. `region`: that of `to_e164`, if known. Never
        raises for what is wrong outside: with Redis or PostgreSQL away the reasons say `unavailable`.
        """
        campaign = campaign_id if (tenant_id, campaign_id) in self._pools else None
        if (tenant_id, campaign) not in self._pools:
            return Selection.without_pool(fallback, {Rule.NO_MATCH: 1})
        wanted = (
            f"{tenant_id}:{campaign or '-'}",
            str(preferred or ""),
            *wanted_levels(to_e164, local_presence, region),
        )
        try:
            answer = await self._ask(wanted, holder, now)
        except Exception as error:  # of Redis or of the usage query: whatever it is, the call must go on
            self._failed(error)
            return Selection.without_pool(fallback, {"unavailable": 1})
        self._works()
        if answer[0] != "NONE":
            cid = int(answer[1])
            again = answer[0] == "SAME" and self._held.get(holder) == cid
            if not again:
                self._remember(cid, holder, now)
            return Selection(Status.OK, str(answer[2]), cid, again=again)
        counts = dict(zip(_COUNTED, map(int, answer[1:]), strict=True))
        counts[Rule.INACTIVE] = self._pools[tenant_id, campaign]
        return Selection.without_pool(fallback, {str(rule): count for rule, count in counts.items() if count})

    async def usages(self, now: datetime, tenant_id: int | None = None) -> dict[int, Usage]:
        """The live state of every number, or of a tenant's: uses of this hour and day, last use, who has it.

        Changes nothing: where Redis has been emptied, it is what a rebuild would bring back. Raises what Redis and
        the usage query raise.
        """
        ids = [row.id for row in self._rows if tenant_id is None or row.tenant_id == tenant_id]
        if not await self._client.exists("callerid:epoch"):
            known = self._merged(await self._usage(), now)
            return {cid: known.get(cid, Usage(cid)) for cid in ids}
        found: dict[int, Usage] = {}
        for some in _batches(ids, _READ):
            pipe = self._client.pipeline(transaction=False)
            pipe.mget([f"callerid:hour:{cid}:{_hour(now)}" for cid in some])
            pipe.mget([f"callerid:day:{cid}:{_day(now)}" for cid in some])
            pipe.hmget("callerid:last_used", [str(cid) for cid in some])
            pipe.mget([f"reservation:{cid}" for cid in some])
            for cid, hour, day, last, holder in zip(some, *await pipe.execute(), strict=True):
                last_used = datetime.fromtimestamp(int(last) / 1_000_000, UTC) if last else None
                found[cid] = Usage(cid, int(hour or 0), int(day or 0), last_used, holder)
        return found

    async def release(self, holder: str, now: datetime) -> bool:
        """Ends the reservation of a call that ended; its use stays counted. True when it had one.

        Never raises: with Redis away the reservation ends by itself.
        """
        self._forget(holder)
        try:
            self._refuse_while_out()
            released = await self._release(args=[holder, _micros(now), self._ttl])
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return False
        return bool(released)

    async def rebuild(self, usages: Iterable[Usage], now: datetime) -> None:
        """Brings pool and uses into Redis. Merging: the higher count and the later use win, on either side."""
        await self._write(usages, now, None)

    async def _ask(self, wanted: Sequence[str], holder: str, now: datetime) -> list[str | int]:
        self._refuse_while_out()
        for _ in range(3):
            await self._prepare(now)
            epoch = self._epoch
            pool, preferred, *levels = wanted
            lines = (epoch or "", str(_micros(now)), str(self._ttl), pool, preferred, " ".join(levels), holder)
            answer = await self._reserve.ask("\n".join(lines))
            if answer[0] != "REBUILD":
                return answer
            if self._epoch == epoch:  # else another call has rebuilt meanwhile
                self._epoch = None
        raise ConnectionError("Redis lost what was just rebuilt, three times")

    async def _prepare(self, now: datetime) -> None:
        if self._epoch is not None and self._written == self._loaded:
            return
        async with self._writing:
            self._refuse_while_out()
            if self._epoch is not None and self._written != self._loaded:
                # Redis has every use of the numbers that it knows; those that are new to it may have had some, too.
                new = any(row.active and row.id not in self._definitions for row in self._rows)
                await self._write(await self._usage() if new else (), now, self._epoch)
            if self._epoch is None:
                await self.rebuild(await self._usage(), now)

    async def _write(self, found: Iterable[Usage], now: datetime, epoch: str | None) -> None:
        """What differs in definition, and these uses, in batches. `epoch`: what Redis must have held all the while;
        None: it is to get one. No epoch when something was lost meanwhile."""
        loaded, rows, token = self._loaded, self._rows, secrets.token_hex(8)
        await self._client.set(f"callerid:building:{token}", "1", ex=600)
        known = await self._stored() if epoch is None else self._definitions
        # Merged as late as possible: answers given before a flush have all been noted by now.
        usages = self._merged(found, now) if epoch is None else {usage.cid_id: usage for usage in found}
        active = {row.id: row for row in rows if row.active}
        gone = [cid for cid in known if cid not in active]
        for ids in _batches(gone):
            await self._restore(
                args=[_micros(now), self._ttl, *(word for cid in ids for word in (cid, "", 0, 0, 0, "", 0))]
            )
        written: dict[int, str] = {}
        for batch in _batches(list(active.values())):
            words: list[str | int] = []
            for row in batch:
                written[row.id] = definition = _definition(row)
                if row.id in usages or known.get(row.id) != definition:
                    words += [row.id, definition, *self._state(usages.get(row.id, Usage(row.id)), now)]
            if words:
                await self._restore(args=[_micros(now), self._ttl, *words])
            await asyncio.sleep(0)  # ten thousand definitions take half a second: let calls through between
        self._epoch = await self._finish(args=[token, epoch or ""]) or None
        self._definitions, self._written = written, loaded
        log.info("caller-ID pool written to Redis", numbers=len(active), removed=len(gone), restored=len(usages))

    async def _stored(self) -> dict[int, str]:
        return {int(cid): text async for cid, text in self._client.hscan_iter("callerid:def", count=_READ)}

    def _merged(self, found: Iterable[Usage], now: datetime) -> dict[int, Usage]:
        """What PostgreSQL says and what this process knows, the stricter of both."""
        usages = {usage.cid_id: usage for usage in found}
        for cid, taken in self._taken.items():
            usages[cid] = _stricter(usages.get(cid, Usage(cid)), taken, now)
        return usages

    def _state(self, usage: Usage, now: datetime) -> tuple[int, int, int, str, int]:
        """Uses, last use and reservation as restore.lua takes them; without a last use, reserved from now."""
        holder, rest = _NOT_RESERVED
        if usage.holder is not None:
            rest = self._ttl - int((now - (usage.last_used or now)).total_seconds())
            holder = usage.holder
        return (
            usage.used_this_hour,
            usage.used_today,
            _micros(usage.last_used) if usage.last_used else 0,
            holder,
            min(max(rest, 0), self._ttl),
        )

    def _refuse_while_out(self) -> None:
        if asyncio.get_running_loop().time() < self._out_until:
            raise ConnectionError("Redis or PostgreSQL just failed; asked again in a second")

    def _failed(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._out_until == 0.0:
            log.error("caller IDs unavailable, fallback only", error=f"{type(error).__name__}: {error}"[:200])
        if now >= self._out_until:
            self._out_until = now + _PAUSE_SECONDS

    def _works(self) -> None:
        if self._out_until:
            log.info("caller IDs available again")
            self._out_until = 0.0

    def _remember(self, cid: int, holder: str, now: datetime) -> None:
        self._forget(holder)
        before = self._taken.get(cid)
        if before is not None and before.holder is not None:
            self._held.pop(before.holder, None)
        self._taken[cid] = (before or _Taken(now, 0, 0, None)).then(now, holder)
        self._held[holder] = cid

    def _forget(self, holder: str) -> None:
        cid = self._held.pop(holder, None)
        if cid is not None and (taken := self._taken.get(cid)) and taken.holder == holder:
            self._taken[cid] = _Taken(taken.last_used, taken.used_this_hour, taken.used_today, None)


def _definition(row: CallerId) -> str:
    pool = f"{row.tenant_id}:{row.campaign_id or '-'}"
    rests = _micros(row.resting_until) if row.resting_until else 0
    return " ".join((row.e164, pool, str(row.hourly_limit), str(row.daily_limit), str(rests), *levels(row.e164)))


def _stricter(usage: Usage, taken: _Taken, now: datetime) -> Usage:
    same_hour = _hour(taken.last_used) == _hour(now)
    same_day = _day(taken.last_used) == _day(now)
    last_used = max(usage.last_used, taken.last_used) if usage.last_used else taken.last_used
    return Usage(
        usage.cid_id,
        max(usage.used_this_hour, taken.used_this_hour if same_hour else 0),
        max(usage.used_today, taken.used_today if same_day else 0),
        last_used,
        usage.holder or taken.holder,
    )


def _batches(items: Sequence[_T], size: int = _BATCH) -> Iterable[Sequence[_T]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // 3600


def _day(at: datetime) -> int:
    return int(at.timestamp()) // 86400
