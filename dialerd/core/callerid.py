"""Which caller ID a call shows: the rule, in words and in code that needs no Redis.

A campaign that has numbers of its own uses only those, else its tenant's. Of these, a number can be taken when it is
active, not resting, not reserved by a call in progress, and under its limits of this hour and this day (UTC). Of those,
the one that the same person saw last goes first where the campaign is sticky; then the nearest to the destination:
same national destination code ("area code"), same state, same country, any (a campaign without local presence takes
all as equally near); among equals, the one whose last use is longest ago. `live/reserve.lua` does the same atomically;
tests hold the two together.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dialerd.core.attempt import Facts
from dialerd.core.causes import Outcome
from dialerd.core.nearness import EVERYWHERE, Distance, distance, levels

_SHOWN = re.compile(r"\+?[0-9]{3,15}\Z", re.ASCII)


class Status(StrEnum):
    """How a selection ended: a number of the pool, the campaign's fallback, or nothing."""

    OK = "OK"
    FALLBACK = "FALLBACK"
    NONE = "NONE"


class Rule(StrEnum):
    """Why a number of the pool was not taken (the names are on the wire)."""

    INACTIVE = "inactive"
    RESTING = "resting"  # it is probably labelled as spam, and comes back by itself
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
    `again`: the same call had asked before, and its number is not counted a second time.

    Beside the rules' names it may hold what kept us from asking: `unavailable`, `unknown_campaign`, `bad_number`.
    """

    status: Status
    caller_id: str | None = None
    cid_id: int | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    again: bool = False

    @classmethod
    def without_pool(cls, fallback: str | None, reasons: Mapping[str, int]) -> "Selection":
        """The answer when the pool gives nothing: the fallback where there is one."""
        return cls(Status.FALLBACK if fallback else Status.NONE, fallback, None, reasons)


@dataclass(frozen=True, slots=True)
class CallerId:
    """A row of the pool. `campaign_id` None: the tenant's, for campaigns without numbers of their own.

    `carrier`, `area_code` and `meta` are the operator's notes: they decide nothing.
    """

    id: int
    tenant_id: int
    campaign_id: int | None
    e164: str
    hourly_limit: int
    daily_limit: int
    active: bool = True
    carrier: str = ""
    area_code: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    resting_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What is known of a number's use: counts of this hour and this day (UTC), its last use, the call that has it."""

    cid_id: int
    used_this_hour: int = 0
    used_today: int = 0
    last_used: datetime | None = None
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A number of the pool in one selection: `rule` refused it (None: it could be taken), and what its place among the
    others comes from. `preferred`: the same person saw it last."""

    caller_id: CallerId
    rule: Rule | None
    preferred: bool
    distance: Distance
    last_used: datetime | None
    used_this_hour: int
    used_today: int


def pool_of(rows: Iterable[CallerId], tenant_id: int, campaign_id: int) -> list[CallerId]:
    """The rows that a campaign draws from: its own if it has any, active or not, else its tenant's."""
    mine = [row for row in rows if row.tenant_id == tenant_id]
    own = [row for row in mine if row.campaign_id == campaign_id]
    return own or [row for row in mine if row.campaign_id is None]


def refusal(row: CallerId, usage: Usage, now: datetime | None = None) -> Rule | None:
    """The first rule that keeps a number from being taken now, or None. Without `now` a rest that is set holds."""
    if not row.active:
        return Rule.INACTIVE
    if row.resting_until is not None and (now is None or now < row.resting_until):
        return Rule.RESTING
    if usage.holder is not None:
        return Rule.RESERVED
    if usage.used_today >= row.daily_limit:
        return Rule.DAILY_LIMIT
    if usage.used_this_hour >= row.hourly_limit:
        return Rule.HOURLY_LIMIT
    return None


def explain(
    pool: Iterable[CallerId],
    usages: Mapping[int, Usage],
    to_e164: str,
    local_presence: bool = True,
    preferred: int | None = None,
    now: datetime | None = None,
) -> list[Candidate]:
    """Every number of `pool` for a call to `to_e164`, best first: those that can be taken, then the others.

    `preferred`: the id of the number that the same person saw last. `now`: see `refusal`.
    """
    destination = wanted_levels(to_e164, local_presence)
    found: list[tuple[tuple[bool, bool, int, float, str], Candidate]] = []
    for row in pool:
        usage = usages.get(row.id, Usage(row.id))
        rule, own, liked = refusal(row, usage, now), levels(row.e164), row.id == preferred
        steps = next(i for i, level in enumerate(destination) if level in own)
        last_used = usage.last_used.timestamp() if usage.last_used else 0.0
        candidate = Candidate(
            row, rule, liked, distance(levels(to_e164), own), usage.last_used, usage.used_this_hour, usage.used_today
        )
        found.append(((rule is not None, not liked, steps, last_used, str(row.id)), candidate))
    return [candidate for _, candidate in sorted(found, key=lambda each: each[0])]


def wanted_levels(to_e164: str, local_presence: bool, region: str | None = None) -> tuple[str, ...]:
    """Where numbers for a call to `to_e164` are looked for, in order. `region`: its own, where it is known already."""
    return levels(to_e164, region) if local_presence else EVERYWHERE


def choose(
    pool: Iterable[CallerId],
    usages: Mapping[int, Usage],
    to_e164: str,
    local_presence: bool = True,
    preferred: int | None = None,
    now: datetime | None = None,
) -> tuple[CallerId | None, dict[str, int]]:
    """The number of `pool` that a call to `to_e164` shows, or None and how many numbers each rule refused."""
    candidates = explain(pool, usages, to_e164, local_presence, preferred, now)
    if not candidates:
        return None, {Rule.NO_MATCH: 1}
    if candidates[0].rule is None:
        return candidates[0].caller_id, {}
    return None, dict(Counter(str(candidate.rule) for candidate in candidates))


def shown(text: str | None) -> str | None:
    """A fallback caller ID as it may be shown (digits, perhaps a leading +), or None when it is not of that form."""
    return text if text and _SHOWN.match(text) else None


_RESULTS: Mapping[str, str] = {
    Outcome.CONNECTED: "answered",
    Outcome.ABANDONED: "answered",
    Outcome.HUNG_UP: "answered",
    Outcome.MACHINE: "answered",
    Outcome.MESSAGE_LEFT: "answered",
    Outcome.PLAYED: "answered",
    Outcome.NO_ANSWER: "no_answer",
    Outcome.BUSY: "busy",
    Outcome.REJECTED: "rejected",
    Outcome.UNKNOWN: "unknown",
}  # every other outcome: failed


def end_of(facts: Facts, outcome: Outcome, ended_at: datetime) -> CallEnd:
    """How one of our own calls ended, as its number's health is told."""
    result = _RESULTS.get(outcome, "failed")
    if result != "answered" or facts.answered_at is None:
        return CallEnd(result)
    return CallEnd(result, max(0.0, (ended_at - facts.answered_at).total_seconds()))
