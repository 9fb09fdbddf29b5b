"""Public holidays of every country that the `holidays` package knows, as plain dates.

What it cannot say: municipal and school holidays, days that a government adds after the package's release, and the
region that a number belongs to. Dates that follow the moon (Iran's religious days among them) are predictions and may
be off by a day. A country or a year that it does not know gets no calendar, so that nothing is allowed there.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

import holidays

from dialerd.core.schedule import DaysOff


@lru_cache(maxsize=4)
def national(year: int) -> Mapping[str, DaysOff]:
    """The nationwide holidays by country (ISO 3166), from the year before `year` to two years after it.

    The first call takes some tenths of a second: not on an event loop.
    """
    countries = holidays.list_supported_countries(include_aliases=False)
    return {country: found for country in countries if (found := _days_off(country, (None,), year)) is not None}


@lru_cache(maxsize=32)
def regional(country: str, year: int) -> DaysOff | None:
    """The holidays of a country and of every region of it: what is a holiday anywhere there. None: not known."""
    regions = holidays.list_supported_countries(include_aliases=False).get(country)
    return None if regions is None else _days_off(country, (None, *regions), year)


def _days_off(country: str, regions: tuple[str | None, ...], year: int) -> DaysOff | None:
    data = holidays.country_holidays(country)
    first, last = max(data.start_year, year - 1), min(data.end_year, year + 2)
    if first > last:
        return None
    years = range(first, last + 1)
    calendars = [holidays.country_holidays(country, subdiv=region, years=years) for region in regions]
    return DaysOff(frozenset(day for days in calendars for day in days), date(first, 1, 1), date(last, 12, 31))
