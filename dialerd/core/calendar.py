"""Weekly calling windows and the clocks of the zones in which they are judged."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MIDNIGHT = time(0)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """One weekly interval of local time, [opens, closes). `closes` 00:00 means the end of the day."""

    weekday: int  # ISO: Monday is 1
    opens: time
    closes: time

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies inside."""
        if local.isoweekday() != self.weekday:
            return False
        now = local.time().replace(fold=0)
        return self.opens <= now and (now < self.closes or self.closes == MIDNIGHT)

    def on(self, midnight: datetime) -> tuple[datetime, datetime]:
        """Its ends on the local day that begins at `midnight`; naive local times."""
        end = midnight + _DAY if self.closes == MIDNIGHT else datetime.combine(midnight, self.closes)
        return datetime.combine(midnight, self.opens), end


def intersect(one: Iterable[Window], other: Iterable[Window]) -> tuple[Window, ...]:
    """The windows in which both allow calling: the strictest wins."""
    other = tuple(other)
    both = set()
    for a in one:
        for b in other:
            opens = max(a.opens, b.opens)
            closes = min((w.closes for w in (a, b) if w.closes != MIDNIGHT), default=MIDNIGHT)
            if a.weekday == b.weekday and (opens < closes or closes == MIDNIGHT):
                both.add(Window(a.weekday, opens, closes))
    return tuple(sorted(both, key=lambda w: (w.weekday, w.opens)))


@cache
def _zone(name: str) -> ZoneInfo:
    """Kept: ZoneInfo itself remembers eight, and reads the other 600 from disk again at every judgement."""
    return ZoneInfo(name)


def clock_of(zone: str) -> ZoneInfo | None:
    """The clocks of an IANA zone; None for a name that is none (rule 7: unknown zone, no call)."""
    try:
        return _zone(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def even_spans(clock: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """[start, end) (UTC, whole seconds) cut where the clocks of a zone are changed: (from, to, offset), in order.

    Clocks that were changed and changed back within one day would be missed; no zone has done that since 2000.
    """
    since = at = start
    offset = _offset(clock, start)
    while at < end:
        after = min(end, at + _DAY)
        if _offset(clock, after) != offset:
            after = _change(clock, at, after, offset)
            yield since, after, offset
            since, offset = after, _offset(clock, after)
        at = after
    if since < end:
        yield since, end, offset


def _offset(clock: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(clock).utcoffset() or timedelta(0)


def _change(clock: ZoneInfo, before: datetime, after: datetime, offset: timedelta) -> datetime:
    """The first whole second after `before` at which the offset is another one than `offset`."""
    low, high = before, after
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (middle, high) if _offset(clock, middle) == offset else (low, middle)
    return high


def good_until(now: datetime) -> datetime:
    """Until when a judgement made at `now` holds: windows and zone offsets change on whole minutes only."""
    return now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
