"""A campaign's schedule from its settings: its windows, narrowed by its legal profile, minus the days off."""

from dataclasses import dataclass
from datetime import date

from dialerd.core.calendar import Window, intersect
from dialerd.core.profile import Profile, ProfileRefused
from dialerd.core.schedule import DaysOff, Schedule
from dialerd.places import holidays
from dialerd.places.profiles import UnknownProfile, profile


@dataclass(frozen=True, slots=True)
class Settings:
    """What a campaign and its tenant say. `extra`: the tenant's own days off."""

    windows: tuple[Window, ...]
    legal_profile: str | None = None
    purpose: str = "marketing"
    skip_holidays: bool = False
    extra: tuple[date, ...] = ()


def build(settings: Settings, year: int) -> Schedule:
    """The schedule, with calendars from the year before `year` to two years after it: the strictest rule wins.

    Reads data files when it first needs them: not on an event loop. A profile that cannot be had allows nothing.
    """
    legal = None
    if settings.legal_profile is not None:
        try:
            legal = profile(settings.legal_profile)
        except (UnknownProfile, ProfileRefused):
            return Schedule((), refusal="unknown_profile")
    windows = settings.windows
    if legal is not None and (hours := legal.windows(settings.purpose)) is not None:
        windows = intersect(windows, hours)
    keeps = settings.skip_holidays or (legal is not None and legal.keeps_holidays())
    refused = legal is not None and legal.refuses(settings.purpose)
    return Schedule(
        windows,
        _days_off(legal, year) if keeps else None,
        frozenset(settings.extra),
        "marketing_refused" if refused else None,
    )


def _days_off(legal: Profile | None, year: int) -> dict[str, DaysOff]:
    days_off = dict(holidays.national(year))
    if legal is not None and legal.holidays is not None and legal.holidays.scope == "regional":
        if (everywhere := holidays.regional(legal.country, year)) is not None:
            days_off[legal.country] = everywhere
        else:
            days_off.pop(legal.country, None)
    return days_off
