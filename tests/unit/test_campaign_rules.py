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
        ("dial_mode", "loud"),
        ("machine_detection", "maybe"),
        ("caller_id", "x<1>"),
        ("caller_id", "١٢٣٤"),
        ("pacing_ratio", float("nan")),
        ("pacing_ratio", 10.1),
        ("serial_interval_seconds", -0.1),
        ("serial_interval_seconds", 86_401),
        ("serial_interval_seconds", float("nan")),
        ("weight", 0),
        ("weight", 1001),
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


@pytest.mark.parametrize("mode", ["predictive", "power"])
def test_modes_of_several_lines_take_from_one_to_ten_of_them(mode: str) -> None:
    for ratio in (1.0, 3.0, 10.0):
        c.check(replace(DRAFT, dial_mode=mode, pacing_ratio=ratio))
    for ratio in (0.0, 0.99, 10.01):
        with pytest.raises(c.CampaignRefused, match="pacing_ratio: 1 to 10"):
            c.check(replace(DRAFT, dial_mode=mode, pacing_ratio=ratio))


def test_progressive_takes_any_ratio_and_dials_one_line_all_the_same() -> None:
    c.check(replace(DRAFT, pacing_ratio=0.5))
    shown = {mode: c.effective_ratio(mode, 2.5) for mode in c.MODES}
    assert shown == {"preview": 0.0, "progressive": 1.0, "predictive": 2.5, "power": 2.5}


def test_a_serial_campaign_may_rest_between_calls_or_not() -> None:
    assert DRAFT.serial_interval_seconds is None
    for seconds in (0.0, 2.5, 86_400.0):
        c.check(replace(DRAFT, serial_interval_seconds=seconds))


def test_a_caller_id_is_a_full_number_or_an_extension() -> None:
    assert c.caller_id("040 123 4567", "FI") == "+358401234567"
    assert c.caller_id("5551234567", "US") == "5551234567"
    with pytest.raises(c.CampaignRefused):
        c.caller_id("555&PJSIP/x", "US")
