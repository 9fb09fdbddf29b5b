"""agi://…/dnc-check,<to>,<campaign>,<agent>: may this number be called: do the do-not-call lists and the hour allow it?

Sets DNC_STATUS to CLEAR, LISTED or UNKNOWN, and DNC_LISTS to the names of the lists. UNKNOWN is what could not be
proven: the database is away, a list is too old, the number is none. A dialplan treats it, and an answer that never
came, as LISTED. <campaign> may be left out: then the lists of the whole tenant are asked.

Sets WINDOW_STATUS to OPEN, CLOSED or UNKNOWN, as the legal profile, the windows and the switches of the campaign have
it for the number's own clock; WINDOW_REASON says why not, WINDOW_NEXT when again (UTC), where that is known. Without
<campaign> it is the running one of the <agent>'s queue; for no campaign of ours nothing can be proven.
"""

import re
from datetime import UTC

from dialerd.core.hours import NO_CAMPAIGN, UNKNOWN
from dialerd.fastagi.desk import Desk
from dialerd.fastagi.plain import word
from dialerd.fastagi.wire import AgiCall, BadRequest

_NAME = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z", re.ASCII)
_MAX_CHARACTERS = 200


async def run(call: AgiCall, desk: Desk) -> None:
    """Ask the desk, tell the channel."""
    to, campaign, agent = call.argument(1), call.argument(2), call.argument(3)
    if not _NAME.match(campaign) or not _NAME.match(agent):
        raise BadRequest("not dnc-check,<to>,<campaign>,<agent>")
    hours = await desk.hours(to, campaign, agent)
    lists = await desk.dnc_lists(to, campaign or hours.campaign)
    unproven = hours.closed in (UNKNOWN, NO_CAMPAIGN)
    names = " ".join(word(name, 40) or "unnamed" for name in lists or ())
    # Each status after what explains it, so that it is only seen beside a complete answer.
    await call.set_variables(
        {
            "WINDOW_REASON": word(hours.closed, 40),
            "WINDOW_NEXT": hours.next_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if hours.next_at else "",
            "WINDOW_STATUS": "UNKNOWN" if unproven else "CLOSED" if hours.closed else "OPEN",
            "DNC_LISTS": names[:_MAX_CHARACTERS].rstrip(),
            "DNC_STATUS": "UNKNOWN" if lists is None else "LISTED" if lists else "CLEAR",
        }
    )
