"""The numbers of a campaign as the older panel lists, changes and exports them.

A number stands for its contact: its status, attempts and agent are the contact's. Selections name numbers by their ids.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from dialerd.core import phone
from dialerd.core.numberstatus import EDITABLE, NumberStatus, contact_as
from dialerd.core.selection import Selection
from dialerd.store.dnc import digits
from dialerd.store.errors import Refused
from dialerd.store.export import write_sheet
from dialerd.store.queries import queries
from dialerd.store.reports import BANNED_LIST, ban

_Q = queries("numbers")
_PAGE, _ALL, _CHUNK, _LOCK = _Q.page, _Q.all, _Q.chunk, _Q.lock_editable
_TOTAL, _TOTAL_OF_ALL = _Q.total, _Q.total_of_all
_SET, _REVIVE, _REQUEUE, _NOTE = _Q.set_status, _Q.revive, _Q.requeue, _Q.note
_DELETE, _DELETE_EMPTY, _REPOINT = _Q.delete, _Q.delete_empty, _Q.repoint
_OWN_LIST, _UNBAN = queries("dnc").own_list, queries("dnc").remove_numbers
_ADD_EVENT = queries("admin").add_event
_NOTIFY = queries("contacts").notify
COLUMNS = ("phone", "status", "attempts", "created_at", "last_attempt_at", "assigned_agent", "last_user_message")
MAX_CHANGED = 1_000_000  # by one request, for it is one transaction
_AT_ONCE = 5_000
_PREFETCH = 2_000
_EDITABLE = sorted(status.value for status in EDITABLE)


@dataclass(frozen=True, slots=True)
class Number:
    """A row of the panel's list; `agent_name` is the full name where there is one."""

    id: int
    e164: str
    status: str
    attempts: int
    created_at: datetime
    last_message: str | None
    agent_id: int | None
    agent_name: str | None
    agent_phone: str | None
    last_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of numbers: a status (IN_QUEUE: a reset), or with None they are deleted."""

    status: NumberStatus | None

    @property
    def kind(self) -> str:
        """Of its rows in call_events."""
        if self.status is None:
            return "number.deleted"
        return "number.reset" if self.status is NumberStatus.IN_QUEUE else "number.status_changed"


@dataclass(frozen=True, slots=True)
class Changed:
    """How many numbers a selection had, and how many of them were changed; the others are protected."""

    selected: int
    changed: int

    @property
    def protected(self) -> int:
        """Numbers whose status may not be changed, or to which a call lives."""
        return self.selected - self.changed


async def page(
    pool: Any, tenant_id: int, campaign_id: int, selection: Selection, skip: int = 0, limit: int = 100
) -> list[Number]:
    """Numbers in the order of their ids."""
    rows = await pool.fetch(_PAGE, tenant_id, campaign_id, *selection.parameters(), skip, limit)
    return [Number(**row) for row in rows]


async def total(pool: Any, tenant_id: int, campaign_id: int, selection: Selection) -> int:
    """How many numbers the selection has."""
    if selection.everything:  # no contact and no agent need be looked at: a twentieth of the time
        return int(await pool.fetchval(_TOTAL_OF_ALL, tenant_id, campaign_id))
    return int(await pool.fetchval(_TOTAL, tenant_id, campaign_id, *selection.parameters()))


async def export(pool: Any, tenant_id: int, campaign_id: int, selection: Selection, out: IO[bytes]) -> int:
    """Write the selection as a spreadsheet; how many rows. Raises `core.textrows.FileRefused` for too many."""

    async def rows() -> AsyncIterator[tuple[Any, ...]]:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            found = connection.cursor(_ALL, tenant_id, campaign_id, *selection.parameters(), prefetch=_PREFETCH)
            async for record in found:
                yield phone.familiar(record[0]), *record[1:]

    return await write_sheet(COLUMNS, rows(), out)


async def change(
    pool: Any, tenant_id: int, campaign_id: int, selection: Selection, wanted: Change, by: str
) -> Changed:  # fmt: skip
    """Change or delete what may be changed of a selection, in one transaction; each number leaves its row on record.

    A status BANNED puts the number on the campaign's list of banned ones, any other takes it off. Raises `Refused`
    for more than `MAX_CHANGED` numbers.
    """
    selected, changed, last = 0, 0, 0
    banned: list[str] = []
    async with pool.acquire() as connection, connection.transaction():
        while True:
            rows = await connection.fetch(
                _CHUNK, tenant_id, campaign_id, *selection.parameters(), last, _AT_ONCE
            )  # fmt: skip
            if not rows:
                break
            last, selected = rows[-1]["id"], selected + len(rows)
            if selected > MAX_CHANGED:
                raise Refused(f"more than {MAX_CHANGED} numbers at once: narrow the filter")
            contacts = sorted({row["contact_id"] for row in rows})
            free = {row["id"] for row in await connection.fetch(_LOCK, tenant_id, contacts, _EDITABLE)}
            ours = [row for row in rows if row["contact_id"] in free]
            if not ours:
                continue
            changed += len(ours)
            await _apply(connection, tenant_id, campaign_id, wanted, ours, by)
            if wanted.status is NumberStatus.BANNED:
                banned += [row["e164"] for row in ours]
        if changed and wanted.status is NumberStatus.IN_QUEUE:
            await connection.execute(_NOTIFY, campaign_id)
        if banned:  # the last step: claims wait for the commit
            await ban(connection, tenant_id, campaign_id, banned, "marked as BANNED", by)
    return Changed(selected, changed)


async def _apply(
    connection: Any, tenant_id: int, campaign_id: int, wanted: Change, rows: Sequence[Any], by: str
) -> None:
    contacts = sorted({row["contact_id"] for row in rows})
    ids, e164s = [row["id"] for row in rows], [row["e164"] for row in rows]
    if wanted.status is None:
        await connection.execute(_DELETE, tenant_id, ids)
        await connection.execute(_DELETE_EMPTY, tenant_id, contacts)
        await connection.execute(_REPOINT, tenant_id, contacts)
    elif wanted.status is NumberStatus.IN_QUEUE:
        await connection.execute(_REVIVE, tenant_id, contacts)
        await connection.execute(_REQUEUE, tenant_id, contacts)
    else:
        await connection.execute(_SET, tenant_id, contacts, *contact_as(wanted.status))
    if wanted.status not in (None, NumberStatus.BANNED):
        await _unban(connection, tenant_id, campaign_id, e164s, by)
    detail = {"by": by} | ({"to": wanted.status.value} if wanted.status else {})
    before = [row["status"] for row in rows]
    await connection.execute(_NOTE, tenant_id, campaign_id, wanted.kind, detail, ids, e164s, before)


async def _unban(connection: Any, tenant_id: int, campaign_id: int, e164s: Sequence[str], by: str) -> None:
    """Takes numbers off the list of banned ones; other lists that bar them still do."""
    found = await connection.fetchrow(_OWN_LIST, tenant_id, campaign_id, BANNED_LIST)
    if found is None:
        return
    gone = await connection.fetch(_UNBAN, found["id"], [digits(e164) for e164 in e164s])
    details = [
        {
            "entry": f"+{was['digits']}", "list": BANNED_LIST, "source": was["source"], "reason": "no longer BANNED",
            "by": by, "added_at": was["added_at"].isoformat(),
        }
        for was in gone
    ]  # fmt: skip
    await connection.executemany(_ADD_EVENT, [(tenant_id, campaign_id, "dnc.removed", detail) for detail in details])
