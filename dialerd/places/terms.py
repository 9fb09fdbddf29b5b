"""A campaign's terms from its row: schedule and limits, its own and those of its legal profile."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import time
from functools import lru_cache
from typing import Any

from dialerd.core.abandonment import Allowance
from dialerd.core.abandonment import of_profile as of_abandonment
from dialerd.core.calendar import MIDNIGHT, Window
from dialerd.core.limits import Limit, Lockout, Meanings, of_dispositions, of_profile, parse
from dialerd.core.profile import Profile, ProfileRefused
from dialerd.core.terms import Terms
from dialerd.places import schedules
from dialerd.places.profiles import UnknownProfile, profile


def of_campaign(row: Mapping[str, Any]) -> Terms:
    """From a row of the query `terms.campaigns`. Reads data files the first time: not on an event loop."""
    windows = tuple(Window(weekday, _time(opens), _time(closes)) for weekday, opens, closes in row["windows"])
    settings = schedules.Settings(
        windows, row["legal_profile"], row["purpose"], row["skips_holidays"], tuple(row["extra_days_off"])
    )
    limits = tuple(row["limits"]), row["abandon_lockout_seconds"], tuple(sorted(row["dispositions"].items()))
    return _terms(settings, limits, f"{row['schedule_version']}.{row['version']}", row["year"])


@lru_cache(maxsize=256)
def _terms(
    settings: schedules.Settings, limits: tuple[tuple[str, ...], int, Meanings], version: str, year: int
) -> Terms:
    """Kept, because who hands out batches or asks why reads the same campaign again and again."""
    return Terms(schedules.build(settings, year), *_limits(settings.legal_profile, *limits), version)


def _limits(
    legal_profile: str | None, texts: tuple[str, ...], lockout_seconds: int, meanings: Meanings
) -> tuple[tuple[Limit, ...], tuple[Lockout, ...]]:
    limits = tuple(parse(text) for text in texts)
    own = Lockout("abandon", ("abandoned",), lockout_seconds)
    lockouts = (own,) if lockout_seconds else ()
    try:
        legal = profile(legal_profile) if legal_profile else None
    except (UnknownProfile, ProfileRefused):
        legal = None  # the schedule refuses every call
    if legal is None:
        return limits, lockouts
    more, locks = of_profile(legal)
    named = (replace(lock, name=f"{legal.name}_{lock.name}") for lock in locks)
    return limits + more, lockouts + tuple(of_dispositions(lock, meanings) for lock in named)


def allowance(legal_profile: str | None) -> Allowance:
    """What a campaign with this profile may abandon. Of one that is not usable dialerd's own: nothing is dialled then.
    Reads data files the first time."""
    try:
        return of_abandonment(profile(legal_profile) if legal_profile else None)
    except (UnknownProfile, ProfileRefused):
        return Allowance()


def legal_profile(name: str | None) -> Profile | None:
    """A campaign's legal profile; None: it has none, or one that is not usable, so that nothing is dialled."""
    try:
        return profile(name) if name else None
    except (UnknownProfile, ProfileRefused):
        return None


def _time(text: str) -> time:
    return MIDNIGHT if text.startswith("24") else time.fromisoformat(text)
