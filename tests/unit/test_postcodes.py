"""Postcodes: where they lie, and what they do to the numbers of a row."""

from zoneinfo import ZoneInfo

import pytest

from dialerd.core.contactfile import Contact, Remark, contacts_of
from dialerd.places.postcodes import _ranges, zones_of
from dialerd.places.zones import country_of


@pytest.mark.parametrize(
    ("region", "postcode", "zones"),
    [
        ("US", "10001", ("America/New_York",)),
        ("US", "2134", ("America/New_York",)),  # a spreadsheet took it for a number
        ("US", "32501-1234", ("America/New_York", "America/Chicago")),
        ("US", "86515", ("America/Phoenix", "America/Denver")),
        ("US", "09012", None),  # military
        ("US", "1000A", None),
        ("CA", "h2x 1y4", ("America/Toronto",)),
        ("CA", "A1A", ("America/St_Johns", "America/Goose_Bay")),
        ("CA", "D1A 1A1", None),
        ("AU", "2880", ("Australia/Broken_Hill", "Australia/Sydney")),
        ("AU", "800", ("Australia/Darwin",)),
        ("AU", "0700", None),
        ("FI", "00100", ()),
    ],
)
def test_a_postcode_lies_in_all_zones_of_its_state(region: str, postcode: str, zones: tuple[str, ...] | None) -> None:
    assert zones_of(region, postcode) == zones


def test_the_table_has_real_zones_of_its_countries_and_no_overlap() -> None:
    for country, ranges in _ranges().items():
        last_of_before = ""
        for first, last, zones in ranges:
            assert last_of_before < first <= last
            last_of_before = last
            assert zones and all(ZoneInfo(zone) for zone in zones)
            islands = {"PR", "VI", "GU", "MP", "NF", "CX", "CC"}
            assert {country_of()[zone] for zone in zones} <= {country, *islands}


def rows(*table: list[str]) -> list[Contact | Remark]:
    return list(contacts_of(enumerate([["phone", "zip"], *table], 1), "US", zones_of=zones_of))


def test_a_number_must_be_open_where_its_postcode_lies_as_well() -> None:
    near, far, finnish = rows(["212 456 7890", "10001"], ["212 456 7890", "90001"], ["+358401234567", "90001"])
    assert isinstance(near, Contact) and near.numbers[0].zones == ("America/New_York",)
    assert isinstance(far, Contact) and far.numbers[0].zones == ("America/Los_Angeles", "America/New_York")
    assert far.custom == {"zip": "90001"}
    assert isinstance(finnish, Contact) and "America/Los_Angeles" not in finnish.numbers[0].zones


def test_an_unknown_postcode_is_remarked_and_the_row_kept() -> None:
    remark, contact = rows(["212 456 7890", "XYZ"])
    assert remark == Remark(2, "postcode", "XYZ", "postcode", "kept")
    assert isinstance(contact, Contact) and contact.numbers[0].zones == ("America/New_York",)
