"""Would it be dialed now? Each gate alone, their order, and the next moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dialerd.core.decision import Decision, Facts, decide
from dialerd.core.schedule import Schedule, is_call_allowed
from dialerd.core.windows import parse

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)  # a Friday, 12:00 in Helsinki
DAY = Schedule(tuple(parse(["mon-fri 09:00-18:00"])))
COUNTRIES = {"Europe/Helsinki": "FI", "Asia/Tokyo": "JP"}
OPEN = Facts(
    campaign_state="active", tenant_enabled=True, installation_enabled=True, balance=None, price_attempt=Decimal(0),
    trunk="t", trunk_known=True, trunk_active=True, trunk_max_calls=10, trunk_outside=False, on_trunk=0,
    max_concurrent_calls=10, of_ours=0, tenant_max_calls=None, of_tenant=0, stale_list=None,
    contact_state="queued", next_at=None, attempts=0, max_retries=3,
    last_outcome=None, callback_at=None, callback_agent_id=None, callback_agent=None, agent_free=False,
    contact_position=0, position=0, dead=None, zones=("Europe/Helsinki",), barred_by=None, live=0, held_rule=None,
    held_until=None,
)  # fmt: skip
LATER = NOW + timedelta(hours=2)


def judged(now: datetime = NOW, schedule: Schedule = DAY, **changes: Any) -> Decision:
    return decide(replace(OPEN, **changes), schedule, True, COUNTRIES, now)


def test_with_every_gate_open_it_would_be_dialed_now() -> None:
    decision = judged()
    assert (decision.would_be_dialed, decision.rule, decision.next_at) == (True, None, NOW)
    assert all(check.ok for check in decision.checks)


@pytest.mark.parametrize(
    ("changes", "rule", "next_at"),
    [
        ({"campaign_state": "paused"}, "not_active", None),
        ({"tenant_enabled": False}, "disabled", None),
        ({"installation_enabled": False}, "disabled", None),
        ({"balance": Decimal(0)}, "insufficient_funds", None),
        ({"balance": Decimal(1), "price_attempt": Decimal(2)}, "insufficient_funds", None),
        ({"trunk_known": False, "trunk_active": None, "trunk_max_calls": None}, "unknown_trunk", None),
        ({"trunk_active": False}, "trunk_inactive", None),
        ({"stale_list": "register"}, "dnc_stale", None),
        ({"on_trunk": 10}, "trunk_full", None),
        ({"tenant_max_calls": 5, "of_tenant": 5}, "tenant_full", None),
        ({"of_ours": 10}, "campaign_full", None),
        ({"contact_state": "waiting", "next_at": LATER}, "waiting", LATER),
        ({"contact_state": "waiting", "next_at": NOW - timedelta(days=1)}, "waiting", NOW),
        ({"contact_state": "held"}, "held", None),
        ({"contact_state": "claimed"}, "claimed", None),
        ({"contact_state": "suppressed"}, "suppressed", None),
        ({"contact_state": "done"}, "done", None),
        ({"contact_position": 1}, "other_number", None),
        ({"zones": ()}, "unknown_zone", None),
        ({"zones": ("Nowhere/Town",)}, "unknown_zone", None),
        ({"callback_agent_id": 1, "callback_agent": "aino"}, "callback_agent", None),
        ({"attempts": 4}, "max_retries", None),
        ({"barred_by": "own"}, "dnc", None),
        ({"held_rule": "3/24h/campaign/number", "held_until": LATER}, "3/24h/campaign/number", LATER),
        ({"held_rule": "lockout_abandon", "held_until": None}, "lockout_abandon", None),
        ({"live": 1}, "live_call", NOW + timedelta(minutes=1)),
    ],
)
def test_each_gate_shuts_by_its_name_and_says_when_it_opens(
    changes: dict[str, Any], rule: str, next_at: datetime | None
) -> None:
    decision = judged(**changes)
    assert (decision.would_be_dialed, decision.rule, decision.next_at) == (False, rule, next_at)
    assert [check.rule for check in decision.checks if not check.ok] == [rule]


@pytest.mark.parametrize(
    "changes",
    [
        {"of_ours": 10, "trunk_outside": True},
        {"attempts": 4, "callback_at": NOW},
        {"attempts": 3},
        {"on_trunk": 9, "of_ours": 9},
        {"callback_agent_id": 1, "callback_agent": "aino", "agent_free": True},
        {"balance": Decimal(2), "price_attempt": Decimal(2)},
    ],
)
def test_what_looks_like_a_shut_gate_may_be_open(changes: dict[str, Any]) -> None:
    assert judged(**changes).would_be_dialed


def test_of_several_shut_gates_the_claims_first_one_is_named_and_the_last_one_to_open_tells_the_moment() -> None:
    decision = judged(
        contact_state="waiting", next_at=LATER, held_rule="1/24h/campaign/number", held_until=NOW + timedelta(hours=9)
    )
    assert decision.rule == "waiting"
    # 21:00 in Helsinki is outside the window, and then comes a weekend.
    assert decision.next_at == datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def test_outside_the_window_the_next_moment_is_when_it_opens() -> None:
    decision = judged(now=datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
    assert (decision.rule, decision.next_at) == ("no_window", datetime(2026, 11, 23, 7, 0, tzinfo=UTC))


def test_where_the_campaign_may_call_nowhere_that_comes_first() -> None:
    night = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
    decision = decide(replace(OPEN, stale_list="old"), DAY, False, COUNTRIES, night)
    assert decision.rule == "outside_allowed_time_window"
    assert [check.rule for check in decision.checks if not check.ok] == [
        "outside_allowed_time_window", "dnc_stale", "outside_allowed_time_window",
    ]  # fmt: skip


def test_a_profile_that_bars_everything_comes_before_all() -> None:
    decision = judged(schedule=replace(DAY, refusal="marketing_refused"), campaign_state="paused")
    assert (decision.rule, decision.next_at) == ("marketing_refused", None)


def test_a_number_of_two_zones_is_open_when_both_are() -> None:
    zones = ("Asia/Tokyo", "Europe/Helsinki")  # 09-18 there is 00-09 UTC, 07-16 UTC
    verdict = is_call_allowed(DAY, zones, COUNTRIES, NOW)
    assert (verdict.allowed, verdict.next_at) == (False, datetime(2026, 11, 23, 7, 0, tzinfo=UTC))
    assert is_call_allowed(DAY, zones, COUNTRIES, datetime(2026, 11, 23, 8, 0, tzinfo=UTC)).allowed
