"""One attempt: what is known of it, which state that makes, and how it ended.

AMI and ARI are two connections; their events reach us in any interleaving, twice, or not at all. So an attempt is
not a cursor that events push along but a set of *facts* that only grows (each `apply` is idempotent, and events
of different connections commute). State and outcome are read off the facts. That is what makes every legal order
of the same events end in the same place; tests/property/test_attempt.py proves it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from dialerd.core.causes import MESSAGE_LEFT, NORMAL_CLEARING, NOT_PLAYED, Outcome, of_unanswered
from dialerd.core.machines import VERDICT, WITHOUT_AGENT


class State(StrEnum):
    """Where an attempt is. `unknown` is the state of one whose fate is lost until reconcile finds out."""

    CLAIMED = "claimed"
    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    CONNECTED = "connected"
    UNKNOWN = "unknown"
    ENDED = "ended"


# Every step that may be seen, skipped ones included (a lost "ringing" must not stop an answer). `unknown` may turn
# into anything that reconcile or a late event proves, but never back into `claimed`: it is not dialled again.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.CLAIMED: frozenset(
        {State.DIALING, State.RINGING, State.ANSWERED, State.CONNECTED, State.UNKNOWN, State.ENDED}
    ),
    State.DIALING: frozenset({State.RINGING, State.ANSWERED, State.CONNECTED, State.UNKNOWN, State.ENDED}),
    State.RINGING: frozenset({State.ANSWERED, State.CONNECTED, State.UNKNOWN, State.ENDED}),
    State.ANSWERED: frozenset({State.CONNECTED, State.ENDED}),
    State.CONNECTED: frozenset({State.ENDED}),
    State.UNKNOWN: frozenset({State.DIALING, State.RINGING, State.ANSWERED, State.CONNECTED, State.ENDED}),
    State.ENDED: frozenset(),
}


class Kind(StrEnum):
    """What may be learned of an attempt, and from where."""

    SENT = "sent"  # AMI accepted the Originate ("successfully queued")
    REFUSED = "refused"  # the Originate failed: AMI said so, at once or in OriginateResponse
    NOT_SENT = "not_sent"  # proved: not a byte of the Originate left us
    LINK_LOST = "link_lost"  # the connection went between sending and the answer to it
    RINGING = "ringing"
    DIAL_ENDED = "dial_ended"  # status: ANSWER, BUSY, NOANSWER, …
    HUNG_UP = "hung_up"  # the channel ended; cause: Q.850
    ENTERED = "entered"  # StasisStart: the call was answered and is in our hands
    HANDED = "handed"  # its flow gave it to the agents; detail: the node
    JOINED = "joined"  # in an agent's bridge
    MESSAGE = "message"  # its agent had our message left on a machine, or the flow of a machine came to its end
    LEFT = "left"  # StasisEnd: it went out of our hands
    SEEN = "seen"  # reconcile found its channel alive; status says how far it is
    GONE = "gone"  # reconcile proved that no channel of this id exists any more
    SETTLED = "settled"  # the grace for late events of a call that hung up is over


@dataclass(frozen=True, slots=True)
class Event:
    """One thing learned. `at` is when it happened (Asterisk's own time where it gives one)."""

    kind: Kind
    at: datetime
    status: str = ""  # dial status, AMD verdict (ENTERED), channel state (SEEN)
    cause: int | None = None  # Q.850
    agent_id: int | None = None
    detail: str = ""  # AMD cause (ENTERED), else words for the operator


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one attempt. Times are the earliest that any event gave."""

    claimed_at: datetime
    dialed_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    entered_at: datetime | None = None
    handed_at: datetime | None = None
    connected_at: datetime | None = None
    hung_up_at: datetime | None = None
    left_at: datetime | None = None
    message: bool = False
    link_lost: bool = False
    sent: bool = False
    refused: bool = False
    not_sent: bool = False
    gone: bool = False
    settled: bool = False
    agent_id: int | None = None
    machine: str = ""
    machine_cause: str = ""  # what the verdict was found by
    dial_status: str = ""
    cause: int | None = None
    detail: str = ""


def apply(facts: Facts, event: Event) -> Facts:
    """The facts with one more event in them. Anything learned after the end changes nothing."""
    if is_over(facts):
        return facts
    return _APPLY[event.kind](facts, event)


def state(facts: Facts) -> State:
    """Where these facts put the attempt."""
    if is_over(facts):
        return State.ENDED
    if facts.connected_at:
        return State.CONNECTED
    if facts.answered_at:
        return State.ANSWERED
    if facts.ringing_at:
        return State.RINGING
    if facts.link_lost and not facts.sent:
        return State.UNKNOWN
    return State.DIALING if facts.sent else State.CLAIMED


def is_over(facts: Facts) -> bool:
    """Whether the attempt has ended for good.

    A call that was answered ends when AMI said that the channel is gone *and* ARI said that it left our hands (or
    the grace for that is over): else a hang-up that overtakes the join would turn a conversation into an abandoned
    call. A refused Originate waits for the same grace: OriginateResponse may overtake the Hangup with the true cause.
    """
    if facts.not_sent or facts.gone:
        return True
    if facts.hung_up_at is None:
        return facts.refused and facts.settled
    if facts.answered_at is None:
        # "Normal clearing" is how answered calls end: its answer may have been lost, or be on its way from ARI.
        return facts.settled or facts.cause != NORMAL_CLEARING
    return facts.settled or facts.left_at is not None


def is_settling(facts: Facts) -> bool:
    """Whether only late events are awaited: the shell then sends SETTLED after a grace."""
    return not is_over(facts) and (facts.refused or facts.hung_up_at is not None)


def ended_at(facts: Facts, otherwise: datetime) -> datetime:
    """When it ended; `otherwise` (now) where no event tells."""
    return facts.hung_up_at or facts.left_at or otherwise


def outcome(
    facts: Facts, grace_seconds: float, from_answer: bool = False, broadcast: bool = False, machines: str = "drop"
) -> Outcome:  # fmt: skip
    """How an attempt that is over ended. `grace_seconds`: a live answer without an agent for so long is abandoned,
    counted from when the call is ours (after machine detection), or from the answer, or from when its flow handed it to
    the agents. In a broadcast, and in a flow that kept the call, no agent was meant to come: who stayed for so long has
    heard the message. `machines`: what is done about them (core.machines.MODES); where an agent gets them too, or the
    flow of one handed it over, a verdict is no outcome, lest a person who was taken for a machine be abandoned
    uncounted."""
    if facts.not_sent:
        return Outcome.NOT_SENT
    if facts.message:
        return Outcome.MACHINE if facts.cause == NOT_PLAYED else Outcome.MESSAGE_LEFT
    if facts.connected_at:
        return Outcome.CONNECTED
    if facts.answered_at and facts.handed_at is None and facts.machine == VERDICT and machines in WITHOUT_AGENT:
        heard = machines == "message" and facts.cause == MESSAGE_LEFT
        return Outcome.MESSAGE_LEFT if heard else Outcome.MACHINE
    if facts.answered_at:
        return _unjoined(
            facts, facts.answered_at, grace_seconds, from_answer, Outcome.PLAYED if broadcast else Outcome.ABANDONED
        )
    if facts.hung_up_at is None and not facts.dial_status:
        return Outcome.FAILED if facts.refused else Outcome.UNKNOWN
    return of_unanswered(facts.dial_status, facts.cause, rang=facts.ringing_at is not None)


def _unjoined(facts: Facts, answered_at: datetime, grace_seconds: float, from_answer: bool, stayed: Outcome) -> Outcome:
    if stayed is Outcome.PLAYED and facts.cause == NOT_PLAYED:
        return Outcome.FAILED
    end = facts.hung_up_at or facts.left_at
    if end is None:
        return stayed  # lost from sight after the answer: the stricter count
    # The clock of the person who waits starts when the call is ours (StasisStart, after AMD), or at the answer.
    # A flow that hands it over later starts it then.
    waited = end - (facts.handed_at or (answered_at if from_answer else facts.entered_at or answered_at))
    return stayed if waited >= timedelta(seconds=grace_seconds) else Outcome.HUNG_UP


def _earliest(a: datetime | None, b: datetime) -> datetime:
    return b if a is None or b < a else a


def _dialed(facts: Facts, event: Event) -> Facts:
    return replace(facts, sent=True, dialed_at=_earliest(facts.dialed_at, event.at))


def _refused(facts: Facts, event: Event) -> Facts:
    return replace(facts, refused=True, detail=event.detail or facts.detail)


def _not_sent(facts: Facts, event: Event) -> Facts:
    return facts if facts.sent else replace(facts, not_sent=True, detail=event.detail)


def _link_lost(facts: Facts, event: Event) -> Facts:
    return replace(facts, link_lost=True)


def _ringing(facts: Facts, event: Event) -> Facts:
    return replace(_dialed(facts, event), ringing_at=_earliest(facts.ringing_at, event.at))


def _answered(facts: Facts, event: Event) -> Facts:
    return replace(_dialed(facts, event), answered_at=_earliest(facts.answered_at, event.at))


def _dial_ended(facts: Facts, event: Event) -> Facts:
    facts = replace(_dialed(facts, event), dial_status=facts.dial_status or event.status)
    return _answered(facts, event) if event.status == "ANSWER" else facts


def _hung_up(facts: Facts, event: Event) -> Facts:
    cause = facts.cause if facts.cause is not None else event.cause
    return replace(facts, hung_up_at=_earliest(facts.hung_up_at, event.at), cause=cause, sent=True)


def _entered(facts: Facts, event: Event) -> Facts:
    facts = _answered(facts, event)
    return replace(facts, entered_at=_earliest(facts.entered_at, event.at), machine=facts.machine or event.status,
                   machine_cause=facts.machine_cause or event.detail)  # fmt: skip


def _handed(facts: Facts, event: Event) -> Facts:
    return replace(_answered(facts, event), handed_at=_earliest(facts.handed_at, event.at))


def _joined(facts: Facts, event: Event) -> Facts:
    facts = _answered(facts, event)
    agent_id = facts.agent_id if facts.agent_id is not None else event.agent_id
    return replace(facts, connected_at=_earliest(facts.connected_at, event.at), agent_id=agent_id)


def _message(facts: Facts, event: Event) -> Facts:
    return replace(_answered(facts, event), message=True)


def _left(facts: Facts, event: Event) -> Facts:
    return replace(_answered(facts, event), left_at=_earliest(facts.left_at, event.at))


def _seen(facts: Facts, event: Event) -> Facts:
    if event.status == "Up":
        return _answered(facts, event)
    return _ringing(facts, event) if event.status in ("Ring", "Ringing") else _dialed(facts, event)


def _gone(facts: Facts, event: Event) -> Facts:
    return replace(facts, gone=True, detail=event.detail or facts.detail)


def _settled(facts: Facts, event: Event) -> Facts:
    return replace(facts, settled=True)


_APPLY = {
    Kind.SENT: _dialed,
    Kind.REFUSED: _refused,
    Kind.NOT_SENT: _not_sent,
    Kind.LINK_LOST: _link_lost,
    Kind.RINGING: _ringing,
    Kind.DIAL_ENDED: _dial_ended,
    Kind.HUNG_UP: _hung_up,
    Kind.ENTERED: _entered,
    Kind.HANDED: _handed,
    Kind.JOINED: _joined,
    Kind.MESSAGE: _message,
    Kind.LEFT: _left,
    Kind.SEEN: _seen,
    Kind.GONE: _gone,
    Kind.SETTLED: _settled,
}
