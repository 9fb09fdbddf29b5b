"""What the engine tells its surfaces (health, status, page, terminal board), and how it refuses them.

Pure and frozen. Nothing here carries a secret; telephone numbers are masked by whoever fills them in.
Rates are ratios from 0 to 1, or None while there is nothing to divide by. Times are aware datetimes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from typing import Any, Literal

LinkState = Literal["up", "down", "connecting"]
EventKind = Literal["agent", "call", "figures", "lagged", "view"]


class AgentUnknown(LookupError):
    """There is no active agent of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no agent {name!r}")
        self.name = name


class AgentRefused(Exception):
    """The agent exists, and what was asked does not fit its state; `reason` is one word_with_underscores."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason.replace("_", " "))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Link:
    """One of the services that dialerd stands on: postgres, redis, ami, ari."""

    name: str
    state: LinkState
    since: datetime
    detail: str = ""  # words for the operator; only shown to those who are signed in


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the daemon can do its work. Public: `reason` is one word, and details stay in `links`."""

    ok: bool
    dialing: bool
    reason: str  # why not, when `dialing` is false: disabled, draining, ami_down, …
    links: tuple[Link, ...]
    schema_version: int | None  # None: unknown, PostgreSQL has not been reached yet
    loop_lag_ms: float
    dry_run: bool = False  # everything is decided, and nothing is dialled
    tasks: int = 0  # that the daemon's event loop holds: as many after a thousand calls as before
    recordings: str = "ok"  # one word: ok, or why recordings wait (engine.mover)


@dataclass(frozen=True, slots=True)
class Lines:
    """A campaign's calls in progress."""

    dialing: int = 0
    ringing: int = 0
    answered: int = 0  # a person is on the line and nobody has joined them yet
    connected: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How a campaign's attempts went so far."""

    attempts: int = 0
    live_answers: int = 0
    connected: int = 0
    abandoned: int = 0
    hung_up: int = 0
    played: int = 0  # heard the message of a broadcast
    machines: int = 0
    busy: int = 0
    no_answer: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; None before the first sample."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The last answer of pacing: how many lines to open, and why so many."""

    lines: int
    reason: str  # a sentence for people
    at: datetime


@dataclass(frozen=True, slots=True)
class BudgetWindow:
    """A window that the cap on abandoned calls is judged over. `left`: abandoned calls that it still has room for.
    `lost`: persons taken for machines, at most, which the legal profile counts as abandoned; in neither count."""

    since: datetime
    answers: int
    abandoned: int
    left: float
    lost: float = 0.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a campaign's pacing goes by. The estimates are None while too little is known to predict from."""

    mode: str
    lines: int = 0  # out for its agents now, whosever they are
    answer_chance: float | None = None  # of a line started now
    ring_seconds: float | None = None  # mean, of the lines that a person answers
    service_seconds: float | None = None  # mean, of talk and wrap-up
    risk: float | None = None  # the highest chance to be abandoned that a new line may have; None: unknown, so none
    cap: float = 0.03  # the share of live answers that may be abandoned
    cap_source: str = ""  # whose rule that is
    grace_seconds: float = 2.0
    windows: tuple[BudgetWindow, ...] = ()  # none: they could not be read, and nothing is risked


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """One campaign as it stands."""

    id: int
    name: str
    state: str
    dial_mode: str
    queue_name: str
    pending: int  # contacts in the queue
    lines: Lines = field(default_factory=Lines)
    counts: Counts = field(default_factory=Counts)
    answer_rate: float | None = None  # live answers / ended attempts
    abandonment_rate: float | None = None  # abandoned / live answers
    abandonment_budget: float = 0.03  # what the rate may not exceed
    connect_ms: Percentiles = field(default_factory=Percentiles)  # answer → agent hears them
    decision: Decision | None = None
    pacing: Pacing | None = None
    recording_problem: str = ""  # why no call of it may be recorded, though some were to be


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One agent as they stand."""

    name: str
    state: str  # offline, connecting, ready, reserved, on_call, wrap_up, paused
    since: datetime
    reason: str = ""
    queues: tuple[str, ...] = ()
    attempt: str | None = None


@dataclass(frozen=True, slots=True)
class TrunkStatus:
    """One way out."""

    name: str
    calls: int
    max_calls: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that a supervisor sees."""

    node: str
    version: str
    at: datetime
    started_at: datetime
    draining: bool
    dialing_allowed: bool
    dialing_reason: str
    links: tuple[Link, ...] = ()
    campaigns: tuple[CampaignStatus, ...] = ()
    agents: tuple[AgentStatus, ...] = ()
    trunks: tuple[TrunkStatus, ...] = ()
    calls_by_state: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that happened just now.

    `agent`: data has name, state, reason, since, attempt. `call`: attempt, campaign, state, outcome, answered_at,
    ended_at and the masked number. `figures`: data is empty; the status is another one than before. `view`: what one
    agent sees (core.agentview), for this agent alone. `lagged`: the reader was too slow, this is its last event.
    """

    kind: EventKind
    data: Mapping[str, Any] = field(default_factory=dict)


def to_json(value: object) -> Any:
    """What `json.dumps` takes: times as ISO 8601 in UTC, NaN and infinity as null, tuples as lists."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in _names(type(value))}
    raise TypeError(f"status holds a {type(value).__name__}, which has no JSON form")


@cache  # of a few classes; to look the names up takes longer than all else here
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))
