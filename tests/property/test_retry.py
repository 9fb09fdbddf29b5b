"""Whatever rules a campaign has and however its calls end: what must hold of what becomes of a contact."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.causes import Outcome
from dialerd.core.retry import FINAL, MAX_DELAY_SECONDS, NEVER, History, Rule, Rules, after, read

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OUTCOMES = st.sampled_from(sorted(Outcome))
RULED = sorted(set(Outcome) - NEVER - {Outcome.INVALID})

a_rule = st.builds(
    Rule,
    times=st.integers(0, 100),
    delay_seconds=st.floats(0, MAX_DELAY_SECONDS, allow_nan=False),
    backoff=st.floats(1, 10, allow_nan=False),
    number=st.sampled_from(["same", "next"]),
)
some_rules = st.builds(
    Rules,
    max_retries=st.integers(0, 100),
    delay_seconds=st.floats(0, MAX_DELAY_SECONDS, allow_nan=False),
    by_outcome=st.dictionaries(st.sampled_from(RULED), a_rule, max_size=4),
)


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=300), rules=some_rules)
def test_a_contact_is_never_called_more_often_than_it_may_and_always_comes_to_an_end(
    outcomes: list[Outcome], rules: Rules
) -> None:
    """The life of a contact as the record keeps it: each outcome comes, the decision is followed."""
    counted, tries, now = 0, dict.fromkeys(map(str, Outcome), 0), NOW
    for outcome in outcomes:
        decision = after(outcome, History(counted + 1, dict(tries)), rules, now)
        if decision.counts:
            counted += 1
            tries[outcome.value] += 1
        assert counted <= 1 + rules.max_retries
        rule = rules.by_outcome.get(outcome)
        if rule is not None:
            assert tries[outcome.value] <= 1 + rule.times
        if decision.next_at is None:
            assert decision.why
            return
        assert now <= decision.next_at <= now + timedelta(seconds=MAX_DELAY_SECONDS)
        now = decision.next_at
    assert counted <= 1 + rules.max_retries


@given(attempts=st.integers(1, 200), rules=some_rules)
def test_a_lost_fate_is_never_dialled_again_by_any_rule(attempts: int, rules: Rules) -> None:
    assert after(Outcome.UNKNOWN, History(attempts, {}), rules, NOW).next_at is None


@given(outcome=OUTCOMES, attempts=st.integers(1, 200), rules=some_rules)
def test_what_is_final_comes_back_only_where_a_rule_says_so(outcome: Outcome, attempts: int, rules: Rules) -> None:
    decision = after(outcome, History(attempts, {}), rules, NOW)
    if outcome in FINAL and outcome not in rules.by_outcome:
        assert decision.next_at is None
    assert decision.counts is (outcome is not Outcome.NOT_SENT)


@given(outcome=st.sampled_from(RULED), rule=a_rule, tries=st.integers(0, 99))
def test_a_delay_never_gets_shorter(outcome: Outcome, rule: Rule, tries: int) -> None:
    rules = Rules(100, 0, {outcome: rule})
    first, second = (after(outcome, History(1, {outcome.value: n}), rules, NOW).next_at for n in (tries, tries + 1))
    assert second is None or (first is not None and second >= first)


@given(rules=st.dictionaries(st.sampled_from(RULED), a_rule))
def test_rules_are_read_as_they_are_stored(rules: dict[Outcome, Rule]) -> None:
    stored = {
        outcome.value: {
            "times": rule.times, "delay_seconds": rule.delay_seconds, "backoff": rule.backoff, "number": rule.number,
        }
        for outcome, rule in rules.items()
    }  # fmt: skip
    assert read(stored) == rules
