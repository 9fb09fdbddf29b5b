"""What calls and agents teach the pacing: every end once, with its age, and nothing that we caused ourselves."""

from datetime import timedelta
from typing import Any

import pytest

from dialerd.core import attempt as core
from dialerd.core.agent import Do
from dialerd.core.attempt import Event, Facts, Kind, State
from dialerd.core.retry import History
from dialerd.engine.agents import Agents
from dialerd.engine.calls import Call, Calls
from dialerd.engine.learning import Lessons
from tests.unit.test_conversations import ATTEMPT, NOW, campaign
from tests.unit.test_pacer import Handmade


class Pupil:
    """A pilot's learner that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def line_ended(self, now: float, age: float, answered: bool, segment: Any = None) -> None:
        self.told.append(("line", age, answered, segment))

    def talk_ended(self, now: float, seconds: float) -> None:
        self.told.append(("talk", seconds))

    def wrap_up_ended(self, now: float, seconds: float) -> None:
        self.told.append(("wrap-up", seconds))

    def agent_stood(self, seconds: float, left: bool) -> None:
        self.told.append(("stood", seconds, left))


class Class:
    """One call of one campaign, one free agent."""

    def __init__(self, **changes: Any) -> None:
        self.clock = Handmade()
        self.campaign = campaign(**changes)
        self.pupil = Pupil()
        self.campaign.pilot.learner = self.pupil  # type: ignore[assignment]
        self.lessons = Lessons(self.clock, {1: self.campaign})
        self.calls = Calls(self._learned)
        self.agents = Agents(self.clock, self.lessons.stepped)
        self.agents.load([{"id": 1, "tenant_id": 1, "name": "a", "endpoint": "a", "queues": ["q"],
                           "default_region": "FI", "state_at": NOW}])  # fmt: skip
        self.agent = self.agents.named("a")
        for do in (Do.CONNECT, Do.LEG_UP):
            self.agents.step(self.agent, do)
        self.call = Call(
            ATTEMPT, self.campaign, 1, "+358401234567", History(1, {}), Facts(NOW), self.clock.at, segment=(3, 9)
        )
        self.calls.add(self.call)

    def _learned(self, call: Call, event: Event, before: State) -> None:
        if call.state is State.ENDED:
            self.lessons.ended(call, core.outcome(call.facts, call.campaign.grace_seconds))
        else:
            self.lessons.learned(call, event)

    def after(self, seconds: float, kind: Kind, **details: Any) -> None:
        self.clock.at += seconds
        at = NOW + timedelta(seconds=self.clock.at - 1000.0)
        self.calls.learn(ATTEMPT, Event(kind, at, **details))

    def steps(self, *steps: tuple[float, Do]) -> None:
        for seconds, do in steps:
            self.clock.at += seconds
            self.agents.step(self.agent, do)


def test_a_person_is_learned_when_the_call_is_in_our_hands_and_the_talk_when_it_ends() -> None:
    room = Class()
    room.after(0.1, Kind.SENT)
    room.after(9.9, Kind.DIAL_ENDED, status="ANSWER")
    assert room.pupil.told == []
    room.after(4.0, Kind.ENTERED, status="HUMAN")
    assert room.pupil.told == [("line", 14.0, True, (3, 9))]
    room.after(0.5, Kind.JOINED, agent_id=1)
    assert room.campaign.book.fresh == {ATTEMPT: False}
    room.after(60.0, Kind.LEFT)
    room.after(0.0, Kind.HUNG_UP, cause=16)
    assert room.pupil.told[1:] == [("talk", 60.0)]


@pytest.mark.parametrize(("status", "cause"), [("BUSY", 17), ("NOANSWER", 19), ("CONGESTION", 34)])
def test_a_line_that_nobody_answers_is_learned_with_its_age(status: str, cause: int) -> None:
    room = Class()
    room.after(0.1, Kind.SENT)
    room.after(20.0, Kind.DIAL_ENDED, status=status)
    room.after(0.0, Kind.HUNG_UP, cause=cause)
    assert room.pupil.told == [("line", pytest.approx(20.1), False, (3, 9))]
    assert room.campaign.book.fresh == {}
    assert room.campaign.ended_monotonic == room.clock.at


def test_a_machine_is_no_answer_and_is_learned_when_it_is_recognised() -> None:
    room = Class(machine_detection="drop")
    room.after(12.0, Kind.ENTERED, status="MACHINE")
    assert room.pupil.told == [("line", 12.0, False, (3, 9))]
    room.after(0.1, Kind.LEFT)
    room.after(0.1, Kind.HUNG_UP, cause=16)
    assert len(room.pupil.told) == 1
    assert (room.campaign.book.fresh, room.campaign.book.machines) == ({}, {ATTEMPT})


def test_a_machine_that_is_checked_is_an_answer_with_a_conversation_as_one_that_passes_for_a_person_is() -> None:
    told = []
    for verdict, checked in (("MACHINE", True), ("HUMAN", False)):
        room = Class(machine_detection="drop")
        room.call.checked = checked
        room.after(12.0, Kind.ENTERED, status=verdict)
        room.after(1.0, Kind.JOINED, agent_id=1)
        room.after(4.0, Kind.LEFT)
        room.after(0.0, Kind.HUNG_UP, cause=16)
        assert (room.campaign.book.fresh, room.campaign.book.machines) == ({ATTEMPT: False}, set())
        told.append(room.pupil.told)
    assert told[0] == told[1] == [("line", 12.0, True, (3, 9)), ("talk", 4.0)]


def test_what_was_never_sent_or_lost_or_ended_by_us_teaches_nothing() -> None:
    room = Class()
    room.after(1.0, Kind.NOT_SENT)
    assert room.campaign.ended_monotonic is None
    lost = Class()
    lost.after(0.1, Kind.SENT)
    lost.after(50.0, Kind.GONE)
    cut = Class()
    cut.after(0.1, Kind.SENT)
    cut.call.cut_short = True
    cut.after(5.0, Kind.DIAL_ENDED, status="CANCEL")
    cut.after(0.0, Kind.HUNG_UP, cause=19)
    assert room.pupil.told == lost.pupil.told == cut.pupil.told == []


def test_an_abandoned_call_is_in_the_book_when_its_grace_is_over_and_only_once() -> None:
    room = Class()
    room.after(5.0, Kind.ENTERED)
    room.lessons.nobody_came(room.call)
    assert room.campaign.book.fresh == {ATTEMPT: True}
    room.campaign.book.fresh.clear()  # as if it had been read meanwhile
    room.after(9.0, Kind.LEFT)
    room.after(0.0, Kind.HUNG_UP, cause=16)
    assert room.campaign.book.fresh == {}
    assert [told[0] for told in room.pupil.told] == ["line"]


def test_a_call_taken_over_after_a_restart_teaches_no_ring_time() -> None:
    room = Class()
    room.after(1.0, Kind.SEEN, status="Up")
    room.after(1.0, Kind.JOINED, agent_id=1)
    room.after(30.0, Kind.LEFT)
    room.after(0.0, Kind.HUNG_UP, cause=16)
    assert room.pupil.told == [("talk", 30.0)]


def test_agents_teach_how_long_they_stand_and_wrap_up_and_that_they_leave() -> None:
    room = Class()
    room.after(0.0, Kind.ENTERED)
    room.after(0.0, Kind.JOINED, agent_id=1)
    room.pupil.told.clear()
    room.steps((7.0, Do.RESERVE), (0.0, Do.JOIN), (30.0, Do.CALL_ENDED), (12.0, Do.READY), (4.0, Do.PAUSE))
    assert room.pupil.told == [("stood", 7.0, False), ("wrap-up", 12.0), ("stood", 4.0, True)]
    room.steps((60.0, Do.READY), (3.0, Do.LEG_DOWN))
    assert room.pupil.told[3:] == [("stood", 3.0, True)]


def test_a_pause_that_was_asked_for_during_the_call_is_no_short_wrap_up() -> None:
    room = Class()
    room.after(0.0, Kind.ENTERED)
    room.after(0.0, Kind.JOINED, agent_id=1)
    room.steps((1.0, Do.RESERVE), (0.0, Do.JOIN))
    room.pupil.told.clear()
    room.agent.pause_after = "lunch"
    room.steps((30.0, Do.CALL_ENDED), (0.0, Do.PAUSE))
    assert room.pupil.told == []
