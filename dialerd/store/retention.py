"""Erasing what a tenant need not keep any longer, so that the rest stays provable.

Attempts get a pseudonym for their number, contacts of campaigns that are over lose name and numbers, events lose their
detail. Consents and do-not-call entries stay: they are the proof. Each piece is a transaction of its own; a run that
stops in the middle is taken up by the next one.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dialerd.core import retention as rules
from dialerd.places.profiles import names, profile
from dialerd.places.terms import of_campaign
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("retention")
_TERMS = queries("terms").campaigns
_ADD_EVENT = queries("admin").add_event
_PIECE = 1_000
MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Setting:
    """`days` None: the record is kept for ever. `ran_at`: when everything that was due had been erased."""

    days: int | None
    ran_at: datetime | None


@dataclass
class Erased:
    """What a run has erased, or would erase. `busy`: another run of this tenant is at work, so this one did nothing."""

    before: datetime | None = None
    attempts: int = 0
    contacts: int = 0
    events: int = 0
    busy: bool = False


async def show(pool: Any, tenant_id: int) -> Setting:
    """The tenant's setting."""
    row = await pool.fetchrow(_Q.show, tenant_id)
    return Setting(row["days"], row["ran_at"]) if row else Setting(None, None)


async def set_days(pool: Any, tenant_id: int, days: int | None, by: str) -> Setting:
    """Keep the record that long; None: for ever. Raises `Refused` where that is shorter than a campaign allows."""
    if days is not None:
        if not 1 <= days <= MOST_DAYS:
            raise Refused(f"days: 1 to {MOST_DAYS}")
        _check(days, await _rules(pool, tenant_id))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_Q.set_days, tenant_id, days)
        await connection.execute(_ADD_EVENT, tenant_id, None, "retention.set", {"days": days, "by": by})
    return await show(pool, tenant_id)


async def run(pool: Any, tenant_id: int, now: datetime, by: str, dry: bool = False) -> Erased:
    """Erases what is older than the tenant's setting says; `dry`: counts it. Raises `Refused` when a campaign has come
    that asks for more."""
    done = Erased()
    days = (await show(pool, tenant_id)).days
    if days is None:
        return done
    of_tenant = await _rules(pool, tenant_id)
    _check(days, of_tenant)
    done.before = now - timedelta(days=days)
    kept = rules.kept_for_ever(of_tenant)
    if dry:
        quiet = [row["id"] for row in await pool.fetch(_Q.quiet_campaigns, tenant_id, done.before)]
        done.attempts = await pool.fetchval(_Q.count_attempts, tenant_id, done.before, kept)
        done.contacts = await pool.fetchval(_Q.count_contacts, tenant_id, quiet)
        done.events = await pool.fetchval(_Q.count_events, tenant_id, done.before)
        return done
    async with pool.acquire() as connection:
        if not await connection.fetchval(_Q.lock, tenant_id):
            done.busy = True
            return done
        try:
            await _erase(connection, tenant_id, done, kept, by)
        finally:
            await connection.execute(_Q.unlock, tenant_id)
    return done


async def due(pool: Any) -> list[int]:
    """The tenants whose last complete run is a day ago."""
    return [row["tenant_id"] for row in await pool.fetch(_Q.due)]


async def _erase(connection: Any, tenant_id: int, done: Erased, kept: list[str], by: str) -> None:
    while True:
        row = await connection.fetchrow(_Q.erase_attempts, tenant_id, done.before, _PIECE, kept)
        done.attempts += row["erased"]
        if not row["more"]:
            break
    for campaign in await connection.fetch(_Q.quiet_campaigns, tenant_id, done.before):
        ids = await connection.fetchrow(_Q.contact_ids, tenant_id, campaign["id"])
        for first in range(ids["first"] or 0, (ids["last"] or -1) + 1, _PIECE):
            piece = (tenant_id, campaign["id"], first, first + _PIECE - 1)
            done.contacts += await connection.fetchval(_Q.erase_contacts, *piece)
        await connection.execute(_Q.contacts_erased, tenant_id, campaign["id"])
    # Last: an erasure of events is on record only after what they tell of is gone.
    while passed := await connection.fetchval(_Q.erase_events, tenant_id, done.before, _PIECE, by):
        done.events += passed
    await connection.execute(_Q.ran, tenant_id)


async def _rules(pool: Any, tenant_id: int) -> list[rules.Rules]:
    named = {row["id"]: row["name"] for row in await pool.fetch(_Q.campaigns, tenant_id)}
    found = await pool.fetch(_TERMS, list(named), False, None)
    return await asyncio.to_thread(lambda: [_of(row) for row in found])


def _of(row: Any) -> rules.Rules:
    terms = of_campaign(row)
    legal = profile(row["legal_profile"]) if row["legal_profile"] in names() else None
    return rules.Rules(row["name"], legal, terms.limits, terms.lockouts)


def _check(days: int, of_tenant: list[rules.Rules]) -> None:
    if found := rules.objections(days, of_tenant):
        raise Refused(f"{days} days are too short: " + "; ".join(found[:10]))
