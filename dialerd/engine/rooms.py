"""Where people are put who are with no agent: rooms with music, and the bridge of a person and a third party.

Each room is known by its name, so that a restart finds who is in it and why. A person leaves a room by going into the
next bridge; the room ends then, or with the call.
"""

from collections.abc import Coroutine
from typing import Any

import structlog

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import ids
from dialerd.core.status import AgentRefused
from dialerd.engine.node import Spawn

log = structlog.get_logger(__name__)


class Rooms:
    """`put` and `pair` wait for Asterisk and raise `AgentRefused`; the others run beside."""

    def __init__(self, ari: AriLink, spawn: Spawn) -> None:
        self._ari = ari
        self._spawn = spawn
        self._of: dict[str, set[str]] = {}  # attempt → the rooms made for its person

    async def put(self, attempt: str, room: str) -> None:
        """The person hears music there, and nobody."""
        self._of.setdefault(attempt, set()).add(room)
        await asked(self._ari.make_waiting_room(room))
        await asked(self._ari.join(room, attempt))

    async def open(self, attempt: str, room: str, music: str | None) -> None:
        """A room in which the person may wait; they are not in it yet. `music`: the class, "" Asterisk's default; None:
        none. It is no holding bridge: those have music of their own."""
        self._of.setdefault(attempt, set()).add(room)
        await asked(self._ari.make_bridge(room))
        if music is not None:
            await asked(self._ari.play_music(room, music))

    async def pair(self, attempt: str, channel: str) -> None:
        """The person and another channel hear each other."""
        bridge = ids.pair_bridge(attempt)
        self._of.setdefault(attempt, set()).add(bridge)
        await asked(self._ari.make_bridge(bridge))
        await asked(self._ari.join(bridge, attempt))
        await asked(self._ari.join(bridge, channel))

    def found(self, attempt: str, room: str) -> None:
        """A room of a daemon before us."""
        self._of.setdefault(attempt, set()).add(room)

    def entered(self, attempt: str, bridge: str) -> None:
        """The person is in a bridge: the rooms before it are not needed any more."""
        rooms = self._of.get(attempt)
        if rooms is None:
            return
        for room in rooms - {bridge}:
            self._end(room)
        rooms &= {bridge}
        if not rooms:
            del self._of[attempt]

    def ended(self, attempt: str) -> None:
        """The call is over."""
        for room in self._of.pop(attempt, ()):
            self._end(room)

    def queue_of(self, attempt: str) -> list[str]:
        """The room in which the person waits in a flow's queue; empty: none."""
        return [room for room in self._of.get(attempt, ()) if ids.queue_node(room) is not None]

    def unknown(self, bridge: str) -> bool:
        """Whether it is a room of which nobody knows what it is for."""
        attempt = ids.room_of(bridge)
        return attempt is not None and bridge not in self._of.get(attempt, ())

    def _end(self, room: str) -> None:
        self._spawn(tried(self._ari.end_waiting_room(room), room), f"end {room}")


async def asked(request: Coroutine[Any, Any, None]) -> None:
    """A request whose failure is told to who asked."""
    try:
        await request
    except AriUnreachable as error:
        raise AgentRefused("ari_down", f"Asterisk did not answer: {error}") from error
    except AriError as error:
        raise AgentRefused("asterisk_refused", f"Asterisk refused: {error}") from error


async def tried(request: Coroutine[Any, Any, None], what: str) -> None:
    """A request whose failure reconcile makes good."""
    try:
        await request
    except (AriError, AriUnreachable) as error:
        log.warning("ari.request_failed", what=what, error=str(error))
