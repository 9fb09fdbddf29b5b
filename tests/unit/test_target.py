"""Whom an agent means by what they type."""

import pytest

from dialerd.core.target import Kind, Target, TargetRefused, parse


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("+358 40 123 4567", Target(Kind.NUMBER, "+358 40 123 4567")),
        ("0401234567", Target(Kind.NUMBER, "0401234567")),
        ("number:112", Target(Kind.NUMBER, "112")),
        ("100", Target(Kind.EXTENSION, "100")),
        ("70", Target(Kind.AGENT, "70")),
        ("extension:70", Target(Kind.EXTENSION, "70")),
        ("100@desk", Target(Kind.EXTENSION, "100", "desk")),
        ("aino", Target(Kind.AGENT, "aino")),
        ("agent:aino.v", Target(Kind.AGENT, "aino.v")),
        ("queue:support", Target(Kind.QUEUE, "support")),
    ],
)
def test_what_is_typed_is_understood(text: str, target: Target) -> None:
    assert parse(text, lambda digits: digits == "70") == target


@pytest.mark.parametrize(
    "text",
    ["", " ", "sip:x", "100@desk&SIP/1", "100@desk/n", "+", "a b", "queue:", "extension:abc", "1\r\n2", "x" * 65],
)
def test_what_is_nobody_is_refused(text: str) -> None:
    with pytest.raises(TargetRefused):
        parse(text)
