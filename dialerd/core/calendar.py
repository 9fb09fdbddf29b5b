"""When a number may be called: weekly windows judged in the number's own zone (rule 7: unknown zone, no call)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class Window:
    """One weekly interval of local time, [opens, closes). `closes` 00:00 means the end of the day."""

    weekday: int  # ISO: Monday is 1
    opens: time
    closes: time

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies inside."""
        now = local.time().replace(fold=0)
        return (
            local.isoweekday() == self.weekday and self.opens <= now and (now < self.closes or self.closes == MIDNIGHT)
        )


@cache
def _zone(name: str) -> ZoneInfo:
    """Kept: ZoneInfo itself remembers eight, and reads the other 600 from disk again at every judgement."""
    return ZoneInfo(name)


def is_open(windows: Iterable[Window], zone: str, now: datetime) -> bool:
    """Whether `now` (aware) lies in a window, as the clocks of `zone` show it. An unknown zone is never open."""
    try:
        local = now.astimezone(_zone(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return any(window.holds(local) for window in windows)


def open_zones(windows: Iterable[Window], zones: Iterable[str], now: datetime) -> list[str]:
    """Those of `zones` in which it is allowed to call now."""
    windows = tuple(windows)
    return sorted(zone for zone in set(zones) if is_open(windows, zone, now))


def good_until(now: datetime) -> datetime:
    """Until when a judgement made at `now` holds: windows and zone offsets change on whole minutes only."""
    return now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
