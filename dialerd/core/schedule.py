"""Whether a number may be called now, why not, and when next.

A schedule is weekly windows (the campaign's, narrowed by its legal profile's hours), minus days off. Each number is
judged by the clocks and the date of its own zone; one that may lie in several zones must be allowed in all of them.
What is not known does not allow: no such zone, no calendar of the country, a date beyond the calendar.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from dialerd.core.calendar import Window, clock_of, even_spans

Reason = Literal[
    "marketing_refused",  # the legal profile bars calls of this purpose
    "unknown_profile",  # the campaign names a legal profile that this version does not have
    "unknown_zone",  # no zone, or no such zone
    "no_calendar",  # days off are kept, and this country's are not known for this date
    "holiday",
    "no_window",  # nothing on this weekday
    "outside_allowed_time_window",
]
Refusal = Literal["marketing_refused", "unknown_profile"]
_DAY = timedelta(days=1)
_FAR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class DaysOff:
    """The days on which a country is not called. Known from `first` to `last`, both included."""

    days: frozenset[date]
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Schedule:
    """`days_off` by region (ISO 3166), or None where holidays are worked through; `extra` belongs to every region.

    `refusal`: nothing may be dialled at any time.
    """

    windows: tuple[Window, ...]
    days_off: Mapping[str, DaysOff] | None = None
    extra: frozenset[date] = frozenset()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`next_at` (UTC): the first moment from now on at which calling is allowed; None: not within 366 days."""

    allowed: bool
    reason: Reason | None
    next_at: datetime | None


def is_call_allowed(
    schedule: Schedule, zones: Iterable[str], country_of: Mapping[str, str], now: datetime
) -> Verdict:  # fmt: skip
    """Judges one number at `now` (aware). `zones`: every zone it may lie in; `country_of`: the region (ISO 3166) of
    each zone, whose days off it keeps."""
    zones = sorted(set(zones))
    reason = _reason(schedule, zones, country_of, now)
    if reason is None:
        return Verdict(True, None, now.astimezone(UTC))
    return Verdict(False, reason, _next_at(schedule, zones, country_of, now.astimezone(UTC)))


def open_zones(schedule: Schedule, zones: Iterable[str], country_of: Mapping[str, str], now: datetime) -> list[str]:
    """Those of `zones` in which it is allowed to call now. `country_of`: the region of each zone."""
    return sorted(zone for zone in set(zones) if _reason(schedule, (zone,), country_of, now) is None)


def _reason(
    schedule: Schedule, zones: Iterable[str], country_of: Mapping[str, str], now: datetime
) -> Reason | None:  # fmt: skip
    """Why not; of several zones the first reason. None: allowed."""
    if schedule.refusal is not None:
        return schedule.refusal
    reason: Reason | None = "unknown_zone"
    for zone in zones:
        clock = clock_of(zone)
        reason = "unknown_zone" if clock is None else _reason_at(schedule, country_of.get(zone), now.astimezone(clock))
        if reason is not None:
            break
    return reason


def _reason_at(schedule: Schedule, region: str | None, local: datetime) -> Reason | None:
    if (reason := _day_reason(schedule, region, local.date())) is not None:
        return reason
    if any(window.holds(local) for window in schedule.windows):
        return None
    today = any(window.weekday == local.isoweekday() for window in schedule.windows)
    return "outside_allowed_time_window" if today else "no_window"


def _day_reason(schedule: Schedule, region: str | None, day: date) -> Reason | None:
    """Why a whole local day is closed, or None."""
    if schedule.days_off is None:
        return None
    if day in schedule.extra:
        return "holiday"
    known = schedule.days_off.get(region or "")
    if known is None or not known.first <= day <= known.last:
        return "no_calendar"
    return "holiday" if day in known.days else None


def _next_at(
    schedule: Schedule, zones: list[str], country_of: Mapping[str, str], now: datetime
) -> datetime | None:  # fmt: skip
    clocks = [(country_of.get(zone), clock) for zone in zones if (clock := clock_of(zone)) is not None]
    if schedule.refusal is not None or not schedule.windows or not clocks or len(clocks) < len(zones):
        return None
    start = now.replace(second=0, microsecond=0)
    # Each zone in turn moves the moment on to where it is open, until none has to any more.
    moment, agreed = now, 0
    starts = [_Starts(schedule, region, clock, start, start + _FAR) for region, clock in clocks]
    while agreed < len(starts):
        for zone_starts in starts:
            later = zone_starts.from_(moment)
            if later is None:
                return None
            agreed = agreed + 1 if later == moment else 1
            moment = later
            if agreed >= len(starts):
                break
    return moment


class _Starts:
    """One zone's open spans, read once, forwards."""

    def __init__(self, schedule: Schedule, region: str | None, clock: ZoneInfo, start: datetime, end: datetime) -> None:
        self._spans = _open_spans(schedule, region, clock, start, end)
        self._span: tuple[datetime, datetime] | None = next(self._spans, None)

    def from_(self, moment: datetime) -> datetime | None:
        """The first open moment at or after `moment`, which never goes back."""
        while self._span is not None and self._span[1] <= moment:
            self._span = next(self._spans, None)
        return None if self._span is None else max(moment, self._span[0])


def _open_spans(
    schedule: Schedule, region: str | None, clock: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """When one zone is open between two UTC times, in order. Between changes of the clocks, local is UTC + offset."""
    for since, until, offset in even_spans(clock, start, end):
        first, last = (since + offset).replace(tzinfo=None), (until + offset).replace(tzinfo=None)
        midnight = datetime.combine(first, time(0))
        while midnight < last:
            if _day_reason(schedule, region, midnight.date()) is None:
                for window in _of_day(schedule.windows, midnight):
                    opens, closes = max(first, window[0]), min(last, window[1])
                    if opens < closes:
                        yield (opens - offset).replace(tzinfo=UTC), (closes - offset).replace(tzinfo=UTC)
            midnight += _DAY


def _of_day(windows: Iterable[Window], midnight: datetime) -> list[tuple[datetime, datetime]]:
    return sorted(window.on(midnight) for window in windows if window.weekday == midnight.isoweekday())
