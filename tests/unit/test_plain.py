"""Free text on its way into a channel variable."""

import pytest

from dialerd.fastagi.plain import plain, word
from dialerd.fastagi.wire import quoted


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Anna-Maria St. John", "Anna-Maria St. John"),
        ("José Muñoz", "Jose Munoz"),
        ("علی", ""),
        ('"Bob" <1>\nVariable: DNC_OK=1', "Bob 1Variable DNC_OK1"),
        ("${SHELL(id)}", "SHELLid"),
        ("$[1+1],2&3|4;5", "112345"),
        ('x"\r\n200 result=0', "x200 result0"),
        ("a\x00b\u2028c\u202e\x85", "abc"),
        ("１２３", "123"),
        ("\ud800", ""),
        ("x" * 100_000, "x" * 80),
        ("", ""),
    ],
)
def test_what_has_a_meaning_in_a_dialplan_does_not_arrive(text: str, left: str) -> None:
    assert plain(text) == left
    assert quoted(plain(text))


def test_a_word_has_no_space() -> None:
    assert word("my own list") == "my_own_list"
