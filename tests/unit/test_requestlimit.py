"""How often one asker may ask."""

import pytest

from dialerd.core.requestlimit import RequestLimit


def passed(limit: RequestLimit, key: str, now: float, requests: int) -> int:
    return sum(limit.allow(key, now) for _ in range(requests))


@pytest.mark.accepts("CID-09")
def test_a_minutes_worth_passes_at_once_and_then_its_share_of_each_second() -> None:
    limit = RequestLimit(60)
    assert passed(limit, "anna", 1000.0, 100) == 60
    assert passed(limit, "anna", 1000.5, 100) == 0
    assert passed(limit, "anna", 1003.0, 100) == 3
    assert passed(limit, "anna", 5000.0, 100) == 60


def test_askers_do_not_pay_for_each_other_and_nobody_is_nobody() -> None:
    limit = RequestLimit(1)
    assert limit.allow("anna", 0.0)
    assert not limit.allow("anna", 0.0)
    assert limit.allow("bert", 0.0)
    assert passed(limit, "", 0.0, 50) == 50


def test_zero_is_no_limit_and_keeps_nothing() -> None:
    limit = RequestLimit(0)
    assert passed(limit, "anna", 0.0, 1000) == 1000
    assert len(limit) == 0


def test_the_table_is_bounded_and_forgets_who_has_been_silent_longest() -> None:
    limit = RequestLimit(1, max_keys=100)
    for i in range(10_000):
        assert limit.allow(f"agent-{i}", 0.0)
    assert len(limit) == 100
    assert not limit.allow("agent-9999", 0.0)
    assert limit.allow("agent-1", 0.0)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    limit = RequestLimit(2)
    assert passed(limit, "anna", 100.0, 5) == 2
    assert passed(limit, "anna", 40.0, 5) == 0
    assert passed(limit, "anna", 100.0, 5) == 0
    assert passed(limit, "anna", 130.0, 5) == 1


@pytest.mark.parametrize("bad", [(-1, 10), (1, 0)])
def test_a_limit_that_is_none_is_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="limit"):
        RequestLimit(*bad)
