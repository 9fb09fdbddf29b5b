"""Recordings on record: begun, stored, lost, erased; and for how long they are kept."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dialerd.core.recording import MAX_DAYS, attempt_of
from dialerd.places import profiles
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("recordings")
MOST_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class Recording:
    """As surfaces see it. `state`: recording, stored, lost (it was begun, and nothing of it was found) or erased.
    `seconds`, `bytes` and `sha256` are there once it is stored."""

    name: str
    attempt: str
    campaign_id: int
    contact_id: int
    node: str
    why: str
    state: str
    begun_at: datetime
    announced: bool
    seconds: float | None
    bytes: int | None
    sha256: str | None
    place: str | None
    key: str | None
    stored_at: datetime | None
    erased_at: datetime | None
    erased_by: str | None


@dataclass(frozen=True, slots=True)
class About:
    """A recording that Asterisk holds. `state` None: it is not on record yet."""

    state: str | None
    tenant_id: int
    campaign_id: int
    claimed_at: datetime
    begun_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A recording that was begun and is not stored."""

    name: str
    why: str
    announced: bool


@dataclass(frozen=True, slots=True)
class Open:
    """The same, for whoever looks for what was lost."""

    name: str
    tenant_id: int
    campaign_id: int
    attempt_id: str


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many days a tenant keeps recordings, where their campaign does not say; None: for ever."""

    days: int | None
    record_days: int | None

    @property
    def holds(self) -> int | None:
        """The days that hold: the recordings' own, else those of the record."""
        return self.days if self.days is not None else self.record_days


async def begin(pool: Any, name: str, node: str, why: str, at: datetime, announced: bool) -> None:
    """Puts on record that a recording begins, before it does."""
    await pool.execute(_Q.begin, name, _attempt(name), node, why, at, announced)


async def never_begun(pool: Any, name: str) -> None:
    """Takes that back."""
    await pool.execute(_Q.never_begun, name)


async def open_of(pool: Any, attempt: str) -> list[Begun]:
    """What was begun for a call and is not stored, newest first."""
    return [Begun(**row) for row in await pool.fetch(_Q.open_of, UUID(attempt))]


async def paused(pool: Any, name: str) -> bool:
    """Whether a recording was paused when something of it was last written down."""
    found: bool = await pool.fetchval(_Q.paused, _attempt(name), name)
    return found


async def about(pool: Any, name: str) -> About | None:
    """What is known of a file by its name; None: there is no such call."""
    row = await pool.fetchrow(_Q.about, name, _attempt(name))
    return None if row is None else About(**row)


async def stored(pool: Any, name: str, place: str, key: str, size: int, seconds: float, sha256: str) -> None:
    """It is in its place, whole."""
    await pool.execute(_Q.stored, name, place, key, size, seconds, sha256)


async def open_before(pool: Any, node: str, before: datetime, most: int = 200) -> list[Open]:
    """What a node began before that time and has not stored, oldest first."""
    return [Open(**row) for row in await pool.fetch(_Q.open, node, before, most)]


async def lost(pool: Any, name: str) -> bool:
    """It is nowhere; whether that is news."""
    return await pool.fetchval(_Q.lost, name) is not None


async def due(pool: Any, node: str, now: datetime, most: int = 200) -> list[tuple[int, str]]:
    """Tenant and name of recordings whose days are over."""
    rows = await pool.fetch(_Q.due, node, now, await asyncio.to_thread(_wanted_days), most)
    return [(row["tenant_id"], row["name"]) for row in rows]


async def found(
    pool: Any,
    tenant_id: int,
    campaign_id: int | None = None,
    contact_id: int | None = None,
    attempt: str | None = None,
    name: str | None = None,
    most: int = 100,
) -> list[Recording]:
    """A tenant's recordings, newest first."""
    wanted = UUID(attempt) if attempt else None
    rows = await pool.fetch(_Q.found, tenant_id, campaign_id, contact_id, wanted, name, min(most, MOST_LISTED))
    return [Recording(**row) for row in rows]


def attempt(text: str) -> str:
    """What people type as the id of a call. Raises `NotFound`: no call has it."""
    try:
        return str(UUID(text))
    except ValueError:
        raise NotFound(f"there is no call {text[:80]!r}") from None


async def of_call(pool: Any, tenant_id: int, name_or_attempt: str) -> Recording:
    """A recording by its name, or the first one of a call that has sound to play. Raises `NotFound`."""
    if attempt_of(name_or_attempt) is not None:
        rows = await found(pool, tenant_id, name=name_or_attempt)
    else:
        rows = await found(pool, tenant_id, attempt=attempt(name_or_attempt))
    if not rows:
        raise NotFound(f"there is no recording {name_or_attempt[:80]!r}")
    rows.sort(key=lambda row: (row.state != "stored", row.begun_at))
    return rows[0]


async def note(connection: Any, tenant_id: int, recording: Recording, kind: str, detail: dict[str, Any]) -> None:
    """An audit row about a recording."""
    about = {"name": recording.name, **detail}
    await connection.execute(_Q.add_event, tenant_id, recording.campaign_id, UUID(recording.attempt), kind, about)


async def erase(
    pool: Any,
    tenant_id: int,
    name: str,
    by: str,
    now: datetime,
    despite: bool,
    sound: Callable[[str, str], Awaitable[None]],
) -> None:
    """Erases one recording. `sound(place, key)` erases what is heard of it, before that is on record; `despite`: also
    where the campaign's legal profile wants it kept longer. Raises `NotFound`, `Refused`, and what `sound` raises."""
    row = await pool.fetchrow(_Q.one, tenant_id, name)
    if row is None:
        raise NotFound(f"there is no recording {name[:80]!r}")
    if row["state"] == "recording":
        raise Refused("it is still being recorded, or on its way into storage: try again when it is stored")
    if row["state"] == "erased":
        raise Refused("it has been erased already")
    days = (await asyncio.to_thread(_wanted_days)).get(row["legal_profile"] or "")
    early = days is not None and now - row["begun_at"] < timedelta(days=days)
    if early and not despite:
        raise Refused(f"legal profile {row['legal_profile']} wants recordings kept for {days} days")
    if row["place"] is not None:
        await sound(row["place"], row["key"])
    detail = {"name": name, "by": by, "despite_profile": early}
    about = (tenant_id, row["campaign_id"], UUID(row["attempt"]))
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(_Q.erased, name, by) is not None:
            await connection.execute(_Q.add_event, *about, "recording.erased", detail)


async def kept(pool: Any, tenant_id: int) -> Kept:
    """The tenant's setting."""
    row = await pool.fetchrow(_Q.days, tenant_id)
    return Kept(row["recording_days"], row["record_days"])


async def set_days(pool: Any, tenant_id: int, days: int | None, by: str) -> Kept:
    """Keep recordings that long; None: as long as the record. What a legal profile wants longer is kept longer."""
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise Refused(f"days: 1 to {MAX_DAYS}")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_Q.set_days, tenant_id, days)
        detail = {"days": days, "by": by}
        await connection.execute(_Q.add_event, tenant_id, None, None, "recording.days_set", detail)
    return await kept(pool, tenant_id)


def _attempt(name: str) -> UUID:
    found = attempt_of(name)
    if found is None:
        raise ValueError(f"not the name of a recording: {name[:80]!r}")
    return UUID(found)


def _wanted_days() -> dict[str, int]:
    """Legal profile → days that it wants recordings kept."""
    legal = ((name, profiles.profile(name).recording) for name in profiles.names())
    return {name: rule.days for name, rule in legal if rule is not None and rule.days is not None}
