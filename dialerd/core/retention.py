"""How long a tenant must keep its record: what its campaigns' legal profiles ask for, and what their rules remember."""

from collections.abc import Iterable
from dataclasses import dataclass

from dialerd.core.limits import Limit, Lockout
from dialerd.core.profile import Profile

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one campaign. `profile` None: it has none, or one that is not known, so that it calls nobody."""

    campaign: str
    profile: Profile | None
    limits: tuple[Limit, ...]
    lockouts: tuple[Lockout, ...]


def objections(days: int, campaigns: Iterable[Rules]) -> list[str]:
    """Why a record must not be erased after that many days; empty: it may."""
    found = []
    for rules in campaigns:
        where = f"campaign {rules.campaign!r}"
        for kept in rules.profile.retention if rules.profile else ():
            if kept.days > days:
                name = rules.profile.name if rules.profile else ""
                found.append(f"{where}: legal profile {name} asks for {kept.days} days ({kept.record}; {kept.source})")
        for limit in rules.limits:
            if limit.seconds is None or limit.seconds > days * _DAY:
                found.append(f"{where}: the limit {limit.rule} counts calls for longer")
        for lockout in rules.lockouts:
            if lockout.seconds is not None and lockout.seconds > days * _DAY:
                found.append(f"{where}: {lockout.rule} holds for longer ({lockout.seconds / _DAY:g} days)")
    return found


def kept_for_ever(campaigns: Iterable[Rules]) -> list[str]:
    """Outcomes and dispositions after which somebody is not called ever again: their attempts keep their number."""
    lockouts = (lockout for rules in campaigns for lockout in rules.lockouts)
    return sorted({word for lockout in lockouts if lockout.seconds is None for word in lockout.after})
