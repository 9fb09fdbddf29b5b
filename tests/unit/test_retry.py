"""What becomes of a contact after an attempt."""

from datetime import UTC, datetime, timedelta

import pytest

from dialerd.core.causes import Outcome
from dialerd.core.retry import History, Retry, Rule, RuleRefused, Rules, after, read

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRIED_AGAIN = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.HUNG_UP, Outcome.MACHINE)


def after_simple(outcome: Outcome, attempts: int, max_retries: int, delay: float) -> Retry:
    """In a campaign without rules of its own, for a contact with one number."""
    return after(outcome, History(attempts, {}), Rules(max_retries, delay, {}), NOW)


@pytest.mark.accepts("PAC-05")
@pytest.mark.parametrize("outcome", TRIED_AGAIN)
def test_it_is_tried_again_after_the_delay_until_the_retries_are_used_up(outcome: Outcome) -> None:
    for attempts in (1, 2, 3):
        retry = after_simple(outcome, attempts, 3, 300)
        assert retry.next_at == NOW + timedelta(seconds=300)
        assert retry.counts
    last = after_simple(outcome, 4, 3, 300)
    assert last.next_at is None
    assert "4 attempts made, 4 allowed" in last.why


def test_without_retries_the_first_attempt_is_the_last() -> None:
    assert after_simple(Outcome.BUSY, 1, 0, 300).next_at is None


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - set(TRIED_AGAIN) - {Outcome.NOT_SENT, Outcome.INVALID}))
def test_a_final_outcome_is_never_dialled_again_whatever_is_left(outcome: Outcome) -> None:
    retry = after_simple(outcome, 1, 100, 300)
    assert (retry.next_at, retry.counts) == (None, True)
    assert outcome in retry.why


def test_a_lost_fate_is_final() -> None:
    assert after_simple(Outcome.UNKNOWN, 1, 100, 0).next_at is None


def test_what_never_left_us_is_not_used_up_and_comes_back_soon() -> None:
    retry = after_simple(Outcome.NOT_SENT, 4, 3, 300)
    assert not retry.counts
    assert retry.next_at == NOW + timedelta(seconds=10)
    assert after_simple(Outcome.NOT_SENT, 1, 3, 2).next_at == NOW + timedelta(seconds=2)


RULES = Rules(10, 300, {
    Outcome.BUSY: Rule(3, 60, 2.0), Outcome.NO_ANSWER: Rule(2, 3600, number="next"), Outcome.REJECTED: Rule(1, 86400),
})  # fmt: skip


def test_each_outcome_has_its_own_delay_that_backs_off_and_its_own_count() -> None:
    delays = [after(Outcome.BUSY, History(n + 1, {"busy": n}), RULES, NOW).next_at for n in range(4)]
    assert delays == [NOW + timedelta(seconds=60), NOW + timedelta(seconds=120), NOW + timedelta(seconds=240), None]
    assert after(Outcome.MACHINE, History(5, {"busy": 4}), RULES, NOW).next_at == NOW + timedelta(seconds=300)


def test_a_rule_may_go_on_with_the_next_number() -> None:
    assert after(Outcome.NO_ANSWER, History(1, {}), RULES, NOW).number == "next"
    assert after(Outcome.BUSY, History(1, {}), RULES, NOW).number == "same"


def test_a_number_out_of_service_is_given_up_and_the_next_one_comes_at_once() -> None:
    retry = after(Outcome.INVALID, History(1, {}), RULES, NOW)
    assert (retry.number, retry.next_at) == ("dead", NOW + timedelta(seconds=10))
    assert after(Outcome.INVALID, History(11, {}), RULES, NOW).next_at is None


def test_a_rule_may_bring_back_what_is_final_without_one() -> None:
    assert after(Outcome.REJECTED, History(1, {}), RULES, NOW).next_at == NOW + timedelta(days=1)
    assert after(Outcome.REJECTED, History(2, {"rejected": 1}), RULES, NOW).next_at is None


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({"nonsense": {"times": 1, "delay_seconds": 1}}, "no outcome is called"),
        ({"unknown": {"times": 1, "delay_seconds": 1}}, "not for a campaign to decide"),
        ({"busy": {"times": 1, "delay_seconds": 1, "colour": 1}}, "colour"),
        ({"busy": {"times": -1, "delay_seconds": 1}}, "times"),
        ({"busy": {"times": True, "delay_seconds": 1}}, "times"),
        ({"busy": {"times": 1, "delay_seconds": float("nan")}}, "delay_seconds"),
        ({"busy": {"times": 1}}, "delay_seconds"),
        ({"busy": {"times": 1, "delay_seconds": 1, "backoff": 0.5}}, "backoff"),
        ({"busy": {"times": 1, "delay_seconds": 1, "number": "any"}}, "number"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused_by_name(stored: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(RuleRefused, match=says):
        read(stored)
