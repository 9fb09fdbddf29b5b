"""Iran's calendar: dates of the Jalali (Solar Hijri) year, and weeks that begin on Saturday.

The Jalali year begins at the March equinox. When that is in years to come follows from the leap years' known
breaks (K. M. Borkowski, The Persian calendar for 3000 years, 1996): exact for the years 1 to 3177.
"""

from datetime import date, datetime
from itertools import pairwise

_BREAKS = (-61, 9, 38, 199, 426, 686, 756, 818, 1111, 1181, 1210, 1635, 2060, 2097, 2192, 2262, 2324, 2394, 2456, 3178)
_FIRST = date(623, 1, 1)
_LONG_HALF = 186  # days of the first six months, of 31 days each


def to_jalali(day: date) -> tuple[int, int, int]:
    """Year, month and day. Raises ValueError outside the years 623 to 3797."""
    if not _FIRST <= day < date(3798, 1, 1):
        raise ValueError(f"{day.isoformat()} has no known Jalali date")
    year = day.year - 621
    if day < _new_year(year):
        year -= 1
    passed = (day - _new_year(year)).days
    if passed < _LONG_HALF:
        return year, passed // 31 + 1, passed % 31 + 1
    passed -= _LONG_HALF
    return year, passed // 30 + 7, passed % 30 + 1


def written(moment: date) -> str:
    """`1405/08/29`; of a datetime its local time as well: `1405/08/29 14:05:00`."""
    year, month, day = to_jalali(moment.date() if isinstance(moment, datetime) else moment)
    text = f"{year:04}/{month:02}/{day:02}"
    return f"{text} {moment:%H:%M:%S}" if isinstance(moment, datetime) else text


def iso_weekday(day: int) -> int:
    """ISO's weekday (Monday is 1) of one that counts from Saturday as 0."""
    return (day + 5) % 7 + 1


def saturday_weekday(iso: int) -> int:
    """The other way round."""
    return (iso + 1) % 7


def _new_year(year: int) -> date:
    """The Gregorian date of 1 Farvardin."""
    leaps = -14
    for before, after in pairwise(_BREAKS):
        span = after - before
        if year < after:
            break
        leaps += span // 33 * 8 + span % 33 // 4
    since = year - before
    leaps += since // 33 * 8 + (since % 33 + 3) // 4
    if span % 33 == 4 and span - since == 4:
        leaps += 1
    gregorian = year + 621
    gregorian_leaps = gregorian // 4 - (gregorian // 100 + 1) * 3 // 4 - 150
    return date(gregorian, 3, 20 + leaps - gregorian_leaps)
