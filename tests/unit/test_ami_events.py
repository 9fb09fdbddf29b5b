"""AMI's events as facts of an attempt. The messages are Asterisk 22.10's own, cut to what tells them apart."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from dialerd.ami.events import translate
from dialerd.core.attempt import Event, Kind

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ATTEMPT = "d26655da-81f7-4e2d-8af6-10268f890754"

DIRECT_RINGING = f"""Event: DialState
DestChannel: PJSIP/trunk-out-00000000
DestChannelState: 0
DestAccountCode: dialerd
DestUniqueid: {ATTEMPT}
DestLinkedid: {ATTEMPT}
DialStatus: RINGING"""
DIRECT_ANSWER = f"""Event: DialEnd
DestChannel: PJSIP/trunk-out-00000000
DestChannelState: 6
DestAccountCode: dialerd
DestUniqueid: {ATTEMPT}
DialStatus: ANSWER"""
DIRECT_HANGUP = f"""Event: Hangup
Channel: PJSIP/trunk-out-00000003
ChannelState: 0
AccountCode: dialerd
Uniqueid: {ATTEMPT}
Linkedid: {ATTEMPT}
Cause: 21
Cause-txt: Call Rejected
TechCause: 603"""
FAR_RINGING = f"""Event: DialState
Channel: Local/+358401170001@dialerd-out-00000000;2
CallerIDName: <unknown>
Uniqueid: {ATTEMPT};2
Linkedid: {ATTEMPT}
DestChannel: PJSIP/trunk-out-00000000
DestUniqueid: 1795172174.2
DestLinkedid: {ATTEMPT}
DialStatus: RINGING"""
FAR_END = f"""Event: DialEnd
Channel: Local/+358401140001@dialerd-out-00000004;2
Uniqueid: {ATTEMPT};2
Linkedid: {ATTEMPT}
DestChannel: PJSIP/trunk-out-00000009
DestUniqueid: 1795171116.19
DestLinkedid: {ATTEMPT}
DialStatus: NOANSWER"""
NEAR_RINGING = f"""Event: DialState
DestChannel: Local/+358401170001@dialerd-out-00000000;1
DestChannelState: 5
DestUniqueid: {ATTEMPT}
DialStatus: RINGING"""
NEAR_END = f"""Event: DialEnd
DestChannel: Local/+358401170001@dialerd-out-00000000;1
DestChannelState: 6
DestUniqueid: {ATTEMPT}
DialStatus: ANSWER"""
NEAR_HANGUP = f"""Event: Hangup
Channel: Local/+358401130001@dialerd-out-00000002;1
ChannelState: 5
AccountCode: dialerd
Uniqueid: {ATTEMPT}
Cause: 19
Cause-txt: User alerting, no answer"""
FAR_HANGUP = f"""Event: Hangup
Channel: Local/+358401130001@dialerd-out-00000002;2
Uniqueid: {ATTEMPT};2
Cause: 19
Cause-txt: User alerting, no answer"""
TRUNK_HANGUP = f"""Event: Hangup
Channel: PJSIP/trunk-out-00000007
AccountCode: dialerd
Uniqueid: 1795171102.13
Linkedid: {ATTEMPT}
Cause: 19
TechCause: 480"""
ADMINS_HANGUP = """Event: Hangup
Channel: PJSIP/office-00000001
Uniqueid: 1795171102.77
Linkedid: 1795171102.77
Cause: 16"""
ADMINS_DIAL = """Event: DialEnd
Channel: PJSIP/office-00000001
Uniqueid: 1795171102.77
DestChannel: PJSIP/office-00000002
DestUniqueid: 1795171102.78
DialStatus: ANSWER"""


def message(text: str, **changes: str) -> Mapping[str, str]:
    """As panoramisk parses it."""
    parsed: dict[str, str] = Message.from_line(text.replace("\n", "\r\n"))
    parsed.update({key.replace("_", "-"): value for key, value in changes.items()})
    return parsed


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (DIRECT_RINGING, Event(Kind.RINGING, NOW)),
        (DIRECT_ANSWER, Event(Kind.DIAL_ENDED, NOW, status="ANSWER")),
        (DIRECT_HANGUP, Event(Kind.HUNG_UP, NOW, cause=21, detail="Call Rejected")),
        (FAR_RINGING, Event(Kind.RINGING, NOW)),
        (FAR_END, Event(Kind.DIAL_ENDED, NOW, status="NOANSWER")),
        (NEAR_HANGUP, Event(Kind.HUNG_UP, NOW, cause=19, detail="User alerting, no answer")),
    ],
)
def test_each_fact_is_taken_from_the_channel_that_knows_it(text: str, event: Event) -> None:
    assert translate(message(text), NOW) == (ATTEMPT, event)


@pytest.mark.parametrize("text", [NEAR_RINGING, NEAR_END, FAR_HANGUP, TRUNK_HANGUP, ADMINS_HANGUP, ADMINS_DIAL])
def test_what_only_repeats_it_and_what_is_not_ours_is_nobodys_business(text: str) -> None:
    """The near half of a Local pair says ANSWER and NOANSWER too, less exactly; the far half ends with the near one."""
    assert translate(message(text), NOW) is None


def test_progress_counts_as_ringing_and_a_state_between_as_nothing() -> None:
    assert translate(message(DIRECT_RINGING, DialStatus="PROGRESS"), NOW) == (ATTEMPT, Event(Kind.RINGING, NOW))
    assert translate(message(DIRECT_RINGING, DialStatus="PROCEEDING"), NOW) is None


@pytest.mark.parametrize("cause", ["", "x", "-1", "1.5", "1" * 4000, "١٩", "²", "19\n"])
def test_a_cause_that_is_no_small_number_is_none(cause: str) -> None:
    told = translate(message(DIRECT_HANGUP, Cause=cause), NOW)
    assert told is not None
    assert told[1].cause is None


def test_a_reason_of_any_length_is_cut() -> None:
    told = translate(message(DIRECT_HANGUP, Cause_txt="x" * 100_000), NOW)
    assert told is not None
    assert len(told[1].detail) == 80


@pytest.mark.parametrize("text", [DIRECT_RINGING, DIRECT_ANSWER, DIRECT_HANGUP, FAR_END, NEAR_END])
def test_a_header_that_comes_twice_is_no_value(text: str) -> None:
    """panoramisk makes a list of it, and a list in the wrong place would end the connection."""
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        told = translate(message(f"{text}\n{key}: {value}"), NOW)
        assert told is None or told[0] == ATTEMPT


KEYS = st.sampled_from(["Event", "Uniqueid", "DestUniqueid", "DestChannel", "DialStatus", "Cause", "Cause-txt", "X"])
WORDS = st.one_of(
    st.sampled_from(["Hangup", "DialEnd", "DialState", ATTEMPT, f"{ATTEMPT};2", ";2", "RINGING", "Local/x"]),
    st.text(max_size=30),
    st.lists(st.text(max_size=5), max_size=3),
    st.none(),
    st.integers(),
)


@given(st.dictionaries(KEYS, WORDS, max_size=8))
def test_no_message_however_malformed_raises(malformed: Any) -> None:
    told = translate(malformed, NOW)
    assert told is None or told[0] == ATTEMPT
