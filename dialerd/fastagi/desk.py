"""What a verb may ask of the daemon: the one door between `agi/` and the rest of the house."""

from typing import Protocol

from dialerd.core.callerid import Selection


class Desk(Protocol):
    """Implemented by the daemon (`engine/desk.py`), faked in tests."""

    async def next_cid(self, to: str, campaign: str, agent: str, holder: str) -> Selection:
        """A caller ID for a call of `campaign` to `to` (as typed); `holder` is the call, one answer each.

        Never raises for what the caller got wrong: the reasons say it.
        """
        ...

    async def release_cid(self, holder: str) -> None:
        """The call ended: its number is free for others. Never raises; a call that has none is no error."""
        ...
