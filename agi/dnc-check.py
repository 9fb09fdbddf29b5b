"""agi://…/dnc-check,<to>,<campaign>: may this number be called, as far as the do-not-call lists go?

Sets DNC_STATUS to CLEAR, LISTED or UNKNOWN, and DNC_LISTS to the names of the lists. UNKNOWN is what could not be
proven: the database is away, a list is too old, the number is none. A dialplan treats it, and an answer that never
came, as LISTED. <campaign> may be left out: then the lists of the whole tenant are asked.
"""

import re

from dialerd.fastagi.desk import Desk
from dialerd.fastagi.plain import word
from dialerd.fastagi.wire import AgiCall, BadRequest

_CAMPAIGN = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z", re.ASCII)
_MAX_CHARACTERS = 200


async def run(call: AgiCall, desk: Desk) -> None:
    """Ask the desk, tell the channel."""
    to, campaign = call.argument(1), call.argument(2)
    if not _CAMPAIGN.match(campaign):
        raise BadRequest("not dnc-check,<to>,<campaign>")
    lists = await desk.dnc_lists(to, campaign)
    status = "UNKNOWN" if lists is None else "LISTED" if lists else "CLEAR"
    names = " ".join(word(name, 40) or "unnamed" for name in lists or ())
    # The status last, so that it is only seen beside a complete answer.
    await call.set_variables({"DNC_LISTS": names[:_MAX_CHARACTERS].rstrip(), "DNC_STATUS": status})
