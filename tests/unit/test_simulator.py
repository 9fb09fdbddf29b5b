"""The simulator that judges pacing is itself right: closed forms, one run for one seed, agents and trunks counted."""

from typing import Any

import pytest

from bench.rivals import Progressive, Scored
from dialerd.pacing.driver import Paced
from dialerd.pacing.simulator import Driver, Presence, Run, Simulation, View
from dialerd.pacing.world import Fate, Markov, Realistic, World

HOUR = 3600.0


class Clockwork:
    """A world without chance: every line is answered after `ring` seconds, every talk and wrap-up has its length."""

    def __init__(self, ring: float = 10.0, talk: float = 40.0, wrap_up: float = 10.0, patience: float = 2.0) -> None:
        self._ring, self._talk, self._wrap_up, self._patience = ring, talk, wrap_up, patience

    def line(self, now: float, lots: object) -> Fate:
        return Fate(self._ring, True)

    def patience(self, lots: object) -> float:
        return self._patience

    def talk(self, lots: object) -> float:
        return self._talk

    def wrap_up(self, lots: object) -> float:
        return self._wrap_up


class Greedy(Scored):
    """Asks for as many as ever at every question, and remembers what is out when it may."""

    beat = 0.0

    def __init__(self, each: int = 1000) -> None:
        super().__init__()
        self.each = each
        self.starts: list[float] = []
        self.most_calls = 0
        self._known: set[int] = set()

    def lines(self, view: View) -> int:
        fresh = set(view.ringing) - self._known
        self._known |= fresh
        self.starts += [view.ringing[line][0] for line in fresh]
        self.most_calls = max(self.most_calls, len(view.ringing) + len(view.talking) + view.waiting)
        return self.each


def simulate(world: World, agents: int, driver: Driver, seconds: float, seed: int = 1, **trunk: Any) -> Run:
    return Simulation(world, [Presence()] * agents, driver, seed, seconds, **trunk).run()


@pytest.mark.parametrize(("agents", "hours"), [(1, 160), (4, 80)])
def test_progressive_comes_out_as_the_closed_form_says(agents: int, hours: int) -> None:
    run = simulate(Markov(), agents, Progressive(), hours * HOUR)
    # A cycle is a service and a wait of 48 s, both exponential: the share of one varies by some 0.3, and each agent
    # has 21 cycles an hour.
    assert run.occupancy == pytest.approx(120 / (120 + 12 / 0.25), abs=4 * 0.3 / (21 * hours * agents) ** 0.5)
    assert run.abandonment == 0
    assert run.total.answers / run.total.lines == pytest.approx(0.25, abs=0.015)
    assert run.total.present == pytest.approx(agents * hours * HOUR)


def test_clockwork_is_counted_to_the_second() -> None:
    driver = Progressive()
    driver.beat = 0.0
    run = simulate(Clockwork(), 1, driver, 600)
    total = run.total  # ten seconds of ringing, fifty of work, over and over
    assert (total.lines, total.answers, total.abandoned) == (10, 10, 0)
    assert total.busy == pytest.approx(500)
    assert run.occupancy == pytest.approx(50 / 60)


def test_who_finds_no_agent_waits_and_is_joined_first_or_gives_up() -> None:
    run = simulate(Clockwork(talk=100.0), 1, Greedy(), 100, contacts=3)
    assert (run.total.answers, run.total.abandoned) == (3, 2)
    patient = Greedy()
    run = simulate(Clockwork(talk=5.0, wrap_up=0.0, patience=30.0), 1, patient, 100, contacts=3)
    assert (run.total.answers, run.total.abandoned) == (3, 0)
    assert patient.late == 2  # joined after 5 and 10 s
    assert run.total.busy == pytest.approx(15)


def test_the_same_seed_gives_the_same_run() -> None:
    def once(seed: int) -> Run:
        world = Realistic(clump=50, steps=((HOUR / 2, 0.5),), detection=(4.0, 0.05))
        agents = [Presence(pause_chance=0.1), Presence(start=600.0), Presence(end=HOUR / 2), Presence()]
        return Simulation(world, agents, Paced(), seed, HOUR, calls_per_second=1.0).run()

    assert once(7) == once(7)
    assert once(7) != once(8)


def test_slices_add_up_whatever_their_length() -> None:
    whole, parts = (
        Simulation(Realistic(), [Presence()] * 3, Progressive(), 5, HOUR, slice_seconds=length).run()
        for length in (HOUR, 250.0)
    )
    assert (len(whole.slices), len(parts.slices)) == (1, 15)
    assert whole.total.answers == parts.total.answers
    assert whole.total.busy == pytest.approx(parts.total.busy)
    assert all(part.present == pytest.approx(3 * 250.0) for part in parts.slices[:-1])


class TestAgents:
    """Logged-in time, and who is counted as busy."""

    def test_come_and_go(self) -> None:
        idle = Greedy(each=0)
        days = [Presence(), Presence(start=100.0), Presence(end=300.0), Presence(start=200.0, end=250.0)]
        run = Simulation(Clockwork(), days, idle, 1, 1000.0, slice_seconds=1000.0).run()
        assert run.total.present == pytest.approx(1000 + 900 + 300 + 50)
        assert run.total.busy == 0

    def test_one_who_is_at_work_goes_after_the_call(self) -> None:
        run = Simulation(Clockwork(), [Presence(end=30.0)], Greedy(each=1), 1, 200.0, contacts=1).run()
        assert run.total.present == pytest.approx(60)  # answered at 10, the talk over at 50, the wrap-up at 60
        assert run.total.busy == pytest.approx(50)

    def test_one_who_has_left_gets_no_call(self) -> None:
        run = Simulation(Clockwork(), [Presence(end=5.0)], Greedy(each=1), 1, 200.0, contacts=1).run()
        assert (run.total.answers, run.total.abandoned) == (1, 1)
        assert run.total.present == pytest.approx(5)

    def test_pauses_are_no_logged_in_time(self) -> None:
        day = Presence(pause_chance=1.0, pause_seconds=60.0)
        driver = Progressive()
        run = Simulation(Clockwork(), [day], driver, 1, 100 * HOUR).run()
        # Each cycle: up to the tick and ten seconds of ringing, fifty of work, then sixty away on average.
        assert run.total.busy / run.total.answers == pytest.approx(50, rel=0.01)
        assert run.total.present / (100 * HOUR) == pytest.approx(60 / 120, abs=0.03)

    def test_a_leave_is_told_to_the_driver(self) -> None:
        told: list[tuple[float, bool]] = []

        class Told(Greedy):
            def agent_stood(self, seconds: float, left: bool) -> None:
                told.append((seconds, left))

        Simulation(Clockwork(), [Presence(), Presence(end=30.0)], Told(each=1), 1, 50.0, contacts=1).run()
        assert told == [(10.0, False), (30.0, True)]


class TestTrunk:
    """What it carries is never exceeded, and the list ends."""

    @pytest.mark.parametrize("beat", [0.0, 0.5])
    @pytest.mark.parametrize("rate", [0.5, 2.0, 20.0])
    def test_calls_per_second(self, rate: float, beat: float) -> None:
        driver = Greedy()
        driver.beat = beat
        run = simulate(Markov(), 50, driver, 300.0, calls_per_second=rate)
        assert run.total.lines <= rate * 300 + max(1.0, rate / 5)
        assert run.total.lines >= 0.95 * rate * 300, "whoever is held back is asked again when the next one may go"
        starts = sorted(driver.starts)
        within = (sum(at <= later < at + 1.0 for later in starts[n : n + 40]) for n, at in enumerate(starts))
        assert max(within) <= rate + max(1.0, rate / 5)

    def test_calls_at_once(self) -> None:
        driver = Greedy()
        run = simulate(Markov(), 3, driver, HOUR, max_calls=17)
        assert run.peak_calls == 17
        assert driver.most_calls == 17

    def test_contacts_run_out(self) -> None:
        driver = Progressive()
        driver.beat = 0.0
        run = simulate(Clockwork(), 2, driver, 1000.0, contacts=6)
        assert run.total.lines == 6
        assert run.emptied_at == pytest.approx(120)  # two at 0, at 60, at 120
        assert simulate(Clockwork(), 2, Progressive(), 1000.0).emptied_at is None
