"""The pools of caller IDs as an operator sees and changes them; what choosing one needs is in `callerids`."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import asyncpg

from dialerd.core import phone
from dialerd.core.callerid_file import Entry, limit, line, notes
from dialerd.core.contactfile import Remark
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("callerid_admin")
_ADD, _PAGE, _OF_NUMBER, _LOCK, _CHANGE, _DELETE = _Q.add, _Q.page, _Q.of_number, _Q.lock, _Q.change, _Q.delete
_PUT_MANY, _RECENT, _CAMPAIGNS = _Q.put_many, _Q.recent, _Q.campaigns_since
_RULE, _IDS, _NAMES = _Q.campaign_rule, _Q.ids, _Q.campaign_names
_LAST_SHOWN = queries("callerid_log").last_shown
_ADD_EVENT = queries("admin").add_event
DAILY_LIMIT, HOURLY_LIMIT = 1000, 100  # where nobody says another
RESULTS = ("added", "updated", "unchanged")  # of a good row of a file
_EVERYTHING = 2**31 - 1
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """A number of ours that may be shown; `campaign` is None in the tenant's own pool.

    `health`: what was found last of its calls. `rests`: how often it has rested.
    """

    id: int
    e164: str
    carrier: str
    area_code: str
    daily_limit: int
    hourly_limit: int
    active: bool
    campaign_id: int | None
    campaign: str | None
    meta: Mapping[str, Any]
    created_at: datetime
    resting_until: datetime | None
    resting_since: datetime | None
    rests: int
    health: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to. `campaign_id` 0: the tenant's own pool; None: every pool."""

    search: str = ""
    campaign_id: int | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a caller ID, as logged."""

    id: int
    at: datetime
    door: str
    peer: str
    campaign: str
    agent: str
    to_e164: str
    status: str
    caller_id: str | None
    reasons: Mapping[str, int]
    released_at: datetime | None
    result: str | None


@dataclass(frozen=True, slots=True)
class CampaignUse:
    """A campaign's requests of a day and their answers; `answered` of the `ended` calls whose result is known."""

    campaign: str
    requests: int
    ok: int
    fallback: int
    none: int
    answered: int
    ended: int


@dataclass(frozen=True, slots=True)
class CampaignRule:
    """How a campaign chooses; `id` 0: it is none of ours, and draws from the tenant's own pool."""

    id: int = 0
    name: str = ""
    caller_id: str | None = None  # its fallback
    local_presence: bool = True
    sticky_caller_id: bool = False


@dataclass(slots=True)
class Report:
    """What became of a file's rows; `refused`: reason → how many."""

    rows: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: dict[str, int] = field(default_factory=dict)


async def add(
    pool: Any,
    tenant_id: int,
    numbers: Sequence[str],
    default_region: str,
    by: str,
    campaign_id: int | None = None,
    carrier: str = "",
    area_code: str = "",
    daily_limit: int = DAILY_LIMIT,
    hourly_limit: int = HOURLY_LIMIT,
    meta: object = None,
) -> list[PoolEntry]:
    """Put numbers into a pool: all of them, or none. Raises `NumberRefused`, `EntryRefused` or `Refused`."""
    wanted = [phone.parse(number, default_region).e164 for number in numbers]
    values = (
        line(carrier, "carrier"),
        line(area_code, "area_code"),
        limit(daily_limit, "daily_limit"),
        limit(hourly_limit, "hourly_limit"),
        notes({} if meta is None else meta),
    )
    try:
        async with pool.acquire() as connection, connection.transaction():
            ids = []
            for e164 in wanted:
                ids.append(await connection.fetchval(_ADD, tenant_id, campaign_id, e164, *values))
                detail = {"caller_id": e164, "by": by}
                await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "caller_id.added", detail)
    except asyncpg.UniqueViolationError:
        raise Refused(f"{e164} is in this pool already") from None
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"there is no campaign {campaign_id}") from None
    return await of_ids(pool, tenant_id, ids)


async def all_of(pool: Any, tenant_id: int, only: Filter | None = None) -> list[PoolEntry]:
    """The tenant's caller IDs, the tenant's own pool first."""
    return (await page(pool, tenant_id, only or Filter(), 0, _EVERYTHING))[1]


async def page(pool: Any, tenant_id: int, only: Filter, skip: int, size: int) -> tuple[int, list[PoolEntry]]:
    """How many the filter finds, and those of the page."""
    wanted = (tenant_id, None, only.campaign_id, only.active, only.search.strip())
    rows = await pool.fetch(_PAGE, *wanted, skip, size)
    if not rows and skip:  # beyond the last page
        first = await pool.fetch(_PAGE, *wanted, 0, 1)
        return (first[0]["total"] if first else 0), []
    return rows[0]["total"] if rows else 0, [_entry(row) for row in rows]


async def of_ids(pool: Any, tenant_id: int, ids: Sequence[int]) -> list[PoolEntry]:
    """Those of these ids that are there, in the order of `ids`."""
    rows = await pool.fetch(_PAGE, tenant_id, list(ids), None, None, "", 0, len(ids))
    found = {row["id"]: _entry(row) for row in rows}
    return [found[id_] for id_ in ids if id_ in found]


async def ids_of(pool: Any, tenant_id: int) -> list[int]:
    """Of every caller ID of the tenant."""
    return [row["id"] for row in await pool.fetch(_IDS, tenant_id)]


async def campaign_names(pool: Any, tenant_id: int, ids: Sequence[int]) -> dict[int, str]:
    """The names of campaigns."""
    return {row["id"]: row["name"] for row in await pool.fetch(_NAMES, tenant_id, list(ids))} if ids else {}


async def find(pool: Any, tenant_id: int, text: str, default_region: str, campaign_id: int | None = None) -> PoolEntry:
    """A caller ID by its id or its number. Raises `NotFound`, and `Refused` when several pools have the number."""
    if text.isascii() and text.isdigit() and len(text) < 10 and (by_id := await of_ids(pool, tenant_id, [int(text)])):
        return by_id[0]
    try:
        e164 = phone.parse(text, default_region).e164
    except phone.NumberRefused:
        raise NotFound(f"there is no caller ID {text[:40]!r}") from None
    rows = await pool.fetch(_OF_NUMBER, tenant_id, e164)
    found = await of_ids(pool, tenant_id, [row["id"] for row in rows])
    found = [entry for entry in found if campaign_id is None or entry.campaign_id == campaign_id]
    if not found:
        raise NotFound(f"there is no caller ID {e164}")
    if len(found) > 1:
        raise Refused(f"{e164} is in several pools: say which by its id ({', '.join(str(e.id) for e in found)})")
    return found[0]


async def change(pool: Any, tenant_id: int, id_: int, values: Mapping[str, Any], by: str) -> PoolEntry:
    """Give a caller ID new values. `values`: carrier, area_code, daily_limit, hourly_limit, active, meta, campaign_id
    (None: the tenant's pool), resting_until (None: it rests no more).

    Raises `NotFound`, `EntryRefused` or `Refused`.
    """
    for name, check in _CHECKS.items():
        if name in values:
            check(values[name], name)
    try:
        async with pool.acquire() as connection, connection.transaction():
            before = await connection.fetchrow(_LOCK, tenant_id, id_)
            if before is None:
                raise NotFound(f"there is no caller ID {id_}")
            changed = {name: value for name, value in values.items() if before[name] != value}
            if changed:
                await connection.execute(_CHANGE, tenant_id, id_, changed)
                detail = {"caller_id": before["e164"], "by": by, "changed": changed}
                await connection.execute(_ADD_EVENT, tenant_id, before["campaign_id"], "caller_id.changed", detail)
    except asyncpg.UniqueViolationError:
        raise Refused(f"{before['e164']} is in that pool already") from None
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"there is no campaign {values.get('campaign_id')}") from None
    found = await of_ids(pool, tenant_id, [id_])
    if not found:
        raise NotFound(f"there is no caller ID {id_}")
    return found[0]


async def delete(pool: Any, tenant_id: int, id_: int, by: str) -> str:
    """Take a caller ID out of its pool; its number. A call that shows it goes on. Raises `NotFound`."""
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_DELETE, tenant_id, id_)
        if row is None:
            raise NotFound(f"there is no caller ID {id_}")
        detail = {"caller_id": row["e164"], "by": by}
        await connection.execute(_ADD_EVENT, tenant_id, row["campaign_id"], "caller_id.deleted", detail)
    return str(row["e164"])


async def put_file(
    pool: Any,
    tenant_id: int,
    campaign_id: int | None,
    entries: Iterable[Entry | Remark],
    by: str,
    tell: Callable[[int, str, str], object] = lambda row, number, what: None,
    file: str = "",
) -> Report:
    """Bring a file's rows into a pool, in one transaction: all good ones, or none when something fails midway.

    `tell` hears of each row: its number in the file, the caller ID (or what stood there), and what became of it: added,
    updated, unchanged, or the reason why it was refused.
    """
    report = Report()
    async with pool.acquire() as connection, connection.transaction():
        rest = iter(entries)
        while batch := list(islice(rest, _BATCH)):
            await _put(connection, tenant_id, campaign_id, batch, report, tell)
        detail = {"by": by, "file": file, "added": report.added, "updated": report.updated}
        await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "caller_id.imported", detail)
    return report


async def _put(
    connection: Any,
    tenant_id: int,
    campaign_id: int | None,
    batch: Sequence[Entry | Remark],
    report: Report,
    tell: Callable[[int, str, str], object],
) -> None:
    good = [entry for entry in batch if isinstance(entry, Entry)]
    rows = await connection.fetch(
        _PUT_MANY,
        tenant_id,
        campaign_id,
        [entry.e164 for entry in good],
        [entry.carrier for entry in good],
        [entry.area_code for entry in good],
        [entry.daily_limit for entry in good],
        [entry.hourly_limit for entry in good],
        [None if entry.meta is None else json.dumps(entry.meta, ensure_ascii=False) for entry in good],
        DAILY_LIMIT,
        HOURLY_LIMIT,
    )
    done = {row["e164"]: "added" if row["added"] else "updated" for row in rows}
    for entry in batch:
        report.rows += 1
        if isinstance(entry, Remark):
            report.refused[entry.reason] = report.refused.get(entry.reason, 0) + 1
            plain = entry.column in ("", "caller_id")
            tell(entry.row, entry.value if plain else f"{entry.column}={entry.value}", entry.reason)
            continue
        what = done.get(entry.e164, "unchanged")
        setattr(report, what, getattr(report, what) + 1)
        tell(entry.row, entry.e164, what)


async def rule_of(pool: Any, tenant_id: int, campaign: str) -> CampaignRule:
    """How a campaign of ours, by id or name, chooses; any other name is another system's. Raises nothing."""
    row = await pool.fetchrow(_RULE, tenant_id, campaign)
    return CampaignRule(**row) if row else CampaignRule()


async def last_shown(pool: Any, tenant_id: int, campaign_id: int, to_e164: str) -> int | None:
    """The caller ID that this number saw last from a campaign."""
    found: int | None = await pool.fetchval(_LAST_SHOWN, tenant_id, to_e164, campaign_id)
    return found


async def recent(pool: Any, tenant_id: int, size: int) -> list[Asked]:
    """The last requests, newest first."""
    return [Asked(**row) for row in await pool.fetch(_RECENT, tenant_id, size)]


async def campaigns_since(pool: Any, tenant_id: int, since: datetime, size: int) -> list[CampaignUse]:
    """How campaigns were served since then, those that asked most first."""
    return [CampaignUse(**row) for row in await pool.fetch(_CAMPAIGNS, tenant_id, since, size)]


def _entry(row: Any) -> PoolEntry:
    return PoolEntry(**{name: value for name, value in row.items() if name != "total"})


_CHECKS: Mapping[str, Callable[[Any, str], object]] = {
    "carrier": line,
    "area_code": line,
    "daily_limit": limit,
    "hourly_limit": limit,
    "meta": lambda value, _: notes(value),
}
