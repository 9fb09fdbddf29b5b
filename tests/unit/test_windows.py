"""Calling windows as people write them."""

from datetime import time

import pytest

from dialerd.core.calendar import MIDNIGHT, Window
from dialerd.core.windows import DEFAULT, WindowRefused, describe, parse


def test_a_range_of_days_becomes_one_window_a_day() -> None:
    assert parse(["mon-wed 9:00-17:30"]) == [Window(day, time(9), time(17, 30)) for day in (1, 2, 3)]


def test_days_may_be_listed_named_in_full_and_run_over_the_weekend() -> None:
    assert [w.weekday for w in parse(["Sat-Mon, Thursday 10:00-11:00"])] == [1, 4, 6, 7]


def test_always_is_the_whole_week_to_the_end_of_each_day() -> None:
    assert parse([" Always "]) == [Window(day, MIDNIGHT, MIDNIGHT) for day in range(1, 8)]
    assert parse(["mon-sun 00:00-24:00"]) == parse(["always"])


def test_the_default_is_monday_to_saturday_nine_to_twenty() -> None:
    assert describe(DEFAULT) == ["mon-sat 09:00-20:00"]


@pytest.mark.parametrize(
    "texts", [["mon-fri 09:00-20:00", "sat 10:00-14:00"], ["mon,wed-thu 08:00-12:00"], ["fri 22:00-24:00"]]
)
def test_a_description_reads_back_as_the_same_windows(texts: list[str]) -> None:
    windows = parse(texts)
    assert describe(windows) == sorted(texts, key=lambda t: t.split()[1])
    assert parse(describe(windows)) == windows


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["mon"], "is not a window"),
        ([""], "is not a window"),
        (["mon 9-17"], "is not a window"),
        (["mon 09:00-20:00; DROP"], "is not a window"),
        (["mon ٠٩:00-20:00"], "is not a window"),
        (["xyz 09:00-20:00"], "'xyz' is not a day"),
        (["mon-tue-wed 09:00-20:00"], "not a range"),
        (["mon 22:00-02:00"], "write two windows"),
        (["mon 09:00-09:00"], "closes before it opens"),
        (["mon 09:00-24:01"], "'24:01' is not a time"),
        (["mon 09:60-10:00"], "'09:60' is not a time"),
        (["mon-fri 09:00-12:00", "wed 11:00-13:00"], "overlap"),
        (["mon 09:00-24:00", "mon 23:00-23:30"], "overlap"),
        (["mon 09:00-12:00", "mon 09:00-12:00"], "overlap"),
    ],
)
def test_what_is_no_window_is_refused_by_name(texts: list[str], says: str) -> None:
    with pytest.raises(WindowRefused) as caught:
        parse(texts)
    assert says in str(caught.value)
