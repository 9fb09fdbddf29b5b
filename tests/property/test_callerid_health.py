"""The health of caller IDs by dice with fixed seeds: it leaves healthy pools alone, and finds who is labelled.

The same at length: `python -m bench.callerid_health`.
"""

from hypothesis import given
from hypothesis import strategies as st

from bench.callerid_health import false_rests, found
from dialerd.core.callerid_health import ENOUGH, NOTHING, Cell, figures, share

_CELLS = st.builds(
    lambda number, area, slot, answered, more, rejected, short: Cell(
        number, 1, area, "FI", slot, answered + more + rejected, answered, rejected, answered, min(short, answered)
    ),
    *(st.integers(1, 5), st.sampled_from(["FI-40", "FI-50", "FI"]), st.integers(0, 2)),
    *(st.integers(0, 40) for _ in range(4)),
)


def test_a_healthy_pool_of_500_rests_almost_never() -> None:
    assert false_rests(500, 300, 15) == 0


def test_nor_do_small_pools() -> None:
    assert false_rests(5, 500, 150) <= 1
    assert false_rests(50, 150, 40, mean=0.05) == 0


def test_a_number_whose_answers_are_halved_is_found_within_800_calls() -> None:
    assert found(5, 800, 60) >= 0.9
    assert found(50, 800, 20) >= 0.9
    assert found(500, 800, 2) >= 0.9


@given(st.lists(_CELLS, max_size=40))
def test_what_a_pool_had_is_what_its_numbers_were_expected_to_have(cells: list[Cell]) -> None:
    found = figures(cells)
    for name in ("answered", "rejected", "short"):
        shares = [getattr(each, name) for each in found.values()]
        assert abs(sum(s.seen - s.expected for s in shares)) < 1e-6
        assert all(s.variance >= 0 and 0 <= s.rate <= 1 + 1e-9 and 0 <= s.others <= 1 + 1e-9 for s in shares)


@given(st.integers(0, ENOUGH), st.integers(0, ENOUGH), st.integers(0, ENOUGH), st.integers(0, ENOUGH))
def test_a_stratum_of_one_number_says_nothing(of: int, seen: int, others: int, others_seen: int) -> None:
    seen, others_seen = min(seen, of), min(others_seen, others)
    here = share(of, seen, of + others, seen + others_seen)
    assert (here == NOTHING) == (not of or not others)
