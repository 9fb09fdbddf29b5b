"""Whether a number may be called at this hour, as it is told to a dialplan."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

UNKNOWN: Final = "unknown"  # it could not be found out
NO_CAMPAIGN: Final = "no_campaign"  # for no campaign of ours: nobody's legal profile and windows hold


@dataclass(frozen=True, slots=True)
class Hours:
    """`campaign`: the id of the campaign that was judged, "": none. `closed`: why the number may not be called now:
    unknown, no_campaign, campaign_<state>, disabled, insufficient_funds or a reason of `core.schedule`; "": it may.
    `next_at`: when it may again, where that is known."""

    campaign: str
    closed: str
    next_at: datetime | None = None
