"""The short way to a number's levels gives the very answer of the long one."""

from random import Random

import phonenumbers
import pytest

from dialerd.core import nearness
from dialerd.core.nearness import levels

_KINDS = (0, 1, 2, 3, 4, 6, 7)


def numbers(lots: Random) -> list[str]:
    """Examples of every region's plan, their last digits drawn anew."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in _KINDS:
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            digits = phonenumbers.national_significant_number(example)
            for _ in range(3):
                keep = lots.randrange(1, len(digits))
                drawn = "".join(lots.choice("0123456789") for _ in digits[keep:])
                found.append(f"+{example.country_code}{digits[:keep]}{drawn}")
    lots.shuffle(found)
    return found


def long_way(e164: str) -> tuple[str, ...]:
    forget()
    return levels(e164)


def forget() -> None:
    nearness._kept.clear()
    nearness._kept_of.clear()
    nearness._form_sizes.clear()
    nearness._sizes.clear()


@pytest.mark.parametrize("seed", range(2))
def test_numbers_of_every_region_belong_to_the_same_places_either_way(seed: int) -> None:
    asked = numbers(Random(seed))
    truth = {e164: long_way(e164) for e164 in asked}
    forget()
    for e164 in asked * 2:
        assert levels(e164) == truth[e164], e164
        number = phonenumbers.parse(e164)
        assert levels(e164, phonenumbers.region_code_for_number(number)) == truth[e164], e164


@pytest.mark.parametrize("text", ["", "+", "+1", "12", "abc", "+9999999", "+1 415 555", "+\u0661\u0662", "x" * 10_000])
def test_what_is_no_number_belongs_anywhere(text: str) -> None:
    assert levels(text)[-1] == "*"
