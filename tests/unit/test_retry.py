"""What becomes of a contact after an attempt."""

from datetime import UTC, datetime, timedelta

import pytest

from dialerd.core.causes import Outcome
from dialerd.core.retry import after

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRIED_AGAIN = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.HUNG_UP, Outcome.MACHINE)


@pytest.mark.accepts("PAC-05")
@pytest.mark.parametrize("outcome", TRIED_AGAIN)
def test_it_is_tried_again_after_the_delay_until_the_retries_are_used_up(outcome: Outcome) -> None:
    for attempts in (1, 2, 3):
        retry = after(outcome, attempts, 3, 300, NOW)
        assert retry.next_at == NOW + timedelta(seconds=300)
        assert retry.counts
    last = after(outcome, 4, 3, 300, NOW)
    assert last.next_at is None
    assert "4 attempts made, 4 allowed" in last.why


def test_without_retries_the_first_attempt_is_the_last() -> None:
    assert after(Outcome.BUSY, 1, 0, 300, NOW).next_at is None


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - set(TRIED_AGAIN) - {Outcome.NOT_SENT}))
def test_a_final_outcome_is_never_dialled_again_whatever_is_left(outcome: Outcome) -> None:
    retry = after(outcome, 1, 100, 300, NOW)
    assert (retry.next_at, retry.counts) == (None, True)
    assert outcome in retry.why


def test_a_lost_fate_is_final() -> None:
    assert after(Outcome.UNKNOWN, 1, 100, 0, NOW).next_at is None


def test_what_never_left_us_is_not_used_up_and_comes_back_soon() -> None:
    retry = after(Outcome.NOT_SENT, 4, 3, 300, NOW)
    assert not retry.counts
    assert retry.next_at == NOW + timedelta(seconds=10)
    assert after(Outcome.NOT_SENT, 1, 3, 2, NOW).next_at == NOW + timedelta(seconds=2)
