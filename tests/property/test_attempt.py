"""The attempt's state machine under every order, repetition and loss of events that two connections can produce."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core import attempt as core
from dialerd.core.attempt import TRANSITIONS, Event, Facts, Kind, State
from dialerd.core.causes import Outcome

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GRACE = 2.0


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def ami(*kinds: tuple[Kind, float, dict[str, object]]) -> list[Event]:
    return [Event(kind, at(seconds), **extra) for kind, seconds, extra in kinds]  # type: ignore[arg-type]


# What really happens, as each connection tells it (recorded from Asterisk 22.10), and how it must end.
CALLS: dict[str, tuple[list[Event], list[Event], Outcome]] = {
    "conversation": (
        ami(
            (Kind.SENT, 0, {}), (Kind.RINGING, 1, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}),
            (Kind.HUNG_UP, 60, {"cause": 16}),
        ),
        ami((Kind.ENTERED, 5.01, {}), (Kind.JOINED, 5.02, {"agent_id": 7}), (Kind.LEFT, 60, {})),
        Outcome.CONNECTED,
    ),
    "nobody free": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 12, {"cause": 16})),
        ami((Kind.ENTERED, 5.01, {}), (Kind.LEFT, 7.02, {})),
        Outcome.ABANDONED,
    ),
    "hung up at once": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 5.3, {"cause": 16})),
        ami((Kind.ENTERED, 5.01, {}), (Kind.LEFT, 5.3, {})),
        Outcome.HUNG_UP,
    ),
    "hung up and joined in the same moment": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 5.02, {"cause": 16})),
        ami((Kind.ENTERED, 5.01, {}), (Kind.JOINED, 5.02, {"agent_id": 7}), (Kind.LEFT, 5.02, {})),
        Outcome.CONNECTED,
    ),
    "machine": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 9, {"cause": 16})),
        ami((Kind.ENTERED, 8.9, {"status": "MACHINE"}), (Kind.LEFT, 9, {})),
        Outcome.MACHINE,
    ),
    "handed over by its flow, and nobody came": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 24, {"cause": 16})),
        ami((Kind.ENTERED, 5.01, {}), (Kind.HANDED, 20, {"detail": "agent"}), (Kind.LEFT, 22.02, {})),
        Outcome.ABANDONED,
    ),
    "handed over by its flow, and hung up": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 21, {"cause": 16})),
        ami((Kind.ENTERED, 5.01, {}), (Kind.HANDED, 20, {"detail": "agent"}), (Kind.LEFT, 21, {})),
        Outcome.HUNG_UP,
    ),
    "handed over by its flow to an agent": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 60, {"cause": 16})),
        ami((Kind.ENTERED, 5.01, {}), (Kind.HANDED, 20, {}), (Kind.JOINED, 21, {"agent_id": 7}), (Kind.LEFT, 60, {})),
        Outcome.CONNECTED,
    ),
    "answered while ARI was away": (
        ami((Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 5, {"status": "ANSWER"}), (Kind.HUNG_UP, 12, {"cause": 16})),
        [],
        Outcome.ABANDONED,
    ),
    "busy": (
        ami(
            (Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 1, {"status": "BUSY"}), (Kind.HUNG_UP, 1, {"cause": 17}),
            (Kind.REFUSED, 1, {"detail": "reason 0"}),
        ),
        [],
        Outcome.BUSY,
    ),
    "rejected, the reply before the hang-up": (
        ami(
            (Kind.SENT, 0, {}), (Kind.DIAL_ENDED, 1, {"status": "NOANSWER"}), (Kind.REFUSED, 1, {}),
            (Kind.HUNG_UP, 1, {"cause": 21}),
        ),
        [],
        Outcome.REJECTED,
    ),
    "rings out": (
        ami((Kind.SENT, 0, {}), (Kind.RINGING, 1, {}), (Kind.REFUSED, 30, {}), (Kind.HUNG_UP, 30, {"cause": 19})),
        [],
        Outcome.NO_ANSWER,
    ),
    "the trunk says nothing at all": (
        ami((Kind.SENT, 0, {}), (Kind.HUNG_UP, 30, {"cause": 19}), (Kind.REFUSED, 30, {})),
        [],
        Outcome.FAILED,
    ),
    "no such endpoint": (ami((Kind.SENT, 0, {}), (Kind.REFUSED, 0, {"detail": "reason 0"})), [], Outcome.FAILED),
}  # fmt: skip

SETTLED = Event(Kind.SETTLED, at(100))
GONE = Event(Kind.GONE, at(200))


@st.composite
def told(draw: st.DrawFn) -> tuple[str, list[Event]]:
    """A call, and its events as they may reach us: interleaved, some more than once."""
    name = draw(st.sampled_from(sorted(CALLS)))
    first, second, _ = CALLS[name]
    first, second = list(first), list(second)
    events: list[Event] = []
    while first or second:
        source = first if first and (not second or draw(st.booleans())) else second
        events.append(source.pop(0))
        if draw(st.integers(0, 5)) == 0:
            events.append(draw(st.sampled_from(events)))
    return name, events


def run(events: list[Event]) -> tuple[Facts, list[State]]:
    facts = Facts(T0)
    states = [core.state(facts)]
    for event in events:
        facts = core.apply(facts, event)
        states.append(core.state(facts))
    return facts, states


@given(told())
def test_every_order_and_repetition_ends_in_the_same_outcome(case: tuple[str, list[Event]]) -> None:
    name, events = case
    facts, _ = run([*events, SETTLED])
    assert core.is_over(facts)
    assert core.outcome(facts, GRACE) is CALLS[name][2]


@given(told(), st.data())
def test_whatever_is_lost_reconcile_ends_it_once_and_nothing_changes_it_afterwards(
    case: tuple[str, list[Event]], data: st.DataObject
) -> None:
    _, events = case
    kept = [event for event in events if data.draw(st.booleans())]
    facts, _ = run([*kept, SETTLED, GONE])
    assert core.state(facts) is State.ENDED
    before = (facts, core.outcome(facts, GRACE))
    late, _ = run([*kept, SETTLED, GONE, *events])
    assert (late, core.outcome(late, GRACE)) == before


@given(told(), st.data())
def test_only_legal_transitions_are_ever_seen(case: tuple[str, list[Event]], data: st.DataObject) -> None:
    _, events = case
    extra = [Event(Kind.LINK_LOST, at(1)), Event(Kind.SEEN, at(2), status="Up"), SETTLED, GONE]
    for event in extra:
        if data.draw(st.booleans()):
            events.insert(data.draw(st.integers(0, len(events))), event)
    _, states = run(events)
    for before, after in pairwise(states):
        assert after is before or after in TRANSITIONS[before], (before, after)


@given(told(), st.data())
def test_losing_any_event_never_turns_a_live_answer_into_something_better(
    case: tuple[str, list[Event]], data: st.DataObject
) -> None:
    """Abandonment is never hidden: with events missing, an abandoned call may look worse, but not like no answer."""
    name, events = case
    answered = [e for e in events if e.kind in (Kind.ENTERED, Kind.DIAL_ENDED) and e.status in ("", "ANSWER")]
    if CALLS[name][2] is not Outcome.ABANDONED or not answered:
        return
    keep = data.draw(st.sampled_from(answered))
    kept = [event for event in events if event is keep or data.draw(st.booleans())]
    facts, _ = run([*kept, SETTLED, GONE])
    assert core.outcome(facts, GRACE) in (Outcome.ABANDONED, Outcome.UNKNOWN) or facts.hung_up_at is None


@pytest.mark.parametrize(
    ("seconds", "cause", "machine", "outcome"),
    [(12, 16, "", Outcome.PLAYED), (1, 16, "", Outcome.HUNG_UP), (0, 79, "", Outcome.FAILED),
     (12, 16, "MACHINE", Outcome.MACHINE)],
)  # fmt: skip
def test_who_answers_a_broadcast_has_heard_it_or_hung_up_but_is_never_abandoned(
    seconds: int, cause: int, machine: str, outcome: Outcome
) -> None:
    entered = Event(Kind.ENTERED, at(0), status=machine)
    facts, _ = run([entered, Event(Kind.LEFT, at(0)), Event(Kind.HUNG_UP, at(seconds), cause=cause)])
    assert core.outcome(facts, 2.0, broadcast=True) is outcome
    assert core.outcome(facts, 2.0) is not Outcome.PLAYED


def test_an_attempt_whose_fate_is_lost_is_unknown_until_reconcile_finds_its_channel_or_gives_up() -> None:
    facts = core.apply(Facts(T0), Event(Kind.LINK_LOST, at(0)))
    assert core.state(facts) is State.UNKNOWN
    found = core.apply(facts, Event(Kind.SEEN, at(1), status="Ringing"))
    assert core.state(found) is State.RINGING
    lost = core.apply(facts, GONE)
    assert core.outcome(lost, GRACE) is Outcome.UNKNOWN


def test_what_was_never_sent_is_told_apart_from_what_was_lost() -> None:
    facts = core.apply(Facts(T0), Event(Kind.NOT_SENT, at(0), detail="the link was down"))
    assert core.outcome(facts, GRACE) is Outcome.NOT_SENT
    sent = core.apply(core.apply(Facts(T0), Event(Kind.SENT, at(0))), Event(Kind.NOT_SENT, at(1)))
    assert not core.is_over(sent)
