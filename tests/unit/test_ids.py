"""The names by which our things are known inside Asterisk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core import ids

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def test_an_attempt_is_known_by_its_id_on_both_halves_of_a_local_pair() -> None:
    assert ids.is_attempt(ATTEMPT)
    assert ids.attempt_of(ATTEMPT) == ids.attempt_of(f"{ATTEMPT};2") == ATTEMPT


@pytest.mark.parametrize(
    "text",
    [
        "", "1795171009.241", f"{ATTEMPT};2", f"{ATTEMPT};1", f"{ATTEMPT}\n", f" {ATTEMPT}", ATTEMPT.upper(),
        ATTEMPT.replace("-", ""), ATTEMPT + "0", ATTEMPT.replace("0", "٠"), "dialerd-agent-7", f"{ATTEMPT}\r\nX: 1",
    ],
)  # fmt: skip
def test_nothing_else_is_an_attempt(text: str) -> None:
    assert not ids.is_attempt(text)


@given(st.uuids())
def test_every_uuid_as_postgresql_writes_it_is_an_attempt(id_: object) -> None:
    assert ids.is_attempt(str(id_))


@given(st.integers(1, 10**18 - 1), st.integers(0, 2**32 - 1))
def test_an_agent_is_read_back_from_the_names_of_leg_and_bridge(agent: int, nonce: int) -> None:
    bridge = ids.agent_bridge(agent, f"{nonce:08x}")
    assert ids.agent_of(bridge) == ids.holder_of(ids.hold_bridge(bridge)) == agent
    assert ids.agent_of(ids.agent_leg(agent, f"{nonce:08x}")) == agent
    assert not ids.is_attempt(ids.agent_leg(agent, f"{nonce:08x}"))


@given(st.uuids(), st.from_regex("[a-z][a-z0-9_-]{0,63}", fullmatch=True), st.integers(0, 2**32 - 1))
def test_attempt_and_node_are_read_back_from_the_name_of_a_queues_room(id_: object, node: str, nonce: int) -> None:
    room = ids.queue_room(str(id_), node, f"{nonce:08x}")
    assert (ids.room_of(room), ids.queue_node(room)) == (str(id_), node)
    assert not ids.is_waiting_room(room) and ids.parked(room) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "dialerd-agent-", "dialerd-agent-0", "dialerd-agent-07", "dialerd-agent-7-", "dialerd-agent-7-xyz",
        "dialerd-agent-7-0123456", "dialerd-agent-7\n", "dialerd-agent-٧", "dialerd-agent--7", "xdialerd-agent-7",
        "dialerd-agent-" + "9" * 5000, "dialerd-agent-7-01234567-01234567", ATTEMPT,
    ],
)  # fmt: skip
def test_nothing_else_is_an_agent(text: str) -> None:
    assert ids.agent_of(text) is None
