"""The short way through a numbering plan gives the very answer of the long one."""

from random import Random

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialerd.core import phone
from dialerd.core.phone import Number, NumberRefused, national, parse
from dialerd.core.phoneplan import ALL_DIGITS, depth, reach

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def long_way(text: str, region: str) -> Number | str:
    phone._judged.clear()
    return short_way(text, region)


def short_way(text: str, region: str) -> Number | str:
    try:
        return parse(text, region)
    except NumberRefused as refused:
        return refused.reason


def spellings(home: str, lots: Random) -> list[str]:
    """An example of a region's plan with its last digits drawn anew, as people write it here and abroad."""
    kind = lots.choice((0, 1, 2, 3, 4, 6, 7, 8, 10))
    example = phonenumbers.example_number_for_type(home, kind) or phonenumbers.example_number(home)
    if example is None:
        return []
    digits = phonenumbers.national_significant_number(example)
    keep = lots.randrange(1, len(digits))
    digits = digits[:keep] + "".join(lots.choice("0123456789") for _ in digits[keep:])
    code = str(example.country_code)
    prefix = phonenumbers.ndd_prefix_for_region(home, True) or ""
    return [digits, prefix + digits, f"+{code}{digits}", f"00{code}{digits}", f"+{code}{prefix}{digits}", code + digits]


@pytest.mark.parametrize("seed", range(2))
def test_numbers_of_every_region_get_the_same_answer_either_way(seed: int) -> None:
    lots = Random(seed)
    asked = [
        (text, home if lots.random() < 0.7 else lots.choice(REGIONS))
        for home in REGIONS
        for _ in range(2)
        for text in spellings(home, lots)
    ]
    lots.shuffle(asked)
    truth = {one: long_way(*one) for one in asked}
    phone._judged.clear()
    for one in asked * 2:
        assert short_way(*one) == truth[one], one


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["FI", "US", "IR", "CO", "GB", "IT", "AR", "MX", "BR", "DE", "RU", "XX"]),
    st.sampled_from(["04", "+3584", "+1242", "0912", "+54911", "9", "+39012", "0", "1", "+44762", "+576", "00"]),
    st.lists(st.integers(0, 9_999_999), min_size=2, max_size=30),
)
def test_what_was_asked_before_changes_no_answer(region: str, start: str, tails: list[int]) -> None:
    texts = [f"{start}{tail:07}" for tail in tails] + [f"{start}{tail}" for tail in tails]
    truth = [long_way(text, region) for text in texts]
    phone._judged.clear()
    assert [short_way(text, region) for text in texts] == truth


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"\d{7}", (0, 7)),
        (r"[2-9]\d{6}", (1, 7)),
        (r"4(?:0[1-3]|\d{3}[5])\d{2,4}|50\d", (5, 9)),
        (r"(?:12)?3\d", (3, 4)),
        (r"(?:[12]\d){2}", (3, 4)),
        (r"1\d+", (ALL_DIGITS, ALL_DIGITS)),
        (r"1(2", (ALL_DIGITS, ALL_DIGITS)),
        (r"1)2", (ALL_DIGITS, ALL_DIGITS)),
        (r"\w1", (ALL_DIGITS, ALL_DIGITS)),
    ],
)
def test_the_reach_of_an_expression(pattern: str, expected: tuple[int, int]) -> None:
    assert reach(pattern) == expected


def test_few_digits_decide_in_the_plans_that_are_dialled_most() -> None:
    plans = {"FI": 358, "IR": 98, "SE": 46, "US": 1}
    assert {region: depth(code, region, region) for region, code in plans.items()} == {
        "FI": 5,
        "IR": 6,
        "SE": 4,
        "US": 6,
    }
    assert depth(1, "JM", "US") == 7
    assert depth(358, "XX", "FI") == ALL_DIGITS


@pytest.mark.accepts("NUM-02")
@pytest.mark.parametrize("typed", ["09123456789", "+989123456789", "00989123456789", "9123456789", "989123456789"])
def test_an_iranian_mobile_number_is_one_key_and_is_shown_with_its_zero(typed: str) -> None:
    assert parse(typed, "IR").e164 == "+989123456789"
    assert national(parse(typed, "IR").e164) == "09123456789"


def test_numbers_are_shown_as_their_own_country_dials_them() -> None:
    assert [national(e) for e in ("+358401234567", "+12125552368", "+390612345678")] == [
        "0401234567",
        "2125552368",
        "0612345678",
    ]
