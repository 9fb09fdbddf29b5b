"""Each rival does what its rule says, in situations small enough to reckon by hand."""

import pytest

from bench.rivals import STOCK, WELL_RUN, Method, OmniDialer, Progressive, Scored, Settings, StaticLevel, Vicidial
from dialerd.pacing.simulator import View


def view(now: float = 0.0, ready: int = 0, ringing: int = 0, waiting: int = 0, talking: int = 0, wrap: int = 0) -> View:
    return View(
        now, ready, dict.fromkeys(range(ringing), (now, 0.25)), waiting, dict.fromkeys(range(talking), now),
        dict.fromkeys(range(wrap), now),
    )  # fmt: skip


def watched(driver: Vicidial, seconds: range, **what: int) -> None:
    """The driver is asked each second, and sees the same each time."""
    for now in seconds:
        driver.lines(view(float(now), **what))


def answer(driver: Scored, count: int, dropped: int, now: float = 0.0) -> None:
    for n in range(count):
        driver.line_ended(now, 10.0, True)
        if n < dropped:
            driver.abandoned(now + 2.0)
        else:
            driver.joined(now)


def test_progressive_has_one_line_out_for_each_free_agent() -> None:
    driver = Progressive()
    assert driver.lines(view(ready=4, talking=9)) == 4
    assert driver.lines(view(ready=4, ringing=3)) == 1
    assert driver.lines(view(ready=4, ringing=2, waiting=2)) == 0
    assert driver.lines(view(ringing=5)) == 0


class TestScore:
    """Who is joined after two seconds was abandoned, whatever the rival's own timer says."""

    def test_late_joins(self) -> None:
        driver = Progressive()
        driver.line_ended(10.0, 5.0, True)
        driver.line_ended(11.0, 5.0, True)
        driver.line_ended(11.5, 5.0, False)
        driver.line_ended(12.0, 5.0, True)
        driver.joined(12.0)  # two seconds: in time
        driver.joined(13.5)  # two and a half
        driver.abandoned(17.0)
        assert driver.late == 1

    def test_the_longest_waiting_gives_up_first(self) -> None:
        driver = Progressive()
        driver.line_ended(0.0, 5.0, True)
        driver.line_ended(4.0, 5.0, True)
        driver.abandoned(5.0)
        driver.joined(5.5)
        assert driver.late == 0


class TestLevel:
    """VICIdial's loop: so many lines as the level says, every two and a half seconds."""

    def test_available_only_counts_ready_agents_and_adds_their_calls(self) -> None:
        assert StaticLevel(2.0).lines(view(ready=3, talking=4, wrap=5, ringing=1)) == 2 * 3 - 1

    def test_else_talking_agents_count_too(self) -> None:
        driver = StaticLevel(2.0, available_only=False)
        assert driver.lines(view(ready=3, talking=4, wrap=5, ringing=1)) == 2 * 7 - 1 - 4

    def test_calls_that_wait_are_calls_in_progress(self) -> None:
        assert StaticLevel(2.0).lines(view(ready=3, waiting=2)) == 4

    def test_never_more_than_five_a_second(self) -> None:
        assert StaticLevel(3.0).lines(view(ready=30)) == 12

    def test_starts_every_two_and_a_half_seconds(self) -> None:
        driver = StaticLevel(1.0)
        started = [driver.lines(view(now / 2, ready=1)) for now in range(11)]
        assert started == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


class TestAdapting:
    """VICIdial's adaptive level."""

    def test_idle_agents_raise_it_by_their_share(self) -> None:
        driver = Vicidial(WELL_RUN)
        watched(driver, range(15), ready=4, talking=12)
        assert driver.level == 1.0  # not before fifteen seconds
        watched(driver, range(15, 16), ready=4, talking=12)
        assert driver.level == pytest.approx(1.25)

    def test_waiting_calls_lower_it_but_never_below_one(self) -> None:
        driver = Vicidial(WELL_RUN)
        driver.level = 2.0
        watched(driver, range(16), waiting=2, talking=10)
        assert driver.level == pytest.approx(2.0 * 0.8)
        watched(driver, range(16, 200), waiting=2, talking=10)
        assert driver.level == 1.0

    def test_it_never_passes_its_most(self) -> None:
        driver = Vicidial(WELL_RUN)
        watched(driver, range(200), ready=10)
        assert driver.level == WELL_RUN.most

    def test_a_minute_with_more_than_half_dropped_halves_it(self) -> None:
        driver = Vicidial(WELL_RUN)
        driver.level = 3.0
        answer(driver, 30, 16, now=50.0)
        watched(driver, range(61), ready=1, waiting=1)
        assert driver.level == 1.5

    def test_too_few_calls_of_the_day_are_no_reason(self) -> None:
        driver = Vicidial(WELL_RUN)
        driver.level = 3.0
        answer(driver, 50, 5)
        watched(driver, range(120), ready=1, waiting=1)
        assert driver.level == 3.0

    @pytest.mark.parametrize(
        ("method", "level"), [(Method.HARD_LIMIT, 1.0), (Method.AVERAGE, 1.6), (Method.TAPERED, 1.0)]
    )
    def test_a_day_over_the_limit(self, method: Method, level: float) -> None:
        driver = Vicidial(Settings(method, available_only=True, drop_seconds=2.0, most=4.0))
        driver.level = 3.2
        answer(driver, 100, 4)
        watched(driver, range(60), ready=1, waiting=1)
        assert driver.level == 3.2  # the day's figures are a minute old at most
        watched(driver, range(60, 61), ready=1, waiting=1)
        assert driver.level == level

    def test_a_day_at_the_limit_is_none_over_it(self) -> None:
        driver = Vicidial(WELL_RUN)
        driver.level = 2.0
        answer(driver, 100, 3)
        watched(driver, range(120), ready=1, waiting=1)
        assert driver.level == 2.0

    def test_tapered_near_closing_time_is_gentle(self) -> None:
        driver = Vicidial(STOCK)
        assert driver._punished(3.0, 12 * 3600.0) == pytest.approx(3.0 * 0.9)  # 2100 - 1200 = 900
        assert driver._punished(3.0, 20.5 * 3600) == pytest.approx(3.0 * 0.07)  # 2100 - 2030 = 70


class TestOmniDialer:
    """The formula, and when it is not used."""

    def learned(self, drop_rate: float = 0.0, answers: int = 50) -> OmniDialer:
        """200 calls, a quarter answered; talks of 100 s."""
        driver = OmniDialer()
        for n in range(200):
            driver.line_ended(0.0, 12.0, n >= 200 - answers)
        for _ in range(answers):
            driver.talk_ended(0.0, 100.0)
            driver.wrap_up_ended(0.0, 0.0)
        driver._drop_rate = drop_rate
        return driver

    def test_progressive_for_the_first_fifty_calls(self) -> None:
        driver = OmniDialer()
        for n in range(49):
            driver.line_ended(0.0, 12.0, n % 4 == 0)
        assert driver.lines(view(ready=3, ringing=1)) == 2

    def test_free_agents_over_the_answer_rate(self) -> None:
        driver = self.learned()
        assert driver.lines(view(ready=3)) == 12
        assert driver.lines(view(ready=3, ringing=4)) == 8

    def test_agents_soon_free_count_by_their_chance(self) -> None:
        driver = self.learned()
        fresh = driver._free_soon(100.0, 0.0)
        assert fresh == pytest.approx(0.1131, abs=1e-4)  # 1 - exp(-12 / 100)
        assert driver._free_soon(100.0, 99.5) == driver._free_soon(100.0, 500.0) == pytest.approx(1.0, abs=1e-5)
        assert driver.lines(view(talking=10)) == int(10 * fresh / 0.25)

    @pytest.mark.parametrize(("drop_rate", "lines"), [(0.0, 12), (0.015, 12), (0.0225, 7), (0.0299, 2), (0.03, 2)])
    def test_bolder_below_half_the_cap(self, drop_rate: float, lines: int) -> None:
        assert self.learned(drop_rate).lines(view(ready=3)) == lines

    def test_progressive_after_five_ticks_over_the_cap(self) -> None:
        driver = self.learned(drop_rate=0.2)
        started = [driver.lines(view(float(now), ready=6)) for now in range(7)]
        assert started == [4, 4, 4, 4, 4, 6, 6]  # a fifth of 24; then one for each
        driver._drop_rate = 0.0
        assert driver.lines(view(7.0, ready=6)) == 24

    def test_each_answer_moves_the_drop_rate_by_a_tenth(self) -> None:
        driver = OmniDialer()
        answer(driver, 1, 1)
        assert driver._drop_rate == pytest.approx(0.1)
        answer(driver, 1, 0)
        assert driver._drop_rate == pytest.approx(0.09)
