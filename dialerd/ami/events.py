"""AMI's events about a call, as facts of its attempt. A pure function of a message."""

from collections.abc import Mapping
from datetime import datetime

from dialerd.core import ids
from dialerd.core.attempt import Event, Kind

_DIALS = ("DialState", "DialEnd")  # DialBegin says nothing that the reply to Originate does not


def translate(message: Mapping[str, str], now: datetime) -> tuple[str, Event] | None:
    """The attempt that a message is about and what it says of it, or None where it is nobody's business of ours.

    On the direct route the dialled channel carries the attempt's id (`DestUniqueid`). On the dialplan route the far
    half of the Local pair, `<id>;2`, is the one that dials (`Uniqueid`), and its `DialEnd` tells what the trunk said;
    the near half's own DialEnd only repeats it less exactly, except when it says ANSWER.
    """
    kind = _text(message, "Event")
    if kind == "Hangup":
        return _hangup(message, now)
    if kind not in _DIALS:
        return None
    caller, called = _text(message, "Uniqueid"), _text(message, "DestUniqueid")
    if caller.endswith(";2") and ids.is_attempt(ids.attempt_of(caller)):
        attempt = ids.attempt_of(caller)
    elif ids.is_attempt(called) and not _is_local(message):
        attempt = called
    else:
        return None
    status = _text(message, "DialStatus")
    if kind == "DialState":
        return (attempt, Event(Kind.RINGING, now)) if status in ("RINGING", "PROGRESS") else None
    return attempt, Event(Kind.DIAL_ENDED, now, status=status)


def _hangup(message: Mapping[str, str], now: datetime) -> tuple[str, Event] | None:
    channel = _text(message, "Uniqueid")
    if not ids.is_attempt(channel):
        return None
    cause = _text(message, "Cause")
    number = int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else None
    return channel, Event(Kind.HUNG_UP, now, cause=number, detail=_text(message, "Cause-txt")[:80])


def _is_local(message: Mapping[str, str]) -> bool:
    return _text(message, "DestChannel").startswith("Local/")


def _text(message: Mapping[str, object], key: str) -> str:
    """A header's value; "" where it is missing or came twice (panoramisk makes a list of it)."""
    value = message.get(key, "")
    return value if isinstance(value, str) else ""
