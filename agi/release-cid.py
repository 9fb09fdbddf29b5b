"""agi://…/release-cid,<call>[,<dialstatus>,<seconds>[,<cause>[,<sip>]]]: the call ended, its caller ID is free again.

For the `h` extension. <call> is the id under which next-cid was asked; without it, the channel's own. The rest says
how the call went, for the health of the caller ID: ${DIALSTATUS}, ${ANSWEREDTIME}, ${HANGUPCAUSE}, and the SIP code of
the far end where it is known. Instead of a dial status it may be a word of our own (answered, no_answer, busy,
rejected, failed, unknown). What is missing, or not of its form, counts as not said.
"""

import re

from dialerd.core.callerid_release import call_end
from dialerd.core.ids import attempt_of
from dialerd.fastagi.desk import Desk
from dialerd.fastagi.wire import AgiCall, BadRequest

_ID = re.compile(r"[A-Za-z0-9_.:;-]{1,150}\Z", re.ASCII)


async def run(call: AgiCall, desk: Desk) -> None:
    """Tell the desk; the channel is dead by now and is told nothing."""
    holder = call.argument(1) or call.uniqueid
    if not _ID.match(holder):
        raise BadRequest("not release-cid,<call>[,<dialstatus>,<seconds>[,<cause>[,<sip>]]]")
    await desk.release_cid(attempt_of(holder), call_end(*(call.argument(i) for i in (2, 3, 4, 5))))
