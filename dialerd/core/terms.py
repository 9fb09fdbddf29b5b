"""Under what a campaign may call: its schedule, limits and lockouts, in the version in which they were read.

The claim takes them as a judgement that holds until the next minute; when a setting has changed meanwhile, the version
is another one and the claim refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dialerd.core.calendar import good_until
from dialerd.core.limits import Limit, Lockout, parameters
from dialerd.core.schedule import Refusal, Schedule, Verdict, is_call_allowed, open_zones

_NOTHING = timedelta(0)

ZoneSets = Mapping[int, tuple[str, ...]]  # id → zones, as the table zone_sets has them


@dataclass(frozen=True, slots=True)
class Terms:
    """`version`: `<tenant's schedule_version>.<campaign's version>`."""

    schedule: Schedule
    limits: tuple[Limit, ...] = ()
    lockouts: tuple[Lockout, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where calling is allowed until `until`: ids of zone sets. `refusal`: nowhere, whatever the time."""

    terms: Terms
    open: tuple[int, ...]
    until: datetime

    @property
    def refusal(self) -> Refusal | None:
        return self.terms.schedule.refusal

    def parameters(self) -> dict[str, Any]:
        """As claim_v2 reads it."""
        limits, lockouts = parameters(self.terms.limits, self.terms.lockouts)
        return {
            "version": self.terms.version,
            "open": list(self.open),
            "valid_until": self.until.isoformat(),
            "limits": limits,
            "lockouts": lockouts,
        }


def judge(
    terms: Terms, sets: ZoneSets, country_of: Mapping[str, str], now: datetime, ahead: timedelta = _NOTHING
) -> Judgement:
    """A number that may lie in several zones must be allowed in all of them, so its whole set must be open.

    A judgement holds until the minute is over. One made within `ahead` of that holds for as long after it, and opens
    only what is open before and after: a call that is claimed in a minute's last second still has time to leave.
    """
    zones = {zone for members in sets.values() for zone in members}
    allowed, until = set(open_zones(terms.schedule, zones, country_of, now)), good_until(now)
    if until - now <= ahead:
        allowed &= set(open_zones(terms.schedule, zones, country_of, until))
        until += ahead
    found = sorted(id_ for id_, members in sets.items() if members and allowed.issuperset(members))
    return Judgement(terms, tuple(found), until)


def closed_zones(
    judgement: Judgement, sets: ZoneSets, country_of: Mapping[str, str], now: datetime
) -> dict[str, Verdict]:  # fmt: skip
    """The zones in which the campaign may not call now, or no longer while the judgement holds: why, and when next.
    Some hundred microseconds for each."""
    zones = {zone for members in sets.values() for zone in members}
    schedule, last = judgement.terms.schedule, judgement.until - timedelta(microseconds=1)
    shut = dict.fromkeys(zones.difference(open_zones(schedule, zones, country_of, now)), now)
    closing = zones.difference(shut, open_zones(schedule, zones, country_of, last))
    shut |= dict.fromkeys(closing, last)
    return {zone: is_call_allowed(schedule, (zone,), country_of, shut[zone]) for zone in sorted(shut)}
