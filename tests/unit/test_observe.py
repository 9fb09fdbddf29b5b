"""The snapshot: ages and chances of lines, agents by what they do, room, and the book."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dialerd.config import Trunk
from dialerd.core.agent import AgentState
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.flow import Script
from dialerd.core.flow_check import read
from dialerd.core.machines import Tally, lost
from dialerd.core.retry import History
from dialerd.engine.books import TOO_OLD_SECONDS, Book
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.observe import observe
from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.snapshot import Snapshot
from tests.unit.test_conversations import NOW
from tests.unit.test_pacer import Floor, named


def seen(floor: Floor, id_: int = 1) -> Snapshot:
    return observe(floor.node, floor.campaigns[id_], Trunk(endpoint="t", max_calls=30))


def line(floor: Floor, campaign: Campaign, age: float, **changes: Any) -> Call:
    name = f"line-{len(floor.calls)}"
    call = Call(name, campaign, 1, "+358401234567", History(1, {}), Facts(NOW), floor.clock.at - age)
    call = replace(call, **{"chance": 0.25, **changes})
    floor.calls.add(call)
    return call


def test_lines_have_their_age_and_the_chance_that_they_had() -> None:
    floor = Floor(1, named(1, dial_mode="predictive"))
    line(floor, floor.campaigns[1], 4.20049)
    line(floor, floor.campaigns[1], 11.0, chance=0.123456)
    s = seen(floor)
    assert s.ringing == ((4.2, 0.25), (11.0, 0.1235))
    assert (s.lines, s.connected, s.waiting) == (2, 0, 0)


def test_lines_of_other_campaigns_count_when_the_same_agents_take_them() -> None:
    floor = Floor(1, named(1, dial_mode="predictive"), named(2), named(3, queue_name="other"), named(4, tenant_id=2))
    for n in (2, 3, 4):
        line(floor, floor.campaigns[n], 1.0)
    floor.campaigns[2].claiming = 2
    s = seen(floor)
    assert [age for age, _ in s.ringing] == [1.0, 0.0, 0.0]
    assert s.lines == 0


def test_answered_calls_wait_and_those_on_their_way_to_the_message_are_nobodys() -> None:
    floor = Floor(0, named(1, dial_mode="predictive"))
    agent(floor, AgentState.ON_CALL, 10.0)
    waits, to_message, reserved = (line(floor, floor.campaigns[1], 9.0) for _ in range(3))
    for call in (waits, to_message, reserved):
        floor.calls.learn(call.attempt, Event(Kind.ENTERED, NOW))
    waits.waits, reserved.agent_id = True, 1
    s = seen(floor)
    assert (s.waiting, s.ringing, s.lines) == (1, (), 3)


def agent(floor: Floor, state: AgentState, seconds: float, pause_after: str | None = None) -> None:
    found = floor.hire()
    found.state, found.since_monotonic, found.pause_after = state, floor.clock.at - seconds, pause_after


def test_agents_are_seen_by_what_they_do_and_since_when() -> None:
    floor = Floor(0, named(1, dial_mode="predictive"))
    agent(floor, AgentState.ON_CALL, 33.3)
    agent(floor, AgentState.RESERVED, 5.0)
    agent(floor, AgentState.WRAP_UP, 7.0)
    agent(floor, AgentState.READY, 1.0)
    agent(floor, AgentState.PAUSED, 1.0)
    agent(floor, AgentState.CONNECTING, 1.0)
    agent(floor, AgentState.ON_CALL, 44.0, pause_after="lunch")
    s = seen(floor)
    assert (s.ready, s.talking, s.wrapping_up) == (1, (33.3, 0.0), (7.0,))


def test_progressive_asks_only_who_is_free_now() -> None:
    """Lines of a queue whose only common agent is busy take nobody away who is free."""
    floor = Floor(1, named(1), named(2, queue_name="other"))
    agent(floor, AgentState.ON_CALL, 5.0)
    busy = floor.agents.get(2)
    assert busy is not None
    busy.queues = frozenset({"q", "other"})
    line(floor, floor.campaigns[2], 1.0)
    assert seen(floor).ringing == ()
    floor.campaigns[1].dial_mode = "predictive"
    assert len(seen(floor).ringing) == 1


def test_the_book_counts_on_from_what_was_read_and_is_no_ground_when_it_is_old() -> None:
    book = Book()
    assert book.budget(0.0, 0.03) is None
    book.count("a", abandoned=True)
    book.count("b", abandoned=False)
    book.take(100.0, [NOW], [Window(10, 1), Window(500, 9)], ["a"])
    assert book.budget(101.0, 0.03) == Budget(0.03, (Window(11, 1), Window(501, 9)))
    assert book.budget(100.0 + TOO_OLD_SECONDS + 1, 0.03) is None


def test_the_book_counts_machines_on_where_the_law_counts_persons_taken_for_them() -> None:
    book = Book()
    for attempt in ("a", "b", "c"):
        book.count_machine(attempt)
    book.take(100.0, [NOW], [Window(10, 1)], [])
    assert book.budget(101.0, 0.03) == Budget(0.03, (Window(10, 1),)), "the law says nothing of them"
    book.take(100.0, [NOW], [Window(10, 1)], ["a"], Tally((7,), (0,), 0, 0))
    assert book.budget(101.0, 0.03) == Budget(0.03, (Window(10, 1, 9.0),)), "none was checked: each may be one"
    book.count("b", abandoned=False)  # its flow gave it to an agent
    book.take(102.0, [NOW], [Window(10, 1)], [], Tally((7,), (0,), 200, 4))
    assert book.budget(103.0, 0.03) == Budget(0.03, (Window(11, 1, lost(8, 200, 4)),))


def test_a_machine_in_a_flow_waits_for_nobody_unless_the_flow_leads_to_agents() -> None:
    for text, waiting in (('[nodes.bye]\ntype = "hangup"\n', 0), ('[nodes.agent]\ntype = "agent"\n', 1)):
        flow = read(text, "m", "m.toml")
        campaign = named(1, dial_mode="predictive", machine_detection="flow", machine_script=Script(flow, {}))
        floor = Floor(1, campaign)
        call = line(floor, campaign, 9.0)
        floor.calls.learn(call.attempt, Event(Kind.ENTERED, NOW, status="MACHINE"))
        call.in_flow = True
        assert (seen(floor).waiting, seen(floor).lines) == (waiting, 0)


@given(st.lists(st.tuples(st.floats(0, 100, allow_nan=False), st.floats(0, 1)), max_size=10))
def test_a_snapshot_survives_being_written_down(lines: list[tuple[float, float]]) -> None:
    floor = Floor(2, named(1, dial_mode="predictive"))
    for age, chance in lines:
        line(floor, floor.campaigns[1], age, chance=chance)
    for age, chance in seen(floor).ringing:
        assert (float(f"{age:.3f}"), float(f"{chance:.4f}")) == (age, chance)


def test_a_serial_campaign_counts_from_the_end_of_its_last_call() -> None:
    floor = Floor(2, named(1, serial_interval_seconds=10.0))
    assert seen(floor).serial_wait == 0.0
    floor.campaigns[1].ended_monotonic = floor.clock.at - timedelta(seconds=4).total_seconds()
    assert seen(floor).serial_wait == 6.0
