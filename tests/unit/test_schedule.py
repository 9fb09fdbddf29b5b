"""Whether a number may be called, why not, and when next."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from dialerd.core.calendar import Window
from dialerd.core.schedule import DaysOff, Schedule, is_call_allowed, open_zones
from dialerd.core.terms import Terms, closed_zones, judge
from dialerd.core.windows import parse

HELSINKI = "Europe/Helsinki"
COUNTRIES = {HELSINKI: "FI", "Europe/London": "GB", "Pacific/Auckland": "NZ", "Pacific/Kiritimati": "KI",
             "America/New_York": "US", "America/Los_Angeles": "US"}  # fmt: skip
NINE_TO_FIVE = tuple(parse(["mon-fri 09:00-17:00"]))
ALWAYS = tuple(parse(["always"]))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days_off(*days: str) -> DaysOff:
    return DaysOff(frozenset(map(date.fromisoformat, days)), date(2025, 1, 1), date(2028, 12, 31))


def test_an_open_number_may_be_called_now() -> None:
    verdict = is_call_allowed(Schedule(NINE_TO_FIVE), [HELSINKI], COUNTRIES, utc("2026-11-23T12:00:30"))
    assert (verdict.allowed, verdict.reason, verdict.next_at) == (True, None, utc("2026-11-23T12:00:30"))


@pytest.mark.parametrize(
    ("schedule", "zones", "now", "reason", "next_at"),
    [
        (Schedule(NINE_TO_FIVE), [HELSINKI], "2026-11-23T15:00", "outside_allowed_time_window", "2026-11-24T07:00"),
        (Schedule(NINE_TO_FIVE), [HELSINKI], "2026-11-22T12:00", "no_window", "2026-11-23T07:00"),
        (Schedule(()), [HELSINKI], "2026-11-23T12:00", "no_window", None),
        (Schedule(NINE_TO_FIVE), [], "2026-11-23T12:00", "unknown_zone", None),
        (Schedule(NINE_TO_FIVE), [HELSINKI, "Mars/Olympus"], "2026-11-23T12:00", "unknown_zone", None),
        (Schedule(ALWAYS, {"FI": days_off("2026-11-23")}), [HELSINKI], "2026-11-23T12:00", "holiday",
         "2026-11-23T22:00"),
        (Schedule(ALWAYS, {"FI": days_off()}, frozenset({date(2026, 11, 23)})), [HELSINKI], "2026-11-23T12:00",
         "holiday", "2026-11-23T22:00"),
        (Schedule(ALWAYS, {"SE": days_off()}), [HELSINKI], "2026-11-23T12:00", "no_calendar", None),
        (Schedule(ALWAYS, {"FI": days_off()}), [HELSINKI], "2029-01-01T12:00", "no_calendar", None),
        (Schedule(ALWAYS, refusal="marketing_refused"), [HELSINKI], "2026-11-23T12:00", "marketing_refused", None),
        (Schedule(ALWAYS, refusal="unknown_profile"), [HELSINKI], "2026-11-23T12:00", "unknown_profile", None),
    ],
)  # fmt: skip
@pytest.mark.accepts("SCH-05")
def test_a_closed_number_says_why_and_when_next(
    schedule: Schedule, zones: list[str], now: str, reason: str, next_at: str | None
) -> None:
    verdict = is_call_allowed(schedule, zones, COUNTRIES, utc(now))
    assert (verdict.allowed, verdict.reason) == (False, reason)
    assert verdict.next_at == (utc(next_at) if next_at else None)


def test_days_off_do_not_matter_where_holidays_are_worked_through() -> None:
    holiday = frozenset({date(2026, 11, 23)})
    assert is_call_allowed(Schedule(ALWAYS, None, holiday), [HELSINKI], COUNTRIES, utc("2026-11-23T12:00")).allowed


def test_the_date_of_a_holiday_is_the_numbers_own() -> None:
    schedule = Schedule(ALWAYS, {"US": days_off("2026-12-25"), "KI": days_off("2026-12-25")})
    now = utc("2026-12-26T03:00")  # still Christmas in the west, not in New York's evening only
    assert is_call_allowed(schedule, ["America/Los_Angeles"], COUNTRIES, now).reason == "holiday"
    assert is_call_allowed(schedule, ["America/Los_Angeles"], COUNTRIES, now).next_at == utc("2026-12-26T08:00")
    assert is_call_allowed(schedule, ["Pacific/Kiritimati"], COUNTRIES, utc("2026-12-24T11:00")).reason == "holiday"


def test_a_number_that_may_lie_in_several_zones_must_be_allowed_in_all_of_them() -> None:
    both = ["America/New_York", "America/Los_Angeles"]
    verdict = is_call_allowed(Schedule(NINE_TO_FIVE), both, COUNTRIES, utc("2026-11-23T15:00"))  # 10:00 and 07:00
    assert (verdict.reason, verdict.next_at) == ("outside_allowed_time_window", utc("2026-11-23T17:00"))
    nowhere = is_call_allowed(
        Schedule(NINE_TO_FIVE), ["Europe/London", "Pacific/Auckland"], COUNTRIES, utc("2026-11-23")
    )
    assert nowhere.next_at is None


def test_the_next_moment_steps_over_weekends_and_holidays() -> None:
    schedule = Schedule(NINE_TO_FIVE, {"FI": days_off("2026-12-24", "2026-12-25", "2026-12-28")})
    assert is_call_allowed(schedule, [HELSINKI], COUNTRIES, utc("2026-12-23T20:00")).next_at == utc("2026-12-29T07:00")


@pytest.mark.parametrize(
    ("zone", "window", "now", "next_at"),
    [
        # 02:30 does not exist in Helsinki's gap (03:00-04:00); the window opens when the clocks jump into it.
        (HELSINKI, "sun 03:30-05:00", "2026-03-29T00:00", "2026-03-29T01:00"),
        # The hour that is shown twice: open, closed, and open once more.
        (HELSINKI, "sun 03:30-03:45", "2026-10-25T00:50", "2026-10-25T01:30"),
        ("Australia/Lord_Howe", "sun 02:15-02:45", "2026-10-03T15:00", "2026-10-03T15:30"),  # 02:00 became 02:30
        ("Australia/Lord_Howe", "sun 01:35-01:50", "2026-04-04T14:55", "2026-04-04T15:05"),  # 01:30-02:00 twice
        ("Asia/Kathmandu", "mon 09:00-10:00", "2026-11-22T12:00", "2026-11-23T03:15"),
        ("Asia/Tehran", "wed 00:00-02:00", "2021-09-21T18:00", "2021-09-21T20:30"),  # at midnight back to 23:00
        ("Asia/Tehran", "mon 00:00-02:00", "2021-03-21T18:00", "2021-03-21T20:30"),
        ("Pacific/Apia", "fri 00:00-24:00", "2011-12-29T12:00", "2012-01-05T10:00"),  # a Friday that never was
    ],
)
def test_the_next_moment_is_exact_where_the_clocks_are_changed(zone: str, window: str, now: str, next_at: str) -> None:
    verdict = is_call_allowed(Schedule(tuple(parse([window]))), [zone], COUNTRIES, utc(now))
    assert (verdict.allowed, verdict.next_at) == (False, utc(next_at))


def test_zones_are_closed_on_the_holidays_of_their_own_country() -> None:
    schedule = Schedule(ALWAYS, {"FI": days_off("2026-12-06"), "SE": days_off()})
    zones = [HELSINKI, "Europe/Stockholm", "Etc/UTC"]
    country_of = {HELSINKI: "FI", "Europe/Stockholm": "SE"}
    assert open_zones(schedule, zones, country_of, utc("2026-12-06T12:00")) == ["Europe/Stockholm"]
    assert open_zones(schedule, zones, country_of, utc("2026-12-07T12:00")) == [HELSINKI, "Europe/Stockholm"]


def test_a_window_of_the_whole_week_is_open_through_its_midnights() -> None:
    assert Window(1, time(0), time(0)) in ALWAYS
    assert is_call_allowed(Schedule(ALWAYS), [HELSINKI], COUNTRIES, utc("2026-11-23T22:00")).allowed


def test_a_judgement_of_a_minutes_last_seconds_holds_beyond_it_for_what_stays_open() -> None:
    sets = {1: (HELSINKI,), 2: ("Europe/Berlin",), 3: ("Europe/London",)}
    terms, ahead = Terms(Schedule(NINE_TO_FIVE)), timedelta(seconds=5)
    # 17:00 in Helsinki closes it, 16:00 in Berlin does not; London is open since 09:00.
    early, late = utc("2026-11-23T14:59:54"), utc("2026-11-23T14:59:56")
    judgement = judge(terms, sets, COUNTRIES, early, ahead)
    assert (judgement.open, judgement.until) == ((1, 2, 3), utc("2026-11-23T15:00"))
    assert closed_zones(judgement, sets, COUNTRIES, early) == {}
    judgement = judge(terms, sets, COUNTRIES, late, ahead)
    assert (judgement.open, judgement.until) == ((2, 3), utc("2026-11-23T15:00:05"))
    (shut,) = closed_zones(judgement, sets, COUNTRIES, late).items()
    assert (shut[0], shut[1].reason) == (HELSINKI, "outside_allowed_time_window")
    # 09:00 in London: what opens at the full minute is not open before it.
    assert judge(terms, {3: sets[3]}, COUNTRIES, utc("2026-11-23T08:59:57"), ahead).open == ()


def test_every_closed_zone_has_its_reason_and_its_next_moment() -> None:
    sets = {1: (HELSINKI,), 2: (HELSINKI, "America/New_York"), 3: ("Nowhere/Land",)}
    now = utc("2026-11-23T08:00")  # 10:00 in Helsinki, 03:00 in New York
    judgement = judge(Terms(Schedule(NINE_TO_FIVE)), sets, COUNTRIES, now)
    assert judgement.open == (1,)
    shut = closed_zones(judgement, sets, COUNTRIES, now)
    assert {zone: (verdict.reason, verdict.next_at) for zone, verdict in shut.items()} == {
        "America/New_York": ("outside_allowed_time_window", utc("2026-11-23T14:00")),
        "Nowhere/Land": ("unknown_zone", None),
    }
