"""ARI's events on their way in: what is malformed is dropped with a log line, and never stops the stream."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialerd.core.attempt import Event, Kind
from dialerd.engine.stasis import Stasis

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
LEG = "dialerd-agent-7-01234567"
STAMP = "2026-11-20T12:00:00.123+0200"
AT = datetime(2026, 11, 20, 10, 0, 0, 123000, UTC)


class Told:
    """Stands where Calls and Conversations stand, and writes down what they are told."""

    def __init__(self) -> None:
        self.what: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.what.append((name, *args))


def handle(*events: Any) -> list[tuple[Any, ...]]:
    told = Told()
    stasis = Stasis(told, told, told)  # type: ignore[arg-type]
    for event in events:
        stasis.handle(event)
    return told.what


def event(kind: str, **changes: Any) -> dict[str, Any]:
    whole = {"type": kind, "timestamp": STAMP, "channel": {"id": ATTEMPT}, "args": ["customer", ATTEMPT, "HUMAN"]}
    return {**whole, "cause": 16, "bridge": {"id": "dialerd-agent-7"}, **changes}


def test_each_event_goes_to_whom_it_concerns() -> None:
    assert handle(event("StasisStart")) == [("customer_arrived", ATTEMPT, AT, "HUMAN", "")]
    assert handle(event("StasisStart", args=["customer", ATTEMPT])) == [("customer_arrived", ATTEMPT, AT, "", "")]
    assert handle(event("StasisStart", channel={"id": LEG}, args=["agent", "7"])) == [("leg_answered", 7, LEG)]
    assert handle(event("StasisEnd")) == [
        ("learn", ATTEMPT, Event(Kind.LEFT, AT)),
        ("left", ATTEMPT),
        ("leg_gone", ATTEMPT),
    ]
    assert handle(event("ChannelDestroyed")) == [
        ("learn", ATTEMPT, Event(Kind.HUNG_UP, AT, cause=16)),
        ("left", ATTEMPT),
        ("leg_gone", ATTEMPT),
    ]
    assert handle(event("ChannelDtmfReceived", digit="5")) == [("pressed", ATTEMPT, "5")]
    playback = {"id": f"{ATTEMPT}/01234567", "state": "done"}
    assert handle(event("PlaybackFinished", playback=playback)) == [("played", playback["id"], True)]
    assert handle(event("PlaybackFinished", playback={**playback, "state": "failed"})) == [
        ("played", playback["id"], False)
    ]
    assert handle(event("ChannelEnteredBridge")) == [("joined", ATTEMPT, "dialerd-agent-7", AT)]


def test_events_of_other_kinds_are_passed_over() -> None:
    assert handle(event("ChannelVarset"), event("Surprise"), {"type": "Surprise"}, {}) == []


DEEP: Any = "x"
for _ in range(10_000):
    DEEP = [DEEP]

KINDS = ("StasisStart", "StasisEnd", "ChannelDestroyed", "ChannelEnteredBridge", "ChannelDtmfReceived")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        {"channel": None}, {"channel": {}}, {"channel": []}, {"channel": "x"}, {"channel": {"id": None}},
        {"channel": {"id": 7}}, {"channel": {"id": []}}, {"channel": {"id": {}}}, {"channel": {"id": DEEP}},
        {"timestamp": None}, {"timestamp": ""}, {"timestamp": 7}, {"timestamp": "yesterday"}, {"timestamp": DEEP},
        {"timestamp": "2026-11-20T12:00:00.123"}, {"timestamp": "2026-11-20"},
        {"type": None}, {"type": 7}, {"type": []}, {"type": {}}, {"type": DEEP},
    ],
)  # fmt: skip
def test_an_event_without_a_channel_a_time_or_a_type_is_dropped(kind: str, change: dict[str, Any]) -> None:
    whole = event(kind, **change)
    if "channel" in change:
        whole["args"] = ["customer", change["channel"], ""]
    assert handle(whole) == []


@pytest.mark.parametrize("key", ["channel", "timestamp", "type"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_key_drops_the_event(kind: str, key: str) -> None:
    whole = event(kind)
    del whole[key]
    assert handle(whole) == []


@pytest.mark.parametrize(
    "args",
    [
        None, [], {}, "customer", 7, ["customer"], ["customer", None], ["customer", "another"], ["agent"],
        ["agent", "7"], ["agent", ""], ["agent", "seven"], ["agent", None], ["agent", "9" * 5000], ["agent", []],
        ["x"] * 10_000, [DEEP], DEEP, ["agent", DEEP], [None], [["customer"], ATTEMPT], ["customer", ATTEMPT, 7],
        ["customer", ATTEMPT, None], ["customer", ATTEMPT, DEEP], ["customer", ATTEMPT, {}],
    ],
)  # fmt: skip
def test_arguments_that_are_not_ours_bring_nobody_in(args: Any) -> None:
    assert handle(event("StasisStart", args=args)) == []


@pytest.mark.parametrize("cause", [None, "", "x", [], {}, DEEP, float("nan"), float("inf"), "9" * 5000])
def test_a_cause_that_is_no_number_drops_the_event(cause: Any) -> None:
    assert handle(event("ChannelDestroyed", cause=cause)) == []


@pytest.mark.parametrize("bridge", [None, {}, [], "x", 7, {"id": None}, {"id": 7}, {"id": DEEP}])
def test_a_bridge_without_a_name_drops_the_event(bridge: Any) -> None:
    assert handle(event("ChannelEnteredBridge", bridge=bridge)) == []


def test_a_stranger_in_our_app_is_left_alone_and_logged() -> None:
    assert handle(event("StasisStart", channel={"id": "1795171009.241"}, args=["customer", ATTEMPT])) == []
    assert handle(event("StasisStart", channel={"id": LEG}, args=["agent", "8"])) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([ATTEMPT, STAMP]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "a"]), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a machine with other work is no bad test
@given(
    st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["channel", "args", "cause", "bridge", "timestamp"]), JSON)
)
def test_no_event_that_json_can_say_raises(kind: str, changes: dict[str, Any]) -> None:
    whole = json.loads(json.dumps(event(kind, **changes)))
    for name, *args in handle(whole, event("StasisEnd"))[-2:]:
        assert name in {"left", "leg_gone"}
        assert args[0] == ATTEMPT
