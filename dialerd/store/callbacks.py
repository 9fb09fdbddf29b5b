"""Callbacks at a time that was agreed with the person; every change leaves its row in call_events.

A callback is refused where the claim would refuse it at that moment; the claim judges again when it is due.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from dialerd.core import retry
from dialerd.core.callbacks import CallbackRefused, moment
from dialerd.core.schedule import Schedule, is_call_allowed
from dialerd.places.zones import country_of
from dialerd.store import dnc, terms
from dialerd.store.errors import NotFound
from dialerd.store.queries import queries

_Q = queries("callbacks")
_CONTACT, _AGENT, _SET, _AGREED, _CANCEL, _FIND = _Q.contact, _Q.agent, _Q.set, _Q.agreed, _Q.cancel, _Q.find
_ADD_EVENT, _NOTIFY = queries("admin").add_event, queries("contacts").notify
_REACHED = [outcome.value for outcome in retry.FINAL]
MAX_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """`at` as `core.callbacks.moment` reads it. `agent`: whose it is; None: anyone's."""

    number: str  # E.164
    at: str
    zone: str | None = None
    agent: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """An agreed callback; `state` is the contact's. `note`: what was last written of the contact."""

    contact_id: int
    number: str
    name: str
    campaign: str
    at: datetime
    agent: str | None
    note: str | None
    state: str


async def add(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, wanted: Wanted, by: str, now: datetime) -> int:
    """Agree on a callback, in place of one that the contact may have; the contact's id.

    Raises `NotFound` (campaign, number, agent), `Refused` (the note), `CallbackRefused`: the time; number_dead, dnc,
    live_call, suppressed, unknown_zone; or not_open, with the next moment at which calling is allowed.
    """
    if wanted.note is not None:
        dnc.check_text("note", wanted.note)
    schedule = (await terms.of(pool, campaign_id, now)).schedule
    barred = await dnc.bars(pool, tenant_id, campaign_id, [wanted.number])
    if barred:
        raise CallbackRefused("dnc", f"{wanted.number} is on the do-not-call list {barred[wanted.number]!r}")
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_CONTACT, tenant_id, campaign_id, wanted.number)
        if row is None:
            raise NotFound(f"{wanted.number} is not in this campaign: 'dialer-admin contacts add'")
        _check_contact(row)
        agent_id = None
        if wanted.agent is not None:
            agent_id = await connection.fetchval(_AGENT, tenant_id, wanted.agent)
            if agent_id is None:
                raise NotFound(f"there is no active agent {wanted.agent!r}")
        at = moment(wanted.at, row["zones"], wanted.zone, now)
        await asyncio.to_thread(_check_open, schedule, row["zones"], at)
        place = (row["position"], row["zone_set"])
        await connection.execute(_SET, tenant_id, row["id"], at, *place, agent_id, wanted.note)
        before = row["callback_at"]
        detail = {
            "contact": row["id"], "number": wanted.number, "at": at.isoformat(), "agent": wanted.agent,
            "note": wanted.note, "by": by, "in_place_of": before and before.isoformat(),
        }  # fmt: skip
        await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "callback.agreed", detail)
        await connection.execute(_NOTIFY, campaign_id)
    return int(row["id"])


async def judged(
    pool: Any, tenant_id: int, campaign_id: int, e164: str, at: str, zone: str | None, now: datetime
) -> datetime:
    """The moment of a callback that is agreed on during a call; nothing is written. Raises as `add` does."""
    schedule = (await terms.of(pool, campaign_id, now)).schedule
    row = await pool.fetchrow(_CONTACT, tenant_id, campaign_id, e164)
    if row is None:
        raise NotFound(f"{e164} is not in this campaign")
    found = moment(at, row["zones"], zone, now)
    await asyncio.to_thread(_check_open, schedule, row["zones"], found)
    return found


async def agreed(pool: asyncpg.Pool, tenant_id: int, campaign_id: int | None = None) -> list[Callback]:
    """The callbacks of a campaign or of all, the next one first; at most `MAX_LISTED`."""
    return [Callback(**row) for row in await pool.fetch(_AGREED, tenant_id, campaign_id, MAX_LISTED)]


async def find(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, e164: str) -> int:
    """The id of the contact that has a number in a campaign. Raises `NotFound`."""
    found = await pool.fetchval(_FIND, tenant_id, campaign_id, e164)
    if found is None:
        raise NotFound(f"{e164} is not in this campaign")
    return int(found)


async def cancel(pool: asyncpg.Pool, tenant_id: int, contact_id: int, by: str) -> str:
    """Take a callback back; the contact's state then: done where the person was reached before, else waiting for its
    turn in the queue. Raises `NotFound`."""
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_CANCEL, tenant_id, contact_id, _REACHED)
        if row is None:
            raise NotFound(f"no callback is agreed with contact {contact_id}")
        detail = {"contact": contact_id, "at": row["callback_at"].isoformat(), "by": by}
        await connection.execute(_ADD_EVENT, tenant_id, row["campaign_id"], "callback.cancelled", detail)
    return str(row["state"])


def _check_contact(row: Any) -> None:
    if row["dead"] is not None:
        raise CallbackRefused("number_dead", f"this number is not called any more in this campaign: {row['dead']}")
    if row["state"] == "claimed":
        raise CallbackRefused("live_call", "a call to this contact is live: try again when it is over")
    if row["state"] == "suppressed":
        raise CallbackRefused("suppressed", "this contact is suppressed: 'dialer-admin campaign recycle' frees it")
    if not row["zones"]:
        raise CallbackRefused("unknown_zone", "this number's zone is not known, so it is never called")


def _check_open(schedule: Schedule, zones: list[str], at: datetime) -> None:
    """By the claim's own judgement. Reads data files the first time: not on an event loop."""
    verdict = is_call_allowed(schedule, zones, country_of(), at)
    if not verdict.allowed:
        after = verdict.next_at
        then = f"the next moment is {after:%Y-%m-%d %H:%M} UTC" if after else "no later moment is known"
        raise CallbackRefused("not_open", f"no call is allowed then ({verdict.reason}): {then}")
