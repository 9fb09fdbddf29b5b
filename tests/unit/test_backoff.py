"""How long to wait before a broken connection is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.backoff import backoff

DRAWS = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 10**9), DRAWS)
def test_a_wait_is_never_zero_and_never_keeps_recovery_from_half_a_minute(failures: int, random: float) -> None:
    assert 0.125 <= backoff(failures, random) <= 12


@given(st.integers(0, 1000), DRAWS)
def test_waits_do_not_get_shorter_with_more_failures(failures: int, random: float) -> None:
    assert backoff(failures, random) <= backoff(failures + 1, random)


def test_waits_are_spread_so_that_many_do_not_come_back_at_once() -> None:
    assert [backoff(2, draw) for draw in (0.0, 0.5, 0.9)] == [0.5, 1.0, 1.4]
