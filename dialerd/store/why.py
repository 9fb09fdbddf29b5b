"""Whether a number would be dialed now, which rule stops it, and what happened before."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from dialerd.core.decision import Decision, Facts, decide
from dialerd.core.limits import parameters
from dialerd.core.terms import Terms, ZoneSets, judge
from dialerd.places.terms import of_campaign
from dialerd.places.zones import country_of
from dialerd.store import campaigns, dnc
from dialerd.store.queries import queries
from dialerd.store.terms import zone_sets

_Q = queries("why")
_PLACES, _PAST, _ATTEMPTS, _EVENTS, _CONSENTS = _Q.places, _Q.past, _Q.attempts, _Q.events, _Q.consents
_TERMS = queries("terms").campaigns
_MOST_CAMPAIGNS = 50
_MOST_ATTEMPTS = 20
_MOST_EVENTS = 50
_OWN = {field.name for field in fields(Facts)}


@dataclass(frozen=True, slots=True)
class Place:
    """A campaign that has the number."""

    campaign_id: int
    campaign: str
    contact_id: int
    contact: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Why:
    """The whole answer; `attempts` and `events` newest first, the last ones only."""

    number: str
    at: datetime
    campaigns: tuple[Place, ...]
    dnc: Sequence[dnc.Bar]
    consents: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]


async def why(pool: Any, tenant_id: int, e164: str, now: datetime, campaign: str | None = None) -> Why:
    """Judges an E.164 number for each campaign of the tenant that has it, or for one, by name or id. Raises `NotFound`
    when there is no such campaign."""
    async with pool.acquire() as connection:
        return await why_on(connection, tenant_id, e164, now, campaign)


async def why_on(db: Any, tenant_id: int, e164: str, now: datetime, campaign: str | None = None) -> Why:
    """The same over a connection that is the caller's."""
    only = (await campaigns.find(db, tenant_id, campaign)).id if campaign else None
    rows = await db.fetch(_PLACES, tenant_id, e164, only, _MOST_CAMPAIGNS)
    attempts = await db.fetch(_ATTEMPTS, tenant_id, e164, _MOST_ATTEMPTS)
    return Why(
        e164,
        now,
        await _decide(db, tenant_id, e164, rows, now) if rows else (),
        await dnc.check(db, tenant_id, e164),
        [dict(row) for row in await db.fetch(_CONSENTS, tenant_id, e164, _MOST_EVENTS)],
        [dict(row) for row in attempts],
        [dict(r) for r in await db.fetch(_EVENTS, tenant_id, e164, [r["id"] for r in attempts], _MOST_EVENTS)],
    )


async def _decide(db: Any, tenant_id: int, e164: str, rows: Sequence[Any], now: datetime) -> tuple[Place, ...]:
    ids = [row["campaign_id"] for row in rows]
    settings = await db.fetch(_TERMS, ids, False, now)
    terms = dict(zip([row["id"] for row in settings], await asyncio.to_thread(_read, settings), strict=True))
    asked = [_question(row, e164, terms[row["campaign_id"]]) for row in rows]
    past = {row["campaign_id"]: row for row in await db.fetch(_PAST, tenant_id, e164, ids, asked)}
    sets = await zone_sets(db)
    return await asyncio.to_thread(_judge, rows, past, terms, sets, now)


def _read(settings: Sequence[Any]) -> list[Terms]:
    return [of_campaign(row) for row in settings]


def _question(row: Mapping[str, Any], e164: str, terms: Terms) -> dict[str, Any]:
    """Whose calls count is the claim's rule: all numbers of the contact as soon as one limit is by person."""
    limits, lockouts = parameters(terms.limits, terms.lockouts)
    by_person = any(each["whom"] == "person" for each in limits + lockouts)
    return {"person": row["person"] if by_person else [e164], "limits": limits, "lockouts": lockouts}


def _judge(
    rows: Sequence[Any], past: Mapping[int, Any], terms: Mapping[int, Terms], sets: ZoneSets, now: datetime
) -> tuple[Place, ...]:
    countries = country_of()
    found = []
    for row in rows:
        before, its = past[row["campaign_id"]], terms[row["campaign_id"]]
        facts = Facts(
            **{name: value for name, value in row.items() if name in _OWN - {"zones", "next_at"}},
            next_at=_finite(row["next_at"]),
            zones=tuple(row["zones"] or ()),
            live=before["live"],
            held_rule=before["rule"],
            held_until=_finite(before["until"]),
        )
        somewhere = bool(judge(its, sets, countries, now).open)
        decision = decide(facts, its.schedule, somewhere, countries, now)
        found.append(Place(row["campaign_id"], row["campaign"], row["contact_id"], row["contact"], decision))
    return tuple(found)


def _finite(at: datetime | None) -> datetime | None:
    """None for what PostgreSQL calls infinity, which comes as the end or the beginning of Python's calendar."""
    if at is None or not 1 < at.year < 9999:
        return None
    return at
