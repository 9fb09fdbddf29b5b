"""From what people type to one key of a number, or a named refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.phone import E164, NumberRefused, masked, parse


@pytest.mark.accepts("NUM-01")
@pytest.mark.parametrize(
    ("region", "e164", "spellings"),
    [
        (
            "FI",
            "+358401234567",
            [
                "040 1234567", "0401234567", "+358401234567", "+358 40 123 4567", "+358 (0)40 1234567",
                "00358401234567", "040-123-4567", "040.123.4567", "040/1234567", "  040\u00a0123\u00a04567\t",
                "(040) 1234567",
            ],
        ),
        (
            "US",
            "+12125552368",
            [
                "(212) 555-2368", "(212)555-2368", "212-555-2368", "212.555.2368", "2125552368", "1 212 555 2368",
                "1-212-555-2368", "1 (212) 555-2368", "+1 (212) 555-2368", "+12125552368", "011 1 212 555 2368",
            ],
        ),
        ("US", "+12125550199", ["(212) 555-0199", "+1 212 555 0199"]),
        ("IR", "+989123456789", ["09123456789", "+989123456789", "00989123456789", "9123456789", "0912 345 6789"]),
        ("CO", "+573001234567", ["300 123 4567", "+57 300 1234567"]),
    ],
)  # fmt: skip
def test_variants_of_one_number_are_one_key(region: str, e164: str, spellings: list[str]) -> None:
    assert {spelling: parse(spelling, region).e164 for spelling in spellings} == dict.fromkeys(spellings, e164)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # where a dial string would begin
        ("500&PJSIP/itsp/14165551212", "characters"), ("1555@evil", "characters"),
        ("1555;phone-context=", "characters"), ("1555?X-H=1", "characters"), ("sip:1555", "characters"),
        ("1555%0d%0a", "characters"),
        ("1555|30", "characters"), ("1555,30,g", "characters"), ("1555^x", "characters"), ("(1555)", "short"),
        ("+358401234567\r\nAction: x", "characters"), ("+358401234567\n0", "characters"),
        ("+3584012345\x0067", "characters"), ("${EXTEN}", "characters"), ("040 123 4567 ext 5", "characters"),
        ("tel:+358401234567", "characters"), ("+358401234567\u200e", "characters"), ("040\u2028123", "characters"),
        # digits that only look like ours; Python's isdigit() says yes to them
        ("٠٤٠١٢٣٤٥٦٧", "characters"), ("０４０１２３４５６７", "characters"), ("+358٤01234567", "characters"),
        ("040123456²", "characters"), ("०४०१२३४५६७", "characters"),
        # parentheses that are no area code
        ("((212) 555-2368", "characters"), ("(212 555-2368", "characters"), ("()2125552368", "characters"),
        # who must never be dialled
        ("112", "emergency"), ("911", "short"), ("+112", "short"), ("999", "short"), ("123", "short"),
        ("+882 16 12345678", "satellite"), ("+883510012345678", "satellite"), ("+979 123 456 789", "satellite"),
        ("+881612345678", "satellite"), ("+870773123456", "satellite"), ("0600 123456", "premium"),
        ("+358 600 123 456", "premium"), ("+1 900 555 1234", "premium"), ("070012345", "premium"),
        # nothing, and too much
        ("", "empty"), ("   ", "empty"), ("\u00a0", "empty"), ("1", "short"), ("+", "characters"),
        ("12345678901234567890", "not_a_number"), ("+12345678901234567890", "not_a_number"), ("0" * 40, "not_a_number"),
        ("1" * 41, "characters"), ("9" * 100_000, "characters"), ("040123", "invalid"), ("+999123456789", "invalid"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(NumberRefused) as refused:
        parse(text, "FI")
    assert refused.value.reason == reason
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("text", "region"), [("911", "US"), ("999", "GB"), ("110", "IR"), ("123", "CO"), ("112", "US"), ("112", "FI")]
)
def test_a_countrys_own_emergency_number_is_refused_as_one(text: str, region: str) -> None:
    with pytest.raises(NumberRefused, match="emergency"):
        parse(text, region)


@given(st.text(max_size=60), st.sampled_from(["FI", "US", "IR", "CO", "XX", ""]))
def test_any_text_is_one_checked_key_or_a_refusal(text: str, region: str) -> None:
    try:
        number = parse(text, region)
    except NumberRefused:
        return
    assert E164.match(number.e164)
    assert parse(number.e164, "US") == number


@given(st.from_regex(r"\(?\+?[0-9() ./-]{5,20}", fullmatch=True))
def test_a_key_is_a_fixed_point_whatever_it_was_made_of(text: str) -> None:
    try:
        number = parse(text, "FI")
    except NumberRefused:
        return
    assert parse(number.e164, "FI") == number


def test_a_number_knows_its_region_and_zones() -> None:
    number = parse("040 1234567", "FI")
    assert (number.region, number.zones) == ("FI", ("Europe/Helsinki", "Europe/Mariehamn"))
    assert len(parse("+1 800 555 2368", "US").zones) != 1  # toll-free: no zone, or many; never one by guess


def test_a_masked_number_does_not_tell_whose_it_is() -> None:
    assert masked("+358401234567") == "+35840***67"
    assert masked("+1234567") == "***"
