"""Statistics. Each answer comes from one statement, so all its figures are of one moment and add up at any moment.

`campaign` counts contacts, as the older API does:
    total = pending + active + completed         completed = answered + no_answer + busy + failed
pending: queued, waiting for another try, or held back by the campaign's filter. active: a call of it lives.
completed: done or suppressed; by the contact's last call it is
    answered   a person answered: connected, abandoned, hung_up, played
    no_answer  no person did: no_answer, machine, message_left
    busy       busy, rejected
    failed     everything else: failed, invalid, unknown, not_sent; and who was never called: on a do-not-call list,
               in no known zone, over a limit
`grouped` counts attempts: attempts = in_progress + connected + abandoned + hung_up + played + machines + busy +
no_answer + failed (rejected, invalid, unknown and not_sent among them; machines: message_left too); live answers =
connected + abandoned + hung_up + played.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, get_args

import asyncpg

from dialerd.core.contactfile import is_zone
from dialerd.core.machines import false_positive_bound, lost
from dialerd.core.numberstatus import NumberStatus, of_contact, of_result
from dialerd.places.zones import main_zone
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("stats")
_CAMPAIGN, _GROUPED, _NUMBERS, _BY_DAY, _REGION = _Q.campaign, _Q.grouped, _Q.numbers, _Q.by_day, _Q.default_region
_MACHINES = _Q.machines
_EXISTS = queries("contacts").campaign_exists

By = Literal["hour", "day", "list", "caller-id", "agent", "outcome"]
BY: Final[tuple[str, ...]] = get_args(By)
MAX_GROUPS = 500  # what is beyond them comes as one group, OTHERS
OTHERS = "(others)"
MAX_DAYS = 366


@dataclass(frozen=True, slots=True)
class CampaignStats:
    """A campaign's figures under the names of the older API.

    answer_rate: answered of completed, in percent. average_duration: seconds from answer to end of the calls that an
    agent had. calls_per_hour: completed, by the hours of dialling: the time since the first call, of which a pause
    between calls counts at most ten minutes, so that nights do not (steps of five minutes). All three are 0 while
    there is nothing to divide. Agents: those of the campaign's queue; available are ready, busy are reserved, on a
    call or in wrap-up.
    """

    campaign_id: int
    total_contacts: int
    pending_calls: int
    active_calls: int
    completed_calls: int
    answered_calls: int
    no_answer: int
    busy: int
    failed: int
    answer_rate: float
    average_duration: float
    calls_per_hour: float
    agents_available: int
    agents_busy: int


@dataclass(frozen=True, slots=True)
class Machines:
    """What machine detection said of a campaign's answered calls, and how well.

    Verdicts: `machine`, `human`, `not_sure` (and every other word). `messages`: machines that heard the whole message.
    `passed`: calls that were no machine by the verdict and that an agent had; `corrected`: those of them of which the
    agent said that it was one. `false_negatives`: corrected of passed, None while there are none. `seconds_median` and
    `seconds_longest`: from the answer to the verdict; None while nobody has listened.

    `unheard`: machines that no agent had. `checked`: other ones, which an agent had because of a lot (machine_check) or
    of machine_detection = connect, and of which the agent said what it was; `checked_persons`: those of them that were
    none. `false_positives`: their share, None while there are none; `false_positives_at_most`: the bound of
    `core.machines.false_positive_bound`, and `lost_at_most`: how many persons that makes among the unheard.
    """

    campaign_id: int
    machine: int
    human: int
    not_sure: int
    messages: int
    passed: int
    corrected: int
    unheard: int
    checked: int
    checked_persons: int
    seconds_median: float | None
    seconds_longest: float | None
    false_negatives: float | None = None
    false_positives: float | None = None
    false_positives_at_most: float = 1.0
    lost_at_most: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """What the attempts of one hour, list, agent … came to. `talk_seconds` and `cost` are sums.

    Rates are ratios, None while there is nothing to divide by; `mean_talk_seconds` is of connected calls.
    """

    name: str
    attempts: int
    in_progress: int
    connected: int
    abandoned: int
    hung_up: int
    played: int
    machines: int
    busy: int
    no_answer: int
    failed: int
    talk_seconds: Decimal
    cost: Decimal

    @property
    def live_answers(self) -> int:
        """Calls that a person answered."""
        return self.connected + self.abandoned + self.hung_up + self.played

    @property
    def abandonment_rate(self) -> float | None:
        """abandoned / live answers."""
        return round(self.abandoned / self.live_answers, 4) if self.live_answers else None

    @property
    def mean_talk_seconds(self) -> float | None:
        """From the answer to the end."""
        return round(float(self.talk_seconds) / self.connected, 2) if self.connected else None

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; money and sums stay decimal, as text."""
        own = {**asdict(self), "talk_seconds": round(float(self.talk_seconds), 3), "cost": str(self.cost)}
        rates = {"abandonment_rate": self.abandonment_rate, "mean_talk_seconds": self.mean_talk_seconds}
        return {**own, "live_answers": self.live_answers, **rates}


@dataclass(frozen=True, slots=True)
class Table:
    """Groups, the largest first (hours and days in their order), and the sum of all of them."""

    by: str
    zone: str
    groups: tuple[Group, ...]
    total: Group

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        groups = [group.as_dict() for group in self.groups]
        return {"by": self.by, "zone": self.zone, "groups": groups, "total": self.total.as_dict()}


@dataclass(frozen=True, slots=True)
class Share:
    """How many are in a status, and how much of the whole that is, in percent."""

    status: str
    count: int
    percentage: float


@dataclass(frozen=True, slots=True)
class Day:
    """One day's calls by the status that each left behind."""

    date: date
    total: int
    statuses: tuple[Share, ...]


async def machines(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, since: datetime | None) -> Machines:
    """How a campaign's machine detection does, of the calls since a time. Raises `NotFound`."""
    row = await pool.fetchrow(_MACHINES, tenant_id, campaign_id, since)
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    checked, persons = row["checked"], row["checked_persons"]
    return Machines(
        **row,
        false_negatives=row["corrected"] / row["passed"] if row["passed"] else None,
        false_positives=persons / checked if checked else None,
        false_positives_at_most=round(false_positive_bound(checked, persons), 4),
        lost_at_most=lost(row["unheard"], checked, persons),
    )


async def campaign(pool: asyncpg.Pool, tenant_id: int, campaign_id: int) -> CampaignStats:
    """A campaign's figures now. Raises `NotFound`."""
    row = await pool.fetchrow(_CAMPAIGN, tenant_id, campaign_id)
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    total, pending, active = int(row["total"]), int(row["pending"]), int(row["active"])
    answered, no_answer, busy = int(row["answered"]), int(row["no_answer"]), int(row["busy"])
    completed = total - pending - active
    hours = float(row["dialing_seconds"] or 0) / 3600
    return CampaignStats(
        campaign_id=campaign_id,
        total_contacts=total,
        pending_calls=pending,
        active_calls=active,
        completed_calls=completed,
        answered_calls=answered,
        no_answer=no_answer,
        busy=busy,
        failed=completed - answered - no_answer - busy,
        answer_rate=round(100 * answered / completed, 2) if completed else 0.0,
        average_duration=round(float(row["talk_seconds"] or 0), 2),
        calls_per_hour=round(completed / hours, 2) if hours else 0.0,
        agents_available=row["agents_available"],
        agents_busy=row["agents_busy"],
    )


async def grouped(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, by: str, since: datetime | None, zone: str
) -> Table:
    """A campaign's attempts by one thing. Raises `NotFound`, and `Refused` for another thing or no zone."""
    if not await pool.fetchval(_EXISTS, tenant_id, campaign_id):
        raise NotFound(f"there is no campaign {campaign_id}")
    if by not in BY:
        raise Refused(f"by {by[:40]!r}: one of {', '.join(BY)}")
    rows = await _in_zone(pool, zone, _GROUPED, tenant_id, campaign_id, since, by, zone, MAX_GROUPS)
    total, *groups = (_group(row) for row in rows)
    rest = _less(total, groups)
    if rest.attempts:
        groups.append(rest)
    if by in ("hour", "day"):
        groups.sort(key=lambda group: (group.name == OTHERS, group.name))
    return Table(by, zone, tuple(groups), total)


async def numbers(pool: asyncpg.Pool, tenant_id: int, campaign_id: int | None = None) -> tuple[int, tuple[Share, ...]]:
    """How many contacts there are, and their distribution over the eleven statuses of the older panel."""
    rows = await pool.fetch(_NUMBERS, tenant_id, campaign_id)
    counts: dict[NumberStatus, int] = {}
    for row in rows:
        status = of_contact(row["state"], row["last_outcome"], row["last_disposition"])
        counts[status] = counts.get(status, 0) + row["n"]
    return sum(counts.values()), _shares(counts)


async def by_day(pool: asyncpg.Pool, tenant_id: int, days: int, zone: str) -> list[Day]:
    """The calls of today and the days before it, days as in `zone`. Raises `Refused`."""
    if not 1 <= days <= MAX_DAYS:
        raise Refused(f"days: 1 to {MAX_DAYS}")
    found: dict[date, dict[NumberStatus, int]] = {}
    for row in await _in_zone(pool, zone, _BY_DAY, tenant_id, zone, days):
        counts = found.setdefault(row["day"], {})
        if row["n"]:
            status = of_result(row["outcome"], row["disposition"])
            counts[status] = counts.get(status, 0) + row["n"]
    return [Day(day, sum(counts.values()), _shares(counts)) for day, counts in found.items()]


async def zone_of(pool: asyncpg.Pool, tenant_id: int) -> str:
    """The zone of the tenant's days, where none is given: the main one of its region."""
    return main_zone(await pool.fetchval(_REGION, tenant_id) or "") or "UTC"


async def _in_zone(pool: asyncpg.Pool, zone: str, query: str, *parameters: Any) -> Any:
    if not is_zone(zone):
        raise Refused(f"zone {zone[:40]!r}: an IANA name, as in Europe/Helsinki")
    try:
        return await pool.fetch(query, *parameters)
    except asyncpg.InvalidParameterValueError:  # newer than PostgreSQL's tables
        raise Refused(f"zone {zone!r} is unknown to PostgreSQL") from None


def _group(row: Mapping[str, Any]) -> Group:
    sums = {key: value for key, value in row.items() if key not in ("of_all", "name")}
    return Group(name=row["name"] or "total", **sums)


def _less(total: Group, groups: Iterable[Group]) -> Group:
    """What of `total` is in none of the groups."""
    rest = {key: value for key, value in asdict(total).items() if key != "name"}
    for group in groups:
        for key in rest:
            rest[key] -= getattr(group, key)
    return Group(name=OTHERS, **rest)


def _shares(counts: Mapping[NumberStatus, int]) -> tuple[Share, ...]:
    """All eleven, in their order."""
    total = sum(counts.values())
    return tuple(
        Share(status.value, counts.get(status, 0), round(100 * counts.get(status, 0) / total, 2) if total else 0.0)
        for status in NumberStatus
    )
