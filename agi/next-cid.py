"""agi://…/next-cid,<to>,<campaign>,<agent>: the caller ID that this call is to show.

Sets CID_STATUS (OK, FALLBACK, NONE), CID_NUMBER, CID_NATIONAL (the same without its country code), CID_ID, CID_REASON
("reserved=3 hourly_limit=2"), and CALLERID(num) when there is a number. A dialplan that finds no CID_STATUS got no
answer and takes its own fallback.
"""

import re

from dialerd.core.callerid import Request
from dialerd.core.ids import attempt_of
from dialerd.core.phone import significant
from dialerd.fastagi.desk import Desk
from dialerd.fastagi.wire import AgiCall, BadRequest

_ID = re.compile(r"[A-Za-z0-9_.:;-]{1,150}\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z", re.ASCII)


async def run(call: AgiCall, desk: Desk) -> None:
    """Ask the desk, tell the channel."""
    to, campaign, agent = (call.argument(i) for i in (1, 2, 3))
    if not _ID.match(call.uniqueid):
        raise BadRequest("no usable agi_uniqueid")
    if not _NAME.match(campaign) or not _NAME.match(agent) or not (campaign or agent):
        raise BadRequest("not next-cid,<to>,<campaign>,<agent> (a hand-dialled call may leave the campaign out)")
    # On our own dialplan route the far half of the Local pair asks, `<attempt>;2`: the attempt holds the number.
    request = Request(to, campaign, agent, attempt_of(call.uniqueid), "fastagi", call.peer)
    selection = await desk.next_cid(request)
    number = selection.caller_id or ""
    variables = {"CALLERID(num)": number} if number else {}
    variables |= {
        "CID_NUMBER": number,
        "CID_NATIONAL": significant(number) if number else "",
        "CID_ID": str(selection.cid_id or ""),
        "CID_REASON": " ".join(f"{rule}={n}" for rule, n in sorted(selection.reasons.items())),
        "CID_STATUS": selection.status.value,  # last, so that a status is only seen beside a complete answer
    }
    await call.set_variables(variables)
