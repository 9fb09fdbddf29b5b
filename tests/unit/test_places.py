"""Public holidays by country, and the country of a zone."""

from datetime import date
from zoneinfo import available_timezones

import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from dialerd.places.holidays import national, regional
from dialerd.places.profiles import names, profile
from dialerd.places.zones import country_of


@pytest.mark.parametrize(
    ("country", "day"),
    [
        ("FI", "2026-12-06"), ("ES", "2026-10-12"), ("CO", "2026-07-20"), ("DE", "2026-10-03"), ("FR", "2026-07-14"),
        ("AU", "2026-04-25"), ("GB", "2026-12-28"), ("US", "2026-11-26"), ("CA", "2026-07-01"),
        ("IR", "2026-03-21"), ("IR", "2027-03-21"),  # 1 Farvardin of 1405 and 1406
    ],
)  # fmt: skip
def test_a_countrys_holiday_is_known(country: str, day: str) -> None:
    assert date.fromisoformat(day) in national(2026)[country].days
    assert date(2026, 11, 18) not in national(2026)[country].days


def test_a_calendar_reaches_from_the_year_before_to_two_years_after() -> None:
    finland = national(2026)["FI"]
    assert (finland.first, finland.last) == (date(2025, 1, 1), date(2028, 12, 31))
    assert date(2028, 12, 6) in finland.days


def test_a_calendar_ends_where_the_data_end() -> None:
    """Sri Lanka's days follow the moon and are known a few years ahead only."""
    near = regional("LK", 2026)
    assert near is not None and date(2026, 1, 1) < near.last < date(2200, 12, 31)
    assert regional("LK", 2200) is None


def test_regional_holidays_are_those_of_any_region_and_the_countrys_own() -> None:
    spain = regional("ES", 2026)
    assert spain is not None
    assert national(2026)["ES"].days < spain.days
    assert date(2026, 5, 2) in spain.days  # Madrid
    assert regional("XX", 2026) is None


def test_every_zone_that_a_number_can_have_lies_in_a_country_with_a_calendar() -> None:
    zones = {zone for found in TIMEZONE_DATA.values() for zone in found} - {"Etc/Unknown"}
    assert [zone for zone in zones if country_of().get(zone) not in national(2026)] == []


@pytest.mark.parametrize(
    ("zone", "country"),
    [("Europe/Helsinki", "FI"), ("Europe/Stockholm", "SE"), ("Asia/Calcutta", "IN"), ("US/Eastern", "US"),
     ("Atlantic/Canary", "ES"), ("America/Argentina/Buenos_Aires", "AR"), ("Indian/Reunion", "RE")],
)  # fmt: skip
def test_a_zone_lies_in_its_own_country_also_under_its_old_name(zone: str, country: str) -> None:
    assert country_of()[zone] == country


def test_a_zone_of_no_country_has_none() -> None:
    assert {"UTC", "Etc/GMT+5", "Etc/UTC"} <= available_timezones()
    assert not {"UTC", "Etc/GMT+5", "Etc/UTC"} & country_of().keys()


def test_the_country_of_every_profile_that_keeps_holidays_has_a_calendar() -> None:
    for found in map(profile, names()):
        if found.keeps_holidays():
            assert found.country in national(2026)
