"""Would a number be dialed now, by one campaign? Every gate of the claim in its order, each with its own answer.

This explains the claim (sql/migrations/0007_claim.sql, 0019_calls.sql) and does not replace it; what the claim
asks SQL functions, whoever loads the facts has asked the same ones. tests/integration/test_why.py holds both against
each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dialerd.core.schedule import Schedule, Verdict, is_call_allowed

_LIVE_CALL = timedelta(minutes=1)  # as the claim sets a number aside that is in a call


@dataclass(frozen=True, slots=True)
class Facts:
    """A campaign, its trunk, and a number of one of its contacts, as they are now. Names as in the tables."""

    campaign_state: str
    tenant_enabled: bool
    installation_enabled: bool
    balance: Decimal | None
    price_attempt: Decimal
    trunk: str
    trunk_known: bool
    trunk_active: bool | None
    trunk_max_calls: int | None
    trunk_outside: bool | None
    on_trunk: int
    max_concurrent_calls: int
    of_ours: int
    tenant_max_calls: int | None
    of_tenant: int
    stale_list: str | None
    contact_state: str
    next_at: datetime | None
    attempts: int
    max_retries: int
    last_outcome: str | None
    callback_at: datetime | None
    callback_agent_id: int | None
    callback_agent: str | None
    agent_free: bool
    contact_position: int
    position: int
    dead: str | None
    zones: tuple[str, ...]
    barred_by: str | None
    live: int
    held_rule: str | None
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class Check:
    """One gate. `until`: when it opens by itself; None where it is open, or somebody must do something."""

    rule: str
    ok: bool
    words: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule`: the first gate that is shut, by the claim's name for it. `next_at`: when all would be open if nothing
    else changes; None: not by itself, or not within a year."""

    would_be_dialed: bool
    rule: str | None
    words: str
    next_at: datetime | None
    checks: tuple[Check, ...]


def decide(
    facts: Facts, schedule: Schedule, somewhere_open: bool, country_of: Mapping[str, str], now: datetime
) -> Decision:
    """Judges at `now`. `somewhere_open`: whether the campaign may call in any zone that any number of this installation
    lies in; the claim asks that first."""
    window = is_call_allowed(schedule, facts.zones, country_of, now)
    checks = (*_of_campaign(facts, schedule, somewhere_open or window.allowed), *_of_contact(facts, window, now))
    shut = [check for check in checks if not check.ok]
    if not shut:
        return Decision(True, None, "it would be dialed now, when its turn comes", now, checks)
    next_at = _next(shut, lambda at: is_call_allowed(schedule, facts.zones, country_of, at).next_at, now)
    return Decision(False, shut[0].rule, shut[0].words, next_at, checks)


def _of_campaign(f: Facts, schedule: Schedule, open_: bool) -> Sequence[Check]:
    """What the claim asks before it looks at any contact."""
    enabled = f.tenant_enabled and f.installation_enabled
    switch = "installation" if f.tenant_enabled else "tenant"
    poor = f.balance is not None and (f.balance <= 0 or f.balance < f.price_attempt)
    on_trunk, most = f.on_trunk, f.trunk_max_calls or 0
    full = not f.trunk_outside and f.of_ours >= f.max_concurrent_calls
    limit = f.tenant_max_calls
    busy = limit is not None and f.trunk_outside is False and f.of_tenant >= limit
    return (
        Check(schedule.refusal or "legal_profile", schedule.refusal is None,
              "the legal profile allows calls of this purpose" if schedule.refusal is None else
              "the legal profile bars calls of this purpose" if schedule.refusal == "marketing_refused" else
              "the campaign's legal profile is not known"),
        Check("not_active", f.campaign_state == "active", f"the campaign is {f.campaign_state}",
              {"state": f.campaign_state}),
        Check("disabled", enabled, "calling is switched on" if enabled else f"the {switch}'s kill switch is off"),
        Check("insufficient_funds", not poor, "the balance covers a call" if not poor else
              "the balance does not cover a call", {"balance": f.balance, "price_attempt": f.price_attempt}),
        Check("unknown_trunk", f.trunk_known, f"trunk {f.trunk}" + ("" if f.trunk_known else " is not known")),
        Check("trunk_inactive", bool(f.trunk_active or not f.trunk_known),
              "the trunk is switched " + ("off" if f.trunk_active is False else "on")),
        Check("outside_allowed_time_window", open_,
              "the campaign may call somewhere now" if open_ else "the campaign may call nowhere now"),
        Check("dnc_stale", f.stale_list is None, "the do-not-call lists are young enough" if f.stale_list is None else
              f"the do-not-call list {f.stale_list!r} is older than its limit: import it anew", {"list": f.stale_list}),
        Check("trunk_full", not f.trunk_known or on_trunk < most, f"{on_trunk} of {most} calls on the trunk",
              {"calls": on_trunk, "max_calls": most}),
        Check("tenant_full", not busy, "the tenant's calls are not limited" if limit is None else
              f"{f.of_tenant} of {limit} calls of the tenant", {"calls": f.of_tenant, "max_calls": limit}),
        Check("campaign_full", not full, f"{f.of_ours} of {f.max_concurrent_calls} calls of the campaign",
              {"calls": f.of_ours, "max_concurrent_calls": f.max_concurrent_calls}),
    )  # fmt: skip


def _of_contact(f: Facts, window: Verdict, now: datetime) -> Sequence[Check]:
    """What brings a contact before the claim, and what the claim asks of it then."""
    turn = f.position == f.contact_position
    personal = f.callback_agent_id is not None
    tired = f.attempts > f.max_retries and f.callback_at is None
    return (
        _queue(f, now),
        Check("other_number", turn, "it is this number's turn" if turn else
              f"not dialled in this campaign any more: {f.dead}" if f.dead else
              "another number of this contact comes first",
              {"position": f.position, "next_position": f.contact_position, "dead": f.dead}),
        Check(window.reason or "window", window.allowed, "its time window is open" if window.allowed else
              f"{(window.reason or '').replace('_', ' ')}", {"zones": list(f.zones)},
              None if window.allowed else window.next_at),
        Check("callback_agent", not personal or f.agent_free, "no agent is waited for" if not personal else
              f"a callback for agent {f.callback_agent}, who is {'' if f.agent_free else 'not '}free",
              {"agent": f.callback_agent}),
        Check("max_retries", not tired, f"{f.attempts} attempts, {1 + f.max_retries} allowed",
              {"attempts": f.attempts, "max_retries": f.max_retries}),
        Check("dnc", f.barred_by is None, "on no do-not-call list" if f.barred_by is None else
              f"on the do-not-call list {f.barred_by!r}", {"list": f.barred_by}),
        _held(f),
        Check("live_call", f.live == 0, "no call to it is in progress" if f.live == 0 else
              "a call to it is in progress", {"calls": f.live}, None if f.live == 0 else now + _LIVE_CALL),
    )  # fmt: skip


def _queue(f: Facts, now: datetime) -> Check:
    inputs = {"state": f.contact_state, "next_at": f.next_at, "last_outcome": f.last_outcome}
    after = f" after {f.last_outcome}" if f.last_outcome else ""
    match f.contact_state:
        case "queued":
            return Check("queue", True, "the contact is in the queue", {"state": "queued"})
        case "waiting":
            what = "a callback was agreed" if f.callback_at else f"waits for its next attempt{after}"
            return Check("waiting", False, what, inputs, max(f.next_at or now, now))
        case "held":
            return Check("held", False, "the campaign's filter leaves the contact out", inputs)
        case "claimed":
            return Check("claimed", False, "a call of this contact is in progress", inputs)
        case "suppressed":
            return Check("suppressed", False, "the contact is suppressed: all its numbers are barred", inputs)
        case _:
            return Check("done", False, f"the contact is done{after}", inputs)


def _held(f: Facts) -> Check:
    if f.held_rule is None:
        return Check("limits", True, "no limit is reached")
    words = f"lockout: {f.held_rule.removeprefix('lockout_')}" if f.held_rule.startswith("lockout_") else (
        f"the limit {f.held_rule} is reached")  # fmt: skip
    return Check(f.held_rule, False, words, {"rule": f.held_rule, "until": f.held_until}, f.held_until)


def _next(shut: Sequence[Check], open_from: Callable[[datetime], datetime | None], now: datetime) -> datetime | None:
    """When the last of the shut gates opens, in an open window of the number."""
    others = [check for check in shut if check.rule != "outside_allowed_time_window"]
    if any(check.until is None for check in others):
        return None
    return open_from(max((check.until for check in others if check.until is not None), default=now))
