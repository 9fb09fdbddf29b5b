"""Which caller ID a call shows: the rule, in words and in code that needs no Redis.

A campaign that has numbers of its own uses only those, else its tenant's. Of these, a number can be taken when it
is active, not reserved by a call in progress, and under its limits of this hour and this day (UTC). The nearest to
the destination win: same national destination code ("area code"), then same country, then any. Among equals, the
one whose last use is longest ago. `live/reserve.lua` does the same atomically; tests hold the two together.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import phonenumbers

ANYWHERE = "*"
_SHOWN = re.compile(r"\+?[0-9]{3,15}\Z", re.ASCII)


class Status(StrEnum):
    """How a selection ended: a number of the pool, the campaign's fallback, or nothing."""

    OK = "OK"
    FALLBACK = "FALLBACK"
    NONE = "NONE"


class Rule(StrEnum):
    """Why a number of the pool was not taken (the names are on the wire)."""

    INACTIVE = "inactive"
    RESERVED = "reserved"
    DAILY_LIMIT = "daily_limit"
    HOURLY_LIMIT = "hourly_limit"
    NO_MATCH = "no_match"  # the pool holds no number at all for this campaign


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, and for which call. All of it is text as it came; `door` is daemon, fastagi or http.

    `campaign`: one of ours by id or name, or another system's name. `agent`: whose call it is. `holder`: the call.
    `peer`: the address that asks, empty for the daemon itself.
    """

    to: str
    campaign: str
    agent: str
    holder: str
    door: str
    peer: str = ""


RESULTS = ("answered", "no_answer", "busy", "rejected", "failed", "unknown")


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended, as whoever releases its number says: one of RESULTS, and the seconds talked if answered."""

    result: str
    talk_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The answer of every door. `reasons` counts the pool's numbers per rule that refused them; empty when OK.

    Beside the rules' names it may hold what kept us from asking: `unavailable`, `unknown_campaign`, `bad_number`.
    """

    status: Status
    caller_id: str | None = None
    cid_id: int | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def without_pool(cls, fallback: str | None, reasons: Mapping[str, int]) -> "Selection":
        """The answer when the pool gives nothing: the fallback where there is one."""
        return cls(Status.FALLBACK if fallback else Status.NONE, fallback, None, reasons)


@dataclass(frozen=True, slots=True)
class CallerId:
    """A row of the pool. `campaign_id` None: the tenant's, for campaigns without numbers of their own."""

    id: int
    tenant_id: int
    campaign_id: int | None
    e164: str
    hourly_limit: int
    daily_limit: int
    active: bool = True
    carrier: str = ""
    area_code: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    resting_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What is known of a number's use: counts of this hour and this day (UTC), its last use, the call that has it."""

    cid_id: int
    used_this_hour: int = 0
    used_today: int = 0
    last_used: datetime | None = None
    holder: str | None = None


@lru_cache(maxsize=32768)
def levels(e164: str) -> tuple[str, ...]:
    """Where a number belongs, nearest first: `("FI-40", "FI", "*")`; the first is left out where a country has none.

    A caller ID is a candidate at each of its levels; a destination is tried at each of its own, in order. A number
    that no numbering plan knows belongs to "*" only.
    """
    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return (ANYWHERE,)
    region = phonenumbers.region_code_for_number(number) or f"+{number.country_code}"
    length = phonenumbers.length_of_national_destination_code(number)
    if not length:
        return (region, ANYWHERE)
    return (f"{region}-{phonenumbers.national_significant_number(number)[:length]}", region, ANYWHERE)


def pool_of(rows: Iterable[CallerId], tenant_id: int, campaign_id: int) -> list[CallerId]:
    """The rows that a campaign draws from: its own if it has any, active or not, else its tenant's."""
    mine = [row for row in rows if row.tenant_id == tenant_id]
    own = [row for row in mine if row.campaign_id == campaign_id]
    return own or [row for row in mine if row.campaign_id is None]


def refusal(row: CallerId, usage: Usage) -> Rule | None:
    """The first rule that keeps a number from being taken now, or None."""
    if not row.active:
        return Rule.INACTIVE
    if usage.holder is not None:
        return Rule.RESERVED
    if usage.used_today >= row.daily_limit:
        return Rule.DAILY_LIMIT
    if usage.used_this_hour >= row.hourly_limit:
        return Rule.HOURLY_LIMIT
    return None


def choose(
    pool: Iterable[CallerId], usages: Mapping[int, Usage], to_e164: str
) -> tuple[CallerId | None, dict[str, int]]:
    """The number of `pool` that a call to `to_e164` shows, or None and how many numbers each rule refused."""
    refused: Counter[str] = Counter()
    free: list[CallerId] = []
    for row in pool:
        rule = refusal(row, usages.get(row.id, Usage(row.id)))
        if rule is None:
            free.append(row)
        else:
            refused[rule] += 1
    if not free:
        return None, dict(refused) or {Rule.NO_MATCH: 1}
    destination = levels(to_e164)

    def order(row: CallerId) -> tuple[int, float, str]:
        own = levels(row.e164)
        distance = next(i for i, level in enumerate(destination) if level in own)
        last_used = usages.get(row.id, Usage(row.id)).last_used
        return distance, last_used.timestamp() if last_used else 0.0, str(row.id)

    return min(free, key=order), {}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A number of the pool beside the others: why it may not be taken now, how near it is, how it was used."""

    row: CallerId
    rule: Rule | None
    distance: int
    last_used: datetime | None
    used_this_hour: int
    used_today: int


def explain(
    pool: Iterable[CallerId],
    usages: Mapping[int, Usage],
    to_e164: str,
    local_presence: bool = True,
    preferred: int | None = None,
) -> list[Candidate]:
    """Every number of `pool`, best first."""
    destination = levels(to_e164)
    found = []
    for row in pool:
        usage = usages.get(row.id, Usage(row.id))
        own = levels(row.e164)
        distance = next(i for i, level in enumerate(destination) if level in own)
        rule = refusal(row, usage)
        found.append(Candidate(row, rule, distance, usage.last_used, usage.used_this_hour, usage.used_today))

    def order(candidate: Candidate) -> tuple[bool, bool, int, float]:
        last = candidate.last_used.timestamp() if candidate.last_used else 0.0
        near = candidate.distance if local_presence else 0
        return candidate.rule is not None, candidate.row.id != preferred, near, last

    return sorted(found, key=order)


def shown(text: str | None) -> str | None:
    """A fallback caller ID as it may be shown (digits, perhaps a leading +), or None when it is not of that form."""
    return text if text and _SHOWN.match(text) else None
