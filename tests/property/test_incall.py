"""Calls in mid-talk under any order of what agents ask for and what phones do: nobody is left alone in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.incall import SCENES, TRANSITIONS, Do, IllegalStep, Party, Talk, step

WITH_AGENT = {Talk.TALKING, Talk.ON_HOLD, Talk.RINGING, Talk.CONSULTING, Talk.THREE_WAY}
WITH_THIRD = {Talk.CONSULTING, Talk.THREE_WAY, Talk.TOGETHER}


@given(st.lists(st.sampled_from(Do), max_size=60))
def test_only_the_steps_of_the_table_happen_and_everybody_who_is_there_hears_somebody_or_something(
    does: list[Do],
) -> None:
    talk = Talk.TALKING
    for do in does:
        try:
            after = step(talk, do)
        except IllegalStep:
            assert (talk, do) not in TRANSITIONS
            continue
        assert TRANSITIONS[talk, do] is after
        talk = after
        parties = [party for room, _ in SCENES[talk] for party in room]
        assert len(parties) == len(set(parties)), "one place at a time"
        assert all(len(room) > 1 or sound for room, sound in SCENES[talk])
        assert (Party.PERSON in parties) is (talk is not Talk.OVER)
        assert (Party.AGENT in parties) is (talk in WITH_AGENT)
        assert (Party.THIRD in parties) is (talk in WITH_THIRD)


@pytest.mark.parametrize("talk", sorted(set(Talk) - {Talk.OVER}))
def test_every_party_may_leave_at_any_time_and_the_person_ends_the_call(talk: Talk) -> None:
    assert step(talk, Do.PERSON_GONE) is Talk.OVER
    if talk in WITH_AGENT:
        assert step(talk, Do.AGENT_GONE) in (Talk.WAITING, Talk.TOGETHER)
    if talk in WITH_THIRD | {Talk.RINGING, Talk.SENT}:
        assert step(talk, Do.THIRD_GONE) in (Talk.TALKING, Talk.WAITING, Talk.OVER)


@pytest.mark.parametrize("talk", [Talk.PARKED, Talk.WAITING])
def test_every_wait_without_an_agent_has_a_limit(talk: Talk) -> None:
    assert step(talk, Do.LIMIT) in (Talk.WAITING, Talk.MESSAGE)


def test_nothing_follows_the_end() -> None:
    assert not [do for talk, do in TRANSITIONS if talk is Talk.OVER]
