"""The Originate that we send: checked parts only, and nothing hostile in any of them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.actions import Action

from dialerd.ami.action import Originate, ValueRefused, fields

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
CALL = Originate(
    ATTEMPT, "+358401234567", "trunk-out", "direct", "+358401109999", 30, {"DIALERD_APP": "dialerd", "DIALERD_AMD": "0"}
)


def test_a_call_on_the_direct_route() -> None:
    assert fields(CALL) == {
        "Action": "Originate",
        "ActionID": ATTEMPT,
        "ChannelId": ATTEMPT,
        "Channel": "PJSIP/+358401234567@trunk-out",
        "Context": "dialerd-answered",
        "Exten": "s",
        "Priority": "1",
        "Async": "true",
        "Timeout": "30000",
        "Account": "dialerd",
        "CallerID": '"+358401109999" <+358401109999>',
        "Variable": [f"PJSIP_HEADER(add,X-Dialer-Attempt)={ATTEMPT}", "DIALERD_APP=dialerd", "DIALERD_AMD=0"],
    }


def test_a_call_on_the_dialplan_route_leaves_the_trunk_and_the_caller_id_to_the_dialplan() -> None:
    action = fields(replace(CALL, route="dialplan", caller_id=None))
    assert action["Channel"] == "Local/+358401234567@dialerd-out/n"
    assert "CallerID" not in action


@pytest.mark.parametrize("caller_id", ["+358401109999", "0401109999", "1000", "112"])
def test_a_caller_id_may_be_an_extension_or_a_national_number(caller_id: str) -> None:
    assert fields(replace(CALL, caller_id=caller_id))["CallerID"] == f'"{caller_id}" <{caller_id}>'


HOSTILE = [
    "+15551230000\r\nApplication: System\r\nData: id",
    *(f"+1555123{c}0000" for c in "\n\r\x00\x0b\x0c\x1c\x85\u2028\u2029"),
    *(f"+15551230000{c}" for c in "\n\r\x00\u2028"),  # `$` of a pattern would let a last LF through
    '"Bob" <1>\nVariable: DNC_OK=1',
    "a,__X=1",
    '"a,b',
    "a\\",
    "${SHELL(id)}",
    "$[1+1]",
    "${EXTEN}",
    "a;b",
    "a|b",
    "a&b",
    "a'b",
    "a`b",
    "a*b",
    "\ud800",
    b"\xff\xfe".decode("latin-1"),
    "\u202e12345",
    "☎",
    "x" * 1025,
    "x" * 100_000,
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["attempt", "e164", "endpoint", "caller_id"])
def test_a_hostile_value_is_refused_in_every_field(field: str, value: str) -> None:
    change: dict[str, Any] = {field: value}
    with pytest.raises(ValueRefused) as refused:
        fields(replace(CALL, **change))
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_refused_in_a_variable(value: str) -> None:
    with pytest.raises(ValueRefused, match="variable DIALERD_APP"):
        fields(replace(CALL, variables={"DIALERD_APP": value}))


@pytest.mark.parametrize(
    "name",
    [
        "SHELL(id)", "CALLERID(num)", "__X)", "X=Y", "", "X" * 200, "X\nY", "X\n", "1X", "X-Y", "X,Y", "${X}", "É",
        "X Y", "X:Y", "PJSIP_HEADER(add,Evil)",
    ],
)  # fmt: skip
def test_a_name_that_is_no_plain_variable_is_refused(name: str) -> None:
    with pytest.raises(ValueRefused, match="variable name"):
        fields(replace(CALL, variables={name: "1"}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "a" * 256), ("endpoint", "../trunk"), ("endpoint", "trunk/../x"), ("endpoint", ""),
        ("endpoint", "s@from-internal/n"), ("endpoint", "trunk out"),
        ("attempt", "a" * 150), ("attempt", "a/b"), ("attempt", "a b"), ("attempt", "a;2"), ("attempt", ""),
        ("attempt", f"{ATTEMPT};2"), ("attempt", ATTEMPT.upper()), ("attempt", "1795171009.241"),
        ("e164", "358401234567"), ("e164", "+0401234567"), ("e164", "+٣٥٨٤٠١٢٣٤٥٦٧"), ("e164", "+35840123456789012"),
        ("e164", "500&PJSIP/itsp/14165551212"), ("e164", ""), ("e164", "911"), ("e164", "+112"),
        ("caller_id", ""), ("caller_id", "Bob"), ("caller_id", "12"), ("caller_id", "+" + "1" * 16),
        ("caller_id", "１２３４５"), ("caller_id", '"x" <1000>'),
    ],
)  # fmt: skip
def test_a_value_of_another_form_is_refused(field: str, value: str) -> None:
    change: dict[str, Any] = {field: value}
    with pytest.raises(ValueRefused):
        fields(replace(CALL, **change))


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,63}", fullmatch=True)
VALUES = st.one_of(st.from_regex(r"[A-Za-z0-9 _.:/@+=-]{0,256}", fullmatch=True), st.text(max_size=300))


@given(st.dictionaries(st.one_of(NAMES, st.text(max_size=80)), VALUES, max_size=12), st.text(max_size=70))
async def test_what_goes_to_the_wire_is_one_action_within_asterisks_limits(
    variables: dict[str, str], endpoint: str
) -> None:
    """Through panoramisk, which writes whatever it is given: a line per field, under 1,024 bytes, 128 lines at most."""
    try:
        action = fields(replace(CALL, variables=variables, endpoint=endpoint))
    except ValueRefused:
        try:
            action = fields(replace(CALL, variables=variables))
        except ValueRefused:
            return
    wire = str(Action(action)).encode()
    head, end, rest = wire.partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    lines = head.split(b"\r\n")
    assert len(lines) == 12 + 1 + len(variables) - 1 <= 128
    for line in lines:
        assert len(line) < 1024
        assert line.isascii()
        assert line.decode().isprintable()
        assert line.split(b": ")[0] in {name.encode() for name in action}
