"""Verdicts on caller IDs: what makes one sick, what does not, who rests and for how long, in which words."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialerd.core.callerid_health import (
    ENOUGH,
    FEW,
    Cell,
    Number,
    Policy,
    State,
    Verdict,
    figures,
    judge,
    next_rest,
    odds,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy()


def cell(number: int, calls: int, answered: int, area: str = "FI-40", **more: Any) -> Cell:
    rest = {"pool": 1, "slot": 0, "rejected": 0, "timed": answered, "short": answered // 8} | more
    return Cell(number=number, area=area, country=area.partition("-")[0], calls=calls, answered=answered, **rest)


def healthy(numbers: Iterable[int], calls: int = 600, answered: int = 120, area: str = "FI-40") -> list[Cell]:
    return [cell(number, calls, answered, area) for number in numbers]


def verdicts(cells: list[Cell], policy: Policy = POLICY, **numbers: Number) -> dict[int, Verdict]:
    known = {number: Number(number, 1) for number in {each.number for each in cells}}
    known |= {number.id: number for number in numbers.values()}
    return {verdict.number: verdict for verdict in judge(list(known.values()), figures(cells), NOW, policy)}


def test_half_the_answers_make_a_number_rest_and_nobody_else() -> None:
    found = verdicts([*healthy(range(2, 11)), cell(1, 600, 60)])
    assert {n: v.state for n, v in found.items()} == {1: State.RESTING} | dict.fromkeys(range(2, 11), State.HEALTHY)
    assert (found[1].until, found[1].rests, found[1].sign) == (NOW + DAY, 1, "answered")
    assert found[1].why.startswith(
        "answered: 60 of 600 calls, where its pool would have had 120 at the same destinations and hours; "
        "chance of that by luck "
    )
    kept = found[1].as_json()
    assert kept["answered"] == {"of": 600, "seen": 60, "expected": 120.0}
    assert kept["areas"] == [["FI-40", 600, 60, 120.0]]


def test_hard_destinations_do_not_make_it_sick() -> None:
    # Number 1 calls where nearly nobody answers, the others do so a little; all its answers are few.
    hard = [cell(1, 600, 30, "FI-50"), *(cell(n, 60, 3, "FI-50") for n in range(2, 11))]
    found = verdicts([*healthy(range(2, 11)), *hard, cell(1, 50, 10)])
    assert {verdict.state for verdict in found.values()} == {State.HEALTHY}


def test_bad_hours_and_a_hard_campaign_do_not_make_it_sick() -> None:
    bad = [cell(1, 600, 30, slot="night"), *(cell(n, 60, 3, slot="night") for n in range(2, 11))]
    assert verdicts([*healthy(range(2, 11)), *bad])[1].state is State.HEALTHY


def test_where_nobody_else_called_there_is_nothing_to_compare() -> None:
    found = verdicts([*healthy(range(2, 11)), cell(1, 600, 6, "FI-50")])
    assert found[1].state is State.UNKNOWN
    assert (
        found[1].why == "600 calls, none where another number of its pool called too: there is nothing to compare with"
    )


def test_areas_with_few_calls_count_as_their_country() -> None:
    scattered = [cell(n, FEW // 2, 3, f"FI-{90 + 10 * n + i}") for n in range(1, 6) for i in range(4)]
    assert {f.answered.of for f in figures(scattered).values()} == {4 * (FEW // 2)}
    assert figures(scattered)[1].areas[0].area == "FI"
    enough = [cell(n, FEW, 3, f"FI-{90 + 10 * n + i}") for n in range(1, 6) for i in range(4)]
    assert {f.answered.of for f in figures(enough).values()} == {0.0}


def test_pools_are_not_compared_with_each_other() -> None:
    found = figures([*healthy([1]), cell(2, 600, 60, pool=2)])
    assert found[1].answered.of == found[2].answered.of == 0.0


def test_too_few_calls_are_no_ground_for_a_verdict() -> None:
    found = verdicts([*healthy(range(2, 11)), cell(1, ENOUGH - 1, 0)])
    assert found[1].state is State.UNKNOWN
    assert found[1].why == f"{ENOUGH - 1} calls where other numbers of its pool called too; judged from {ENOUGH} on"
    never = verdicts(healthy(range(2, 11)), one=Number(1, 1))
    assert (never[1].state, never[1].why) == (State.UNKNOWN, "no calls to judge it by")


def test_a_difference_that_is_sure_and_small_does_not_matter() -> None:
    found = verdicts([*healthy(range(2, 11), 60_000, 12_000), cell(1, 60_000, 10_800)])
    assert (found[1].state, found[1].chance < 1e-9) == (State.HEALTHY, True)


@pytest.mark.parametrize(
    ("more", "sign", "words"),
    [
        ({"rejected": 60}, "rejected", "rejected: 60 of 600 calls, where its pool would have had none"),
        ({"short": 60}, "short", "over within 6 seconds: 60 of 120 answered calls, where its pool would have had 15"),
    ],
)
def test_rejected_and_short_calls_are_signs_too(more: dict[str, int], sign: str, words: str) -> None:
    found = verdicts([*healthy(range(2, 11)), cell(1, 600, 120, **dict[str, Any](more))])
    assert (found[1].state, found[1].sign) == (State.RESTING, sign)
    assert found[1].why.startswith(words)


def test_switched_off_it_is_shown_and_does_not_rest() -> None:
    found = verdicts([*healthy(range(2, 11)), cell(1, 600, 60)], Policy(rest=False))
    assert (found[1].state, found[1].until) == (State.SUSPECT, None)
    assert found[1].why.endswith("; does not rest: resting is switched off")


def test_half_of_a_pool_is_left_and_the_worst_rest() -> None:
    sick = {n: 100 - 5 * n for n in range(1, 7)}  # 6 of 10, the higher the worse
    cells = [*healthy(range(7, 11), 1000, 400), *(cell(n, 1000, answered) for n, answered in sick.items())]
    found = verdicts(cells)
    assert [n for n in sick if found[n].state is State.RESTING] == [2, 3, 4, 5, 6]
    assert found[1].state is State.SUSPECT
    assert found[1].why.endswith("; does not rest: too many of its pool rest already")
    resting = Number(10, 1, rested_until=NOW + DAY)
    assert [n for n in sick if verdicts(cells, ten=resting)[n].state is State.RESTING] == [3, 4, 5, 6]
    assert not [v for v in verdicts(cells, Policy(at_most=0.0)).values() if v.state is State.RESTING]


def test_who_rests_or_is_inactive_gets_no_verdict() -> None:
    cells = [*healthy(range(3, 11)), cell(1, 600, 60), cell(2, 600, 60)]
    found = verdicts(cells, one=Number(1, 1, rested_until=NOW + DAY), two=Number(2, 1, active=False))
    assert set(found) == set(range(3, 11))


@pytest.mark.parametrize(
    ("rests", "ended", "expected"),
    [
        (0, None, (1, 1)),
        (1, DAY, (2, 3)),
        (2, DAY, (3, 7)),
        (3, DAY, (4, 14)),
        (9, DAY, (10, 14)),
        (3, 30 * DAY, (4, 14)),
        (3, 31 * DAY, (1, 1)),
    ],
)
def test_each_rest_is_longer_until_a_month_went_well(
    rests: int, ended: timedelta | None, expected: tuple[int, int]
) -> None:
    number = Number(1, 1, rested_until=NOW - ended if ended else None, rests=rests)
    assert next_rest(number, NOW) == expected


def test_calls_that_hang_together_make_a_pool_careful() -> None:
    # As if each person were called again and again from one number: the numbers differ by more than luck allows.
    uneven = [cell(n, 600, 120 + (30 if n % 2 else -30)) for n in range(1, 41)]
    alone = verdicts([*healthy(range(2, 41)), cell(1, 600, 75)])
    among = verdicts([*uneven[1:], cell(1, 600, 75)])
    assert (alone[1].state, among[1].state) == (State.RESTING, State.HEALTHY)
    assert among[1].chance > 50 * alone[1].chance


def test_a_small_chance_in_words() -> None:
    assert odds(1 / 4012) == "1 in 4,000"
    assert odds(0.026) == "1 in 38"
    assert odds(1e-9) == "less than 1 in a million"
