"""The eleven statuses of a number in the older panel's API, as a view of a contact's state and its last result.

`number_status_v1` of the schema is the same table in SQL; a test holds the two together.
"""

from dataclasses import dataclass
from enum import StrEnum

from dialerd.core.causes import Outcome


class NumberStatus(StrEnum):
    """What an older client calls the state of a number."""

    IN_QUEUE = "IN_QUEUE"  # to be called, or being called
    MISSED = "MISSED"
    CONNECTED = "CONNECTED"
    FAILED = "FAILED"
    NOT_INTERESTED = "NOT_INTERESTED"
    HANGUP = "HANGUP"
    DISCONNECTED = "DISCONNECTED"
    BUSY = "BUSY"
    POWER_OFF = "POWER_OFF"
    BANNED = "BANNED"  # on a do-not-call list
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt with that status ended, in our words."""

    outcome: Outcome
    disposition: str | None = None


_S = NumberStatus
# What may be changed or deleted. UNKNOWN is protected like a success: nobody knows that it was none.
EDITABLE = frozenset({_S.IN_QUEUE, _S.MISSED, _S.BUSY, _S.POWER_OFF, _S.BANNED})
REPORTABLE = frozenset(_S) - {_S.IN_QUEUE}
WAITING = frozenset({"queued", "waiting", "held", "claimed"})  # the states of contacts that are IN_QUEUE
DNC = "dnc"  # last_outcome of a contact that a do-not-call list bars

_RESULTS = {
    _S.CONNECTED: Result(Outcome.CONNECTED),
    _S.FAILED: Result(Outcome.FAILED),
    _S.NOT_INTERESTED: Result(Outcome.CONNECTED, "not_interested"),
    _S.MISSED: Result(Outcome.NO_ANSWER),
    _S.HANGUP: Result(Outcome.HUNG_UP),
    _S.DISCONNECTED: Result(Outcome.FAILED, "disconnected"),
    _S.BUSY: Result(Outcome.BUSY),
    _S.POWER_OFF: Result(Outcome.NO_ANSWER, "power_off"),
    _S.BANNED: Result(Outcome.REJECTED, "banned"),
    _S.UNKNOWN: Result(Outcome.UNKNOWN),
}
_OF_OUTCOME = {
    Outcome.CONNECTED: _S.CONNECTED,
    Outcome.PLAYED: _S.CONNECTED,
    Outcome.FAILED: _S.FAILED,
    Outcome.INVALID: _S.FAILED,
    Outcome.NOT_SENT: _S.FAILED,
    Outcome.NO_ANSWER: _S.MISSED,
    Outcome.MACHINE: _S.MISSED,
    Outcome.MESSAGE_LEFT: _S.MISSED,
    Outcome.HUNG_UP: _S.HANGUP,
    Outcome.ABANDONED: _S.HANGUP,
    Outcome.REJECTED: _S.HANGUP,
    Outcome.BUSY: _S.BUSY,
    Outcome.UNKNOWN: _S.UNKNOWN,
}


def result_of(status: NumberStatus) -> Result:
    """What a reported status means. IN_QUEUE is no result: KeyError."""
    return _RESULTS[status]


def of_result(outcome: str | None, disposition: str | None) -> NumberStatus:
    """The status of a call that ended so."""
    match disposition:
        case "banned":
            return _S.BANNED
        case "disconnected":
            return _S.DISCONNECTED
        case "not_interested" if outcome == Outcome.CONNECTED:
            return _S.NOT_INTERESTED
        case "power_off" if outcome == Outcome.NO_ANSWER:
            return _S.POWER_OFF
    if outcome == DNC:
        return _S.BANNED
    try:
        return _OF_OUTCOME[Outcome(outcome or "")]
    except ValueError:
        return _S.UNKNOWN


def of_contact(state: str, last_outcome: str | None, last_disposition: str | None) -> NumberStatus:
    """The status of a contact's numbers."""
    return _S.IN_QUEUE if state in WAITING else of_result(last_outcome, last_disposition)


def contact_as(status: NumberStatus) -> tuple[str, str, str | None]:
    """state, last_outcome and last_disposition that make `status`. IN_QUEUE is a reset: KeyError."""
    if status is _S.BANNED:
        return "suppressed", DNC, None
    result = _RESULTS[status]
    return "done", result.outcome.value, result.disposition
