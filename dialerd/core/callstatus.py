"""The state of a call as the older single-call API names it: eight words, a view of an attempt."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dialerd.core.attempt import State
from dialerd.core.causes import Outcome
from dialerd.core.status import to_json

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


@dataclass(frozen=True, slots=True)
class Seen:
    """What the older API tells of a call. `outcome`: of one that has ended."""

    call_id: str
    e164: str
    state: State
    outcome: Outcome | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None

    @property
    def status(self) -> CallStatus:
        """The word for it."""
        return of_attempt(self.state, self.outcome, self.answered_at is not None)

    def view(self, now: datetime) -> dict[str, Any]:
        """In its names, as JSON; `duration`: whole seconds since the answer."""
        seconds = ((self.ended_at or now) - self.answered_at).total_seconds() if self.answered_at else 0.0
        return {
            "call_id": self.call_id,
            "phone_number": self.e164,
            "status": self.status,
            "channel": self.call_id,
            "created_at": to_json(self.created_at),
            "answered_at": to_json(self.answered_at),
            "duration": max(0, round(seconds)),
            "is_active": self.ended_at is None,
            "is_completed": self.ended_at is not None,
        }
