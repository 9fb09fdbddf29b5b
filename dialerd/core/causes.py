"""How attempts end, and what Asterisk's words for it mean: dial status and Q.850 cause → outcome."""

from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended, set by the machine. An agent's word for it is a disposition."""

    CONNECTED = "connected"  # a person and an agent were in one bridge
    ABANDONED = "abandoned"  # a live answer with nobody for it within the grace
    HUNG_UP = "hung_up"  # a live answer that hung up before the grace was over
    PLAYED = "played"  # a live answer of a broadcast, which heard its message, perhaps not to the end
    MACHINE = "machine"
    MESSAGE_LEFT = "message_left"  # a machine, to which our message was played
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"  # the called party or its network said no
    INVALID = "invalid"  # the number does not exist
    FAILED = "failed"  # trunk, congestion, or Asterisk refused: the person was never offered the call
    NOT_SENT = "not_sent"  # proved never to have left us
    UNKNOWN = "unknown"  # its fate is lost
    RETURNED = "returned"  # they called us back, and were given to the agents; connected_at tells whether one came


# A person answered whom an agent was to join: what the share of abandoned calls is counted of.
LIVE_ANSWERS = frozenset({Outcome.CONNECTED, Outcome.ABANDONED, Outcome.HUNG_UP})
REACHED = LIVE_ANSWERS | {Outcome.PLAYED}  # a person answered

NORMAL_CLEARING = 16
NOT_PLAYED = 79  # "service or option not implemented": our dialplan ends a broadcast so whose sound file is not there
MESSAGE_LEFT = 31  # "normal, unspecified": our dialplan ends a call so whose machine heard the whole message
# Q.850 (ITU-T), as Asterisk's Hangup event gives it in `Cause`.
_OF_CAUSE = {
    1: Outcome.INVALID,  # unallocated number (SIP 404)
    NORMAL_CLEARING: Outcome.NO_ANSWER,  # normal clearing before an answer: we gave up ringing
    17: Outcome.BUSY,
    18: Outcome.NO_ANSWER,  # no user responding (SIP 408)
    19: Outcome.NO_ANSWER,  # no answer from user (SIP 480)
    21: Outcome.REJECTED,  # call rejected (SIP 603, 403)
    22: Outcome.INVALID,  # number changed (SIP 410)
    28: Outcome.INVALID,  # invalid number format (SIP 484)
}
_OF_STATUS = {
    "BUSY": Outcome.BUSY,
    "NOANSWER": Outcome.NO_ANSWER,
    "CANCEL": Outcome.NO_ANSWER,
}


def of_unanswered(dial_status: str, cause: int | None, rang: bool) -> Outcome:
    """The outcome of a call that was not answered, from AMI's DialEnd `DialStatus` and Hangup `Cause`.

    The cause decides: Asterisk 22 says NOANSWER in DialEnd for a 603 and a 404 as well. Where it is silent the status
    does. "No answer" of something that neither rang nor said anything (DialEnd) is a trunk that did not react: the
    person was never offered the call.
    """
    outcome = _OF_CAUSE.get(cause or 0) or _OF_STATUS.get(dial_status) or Outcome.FAILED
    if outcome is Outcome.NO_ANSWER and not rang and not dial_status:
        return Outcome.FAILED
    return outcome
