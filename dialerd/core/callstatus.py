"""The state of a call as the older single-call API names it: eight words, a view of an attempt."""

from typing import Literal

from dialerd.core.attempt import State
from dialerd.core.causes import Outcome

CallStatus = Literal["pending", "dialing", "ringing", "answered", "completed", "failed", "busy", "no_answer"]

_LIVE: dict[State, CallStatus] = {
    State.CLAIMED: "pending",
    State.DIALING: "dialing",
    State.UNKNOWN: "dialing",  # sent, and nothing heard of it since
    State.RINGING: "ringing",
    State.ANSWERED: "answered",
    State.CONNECTED: "answered",
}


def of_attempt(state: State, outcome: Outcome | None, answered: bool) -> CallStatus:
    """A call that ended after an answer is completed, whoever or whatever answered."""
    if state is not State.ENDED:
        return _LIVE[state]
    if answered:
        return "completed"
    if outcome is Outcome.BUSY:
        return "busy"
    return "no_answer" if outcome is Outcome.NO_ANSWER else "failed"
