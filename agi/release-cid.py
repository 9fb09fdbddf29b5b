"""agi://…/release-cid,<call>,<end>,<seconds>: the call ended, its caller ID is free again. For the `h` extension.

<call> is the id under which next-cid was asked; without it, the channel's own. <end> and <seconds> may be left out: how
the call ended, as Dial() has it in DIALSTATUS or as one of our own words (answered, no_answer, busy, rejected, failed),
and for how long they talked (ANSWEREDTIME). What is neither of these is taken as not told.
"""

import re

from dialerd.core.callerid import RESULTS, CallEnd
from dialerd.core.ids import attempt_of
from dialerd.fastagi.desk import Desk
from dialerd.fastagi.wire import AgiCall, BadRequest

_ID = re.compile(r"[A-Za-z0-9_.:;-]{1,150}\Z", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z", re.ASCII)
_RESULT_OF = {
    "ANSWER": "answered",
    "NOANSWER": "no_answer",
    "CANCEL": "no_answer",
    "BUSY": "busy",
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
    "DONTCALL": "rejected",
    "TORTURE": "rejected",
    "INVALIDARGS": "failed",
} | {result: result for result in RESULTS}


async def run(call: AgiCall, desk: Desk) -> None:
    """Tell the desk; the channel is dead by now and is told nothing."""
    holder = call.argument(1) or call.uniqueid
    if not _ID.match(holder):
        raise BadRequest("not release-cid,<call>,<end>,<seconds>")
    await desk.release_cid(attempt_of(holder), _end(call.argument(2), call.argument(3)))


def _end(word: str, seconds: str) -> CallEnd | None:
    result = _RESULT_OF.get(word)
    if result is None:
        return None
    return CallEnd(result, float(seconds) if result == "answered" and _SECONDS.match(seconds) else None)
