"""Campaign files: what they may say, and that every mistake is named with its place and what may stand there."""

from random import Random
from statistics import mean, pstdev

import pytest

from dialerd.pacing.scenario import Scenario
from dialerd.pacing.scenario_text import ScenarioRefused, read, write
from dialerd.pacing.shift import agents, people, slice_seconds
from dialerd.pacing.world import Lognormal, Shares

LEAST = "[[agents]]\ncount = 3\n[answers]\nrate = 0.25\n"


def test_agents_and_an_answer_rate_are_enough() -> None:
    s = read(LEAST, "f")
    assert (s.shift.start, s.shift.end, s.shift.seconds) == (540, 1020, 28800)
    assert (s.pacing.mode, s.pacing.pacing_ratio, s.pacing.abandonment_cap) == ("predictive", 3.0, 0.03)
    assert [(a.start, a.end) for a in agents(s)] == [(0, 28800)] * 3
    assert (s.list.contacts, s.trunk.max_calls, s.machine_detection) == (None, None, None)


@pytest.mark.parametrize(
    ("shift", "seconds"),
    [
        ('start = "09:00"\nend = "17:30"', 8.5 * 3600),
        ("start = 09:00:00\nend = 21:00:00", 12 * 3600),
        ('start = "22:00"\nend = "06:00"', 8 * 3600),
        ('start = "00:00"\nend = "24:00"', 24 * 3600),
        ('start = "08:00"\nend = "08:00"', 24 * 3600),
        ('start = "9:00"\nend = "9:01"', 60),
    ],
)
def test_a_shift_has_any_length_up_to_a_day(shift: str, seconds: float) -> None:
    assert read(f"[shift]\n{shift}\n{LEAST}", "f").shift.seconds == seconds


def test_agents_come_and_go_by_the_clock_also_past_midnight() -> None:
    s = read(
        '[shift]\nstart = "20:00"\nend = "02:00"\n'
        '[[agents]]\ncount = 1\nfrom = "23:00"\nto = "01:30"\npause_share = 0.1\n'
        '[[agents]]\ncount = 2\nto = "00:00"\n[answers]\nrate = 0.2\n[answers.by_hour]\n"00:00" = 0.4\n',
        "f",
    )
    assert [(a.start, a.end, a.pause_chance) for a in agents(s)] == [
        (3 * 3600, 5.5 * 3600, 0.1),
        (0, 4 * 3600, 0.0),
        (0, 4 * 3600, 0.0),
    ]
    assert s.chances() == ((0, 0.2), (3600, 0.2), (7200, 0.2), (10800, 0.2), (14400, 0.4), (18000, 0.2))


def test_hours_of_a_shift_that_begins_within_one() -> None:
    s = read(f'[shift]\nstart = "09:30"\nend = "11:00"\n{LEAST}[answers.by_hour]\n9 = 0.1\n10 = 0.3\n', "f")
    assert s.chances() == ((0, 0.1), (1800, 0.3))
    assert slice_seconds(s) == 300


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ("agents: missing", "answers: missing")),
        ("[[agents]\n", ("not TOML", "line 1")),
        (LEAST + "[answerz]\n", ("answerz: unknown key; the nearest known is answers",)),
        (LEAST + "[pacing]\nratio = 3\n", ("pacing.ratio: unknown key; the nearest known is pacing_ratio",)),
        (LEAST + "[trunk]\nzzz = 3\n", ("trunk.zzz: unknown key; known are calls_per_second, max_calls",)),
        (LEAST.replace("count = 3", "count = 0"), ("agents[1].count: expected a whole number from 1 to 1,000, not",)),
        (LEAST.replace("count = 3", "count = 2.5"), ("agents[1].count: expected a whole number",)),
        (LEAST.replace("count = 3", "count = true"), ("agents[1].count: expected a whole number",)),
        (LEAST.replace("count = 3", "begin = 1"), ("agents[1].count: missing", "agents[1].begin: unknown key")),
        (LEAST.replace("count = 3", 'count = 3\nstart = "09:00"'), ("agents[1].start: unknown key",)),
        (LEAST + "[[agents]]\ncount = 999\n", ("agents: at most 1000 in all",)),
        ("agents = []\n[answers]\nrate = 0.2\n", ("agents: expected 1 to 500 blocks, each headed [[agents]]",)),
        ("agents = 3\n[answers]\nrate = 0.2\n", ("agents: expected 1 to 500 blocks, each headed [[agents]]",)),
        (LEAST.replace("count = 3", 'count = 3\nfrom = "08:00"'), ("agents[1]: expected from and to within the shift, "
                                                                   "09:00 to 17:00",)),
        (LEAST.replace("count = 3", 'count = 3\nfrom = "13:00"\nto = "12:00"'), ("agents[1]:", "from before to")),
        (LEAST.replace("count = 3", 'count = 3\nfrom = "25:00"'), ('agents[1].from: expected a time of the day in '
                                                                   'quotation marks, as in "09:00", not \'25:00\'',)),
        (LEAST.replace("count = 3", "count = 3\npause_share = 1.5"), ("pause_share: expected a number from 0 to 1",)),
        ('[shift]\nend = "24:30"\n' + LEAST, ("shift.end: expected a time of the day",)),
        ("[shift]\nend = 17\n" + LEAST, ("shift.end: expected a time of the day",)),
        ("shift = 8\n" + LEAST, ("shift: expected a table",)),
        (LEAST.replace("0.25", "25"), ("answers.rate: expected a number from 0 to 1, not '25'",)),
        (LEAST.replace("0.25", "nan"), ("answers.rate: expected a number from 0 to 1, not 'nan'",)),
        (LEAST.replace("0.25", '"a quarter"'), ("answers.rate: expected a number from 0 to 1, not 'a quarter'",)),
        (LEAST.replace("0.25", "0.9"), ("answers.rate: 0.9 with fast_fail 0.15 is more than 1 together",)),
        (LEAST.replace("0.25", "0.8") + "[machine_detection]\n", ("and machines 0.15 is more than 1",)),
        (LEAST.replace("rate = 0.25", ""), ("answers.rate: missing, and answers.by_hour says nothing of 09:00,",)),
        (LEAST + '[answers.by_hour]\n"24:00" = 0.1\n', ("answers.by_hour: each hour once", "'24:00'")),
        (LEAST + '[answers.by_hour]\n"9" = 0.1\n"09:00" = 0.1\n', ("answers.by_hour: each hour once",)),
        (LEAST + '[answers.by_hour]\n"9" = 2\n', ("answers.by_hour.9: expected a number from 0 to 1",)),
        (LEAST + "by_hour = 0.2\n", ("answers.by_hour: expected a table of hours",)),
        (LEAST + "[list]\ncontacts = 0\n", ("list.contacts: expected a whole number from 1",)),
        (LEAST + "[list]\nattempts_per_contact = 0\n", ("list.attempts_per_contact: expected a whole number from 1",)),
        (LEAST + "[ring]\nmean_seconds = 40\n", ("ring: nobody answers after 40 s when it rings for 30 s",)),
        (LEAST + "[ring]\ntimeout_seconds = 4\n", ("ring.timeout_seconds: expected a number from 5 to 120",)),
        (LEAST + "[talk]\nmean_seconds = 0\n", ("talk.mean_seconds: expected a number from 1 to 7,200",)),
        (LEAST + "[talk]\nshares_seconds = [5, 3]\n", ("talk: ascending numbers",)),
        (LEAST + "[talk]\nshares_seconds = [3]\n", ("talk.shares_seconds: expected 2 to 200 numbers",)),
        (LEAST + "[talk]\nshares_seconds = [3, -1]\n", ("talk.shares_seconds.1: expected a number from 0",)),
        (LEAST + "[talk]\nmean_seconds = 9\nshares_seconds = [3, 5]\n", ("talk: either mean_seconds",)),
        (LEAST + "[wrap_up]\nvariation = 9\n", ("wrap_up.variation: expected a number from 0 to 5",)),
        (LEAST + '[pacing]\nmode = "preview"\n', ("pacing.mode: expected progressive or predictive or power, not",)),
        (LEAST + "[pacing]\npacing_ratio = 11\n", ("pacing.pacing_ratio: expected a number from 1 to 10",)),
        (LEAST + "[pacing]\nabandonment_cap = 3\n", ("pacing.abandonment_cap: expected a number from 0 to 1",)),
        (LEAST + "[trunk]\ncalls_per_second = 0\n", ("trunk.calls_per_second: expected a number from 0.1 to 1,000",)),
        ('name = ""\n' + LEAST, ("name: expected",)),
    ],
)  # fmt: skip
def test_every_mistake_is_named(text: str, says: tuple[str, ...]) -> None:
    with pytest.raises(ScenarioRefused) as refused:
        read(text, "spring.toml")
    lines = str(refused.value).splitlines()
    assert all(line.startswith("spring.toml: ") for line in lines)
    for words in says:
        assert any(words in line for line in lines), str(refused.value)


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ScenarioRefused) as refused:
        read("[[agents]]\ncount = 0\n[answers]\nrate = 2\n[pacing]\nmode = 1\n", "f")
    assert len(str(refused.value).splitlines()) == 3


def test_what_is_written_is_read_back() -> None:
    text = """
        name = 'A "quoted" näme \\ and so on'
        [shift]
        start = "00:00"
        end = "24:00"
        [[agents]]
        count = 3
        from = "08:00"
        to = "24:00"
        pause_share = 0.125
        [[agents]]
        count = 1
        [answers]
        rate = 0.2
        by_hour = { 9 = 0.3, 17 = 0.1 }
        [list]
        contacts = 700
        [talk]
        shares_seconds = [1.5, 20, 300]
        [machine_detection]
        [trunk]
        max_calls = 9
    """
    scenario = read(text, "f")
    assert read(write(scenario), "g") == scenario
    assert isinstance(scenario, Scenario)
    assert read(write(read(LEAST, "f")), "g") == read(LEAST, "f")


def test_lengths_have_the_mean_and_the_variation_that_they_say() -> None:
    lots = Random(3)
    drawn = [Lognormal(120.0, 0.5).draw(lots) for _ in range(20_000)]
    assert mean(drawn) == pytest.approx(120, rel=0.02)
    assert pstdev(drawn) == pytest.approx(60, rel=0.05)
    assert [Lognormal(15.0).draw(lots), Lognormal(0.0, 1.0).draw(lots)] == [15.0, 0.0]
    shares = Shares((2.0, 4.0, 10.0, 100.0))
    drawn = [shares.draw(lots) for _ in range(40_000)]
    assert mean(drawn) == pytest.approx(29, rel=0.02)
    assert 1.0 <= min(drawn) < 1.1
    assert 100 < max(drawn) <= 145


def test_lines_end_as_the_shares_say() -> None:
    s = read(LEAST + "machines = 0.2\n[machine_detection]\nwrong = 0.1\nseconds = 3\n[ring]\nvariation = 0\n", "f")
    world, lots = people(s), Random(1)
    fates = [world.line(0.0, lots) for _ in range(20_000)]
    answered = [fate for fate in fates if fate.answered]
    assert len(answered) / len(fates) == pytest.approx(0.25 * 0.9 + 0.2 * 0.1, abs=0.01)
    assert {fate.seconds for fate in answered} == {15.0}
    assert sum(fate.seconds == 30.0 for fate in fates) / len(fates) == pytest.approx(1 - 0.15 - 0.25 - 0.2, abs=0.01)
