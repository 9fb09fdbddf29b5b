"""How many lines to start: never too many, whatever the snapshot says."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.pacing.policy import MODES, Snapshot, decide

ANY = st.integers(-1000, 1000)
SNAPSHOTS = st.builds(Snapshot, st.sampled_from([*sorted(MODES), "power", ""]), ANY, ANY, ANY, ANY, ANY, ANY)
NATURAL = st.integers(0, 300)
HONEST = st.builds(Snapshot, st.just("progressive"), NATURAL, NATURAL, NATURAL, NATURAL, NATURAL, NATURAL)


def progressive(**changes: Any) -> Snapshot:
    free = Snapshot("progressive", 3, 0, 0, 0, max_concurrent_calls=100, headroom=100)
    return replace(free, **changes)


def test_one_line_for_each_ready_agent_who_has_none() -> None:
    assert decide(progressive()).lines == 3
    assert decide(progressive(lines=2, shared_lines=2)).lines == 1
    assert decide(progressive(lines=3, shared_lines=3)).lines == 0


def test_lines_of_other_campaigns_of_the_same_agents_count() -> None:
    assert decide(progressive(ready=3, lines=0, shared_lines=3)).lines == 0


@pytest.mark.accepts("PAC-02")
def test_calls_with_agents_count_against_the_campaigns_cap() -> None:
    decision = decide(progressive(connected=98, lines=1, shared_lines=1))
    assert decision.lines == 1
    assert "campaign cap of 100 leaves 1" in decision.reason


def test_the_reason_names_the_cap_that_bound() -> None:
    assert "trunk leaves 2" in decide(progressive(headroom=2)).reason
    assert "campaign cap of 0 leaves 0" in decide(progressive(max_concurrent_calls=0)).reason
    assert decide(progressive(ready=0)).reason == "no agent is ready"


@given(SNAPSHOTS)
def test_no_snapshot_however_absurd_gives_too_many_or_less_than_none(s: Snapshot) -> None:
    decision = decide(s)
    assert decision.lines >= 0
    assert decision.lines <= max(0, s.headroom)
    assert decision.lines <= max(0, s.max_concurrent_calls - s.lines - s.connected)
    assert decision.reason


@given(SNAPSHOTS, st.integers(-5, 0))
def test_without_a_ready_agent_nothing_is_dialled(s: Snapshot, ready: int) -> None:
    assert decide(replace(s, ready=ready, shared_lines=abs(s.shared_lines))).lines == 0


@given(HONEST)
def test_there_are_never_more_lines_out_than_ready_agents(s: Snapshot) -> None:
    assert decide(s).lines + s.shared_lines <= max(s.ready, s.shared_lines)


@given(HONEST, st.integers(0, 50))
def test_another_ready_agent_never_means_fewer_lines(s: Snapshot, more: int) -> None:
    assert decide(replace(s, ready=s.ready + more)).lines >= decide(s).lines


@given(SNAPSHOTS)
def test_preview_and_modes_that_are_not_there_dial_nothing_by_themselves(s: Snapshot) -> None:
    for mode in ("preview", "power", "predictive", "", "PROGRESSIVE"):
        assert decide(replace(s, mode=mode)).lines == 0
