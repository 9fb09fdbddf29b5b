"""What a run came to: the figures of the database, held against what the carrier saw. Pure, but for `read`.

The database says what was meant to happen, the carrier what did: figures of one that the other does not know are
faults of the dialer, whoever is right.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

import asyncpg

from dialerd.core.agent import LOGGED_IN, WORKING
from dialerd.core.causes import LIVE_ANSWERS, Outcome
from lab.carrier import Invite

Json = dict[str, Any]
MUST_BE_ZERO = (
    "attempts_without_invite",
    "invites_without_attempt",
    "unfinished_attempts",
    "leaked_channels",
    "leaked_bridges",
)
_COUNTED_AS = {
    Outcome.CONNECTED: "connected",
    Outcome.ABANDONED: "abandoned",
    Outcome.MACHINE: "machines",
    Outcome.BUSY: "busy",
    Outcome.NO_ANSWER: "no_answer",
}  # hung_up: only a live answer; every other outcome: failed


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `attempts`. `refused`: it ended before anything was dialled (no INVITE can have left)."""

    id: str
    state: str
    outcome: str | None
    cause: int | None
    detail: str | None
    refused: bool


@dataclass(frozen=True, slots=True)
class Stay:
    """A row of `agent_states`; `ended_at` is None for the state that lasts."""

    state: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Record:
    """All that the database knows of a run. `connect_ms`: per call, StasisStart to both in one bridge."""

    attempts: Sequence[Attempt]
    connect_ms: Sequence[float]
    stays: Sequence[Stay]


# Asterisk refused it, or it never left us, and neither the dialling nor the end of a channel was ever reported.
_ATTEMPTS = """
SELECT a.id::text, a.state, a.outcome, a.cause, a.detail,
       coalesce(bool_or(e.kind IN ('refused', 'not_sent')), false)
           AND NOT bool_or(e.kind IN ('ringing', 'dial_ended', 'hung_up')) AS refused
FROM attempts a LEFT JOIN call_events e ON e.attempt_id = a.id
GROUP BY a.id ORDER BY a.claimed_at, a.id
"""
_CONNECTS = """
SELECT extract(epoch FROM min(at) FILTER (WHERE kind = 'joined') - min(at) FILTER (WHERE kind = 'entered'))::float8
           * 1000 AS ms
FROM call_events WHERE kind IN ('entered', 'joined') GROUP BY attempt_id HAVING count(DISTINCT kind) = 2
"""


async def read(pool: asyncpg.Pool) -> Record:
    """The record of a database that saw one run only."""
    attempts = [Attempt(**row) for row in await pool.fetch(_ATTEMPTS)]
    connects = [row["ms"] for row in await pool.fetch(_CONNECTS)]
    stays = [Stay(**row) for row in await pool.fetch("SELECT state, started_at, ended_at FROM agent_states")]
    return Record(attempts, connects, stays)


def summarise(
    record: Record,
    invites: Sequence[Invite],
    since: datetime,
    until: datetime,
    leaked_channels: int,
    leaked_bridges: int,
) -> Json:
    """The figures of a run; occupancy is that of the time from `since` to `until`."""
    outcomes = Counter(attempt.outcome for attempt in record.attempts if attempt.outcome is not None)
    counts = dict.fromkeys(("connected", "abandoned", "machines", "busy", "no_answer", "failed"), 0)
    for outcome, n in outcomes.items():
        if outcome != Outcome.HUNG_UP:
            counts[_COUNTED_AS.get(Outcome(outcome), "failed")] += n
    live = sum(n for outcome, n in outcomes.items() if outcome in LIVE_ANSWERS)
    seen = Counter(invite.attempt for invite in invites)
    known = {attempt.id for attempt in record.attempts}
    unseen = [attempt for attempt in record.attempts if attempt.id not in seen]
    return {
        "attempts": len(record.attempts),
        "live_answers": live,
        "machines": counts["machines"],
        "busy": counts["busy"],
        "no_answer": counts["no_answer"],
        "failed": counts["failed"],
        "connected": counts["connected"],
        "abandoned": counts["abandoned"],
        "abandonment_rate": _rounded(counts["abandoned"] / live) if live else None,
        "occupancy": _rounded(occupancy(record.stays, since, until)),
        "connect_ms": {f"p{q}": _rounded(percentile(record.connect_ms, q)) for q in (50, 95, 99)},
        "caller_ids_used": len({invite.caller_id for invite in invites}),
        "invites_seen_by_carrier": len(invites),
        "attempts_without_invite": sum(not attempt.refused for attempt in unseen),
        # a second INVITE for one attempt has no attempt of its own
        "invites_without_attempt": sum(n - (attempt in known) for attempt, n in seen.items()),
        "unfinished_attempts": sum(attempt.state != "ended" for attempt in record.attempts),
        "leaked_channels": leaked_channels,
        "leaked_bridges": leaked_bridges,
        "attempts_without_invite_causes": [_why(attempt) for attempt in unseen],
    }


def faults(summary: Json) -> list[str]:
    """What is wrong with a run, one sentence each; empty when all is well."""
    wrong = [f"{name} is {summary[name]}, and must be 0" for name in MUST_BE_ZERO if summary[name]]
    return wrong if summary["connected"] else [*wrong, "connected is 0: nobody talked to an agent"]


def percentile(samples: Sequence[float], q: float) -> float | None:
    """The smallest sample that at least `q` per cent of them do not exceed (nearest rank); None of nothing."""
    if not samples:
        return None
    return sorted(samples)[max(0, ceil(len(samples) * q / 100) - 1)]


def occupancy(stays: Sequence[Stay], since: datetime, until: datetime) -> float | None:
    """The share of the agents' logged-in time that they spent on calls and in wrap-up; None when nobody was there."""
    logged_in = sum(_seconds(stay, since, until) for stay in stays if stay.state in LOGGED_IN)
    working = sum(_seconds(stay, since, until) for stay in stays if stay.state in WORKING)
    return working / logged_in if logged_in else None


def _seconds(stay: Stay, since: datetime, until: datetime) -> float:
    """How much of that time a stay lasted."""
    ended_at = until if stay.ended_at is None else min(stay.ended_at, until)
    return max(0.0, (ended_at - max(stay.started_at, since)).total_seconds())


def _why(attempt: Attempt) -> Json:
    return {"attempt": attempt.id, "outcome": attempt.outcome, "cause": attempt.cause, "detail": attempt.detail}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
