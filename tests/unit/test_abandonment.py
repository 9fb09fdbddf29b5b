"""What a legal profile says about abandoned calls and ringing, and what holds where it says nothing."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dialerd.core.abandonment import Allowance, min_ring_seconds, of_profile, starts
from dialerd.core.profile import Ring
from dialerd.places.profiles import names, profile

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_without_a_profile_three_percent_of_24_hours() -> None:
    own = of_profile(None)
    assert (own.cap, own.grace_seconds, own.window, own.min_ring_seconds) == (0.03, 2.0, "24h", 0.0)
    assert "no legal profile" in own.source


def test_the_american_profile_counts_fixed_blocks_of_30_days() -> None:
    us = of_profile(profile("US-FED"))
    assert (us.cap, us.grace_seconds, us.clock_start, us.window) == (0.03, 2.0, "greeting_end", "campaign_30d_blocks")
    assert us.min_ring_seconds == 24, "four rings take longer than 15 seconds"
    assert us.source.startswith("legal profile US-FED: ")


def test_the_canadian_profile_counts_calendar_months() -> None:
    assert (of_profile(profile("CA")).cap, of_profile(profile("CA")).window) == (0.05, "calendar_month")


def test_where_no_share_is_safe_dialerds_own_holds_and_the_operator_is_told() -> None:
    uk = of_profile(profile("UK"))
    assert (uk.cap, uk.window, uk.min_ring_seconds) == (0.03, "24h", 15)
    assert "no share of them is safe" in uk.source
    de = of_profile(profile("DE"))
    assert (de.cap, de.min_ring_seconds) == (0.03, 18)
    assert "says nothing" in de.source


def test_every_shipped_profile_gives_an_allowance_that_a_campaign_can_keep() -> None:
    for name in names():
        allowance = of_profile(profile(name))
        assert 0 < allowance.cap <= 0.05 and 0 < allowance.grace_seconds <= 5
        assert allowance.min_ring_seconds <= 30, "or no campaign with the default ring time could have it"


@pytest.mark.parametrize(("seconds", "rings", "least"), [(None, None, 0), (15, None, 15), (15, 4, 24), (40, 4, 40)])
def test_the_longer_of_seconds_and_rings(seconds: int | None, rings: int | None, least: float) -> None:
    assert min_ring_seconds(Ring(source="s", mark="memory", seconds=seconds, rings=rings)) == least


def test_blocks_follow_each_other_from_the_first_start() -> None:
    us, first = of_profile(profile("US-FED")), NOW - 65 * DAY
    assert starts(us, first, NOW) == (NOW - DAY, first + 60 * DAY)
    assert starts(us, NOW - 29 * DAY, NOW) == (NOW - DAY, NOW - 29 * DAY)
    assert starts(us, NOW - 30 * DAY, NOW) == (NOW - DAY, NOW), "the block before is over"
    assert starts(us, None, NOW) == (NOW - DAY, NOW)


def test_a_month_begins_where_the_zone_says() -> None:
    ca = of_profile(profile("CA"))
    first = datetime(2026, 12, 1, 2, tzinfo=UTC)
    assert starts(ca, None, first)[1] == datetime(2026, 12, 1, tzinfo=UTC)
    assert starts(ca, None, first, ZoneInfo("America/Toronto"))[1] == datetime(2026, 11, 1, 4, tzinfo=UTC)


def test_24_hours_are_looked_at_once() -> None:
    assert starts(Allowance(), None, NOW) == (NOW - DAY,)
