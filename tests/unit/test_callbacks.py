"""The agreed time of a callback: one moment, or a refusal that says why."""

from datetime import UTC, datetime

import pytest

from dialerd.core.callbacks import CallbackRefused, moment

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FINLAND = ("Europe/Helsinki", "Europe/Mariehamn")
AMERICA = ("America/Chicago", "America/New_York")


@pytest.mark.parametrize(
    ("text", "zones", "zone", "expected"),
    [
        ("2026-11-23 14:30", FINLAND, None, "2026-11-23T12:30"),
        (" 2026-07-23T9:30 ", FINLAND, None, "2026-07-23T06:30"),
        ("2026-11-23 14:30", AMERICA, "America/Chicago", "2026-11-23T20:30"),
        ("2026-11-23 14:30", FINLAND, "Asia/Kathmandu", "2026-11-23T08:45"),
        ("2026-11-23T14:30+02:00", AMERICA, None, "2026-11-23T12:30"),
        ("2026-11-23T14:30Z", (), None, "2026-11-23T14:30"),
        ("2026-10-25T03:30+03:00", FINLAND, None, "2026-10-25T00:30"),  # the first of two
    ],
)
def test_a_time_is_one_moment(text: str, zones: tuple[str, ...], zone: str | None, expected: str) -> None:
    assert moment(text, zones, zone, NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zones", "zone", "reason", "says"),
    [
        ("tomorrow", FINLAND, None, "bad_time", "2026-11-23 14:30"),
        ("2026-02-30 14:30", FINLAND, None, "bad_time", "no time"),
        ("2026-11-23 24:30", FINLAND, None, "bad_time", "no time"),
        ("2026-11-23 14:30+99:00", FINLAND, None, "bad_time", "no such offset"),
        ("9999-12-31 23:59", ("America/New_York",), None, "bad_time", "no time of a calendar"),
        ("2026-11-23 14:30", AMERICA, None, "several_zones", "America/Chicago (20:30 UTC), America/New_York (19:30"),
        ("2026-11-23 14:30", (), None, "unknown_zone", "not known"),
        ("2026-11-23 14:30", FINLAND, "Mars/X", "unknown_zone", "no zone is called 'Mars/X'"),
        ("2026-03-29 03:30", FINLAND, None, "skipped_time", "put forward over 03:30"),
        ("2026-10-25 03:30", FINLAND, None, "repeated_time", "2026-10-25T03:30+03:00 or 2026-10-25T03:30+02:00"),
        ("2026-03-01 14:00", FINLAND, None, "past", "12:00 UTC is over"),
        ("2027-03-03 14:00", FINLAND, None, "too_far", "366 days"),
    ],
)
def test_what_is_no_single_moment_is_refused_by_name(
    text: str, zones: tuple[str, ...], zone: str | None, reason: str, says: str
) -> None:
    with pytest.raises(CallbackRefused) as refused:
        moment(text, zones, zone, NOW)
    assert refused.value.reason == reason
    assert says in str(refused.value)
