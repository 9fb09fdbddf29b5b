"""agi://…/contact-info,<number>,<campaign>: who is this number?

Sets CONTACT_STATUS to FOUND or NONE, and CONTACT_ID, CONTACT_NAME, CONTACT_STATE, CONTACT_ATTEMPTS,
CONTACT_LAST_OUTCOME, CONTACT_CAMPAIGN. NONE is also the answer when it could not be found out. Of the name only plain
letters, digits, spaces and _.- arrive; a name in another script comes out empty. <campaign> may be left out.
"""

import re

from dialerd.fastagi.desk import Desk
from dialerd.fastagi.plain import plain, word
from dialerd.fastagi.wire import AgiCall, BadRequest

_CAMPAIGN = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z", re.ASCII)


async def run(call: AgiCall, desk: Desk) -> None:
    """Ask the desk, tell the channel."""
    number, campaign = call.argument(1), call.argument(2)
    if not _CAMPAIGN.match(campaign):
        raise BadRequest("not contact-info,<number>,<campaign>")
    found = await desk.contact_info(number, campaign)
    told = found or {}
    await call.set_variables(
        {
            "CONTACT_ID": word(str(told.get("contact_id", ""))),
            "CONTACT_NAME": plain(str(told.get("name") or "")),
            "CONTACT_STATE": word(str(told.get("state") or "")),
            "CONTACT_ATTEMPTS": word(str(told.get("attempts", ""))),
            "CONTACT_LAST_OUTCOME": word(str(told.get("last_outcome") or "")),
            "CONTACT_CAMPAIGN": word(str(told.get("campaign_id", ""))),
            # Last, so that a status is only seen beside a complete answer.
            "CONTACT_STATUS": "NONE" if found is None else "FOUND",
        }
    )
