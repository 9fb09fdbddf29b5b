"""How many abandoned calls a campaign may have, over which time, and how long its calls must ring.

From its legal profile, or dialerd's own where that says nothing. What is unclear is read the careful way.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from dialerd.core.machines import WITHOUT_AGENT
from dialerd.core.profile import Profile, Ring

Clock = Literal["answer", "greeting_end"]
Period = Literal["campaign_30d_blocks", "calendar_month", "24h"]

# Of a campaign without a profile: the share that most laws name which name one.
CAP = 0.03
GRACE_SECONDS = 2.0
# One ring, tone and silence: the longest of those that Asterisk's indications.conf knows (North America: 2 s and 4 s;
# most others have 5 s, the United Kingdom 3 s).
RING_SECONDS = 6.0
_DAY = timedelta(days=1)
_BLOCK = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Allowance:
    """`cap`: share of the live answers of `window` that may be abandoned, which is to wait for an agent for longer than
    `grace_seconds`, counted from `clock_start`. `false_positives`: whether persons who were taken for machines count as
    abandoned. `source`: who says so, in words for the operator."""

    cap: float = CAP
    grace_seconds: float = GRACE_SECONDS
    clock_start: Clock = "answer"
    window: Period = "24h"
    min_ring_seconds: float = 0.0
    false_positives: bool = False
    source: str = "dialerd's own: no legal profile says anything about abandoned calls"


def of_profile(profile: Profile | None) -> Allowance:
    """What a campaign with this profile may do; None: a campaign without one."""
    if profile is None:
        return Allowance()
    ring = 0.0 if profile.ring is None else min_ring_seconds(profile.ring)
    rule = profile.abandon
    if rule is None:
        says = f"dialerd's own: the legal profile {profile.name} says nothing about a share of abandoned calls"
        return Allowance(min_ring_seconds=ring, source=says)
    if rule.cap is None:
        says = f"dialerd's own: by the legal profile {profile.name} abandoned calls count, and no share of them is safe"
    else:
        says = f"legal profile {profile.name}: {rule.source}"
    cap = CAP if rule.cap is None else rule.cap
    window = rule.window or "24h"
    return Allowance(cap, rule.grace_seconds, rule.clock_start, window, ring, rule.false_positives, says)


def unchecked(profile: Profile | None, machine_detection: str, machine_check: float) -> str:
    """What a campaign with this profile must know of its machines, in words; empty: nothing."""
    if profile is None or not of_profile(profile).false_positives:
        return ""
    if machine_detection not in WITHOUT_AGENT or machine_check > 0:
        return ""
    return (
        f"legal profile {profile.name} counts persons who are taken for machines as abandoned, and no agent checks "
        "any: every machine counts until some were, and one line is dialled for each free agent. "
        "Set one: dialer-admin campaign update --machine-check SHARE"
    )


def min_ring_seconds(ring: Ring) -> float:
    """How long a call must ring before it may be given up: the longer of seconds and rings."""
    return max(float(ring.seconds or 0), (ring.rings or 0) * RING_SECONDS)


def starts(
    allowance: Allowance, campaign_started: datetime | None, now: datetime, zone: tzinfo = UTC
) -> tuple[datetime, ...]:
    """From when on live answers are counted, none of them in the future: of the last 24 hours, and of the legal window
    where it is another one. `campaign_started`: its first start; `zone`: whose calendar months."""
    day = now - _DAY
    if allowance.window == "24h":
        return (day,)
    legal = _month(now, zone) if allowance.window == "calendar_month" else _block(campaign_started or now, now)
    return (day, legal)


def _block(first: datetime, now: datetime) -> datetime:
    """The start of the fixed block of 30 days, counted from the first start, in which `now` lies."""
    return first + (now - first) // _BLOCK * _BLOCK if first <= now else now


def _month(now: datetime, zone: tzinfo) -> datetime:
    """Midnight of the first of the month that it is in the zone."""
    first = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return min(now, first.astimezone(UTC))
