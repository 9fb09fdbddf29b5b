"""From when on live answers are counted: whatever the campaign, the moment and the zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.abandonment import Allowance, starts

DAY = timedelta(days=1)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
ALLOWANCES = st.builds(Allowance, window=st.sampled_from(["24h", "campaign_30d_blocks", "calendar_month"]))
# Havana and Beirut change their clocks at midnight, Apia once skipped a day.
ZONES = st.sampled_from(["UTC", "America/Toronto", "America/Havana", "Asia/Beirut", "Pacific/Apia"]).map(ZoneInfo)


@given(ALLOWANCES, st.none() | MOMENTS, MOMENTS, ZONES)
def test_the_day_is_always_looked_at_and_nothing_starts_in_the_future(
    allowance: Allowance, first: datetime | None, now: datetime, zone: ZoneInfo
) -> None:
    found = starts(allowance, first, now, zone)
    assert found[0] == now - DAY
    assert all(start <= now for start in found)
    assert len(found) == len(set(found)) if allowance.window == "24h" else len(found) == 2


@given(MOMENTS, st.timedeltas(timedelta(0), 4000 * DAY), st.timedeltas(timedelta(0), 100 * DAY))
def test_blocks_follow_each_other_without_gap_or_overlap(first: datetime, ago: timedelta, more: timedelta) -> None:
    blocks = Allowance(window="campaign_30d_blocks")
    earlier, later = (starts(blocks, first, first + each)[1] for each in (ago, ago + more))
    for start, now in ((earlier, first + ago), (later, first + ago + more)):
        assert (start - first) % (30 * DAY) == timedelta(0)
        assert start <= now < start + 30 * DAY
    assert later == earlier or later >= earlier + 30 * DAY


@given(MOMENTS, st.timedeltas(timedelta(0), 100 * DAY), ZONES)
def test_months_follow_each_other_and_hold_their_moment(now: datetime, more: timedelta, zone: ZoneInfo) -> None:
    month = Allowance(window="calendar_month")
    earlier, later = (starts(month, None, each, zone)[1] for each in (now, now + more))
    assert earlier <= later
    assert earlier.astimezone(zone).day == 1
    same = now.astimezone(zone).strftime("%Y-%m") == (now + more).astimezone(zone).strftime("%Y-%m")
    assert same is (earlier == later)
