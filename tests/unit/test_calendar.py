"""When a number may be called: windows judged in the number's own zone."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.calendar import Window, even_spans, good_until, intersect
from dialerd.core.schedule import Schedule
from dialerd.core.schedule import open_zones as zones_of

HELSINKI = "Europe/Helsinki"
SUNDAY, MONDAY = 7, 1


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def is_open(windows: Iterable[Window], zone: str, now: datetime) -> bool:
    return bool(open_zones(windows, [zone], now))


def open_zones(windows: Iterable[Window], zones: Iterable[str], now: datetime) -> list[str]:
    return zones_of(Schedule(tuple(windows)), zones, {}, now)


def minutes_open(window: Window, zone: str, day: str) -> int:
    """How many minutes of a local day (and the hours around it) the window is open."""
    start = utc(day) - timedelta(hours=16)
    return sum(is_open([window], zone, start + timedelta(minutes=n)) for n in range(56 * 60))


def test_a_window_includes_its_opening_and_not_its_closing() -> None:
    window = [Window(MONDAY, time(9), time(20))]
    assert not is_open(window, HELSINKI, utc("2026-11-23T06:59:59.999999"))
    assert is_open(window, HELSINKI, utc("2026-11-23T07:00"))
    assert is_open(window, HELSINKI, utc("2026-11-23T17:59:59.999999"))
    assert not is_open(window, HELSINKI, utc("2026-11-23T18:00"))


def test_the_day_and_the_hour_are_those_of_the_number_and_not_ours() -> None:
    window = [Window(MONDAY, time(0), time(1))]
    now = utc("2026-11-22T20:45")  # Sunday in Helsinki, Monday 00:15 in Tehran
    assert open_zones(window, ["Asia/Tehran", HELSINKI, "America/Bogota"], now) == ["Asia/Tehran"]


def test_a_window_to_24_00_holds_until_midnight_and_not_beyond() -> None:
    window = [Window(MONDAY, time(22), time(0))]
    assert is_open(window, "UTC", utc("2026-11-23T23:59:59.999999"))
    assert not is_open(window, "UTC", utc("2026-11-24T00:00"))
    assert is_open([Window(MONDAY, time(0), time(0))], "UTC", utc("2026-11-23T12:00"))  # the whole day


def test_an_hour_that_the_clocks_skip_is_never_open() -> None:
    assert minutes_open(Window(SUNDAY, time(3), time(4)), HELSINKI, "2026-03-29") == 0
    assert minutes_open(Window(SUNDAY, time(3), time(5)), HELSINKI, "2026-03-29") == 60


def test_an_hour_that_the_clocks_show_twice_is_open_twice() -> None:
    assert minutes_open(Window(SUNDAY, time(3), time(4)), HELSINKI, "2026-10-25") == 120
    assert minutes_open(Window(SUNDAY, time(4), time(5)), HELSINKI, "2026-10-25") == 60


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "a\0b", "Europe"])
def test_an_unknown_zone_is_never_open(zone: str) -> None:
    always = [Window(day, time(0), time(0)) for day in range(1, 8)]
    assert not is_open(always, zone, utc("2026-11-23T12:00"))
    assert open_zones(always, [zone, "UTC"], utc("2026-11-23T12:00")) == ["UTC"]


def test_without_a_window_nothing_is_open() -> None:
    assert not is_open([], "UTC", utc("2026-11-23T12:00"))


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", HELSINKI, "Asia/Tehran", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
    st.builds(
        Window,
        st.integers(1, 7),
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    ),
    st.floats(0, 1, exclude_max=True),
)
def test_a_judgement_holds_until_it_says(now: datetime, zone: str, window: Window, part: float) -> None:
    until = good_until(now)
    assert now < until <= now + timedelta(minutes=1)
    later = now + (until - now) * part
    assert is_open([window], zone, now) is is_open([window], zone, min(later, until - timedelta(microseconds=1)))


def test_a_judgement_made_in_another_zone_holds_just_as_long() -> None:
    now = utc("2026-11-23T12:00:30")
    assert good_until(now.astimezone(ZoneInfo("Asia/Kathmandu"))) == utc("2026-11-23T12:01")


def test_a_zone_is_read_from_disk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """600 zones are judged every minute for each campaign, on the loop that joins people to agents."""
    read: list[str] = []

    def from_disk(name: str) -> ZoneInfo:
        read.append(name)
        return ZoneInfo(name)

    monkeypatch.setattr("dialerd.core.calendar.ZoneInfo", from_disk)
    zones = sorted(available_timezones())[:50]
    for _ in range(3):
        open_zones([], zones, datetime(2026, 1, 1, tzinfo=UTC))
        open_zones([Window(1, time(9), time(20))], zones, datetime(2026, 1, 1, tzinfo=UTC))
    assert len(read) == len(set(read))


def test_the_strictest_of_two_sets_of_windows_wins() -> None:
    one = [Window(1, time(9), time(12)), Window(1, time(13), time(0)), Window(2, time(0), time(0))]
    other = [Window(1, time(11), time(20)), Window(2, time(8), time(0)), Window(3, time(9), time(10))]
    both = (Window(1, time(11), time(12)), Window(1, time(13), time(20)), Window(2, time(8), time(0)))
    assert intersect(one, other) == intersect(other, one) == both
    assert intersect([Window(1, time(9), time(12))], [Window(1, time(12), time(13))]) == ()


def test_spans_are_cut_where_the_clocks_are_changed() -> None:
    spans = even_spans(ZoneInfo("Australia/Lord_Howe"), utc("2026-04-01"), utc("2026-11-01"))
    assert [(start.isoformat(), offset / timedelta(hours=1)) for start, _, offset in spans] == [
        ("2026-04-01T00:00:00+00:00", 11),
        ("2026-04-04T15:00:00+00:00", 10.5),
        ("2026-10-03T15:30:00+00:00", 11),
    ]
