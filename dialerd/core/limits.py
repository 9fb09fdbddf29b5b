"""How often one number, or one person, may be called: limits by number of calls, lockouts after something happened.

A campaign has limits of its own; its legal profile adds more. All hold at once, so the strictest wins. What they mean
is written once, in SQL (number_held, sql/migrations/0006_rules.sql), because the claim judges by it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from dialerd.core.profile import Profile

Scope = Literal["campaign", "tenant"]
Whom = Literal["number", "person"]

_DAY = 86_400
MAX_CALLS = 1_000
MAX_SECONDS = 3_660 * _DAY
_UNITS = {"m": 60, "h": 3_600, "d": _DAY}
_TEXT = re.compile(r"([1-9][0-9]{0,3})/(?:([1-9][0-9]{0,4})([mhd])|ever)(?:/(campaign|tenant))?(?:/(number|person))?\Z")
_PERIODS = {"24h": _DAY, "day": _DAY, "week": 7 * _DAY, "7d": 7 * _DAY, "30d": 30 * _DAY}
# What a profile's lockout follows upon, as outcomes and dispositions of an attempt.
_AFTER = {
    "abandon": ("abandoned",),
    "refusal": ("refusal", "not_interested"),
    "conversation": ("connected",),
    "objection": ("objection", "dnc"),
}
# And what a tenant's own dispositions mean: whatever its code, a "no" is one.
_MEANING_AFTER = {"refusal": "refusal", "no_interest": "refusal", "dnc": "dnc"}
Meanings = tuple[tuple[str, str], ...]  # code of a disposition, what it means


class LimitRefused(ValueError):
    """A text is no limit: which one, and what one looks like."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` in any `seconds` (None: ever) to a number or to all numbers of a person, in one campaign or in
    all of the tenant's."""

    calls: int
    seconds: int | None
    scope: Scope = "campaign"
    whom: Whom = "number"

    @property
    def rule(self) -> str:
        """As `parse` reads it."""
        period = "ever" if self.seconds is None else _period(self.seconds)
        return f"{self.calls}/{period}/{self.scope}/{self.whom}"


@dataclass(frozen=True, slots=True)
class Lockout:
    """No call for `seconds` (None: ever) after an attempt with one of these outcomes or dispositions."""

    name: str
    after: tuple[str, ...]
    seconds: int | None
    scope: Scope = "tenant"
    whom: Whom = "number"

    @property
    def rule(self) -> str:
        return f"lockout_{self.name}"


def parse(text: str) -> Limit:
    """A limit as people write it: `3/24h`, `7/7d/tenant`, `20/ever/campaign/person`. Raises `LimitRefused`."""
    match = _TEXT.match(text.strip())
    if match is None:
        raise LimitRefused(
            f"{text[:40]!r} is no limit: CALLS/PERIOD with PERIOD like 24h, 7d or ever, then perhaps /tenant (all its "
            "campaigns together) and /person (all numbers of a contact together), as in 3/24h/tenant"
        )
    calls, count, unit, scope, whom = match.groups()
    seconds = int(count) * _UNITS[unit] if count else None
    if int(calls) > MAX_CALLS or (seconds or 0) > MAX_SECONDS:
        raise LimitRefused(f"{text[:40]!r}: at most {MAX_CALLS} calls, at most ten years")
    return Limit(int(calls), seconds, scope or "campaign", whom or "number")  # type: ignore[arg-type]


def of_profile(profile: Profile) -> tuple[tuple[Limit, ...], tuple[Lockout, ...]]:
    """What a legal profile adds. Its caps protect persons, whichever campaign calls; a "day" or "week" of the calendar
    is taken as 24 hours or 7 days, which is stricter."""
    limits = tuple(
        Limit(cap.calls, _PERIODS[cap.period], "campaign" if cap.key in ("person_debt", "person_subject") else "tenant",
              "person")
        for cap in profile.caps
    )  # fmt: skip
    lockouts = tuple(
        Lockout(each.after, _AFTER[each.after], None if each.days is None else each.days * _DAY, "tenant", "person")
        for each in profile.lockouts
    )
    return limits, lockouts


def of_dispositions(lockout: Lockout, meanings: Meanings) -> Lockout:
    """The same lockout after a tenant's own codes too."""
    more = tuple(code for code, means in meanings if _MEANING_AFTER.get(means) in lockout.after)
    return replace(lockout, after=tuple(dict.fromkeys(lockout.after + more)))


def parameters(limits: Iterable[Limit], lockouts: Iterable[Lockout]) -> tuple[list[Any], list[Any]]:
    """As number_held reads them."""
    return (
        [{"rule": x.rule, "calls": x.calls, "seconds": x.seconds, "scope": x.scope, "whom": x.whom} for x in limits],
        [{"rule": x.rule, "after": list(x.after), "seconds": x.seconds, "scope": x.scope, "whom": x.whom}
         for x in lockouts],
    )  # fmt: skip


def _period(seconds: int) -> str:
    if seconds % _DAY == 0 and seconds > _DAY:
        return f"{seconds // _DAY}d"
    return f"{seconds // 3_600}h" if seconds % 3_600 == 0 else f"{seconds // 60}m"
