"""The shipped legal profiles say what was gathered, with its source; a broken one is refused."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from dialerd.core.calendar import intersect
from dialerd.core.profile import ProfileRefused, Section, read
from dialerd.core.schedule import Schedule, is_call_allowed
from dialerd.core.windows import describe, parse
from dialerd.places.profiles import UnknownProfile, names, profile

NAMES = ("AU", "CA", "CO", "DE", "ES", "FI", "FR", "IR", "UK", "US-DEBT", "US-FED", "US-FL")
HOURS = {
    "US-FED": ["mon-sun 08:00-21:00"],
    "US-DEBT": ["mon-sun 08:00-21:00"],
    "US-FL": ["mon-sun 08:00-20:00"],
    "UK": None,
    "CA": ["mon-fri 09:00-21:30", "sat-sun 10:00-18:00"],
    "FI": None,
    "ES": ["mon-fri 09:00-21:00"],
    "CO": ["mon-fri 07:00-19:00", "sat 08:00-15:00"],
    "IR": None,
    "DE": ["mon-sat 08:00-20:00"],
    "FR": ["mon-fri 10:00-13:00", "mon-fri 14:00-20:00"],
    "AU": ["sat 09:00-17:00", "mon-fri 09:00-20:00"],
}
MINIMAL = """
name = "FI"
title = "t"
country = "FI"
gathered = 2026-11-20
check = "check it"
"""


def test_every_profile_that_is_promised_is_there() -> None:
    assert names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_has_the_hours_that_were_gathered(name: str) -> None:
    windows = profile(name).windows("marketing")
    assert (windows and describe(windows)) == HOURS[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_section_has_a_source_and_a_mark_and_the_operator_is_told_to_check(name: str) -> None:
    found = profile(name)
    assert "must check it" in found.check
    sections = [part for value in dict(found).values() for part in (value if isinstance(value, tuple) else (value,))]
    sections = [part for part in sections if isinstance(part, Section)]
    assert sections
    assert all(part.source and part.mark for part in sections)


def test_holidays_close_where_the_rules_say_so() -> None:
    assert [name for name in NAMES if profile(name).keeps_holidays()] == ["AU", "CA", "CO", "DE", "ES", "FR"]
    regional = [name for name in NAMES if (h := profile(name).holidays) and h.scope == "regional"]
    assert regional == ["CA", "ES"]


def test_hours_may_differ_by_purpose_and_an_unnamed_purpose_gets_the_first() -> None:
    australia = profile("AU")
    assert describe(australia.windows("research") or ()) == ["sat-sun 09:00-17:00", "mon-fri 09:00-20:30"]
    assert australia.windows("debt") == australia.windows("marketing")


def test_only_iran_refuses_marketing_and_only_marketing() -> None:
    assert [name for name in NAMES if profile(name).refuses("marketing")] == ["IR"]
    assert not profile("IR").refuses("service")


@pytest.mark.parametrize(
    ("name", "cap", "denominator", "window", "grace"),
    [
        ("US-FED", 0.03, "live_answered", "campaign_30d_blocks", 2),
        ("CA", 0.05, "live_answered", "calendar_month", 2),
        ("UK", None, "live_answered", None, 2),
    ],
)
def test_the_caps_on_abandoned_calls(name: str, cap: float, denominator: str, window: str, grace: float) -> None:
    abandon = profile(name).abandon
    assert abandon is not None
    assert (abandon.cap, abandon.denominator, abandon.window, abandon.grace_seconds) == (
        cap,
        denominator,
        window,
        grace,
    )


@pytest.mark.parametrize(
    ("name", "calls", "key", "period"),
    [
        ("US-DEBT", 7, "person_debt", "7d"),
        ("US-FL", 3, "person_subject", "24h"),
        ("DE", 3, "person", "day"),
        ("FR", 4, "person_business", "30d"),
        ("CO", 1, "person", "day"),
    ],
)
def test_the_caps_on_attempts(name: str, calls: int, key: str, period: str) -> None:
    (cap,) = profile(name).caps
    assert (cap.calls, cap.key, cap.period) == (calls, key, period)


@pytest.mark.parametrize("name", [name for name in NAMES if HOURS[name]])
def test_the_strictest_of_campaign_and_profile_wins(name: str) -> None:
    legal = profile(name).windows("marketing")
    assert legal is not None
    assert intersect(parse(["always"]), legal) == tuple(sorted(legal, key=lambda w: (w.weekday, w.opens)))
    narrow = tuple(parse(["wed 11:00-12:00"]))
    assert intersect(narrow, legal) == narrow
    assert not any(window.weekday == 7 for window in intersect(parse(["sun 00:00-06:00"]), legal))


def test_france_is_closed_at_lunch_whatever_the_campaign_says() -> None:
    legal = profile("FR").windows("marketing")
    assert legal is not None
    schedule = Schedule(intersect(parse(["always"]), legal))
    now = datetime(2026, 11, 23, 13, 30, tzinfo=ZoneInfo("Europe/Paris"))
    verdict = is_call_allowed(schedule, ["Europe/Paris"], {"Europe/Paris": "FR"}, now)
    assert (verdict.allowed, verdict.next_at) == (False, now.replace(hour=14, minute=0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINIMAL + "color = 'red'", "color"),
        (MINIMAL + "[holidays]\ncalls = 'refused'\nsource = 's'\nmark = 'primary'\nscop = 'regional'", "holidays.scop"),
        (MINIMAL + "[holidays]\ncalls = 'refused'\nmark = 'primary'", "holidays.source"),
        (MINIMAL + "[holidays]\ncalls = 'refused'\nsource = ''\nmark = 'primary'", "holidays.source"),
        (MINIMAL + "[holidays]\ncalls = 'refused'\nsource = 's'\nmark = 'sure'", "holidays.mark"),
        (
            MINIMAL + "[[hours]]\npurposes=['marketing']\nweekly=['mon 9-17']\nsource='s'\nmark='primary'",
            "not a window",
        ),
        (MINIMAL + "[[hours]]\npurposes=['marketing']\nweekly=[]\nsource='s'\nmark='primary'", "hours.0.weekly"),
        (MINIMAL.replace("check it", ""), "check"),
        (MINIMAL.replace('name = "FI"', 'name = "SE"'), "calls itself SE"),
        ("name = ", "profile FI"),
    ],
)
def test_a_broken_profile_is_refused_by_the_place_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ProfileRefused, match="profile FI") as caught:
        read(text, "FI")
    assert says in str(caught.value)


def test_a_minimal_profile_is_read() -> None:
    assert read(MINIMAL, "FI").gathered == date(2026, 11, 20)


@pytest.mark.parametrize("name", ["XX", "../legal/FI", ""])
def test_an_unknown_profile_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownProfile, match="AU, CA"):
        profile(name)
