"""The token bucket: never more than rate · t + burst over any interval."""

from hypothesis import given
from hypothesis import strategies as st

from dialerd.pacing.bucket import Bucket

RATES = st.floats(0.1, 1000)
STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), min_size=1, max_size=60)
SLOW_STEPS = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


@given(RATES, st.floats(0, 1e6), STEPS)
def test_over_any_interval_it_gives_no_more_than_the_rate_and_a_burst(
    rate: float, start: float, steps: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(rate), start
    given_out: list[tuple[float, int]] = []
    for pause, want in steps:
        now += pause
        n = min(want, bucket.available(now))
        bucket.take(n)
        given_out.append((now, n))
    burst = max(1.0, rate / 5)
    for first, (begin, _) in enumerate(given_out):
        total = 0
        for end, n in given_out[first:]:
            total += n
            assert total <= rate * (end - begin) + burst + 1e-6


@given(RATES, SLOW_STEPS)
def test_what_is_given_back_makes_no_burst(rate: float, steps: list[tuple[float, int, int]]) -> None:
    """A claim takes tokens for all that it asks for, and learns later how many it needed."""
    bucket, now, out = Bucket(rate), 0.0, 0
    for pause, want, back in steps:
        now += pause
        back = min(out, back)
        bucket.give_back(back)
        out -= back
        n = min(want, bucket.available(now))
        bucket.take(n)
        out += n
    assert bucket.available(now) <= max(1.0, rate / 5)
    assert out <= rate * now + max(1.0, rate / 5) + 1e-6


@given(RATES, st.floats(0, 1e6))
def test_a_token_is_there_when_it_was_promised(rate: float, start: float) -> None:
    bucket = Bucket(rate)
    bucket.take(bucket.available(start))
    assert bucket.available(start) == 0
    wait = bucket.next_in()
    assert 0 < wait <= 1 / rate + 1e-9
    assert bucket.available(start + wait + 1e-6) == 1


@given(RATES, st.floats(1, 1e6))
def test_a_long_rest_saves_up_a_fifth_of_a_second_and_one_at_least(rate: float, rest: float) -> None:
    bucket = Bucket(rate)
    bucket.take(bucket.available(0.0))
    assert bucket.available(rest + 1e4) == max(1, int(rate / 5))


def test_asking_costs_nothing() -> None:
    bucket = Bucket(10.0)
    assert [bucket.available(t) for t in (0.0, 5.0, 5.0, 5.0)] == [1, 2, 2, 2]
