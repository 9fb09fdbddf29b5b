"""An agent's states, and the only steps between them."""

from itertools import product

import pytest

from dialerd.core.agent import IN_CALL, LOGGED_IN, TRANSITIONS, WORKING, AgentState, Do, IllegalStep, step

# A day as it is meant to go, written out here once more: the table must allow it, and nothing else.
LEGAL = {
    "offline": {"connect": "connecting"},
    "connecting": {"leg_up": "ready"},
    "ready": {"reserve": "reserved", "pause": "paused"},
    "reserved": {"release": "ready", "join": "on_call"},
    "on_call": {"call_ended": "wrap_up"},
    "wrap_up": {"ready": "ready", "pause": "paused"},
    "paused": {"ready": "ready"},
}


@pytest.mark.parametrize(("state", "do"), list(product(AgentState, Do)))
def test_every_step_is_in_the_table_or_refused_by_name(state: AgentState, do: Do) -> None:
    expected = "offline" if do is Do.LEG_DOWN else LEGAL[state].get(do)
    if expected is not None:
        assert step(state, do) == expected
        return
    with pytest.raises(IllegalStep, match=f"an agent who is {state} cannot {do}") as refused:
        step(state, do)
    assert (refused.value.state, refused.value.do) == (state, do)


@pytest.mark.parametrize("state", AgentState)
def test_an_agent_whose_phone_is_gone_is_offline_wherever_they_were(state: AgentState) -> None:
    assert step(state, Do.LEG_DOWN) is AgentState.OFFLINE


@pytest.mark.parametrize("state", AgentState)
def test_no_state_is_a_trap_and_every_one_is_reached(state: AgentState) -> None:
    def reach(start: AgentState) -> set[AgentState]:
        found = {start}
        while more := {after for (before, _), after in TRANSITIONS.items() if before in found} - found:
            found |= more
        return found

    assert reach(state) == set(AgentState)


def test_a_call_is_only_given_to_who_is_ready() -> None:
    assert [s for s in AgentState if (s, Do.RESERVE) in TRANSITIONS] == [AgentState.READY]


def test_the_groups_are_what_their_names_say() -> None:
    assert set(IN_CALL) == {AgentState.RESERVED, AgentState.ON_CALL}
    assert set(WORKING) == {AgentState.ON_CALL, AgentState.WRAP_UP}
    assert set(AgentState) - LOGGED_IN == {AgentState.OFFLINE, AgentState.CONNECTING}
