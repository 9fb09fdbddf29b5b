"""Iran's calendar against dates that are known, and against another package's new years."""

from datetime import UTC, date, datetime

import holidays
import pytest

from dialerd.core.jalali import iso_weekday, saturday_weekday, to_jalali, written


@pytest.mark.accepts("SCH-08")
@pytest.mark.parametrize(
    ("day", "jalali"),
    [
        (date(1979, 2, 11), (1357, 11, 22)),
        (date(2024, 3, 19), (1402, 12, 29)),
        (date(2024, 3, 20), (1403, 1, 1)),
        (date(2025, 3, 20), (1403, 12, 30)),
        (date(2025, 3, 21), (1404, 1, 1)),
        (date(2026, 9, 22), (1405, 6, 31)),
        (date(2026, 9, 23), (1405, 7, 1)),
        (date(2026, 11, 20), (1405, 8, 29)),
    ],
)
def test_known_days_have_their_jalali_dates(day: date, jalali: tuple[int, int, int]) -> None:
    assert to_jalali(day) == jalali


def test_every_new_year_of_a_century_is_the_one_of_irans_public_holidays() -> None:
    days = holidays.country_holidays("IR", years=range(1990, 2090))
    new_years = sorted(day for day in days if day.month == 3 and to_jalali(day)[1:] == (1, 1))
    assert len(new_years) == 100


def test_each_day_follows_the_one_before() -> None:
    before = to_jalali(date.fromordinal(date(1990, 1, 1).toordinal() - 1))
    for ordinal in range(date(1990, 1, 1).toordinal(), date(2090, 1, 1).toordinal()):
        now = to_jalali(date.fromordinal(ordinal))
        year, month, day = before
        assert now in ((year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1))
        before = now


def test_a_date_is_written_with_slashes_and_a_moment_with_its_local_time() -> None:
    assert written(date(2026, 11, 20)) == "1405/08/29"
    assert written(datetime(2026, 11, 20, 9, 5, 7, tzinfo=UTC)) == "1405/08/29 09:05:07"


def test_a_date_without_a_jalali_one_is_refused() -> None:
    with pytest.raises(ValueError, match="no known"):
        to_jalali(date(1, 1, 1))


@pytest.mark.accepts("SCH-01")
def test_weeks_from_saturday_and_weeks_from_monday_name_the_same_days() -> None:
    assert [iso_weekday(day) for day in range(7)] == [6, 7, 1, 2, 3, 4, 5]
    assert [saturday_weekday(iso_weekday(day)) for day in range(7)] == list(range(7))
