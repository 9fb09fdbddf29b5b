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
    kind = message.get("Event", "")
    if kind == "Hangup":
        return _hangup(message, now)
    if kind not in _DIALS:
        return None
    caller, called = message.get("Uniqueid", ""), message.get("DestUniqueid", "")
    if caller.endswith(";2") and ids.is_attempt(ids.attempt_of(caller)):
        attempt = ids.attempt_of(caller)
    elif ids.is_attempt(called) and not _is_local(message):
        attempt = called
    else:
        return None
    status = message.get("DialStatus", "")
    if kind == "DialState":
        return (attempt, Event(Kind.RINGING, now)) if status in ("RINGING", "PROGRESS") else None
    return attempt, Event(Kind.DIAL_ENDED, now, status=status)


def _hangup(message: Mapping[str, str], now: datetime) -> tuple[str, Event] | None:
    channel = message.get("Uniqueid", "")
    if not ids.is_attempt(channel):
        return None
    cause = message.get("Cause", "")
    number = int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else None
    return channel, Event(Kind.HUNG_UP, now, cause=number, detail=message.get("Cause-txt", "")[:80])


def _is_local(message: Mapping[str, str]) -> bool:
    return message.get("DestChannel", "").startswith("Local/")
