"""What Asterisk's words for the end of a call say of its caller ID: dial status, Q.850 cause, SIP code → CallEnd.

Whoever releases a number hands over what a dialplan has in its `h` extension; it is text as it came, and what is not
of the expected form counts as not said.
"""

import re

from dialerd.core.callerid import RESULTS, CallEnd

_NUMBER = re.compile(r"[0-9]{1,3}\Z", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z", re.ASCII)

REJECTED_SIP = frozenset({603, 607, 608})  # decline, unwanted, rejected by an analytics engine
_NOT_ASKED_SIP = frozenset({401, 403, 407})  # our own trunk was not let in; Asterisk calls these 21 as well
_REJECTED_CAUSE = 21
# Q.850 that says more than the dial status beside it: Asterisk 22 may say NOANSWER or CHANUNAVAIL to each of them.
_OF_CAUSE = {17: "busy", 18: "no_answer", 19: "no_answer", _REJECTED_CAUSE: "rejected"}
_INVALID_CAUSES = frozenset({1, 22, 28})  # no such number: nobody has seen the caller ID
_OF_STATUS = {
    "NOANSWER": "no_answer",
    "CANCEL": "no_answer",
    "BUSY": "busy",
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
    "INVALIDARGS": "failed",
    "DONTCALL": "rejected",  # Dial()'s privacy mode: the called person's word
    "TORTURE": "rejected",
}


def call_end(dial_status: str, seconds: str = "", cause: str = "", sip: str = "") -> CallEnd | None:
    """`${DIALSTATUS}`, `${ANSWEREDTIME}` (s), `${HANGUPCAUSE}` and the far end's SIP code, each perhaps empty.

    Instead of a dial status it may be one of our own words. None: Dial() was never reached, or no such word: nothing is
    known of the call.
    """
    if dial_status in ("ANSWER", "answered"):
        return CallEnd("answered", float(seconds) if _SECONDS.match(seconds) else None)
    if dial_status in RESULTS:
        return CallEnd(dial_status)
    by_status = _OF_STATUS.get(dial_status)
    if by_status is None:  # a cause alone is how our own side hung up: no word of the called one
        return None
    return CallEnd(_of_sip(sip) or _of_cause(cause) or by_status)


def _of_sip(text: str) -> str | None:
    code = int(text) if _NUMBER.match(text) else 0
    if code in REJECTED_SIP:
        return "rejected"
    return "failed" if code in _NOT_ASKED_SIP else None


def _of_cause(text: str) -> str | None:
    cause = int(text) if _NUMBER.match(text) else 0
    return "failed" if cause in _INVALID_CAUSES else _OF_CAUSE.get(cause)
