"""ARI's events, handed to whom they concern. A malformed event is logged and dropped; it never stops the stream."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from dialerd.ari.leg import Legs
from dialerd.core import ids
from dialerd.core.attempt import Event, Kind
from dialerd.engine.calls import Calls
from dialerd.engine.conversations import Conversations
from dialerd.engine.incall import InCall
from dialerd.engine.recordings import Recordings

log = structlog.get_logger(__name__)


class Stasis:
    """Two sides, one app: `customer,<attempt>,<AMD verdict>,<AMD cause>` and `agent,<agent id>`; and `login`, an agent
    who calls. `login_arrived(channel, from)` is told of these; and `returned,<number>,<dialled>`, somebody who calls
    back: `returned(channel, number, dialled)`. `record`: a channel that hears a call, for its recording.
    `third,<agent id>` and `snoop` are the business of `in_call`."""

    def __init__(
        self,
        calls: Calls,
        conversations: Conversations,
        legs: Legs,
        login_arrived: Callable[[str, str], None] = lambda channel, number: None,
        returned: Callable[[str, str, str], None] = lambda channel, number, dialled: None,
        recordings: Recordings | None = None,
        in_call: InCall | None = None,
    ) -> None:
        self._calls = calls
        self._legs = legs
        self._conversations = conversations
        self._login_arrived = login_arrived
        self._returned = returned
        self._recordings = recordings
        self._in_call = in_call

    def handle(self, event: Mapping[str, Any]) -> None:
        """One event of the websocket. Never raises, never waits."""
        kind = event.get("type")
        handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None:
            return
        try:
            handler(self, event, _when(event["timestamp"]))
        except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            log.error("ari.bad_event", event_type=event["type"], error=repr(error)[:200])

    def _start(self, event: Mapping[str, Any], at: datetime) -> None:
        channel, args = _id(event["channel"]), event["args"]
        if args[:1] == ["customer"] and args[1] == channel:
            machine, cause = ([_text(each)[:40] for each in args[2:4]] + ["", ""])[:2]
            self._conversations.customer_arrived(channel, at, machine, cause)
        elif args[:1] == ["agent"] and ids.agent_of(channel) == int(args[1]):
            self._conversations.leg_answered(int(args[1]), channel)
        elif args == ["record"]:
            if self._recordings is None or not self._recordings.listening(channel):
                self._conversations.end_call(channel)
        elif args[:1] == ["third"] or args == ["snoop"]:
            if self._in_call is None or not self._in_call.arrived(channel):
                self._conversations.end_call(channel)
        elif args == ["login"]:
            self._login_arrived(channel, _text(event["channel"]["caller"]["number"]))
        elif args[:1] == ["returned"] and len(args) == 3:
            self._returned(channel, _text(args[1]), _text(args[2]))
        else:
            log.warning("ari.stranger", channel=channel[:80], args=[str(a)[:40] for a in args[:4]])

    def _end(self, event: Mapping[str, Any], at: datetime) -> None:
        channel = _id(event["channel"])
        self._calls.learn(channel, Event(Kind.LEFT, at))
        self._gone(channel)

    def _destroyed(self, event: Mapping[str, Any], at: datetime) -> None:
        channel = _id(event["channel"])
        self._calls.learn(channel, Event(Kind.HUNG_UP, at, cause=int(event["cause"])))
        self._gone(channel)

    def _gone(self, channel: str) -> None:
        self._legs.left(channel)
        self._conversations.leg_gone(channel)
        if self._in_call is not None:
            self._in_call.gone(channel)

    def _key(self, event: Mapping[str, Any], at: datetime) -> None:
        self._legs.pressed(_id(event["channel"]), _text(event["digit"])[:1])

    def _played(self, event: Mapping[str, Any], at: datetime) -> None:
        playback = event["playback"]
        self._legs.played(_id(playback), playback["state"] != "failed")
        if self._recordings is not None:
            self._recordings.played(_id(playback), playback["state"] != "failed")
        if self._in_call is not None:
            self._in_call.queues.played(_id(playback), playback["state"] != "failed")

    def _recorded(self, event: Mapping[str, Any], at: datetime) -> None:
        recording = event["recording"]
        name, well = _text(recording["name"]), event["type"] == "RecordingFinished"
        self._legs.recorded(name, well and recording["state"] != "failed")
        if self._recordings is not None:
            self._recordings.finished(name, well)

    def _entered(self, event: Mapping[str, Any], at: datetime) -> None:
        channel = _id(event["channel"])
        if ids.is_attempt(channel):
            self._conversations.joined(channel, _id(event["bridge"]), at)
            if self._in_call is not None:
                self._in_call.entered(channel, _id(event["bridge"]))
            if self._recordings is not None:
                self._recordings.entered(channel, _id(event["bridge"]))


def _id(thing: Mapping[str, Any]) -> str:
    return _text(thing["id"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} where a text belongs")
    return value


def _when(timestamp: str) -> datetime:
    at = datetime.fromisoformat(timestamp)
    if at.tzinfo is None:  # it would meet times that have a zone, and fail there
        raise ValueError(f"a time without a zone: {timestamp[:40]!r}")
    return at


_HANDLERS = {
    "StasisStart": Stasis._start,
    "StasisEnd": Stasis._end,
    "ChannelDestroyed": Stasis._destroyed,
    "ChannelEnteredBridge": Stasis._entered,
    "ChannelDtmfReceived": Stasis._key,
    "PlaybackFinished": Stasis._played,
    "RecordingFinished": Stasis._recorded,
    "RecordingFailed": Stasis._recorded,
}
EVENTS = tuple(_HANDLERS)  # what is asked of Asterisk
