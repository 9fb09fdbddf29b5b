"""What a verb may ask of the daemon: the one door between `agi/` and the rest of the house."""

from collections.abc import Mapping
from typing import Any, Protocol

from dialerd.core.callerid import CallEnd, Request, Selection
from dialerd.core.hours import Hours


class Desk(Protocol):
    """Implemented by the daemon (`engine/desk.py`), faked in tests.

    Nothing here raises for what the caller got wrong or for what is away: the answer says it.
    """

    async def next_cid(self, request: Request) -> Selection:
        """A caller ID for a call; the same `holder` gets the same answer."""
        ...

    async def release_cid(self, holder: str, end: CallEnd | None = None) -> bool:
        """The call ended, in that way if it is known: its number is free for others. Whether it had one."""
        ...

    async def dnc_lists(self, to: str, campaign: str) -> tuple[str, ...] | None:
        """The names of the do-not-call lists that forbid this number to this campaign ("": to every campaign of the
        tenant); None: that could not be found out, so it may not be called."""
        ...

    async def hours(self, to: str, campaign: str, agent: str) -> Hours:
        """Whether this number may be called now for this campaign; "": the running one of the agent's queue."""
        ...

    async def contact_info(self, number: str, campaign: str) -> Mapping[str, Any] | None:
        """Who this number is: `contact_id`, `campaign_id`, `name`, `state`, `attempts`, `last_outcome` of the newest
        contact that has it; None: nobody, or it could not be found out."""
        ...
