"""Campaigns: legal changes of state, and what a draft may hold."""

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from dialerd.core import campaign as c

DRAFT = c.Draft(name="Campaña Ventas Q1", dial_mode="progressive", queue_name="sales", trunk="trunk-out")


def test_only_these_changes_of_state_are_legal() -> None:
    legal = {}
    for state, action in product(get_args(c.State), get_args(c.Action)):
        try:
            legal[state, action] = c.after(state, action)
        except c.TransitionRefused as refused:
            assert state in str(refused) and action in str(refused)
    assert legal == {
        ("draft", "start"): "active",
        ("paused", "start"): "active",
        ("stopped", "start"): "active",
        ("completed", "start"): "active",
        ("active", "pause"): "paused",
        ("active", "stop"): "stopped",
        ("paused", "stop"): "stopped",
        ("active", "complete"): "completed",
    }


def test_a_refused_change_says_what_is_possible_instead() -> None:
    with pytest.raises(c.TransitionRefused, match="draft cannot pause; it can start"):
        c.after("draft", "pause")


def test_the_minimal_draft_has_the_documented_defaults() -> None:
    c.check(DRAFT)
    assert (DRAFT.max_retries, DRAFT.retry_delay_seconds, DRAFT.max_concurrent_calls) == (3, 300, 50)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "a\x1b]0;b"),
        ("name", "x" * 201),
        ("description", "a\nb"),
        ("queue_name", "sales team"),
        ("queue_name", ""),
        ("trunk", "trunk/../x"),
        ("trunk", "t\n"),
        ("dial_mode", "predictive"),
        ("dial_mode", "power"),
        ("dial_mode", "loud"),
        ("machine_detection", "maybe"),
        ("caller_id", "x<1>"),
        ("caller_id", "١٢٣٤"),
        ("pacing_ratio", float("nan")),
        ("pacing_ratio", 10.1),
        ("max_retries", -1),
        ("retry_delay_seconds", -1),
        ("max_concurrent_calls", 10_001),
        ("ring_timeout_seconds", 4),
        ("wrap_up_seconds", 3601),
    ],
)
def test_a_bad_field_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(c.CampaignRefused) as caught:
        c.check(replace(DRAFT, **{field: value}))
    assert [name for name, _ in caught.value.problems] == [field]


def test_modes_that_this_version_lacks_are_named_so() -> None:
    with pytest.raises(c.CampaignRefused, match="no predictive pacing yet: preview or progressive"):
        c.check(replace(DRAFT, dial_mode="predictive"))


def test_a_caller_id_is_a_full_number_or_an_extension() -> None:
    assert c.caller_id("040 123 4567", "FI") == "+358401234567"
    assert c.caller_id("5551234567", "US") == "5551234567"
    with pytest.raises(c.CampaignRefused):
        c.caller_id("555&PJSIP/x", "US")
