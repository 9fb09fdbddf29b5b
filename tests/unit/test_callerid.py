"""The rule of caller-ID selection, without Redis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dialerd.core.attempt import Facts
from dialerd.core.callerid import (
    RESULTS,
    CallEnd,
    CallerId,
    Candidate,
    Rule,
    Usage,
    choose,
    end_of,
    explain,
    pool_of,
    refusal,
    shown,
)
from dialerd.core.causes import Outcome
from dialerd.core.nearness import levels

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
US_415, US_212, CA_416, FI_40 = "+14155550101", "+12125550101", "+14165550101", "+358401234567"


def row(cid: int, e164: str = US_415, campaign_id: int | None = None, active: bool = True) -> CallerId:
    return CallerId(cid, 1, campaign_id, e164, hourly_limit=10, daily_limit=20, active=active)


@pytest.mark.parametrize(
    ("e164", "expected"),
    [
        (US_415, ("US-415", "US/CA", "US", "*")),
        (FI_40, ("FI-40", "FI", "*")),
        ("+989121234567", ("IR-912", "IR", "*")),
        ("+576012345678", ("CO-601", "CO", "*")),
        ("+390612345678", ("IT-06", "IT", "*")),
        (CA_416, ("CA-416", "CA/ON", "CA", "*")),
        ("+9999999", ("*",)),
    ],
)
def test_a_number_belongs_to_its_area_code_its_country_and_anywhere(e164: str, expected: tuple[str, ...]) -> None:
    assert levels(e164) == expected


@pytest.mark.accepts("CID-08")
def test_the_same_area_code_wins_over_a_number_used_longer_ago() -> None:
    pool = [row(1, FI_40), row(2, US_212), row(3, US_415)]
    usages = {3: Usage(3, last_used=NOW)}
    assert choose(pool, usages, "+14155559999")[0] == pool[2]
    assert choose(pool[:2], usages, "+14155559999")[0] == pool[1]
    assert choose(pool[:1], usages, "+14155559999")[0] == pool[0]


def test_the_same_calling_code_is_not_the_same_country() -> None:
    pool = [row(1, CA_416), row(2, US_212)]
    assert choose(pool, {}, "+14155559999")[0] == pool[1]


@pytest.mark.accepts("CID-04")
def test_among_equals_the_longest_unused_goes_first() -> None:
    pool = [row(1), row(2), row(3)]
    usages = {1: Usage(1, last_used=NOW), 2: Usage(2, last_used=NOW - timedelta(seconds=1))}
    assert choose(pool, usages, US_415)[0] == pool[2]
    usages[3] = Usage(3, last_used=NOW + timedelta(seconds=1))
    assert choose(pool, usages, US_415)[0] == pool[1]


@pytest.mark.parametrize(
    ("active", "usage", "rule"),
    [
        (True, Usage(1, 9, 19), None),
        (False, Usage(1), Rule.INACTIVE),
        (True, Usage(1, holder="a"), Rule.RESERVED),
        (True, Usage(1, 10, 19), Rule.HOURLY_LIMIT),
        (True, Usage(1, 10, 20), Rule.DAILY_LIMIT),
    ],
)
def test_a_number_is_refused_by_the_first_rule_that_holds(active: bool, usage: Usage, rule: Rule | None) -> None:
    assert refusal(row(1, active=active), usage, NOW) == rule


def test_a_number_rests_until_its_time_has_come() -> None:
    resting = replace(row(1), resting_until=NOW)
    assert refusal(resting, Usage(1), NOW - timedelta(seconds=1)) == Rule.RESTING
    assert refusal(resting, Usage(1), NOW) is None
    assert refusal(resting, Usage(1)) == Rule.RESTING  # nobody said what time it is


@pytest.mark.accepts("CID-08")
def test_the_same_state_comes_between_the_area_and_the_country() -> None:
    pool = [row(1, US_212), row(2, "+12135550101"), row(3, US_415)]
    usages = {2: Usage(2, last_used=NOW), 3: Usage(3, last_used=NOW)}
    assert [c.caller_id.id for c in explain(pool, usages, "+14155559999")] == [3, 2, 1]
    assert [c.distance for c in explain(pool, usages, "+14155559999")] == ["area", "state", "country"]


def test_without_local_presence_only_the_last_use_counts() -> None:
    pool = [row(1, US_415), row(2, FI_40)]
    usages = {1: Usage(1, last_used=NOW)}
    assert choose(pool, usages, US_415, local_presence=False)[0] == pool[1]


def test_the_number_that_a_person_saw_last_goes_first_when_it_is_free() -> None:
    pool = [row(1, US_415), row(2, FI_40)]
    assert choose(pool, {}, US_415, preferred=2)[0] == pool[1]
    assert choose(pool, {2: Usage(2, holder="a")}, US_415, preferred=2)[0] == pool[0]


def test_every_number_is_explained_best_first() -> None:
    pool = [row(1, US_415, active=False), row(2, FI_40), row(3, US_212), row(4, US_415)]
    usages = {3: Usage(3, 2, 5, NOW, "a"), 4: Usage(4, 10, 11)}
    assert explain(pool, usages, US_415, preferred=2) == [
        Candidate(pool[1], None, True, "any", None, 0, 0),
        Candidate(pool[0], Rule.INACTIVE, False, "area", None, 0, 0),
        Candidate(pool[3], Rule.HOURLY_LIMIT, False, "area", None, 10, 11),
        Candidate(pool[2], Rule.RESERVED, False, "country", NOW, 2, 5),
    ]


@pytest.mark.parametrize(
    ("outcome", "answered", "end"),
    [
        (Outcome.CONNECTED, True, CallEnd("answered", 30.0)),
        (Outcome.ABANDONED, True, CallEnd("answered", 30.0)),
        (Outcome.MACHINE, True, CallEnd("answered", 30.0)),
        (Outcome.REJECTED, False, CallEnd("rejected")),
        (Outcome.BUSY, False, CallEnd("busy")),
        (Outcome.NO_ANSWER, False, CallEnd("no_answer")),
        (Outcome.INVALID, False, CallEnd("failed")),
        (Outcome.NOT_SENT, False, CallEnd("failed")),
        (Outcome.UNKNOWN, False, CallEnd("unknown")),
    ],
)
def test_the_end_of_our_own_call_is_told_in_the_words_of_a_release(
    outcome: Outcome, answered: bool, end: CallEnd
) -> None:
    facts = Facts(NOW, answered_at=NOW if answered else None)
    assert end_of(facts, outcome, NOW + timedelta(seconds=30)) == end
    assert end.result in RESULTS


def test_what_every_number_lost_by_is_counted() -> None:
    pool = [row(1, active=False), row(2), row(3), row(4)]
    usages = {2: Usage(2, holder="a"), 3: Usage(3, holder="b"), 4: Usage(4, used_this_hour=10)}
    assert choose(pool, usages, US_415) == (None, {"inactive": 1, "reserved": 2, "hourly_limit": 1})
    assert choose([], {}, US_415) == (None, {"no_match": 1})


def test_a_campaign_with_numbers_of_its_own_never_borrows_the_tenants() -> None:
    rows = [row(1), row(2, campaign_id=7, active=False), CallerId(3, 2, 7, US_415, 10, 20)]
    assert pool_of(rows, 1, 7) == [rows[1]]
    assert pool_of(rows, 1, 8) == [rows[0]]
    assert pool_of(rows, 3, 7) == []


@pytest.mark.parametrize("text", [None, "", "MyCompany", "+1555\r\n", "1555&x", "١٢٣٤٥", "12", "+" + "1" * 16])
def test_a_fallback_that_is_not_digits_is_not_shown(text: str | None) -> None:
    assert shown(text) is None


@pytest.mark.parametrize("text", ["5551234567", "+358401234567", "100"])
def test_a_fallback_of_digits_is_shown(text: str) -> None:
    assert shown(text) == text
