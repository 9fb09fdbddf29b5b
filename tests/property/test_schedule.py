"""The schedule against a slow reference that looks at every minute, in zones with odd clocks and around their changes.

The reference shares no code with the schedule but the data types.
"""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialerd.core.calendar import Window
from dialerd.core.schedule import DaysOff, Schedule, is_call_allowed

MINUTE = timedelta(minutes=1)
DAYS = 2  # how far the reference walks

ZONES = (
    "Europe/Helsinki", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Tehran", "America/St_Johns", "America/Santiago",
    "America/Havana", "Africa/Casablanca", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Chatham", "America/New_York",
    "Asia/Beirut", "Asia/Gaza", "Antarctica/Troll", "UTC",
)  # fmt: skip
# Two countries, so that a number that may lie in several zones may lie in both.
COUNTRY_OF = {zone: "XX" if n % 2 else "YY" for n, zone in enumerate(ZONES)}
# Instants near which one of these zones changes its clocks: DST both ways, half an hour, at midnight, a lost day.
CHANGES = (
    "2026-03-29T01:00", "2026-10-25T01:00", "2026-04-04T15:00", "2026-10-03T15:30", "2021-03-21T20:30",
    "2021-09-21T19:30", "2026-03-08T05:00", "2026-11-01T06:00", "2011-12-30T10:00", "2026-04-05T03:00",
    "2026-09-06T04:00", "2026-02-15T02:00", "2026-03-22T02:00", "2022-09-21T19:30", "2026-12-31T23:00",
)  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MOMENTS = st.one_of(
    st.builds(
        lambda at, minutes, seconds: utc(at) + timedelta(minutes=minutes, seconds=seconds),
        st.sampled_from(CHANGES), st.integers(-2000, 600), st.integers(0, 59),
    ),
    st.datetimes(datetime(2010, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC)),
)  # fmt: skip
_MINUTES = st.one_of(st.integers(0, 1440), st.sampled_from([0, 60, 90, 120, 150, 180, 210, 240, 1380, 1410, 1440]))


def reference(schedule: Schedule, zones: tuple[str, ...], at: datetime) -> bool:
    """What the rules say of one instant, in the plainest words."""
    for zone in zones:
        local = at.astimezone(ZoneInfo(zone))
        day, minute = date(local.year, local.month, local.day), local.hour * 60 + local.minute
        if schedule.days_off is not None:
            off = schedule.days_off[COUNTRY_OF[zone]]
            if day in schedule.extra or day in off.days or day < off.first or day > off.last:
                return False
        inside = False
        for window in schedule.windows:
            opens = window.opens.hour * 60 + window.opens.minute
            closes = window.closes.hour * 60 + window.closes.minute or 1440
            inside = inside or (window.weekday - 1 == local.weekday() and opens <= minute < closes)
        if not inside:
            return False
    return True


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, ...]:
    found = []
    for weekday in draw(st.sets(st.integers(1, 7), max_size=7)):
        edges = sorted(draw(st.sets(_MINUTES, min_size=2, max_size=4)))
        found += [
            Window(weekday, time(opens // 60, opens % 60), time(closes // 60 % 24, closes % 60))
            for opens, closes in list(pairwise(edges))[::2]
        ]
    return tuple(draw(st.permutations(found)))


def _days_off(now: datetime) -> st.SearchStrategy[DaysOff]:
    return st.builds(
        lambda days, before, after: DaysOff(
            frozenset((now + timedelta(days=n)).date() for n in days),
            (now - timedelta(days=before)).date(),
            (now + timedelta(days=after)).date(),
        ),
        st.sets(st.integers(-2, DAYS + 1), max_size=3), st.integers(0, 3), st.integers(0, 5),
    )  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Schedule, tuple[str, ...], datetime]:
    now = draw(MOMENTS)
    off = draw(st.none() | st.fixed_dictionaries({"XX": _days_off(now), "YY": _days_off(now)}))
    extra = draw(st.frozensets(st.integers(-1, DAYS).map(lambda n: (now + timedelta(days=n)).date()), max_size=1))
    schedule = Schedule(draw(windows()), off, extra)
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True))
    return schedule, tuple(zones), now


def _scene(zone: str, window: Window, now: str) -> tuple[Schedule, tuple[str, ...], datetime]:
    return Schedule((window,)), (zone,), utc(now)


@settings(max_examples=150, deadline=None)
@given(scenes())
@example(_scene("Australia/Lord_Howe", Window(7, time(2, 15), time(2, 45)), "2026-10-03T15:00"))
@example(_scene("Europe/Helsinki", Window(7, time(3, 30), time(3, 45)), "2026-10-25T00:50"))
@example(_scene("Pacific/Apia", Window(6, time(0), time(1)), "2011-12-30T08:00"))
def test_the_schedule_says_what_a_walk_over_every_minute_says(
    scene: tuple[Schedule, tuple[str, ...], datetime],
) -> None:
    schedule, zones, now = scene
    verdict = is_call_allowed(schedule, zones, COUNTRY_OF, now)
    assert verdict.allowed is reference(schedule, zones, now)
    assert verdict.allowed is (verdict.reason is None)
    minute, walked = now, None
    while minute < now + timedelta(days=DAYS):
        if reference(schedule, zones, minute):
            walked = minute
            break
        minute = minute.replace(second=0, microsecond=0) + MINUTE
    if walked is not None:
        assert verdict.next_at == walked
    else:
        assert verdict.next_at is None or verdict.next_at >= now + timedelta(days=DAYS)


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_the_next_moment_is_open_and_the_second_before_it_is_not(
    scene: tuple[Schedule, tuple[str, ...], datetime],
) -> None:
    schedule, zones, now = scene
    verdict = is_call_allowed(schedule, zones, COUNTRY_OF, now)
    if verdict.next_at is not None and verdict.next_at > now:
        assert reference(schedule, zones, verdict.next_at)
        before = max(now, verdict.next_at - timedelta(seconds=1))
        assert not reference(schedule, zones, before)
        assert is_call_allowed(schedule, zones, COUNTRY_OF, verdict.next_at).allowed
