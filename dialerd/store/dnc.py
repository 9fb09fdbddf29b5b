"""Do-not-call lists as an operator sees and changes them; every change leaves its row in call_events.

Whatever `add` has committed binds every claim that is committed after it (sql/migrations/0002_dnc.sql). Entries of
own lists come and go one by one; registers and scrub results are replaced whole (`dnc_import`, `scrub`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from dialerd.core import phone
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("dnc")
_BARS, _CHECK, _LISTS, _FIND, _MAKE, _FLAG = _Q.bars, _Q.check, _Q.lists, _Q.find_list, _Q.make_own, _Q.flag_live
_HOLD, _OWN = _Q.hold_claims, _Q.own_list
_ADD_NUMBERS, _ADD_PREFIXES = _Q.add_numbers, _Q.add_prefixes
_REMOVE_NUMBERS, _REMOVE_PREFIXES = _Q.remove_numbers, _Q.remove_prefixes
_ADD_EVENT = queries("admin").add_event
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}\Z", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}\Z")
_COUNT_SECONDS = 60.0  # the lists may hold tens of millions
OWN = "own"  # the name of the list that is meant when none is named


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a list binds: `tenant_id` None, the whole installation; `campaign_id` None, all campaigns of the tenant."""

    tenant_id: int | None
    campaign_id: int | None = None


@dataclass(frozen=True, slots=True)
class DncList:
    """A list; `stale`: older than `max_age_days`, so that no campaign in its scope may dial."""

    id: int
    name: str
    kind: str
    scope: str
    campaign: str | None
    source: str
    as_of: datetime
    max_age_days: int | None
    stale: bool
    numbers: int
    prefixes: int


@dataclass(frozen=True, slots=True)
class Bar:
    """An entry that bars a number. `matched` is the number, or a prefix with '…'."""

    list: str
    kind: str
    scope: str
    campaign: str | None
    matched: str
    source: str
    added_at: datetime
    as_of: datetime


def key(text: str, default_region: str) -> str:
    """The E.164 key of a number to be barred. Raises `core.phone.NumberRefused`.

    What has the form of E.164 is taken as it is: a list may know numbers that we would not dial anyway.
    """
    text = text.strip()
    return text if phone.E164.match(text) else phone.parse(text, default_region).e164


async def bars(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, numbers: Sequence[str]) -> dict[str, str]:
    """Those of the E.164 `numbers` that the campaign must not call now, each with a list that says so."""
    rows = await pool.fetch(_BARS, tenant_id, campaign_id, numbers)
    return {row["e164"]: row["list"] for row in rows}


async def add(
    pool: asyncpg.Pool,
    tenant_id: int,
    scope: Scope,
    entries: Sequence[str],
    default_region: str,
    by: str,
    source: str,
    list_name: str = OWN,
    prefixes: Sequence[str] = (),
) -> list[str]:
    """Bar numbers and prefixes ('+358600') in an own list, which is made when there is none: all, or none.

    Returns what was not on it before. `tenant_id` is whose record the change goes to. Raises
    `core.phone.NumberRefused`, `Refused`.
    """
    check_text("source", source)
    check_text("list", list_name)
    numbers = sorted({digits(key(entry, default_region)) for entry in entries})
    starts = sorted({_prefix(text) for text in prefixes})
    async with pool.acquire() as connection, connection.transaction():
        list_id = await open_own(connection, scope, list_name)
        new = await put(connection, list_id, numbers, starts, source)
        detail = {"entries": new, "list": list_name, "source": source, "by": by}
        if new:
            await connection.execute(_ADD_EVENT, tenant_id, scope.campaign_id, "dnc.added", detail)
    return new


async def remove(
    pool: asyncpg.Pool,
    tenant_id: int,
    scope: Scope,
    entries: Sequence[str],
    default_region: str,
    by: str,
    reason: str,
    list_name: str = OWN,
    prefixes: Sequence[str] = (),
) -> list[str]:
    """Take entries off an own list; the record keeps each of them with its date and source, and the reason.

    Returns what was on it. Raises `NotFound` (no such list), `Refused` (not an own list), `core.phone.NumberRefused`.
    """
    check_text("reason", reason)
    numbers = [digits(key(entry, default_region)) for entry in entries]
    starts = [_prefix(text) for text in prefixes]
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_FIND, scope.tenant_id, scope.campaign_id, list_name)
        if row is None:
            raise NotFound(f"there is no list {list_name!r} in this scope")
        if row["kind"] != "own":
            raise Refused(f"{list_name!r} is a {row['kind']} list: import or scrub it anew instead")
        gone = [(f"+{r['digits']}", r) for r in await connection.fetch(_REMOVE_NUMBERS, row["id"], numbers)]
        gone += [(f"+{r['digits']}…", r) for r in await connection.fetch(_REMOVE_PREFIXES, row["id"], starts)]
        for entry, was in gone:
            detail = {"entry": entry, "list": list_name, "source": was["source"], "reason": reason, "by": by,
                      "added_at": was["added_at"].isoformat()}  # fmt: skip
            await connection.execute(_ADD_EVENT, tenant_id, scope.campaign_id, "dnc.removed", detail)
    return [entry for entry, _ in gone]


async def check(pool: asyncpg.Pool, tenant_id: int, e164: str) -> list[Bar]:
    """Every entry that bars a number from any campaign of the tenant."""
    return [Bar(**row) for row in await pool.fetch(_CHECK, tenant_id, digits(e164))]


async def lists(pool: asyncpg.Pool, tenant_id: int) -> list[DncList]:
    """The lists that bind the tenant or a campaign of it, with how much is on them. Seconds, at ten million."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = '{_COUNT_SECONDS}s'")
        return [DncList(**row) for row in await connection.fetch(_LISTS, tenant_id, timeout=_COUNT_SECONDS + 2)]


async def open_own(connection: Any, scope: Scope, list_name: str) -> int:
    """The id of an own list, made when there is none. From here on claims wait for the commit. Raises `Refused`."""
    where = (scope.tenant_id, scope.campaign_id, list_name)
    await connection.execute(_HOLD)
    row = await connection.fetchrow(_OWN, *where)
    if row is None:
        await connection.execute(_MAKE, *where)
        row = await connection.fetchrow(_OWN, *where)
    if row["kind"] != "own":
        raise Refused(f"{list_name!r} is a {row['kind']} list: entries cannot be added to it one by one")
    list_id: int = row["id"]
    return list_id


async def put(connection: Any, list_id: int, numbers: Sequence[int], prefixes: Sequence[int], source: str) -> list[str]:
    """Enter digits into the list that `open_own` gave; returns what was new. To be the end of a transaction."""
    new = [f"+{row['digits']}" for row in await connection.fetch(_ADD_NUMBERS, list_id, numbers, source)]
    if prefixes:
        new += [f"+{row['digits']}…" for row in await connection.fetch(_ADD_PREFIXES, list_id, prefixes, source)]
    if new:
        await connection.execute(_FLAG, list_id)
    return new


def digits(e164: str) -> int:
    """The stored form of an E.164 number."""
    return int(e164[1:])


def check_text(what: str, text: str) -> None:
    """Raises `Refused` unless it is a line of text for a record."""
    if not _TEXT.match(text):
        raise Refused(f"{what}: 1 to 200 characters, no control characters")


def _prefix(text: str) -> int:
    if not _PREFIX.match(text):
        raise Refused(f"prefix {text[:40]!r}: '+' and up to 15 digits, the first not 0")
    return int(text[1:])
