"""What a single call may ask for: lists that the configuration holds, and nothing hostile in any value."""

from dataclasses import replace
from typing import Any

import pytest

from dialerd.ami.action import Originate, ValueRefused, fields
from dialerd.core.phone import Number
from dialerd.core.singlecall import (
    CallRefused,
    Options,
    Wanted,
    check_key,
    check_place,
    ring_seconds,
    shown,
    variables,
)

CONTEXTS = ("outbound-ivr", "dialer-outbound")
ALLOWED = ("CUSTOMER_ID", "PRIORITY")
HOSTILE = [
    "a,b=c", "a\r\nApplication: System", "a\n", "${SHELL(id)}", "$[1+1]", "a;b", 'a"b', "a\\b", "a(b)", "ä", "",
    "x" * 129, "a\0", "a\u2028b", "<b>", "a|b", "a&b",
]  # fmt: skip


def refusal(work: Any, *args: object) -> str:
    with pytest.raises(CallRefused) as caught:
        work(*args)
    assert caught.value.kind == "invalid"
    return caught.value.reason


def test_a_context_comes_from_the_list_and_an_extension_is_one_that_every_context_has() -> None:
    for context in CONTEXTS:
        for extension in ("s", "100", "+358401234567"):
            check_place(context, extension, CONTEXTS)
    for context in ("dialerd-out", "default", "outbound-ivr\n", ""):
        assert refusal(check_place, context, "s", CONTEXTS) == "context_not_allowed"
    for extension in ("", "h", "t", "1", "s\n", "1,1", "s@default", "١٢٣"):
        assert refusal(check_place, "outbound-ivr", extension, CONTEXTS) == "extension_not_allowed"


@pytest.mark.accepts("ORI-03")
def test_own_variables_are_texts_of_a_safe_alphabet() -> None:
    assert variables({"CUSTOMER_ID": "456", "PRIORITY": "high"}, ALLOWED) == {"CUSTOMER_ID": "456", "PRIORITY": "high"}
    assert variables({"CUSTOMER_ID": 456}, ALLOWED) == {"CUSTOMER_ID": "456"}


@pytest.mark.parametrize("value", [*HOSTILE, None, True, 1.5, [], {}])
def test_a_value_is_refused_and_never_escaped(value: object) -> None:
    assert refusal(variables, {"CUSTOMER_ID": value}, ALLOWED) == "bad_variable"


@pytest.mark.parametrize(
    "name", ["SHELL(id)", "__CUSTOMER_ID", "DIALERD_APP", "CAMPAIGN_ID", "MONITOR_EXEC", "", "X" * 99]
)
def test_a_name_that_is_not_on_the_list_is_refused(name: str) -> None:
    assert refusal(variables, {name: "1"}, ALLOWED) == "variable_not_allowed"


@pytest.mark.accepts("ORI-04")
def test_a_timeout_is_whole_seconds_and_never_shorter_than_asked() -> None:
    assert [ring_seconds(seconds, 60) for seconds in (1, 4.5, 30, 60)] == [1, 5, 30, 60]
    for seconds in (0, -1, 60.1, float("inf"), float("nan")):
        assert refusal(ring_seconds, seconds, 60) == "bad_timeout"


@pytest.mark.accepts("ORI-16")
def test_a_caller_id_is_a_name_or_a_number() -> None:
    assert shown("MyCompany") == ("MyCompany", None)
    assert shown(" Outbound Call ") == ("Outbound Call", None)
    assert shown("+358 40 1234567") == (None, "+358 40 1234567")
    for text in ('"Bob" <1>', "Bob\r\nVariable: X=1", "", "-rf", "x" * 41, "Böb", "a,b"):
        assert refusal(shown, text) == "bad_caller_id"


@pytest.mark.accepts("ORI-05", "ORI-06")
def test_the_name_goes_beside_the_number_and_a_hostile_one_is_refused_once_more() -> None:
    call = Originate("0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "+358401234567", "t", "direct", "+358401109999", 30)
    assert fields(call)["Channel"] == "PJSIP/+358401234567@t"
    assert fields(call)["CallerID"] == '"+358401109999" <+358401109999>'
    assert fields(replace(call, name="MyCompany"))["CallerID"] == '"MyCompany" <+358401109999>'
    for name in ('x" <1>', "x\r\ny", ""):
        with pytest.raises(ValueRefused):
            fields(replace(call, name=name))


def test_a_key_is_printable_and_short() -> None:
    assert check_key("order-1") == "order-1"
    for key in ("", "a b", "a\n", "ä", "x" * 256):
        assert refusal(check_key, key) == "bad_key"


def test_two_requests_are_the_same_when_all_that_they_ask_for_is() -> None:
    one = Wanted(Number("+358401234567", "FI", ()), Options(30, "A", None, {"PRIORITY": "high", "CUSTOMER_ID": "1"}))
    again = replace(one, key="k", options=replace(one.options, variables={"CUSTOMER_ID": "1", "PRIORITY": "high"}))
    assert one.digest == again.digest
    others = [replace(one, number=Number("+358401234568", "FI", ())), replace(one, contact_id=1)]
    for options in (replace(one.options, ring_seconds=31), replace(one.options, name="B"), Options(30, "A")):
        others.append(replace(one, options=options))
    assert one.digest not in {other.digest for other in others}
