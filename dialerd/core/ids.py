"""The names by which our things are known inside Asterisk: one id for an attempt everywhere (rule 2)."""

import re

ACCOUNT = "dialerd"  # accountcode of every channel of ours: how reconcile tells ours from the admin's own
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.ASCII)
_HOLD = re.compile(r"dialerd-hold-([1-9][0-9]{0,17})(?:-[0-9a-f]{8})?\Z", re.ASCII)
_THIRD = re.compile(r"dialerd-third-([1-9][0-9]{0,17})-[0-9a-f]{8}\Z", re.ASCII)
_SNOOP = re.compile(r"dialerd-snoop-([1-9][0-9]{0,17})-[0-9a-f]{8}\Z", re.ASCII)
_ROOM = re.compile(r"dialerd-(?:wait-[0-9a-f]{8}|queue-[0-9a-f]{8}-[a-z0-9_-]{1,64}|pair|park-[0-9]{1,18}-[0-9]{1,18})"
                   r"-([0-9a-f-]{36})\Z", re.ASCII)  # fmt: skip
_QUEUE = re.compile(r"dialerd-queue-[0-9a-f]{8}-([a-z][a-z0-9_-]{0,63})-[0-9a-f-]{36}\Z", re.ASCII)
_PARK = re.compile(r"dialerd-park-([1-9][0-9]{0,17})-([0-9]{1,18})-[0-9a-f-]{36}\Z", re.ASCII)
_AGENT_BRIDGE = "dialerd-agent-"
_AGENT = re.compile(r"dialerd-agent-([1-9][0-9]{0,17})(?:-[0-9a-f]{8})?\Z", re.ASCII)


def is_attempt(channel_id: str) -> bool:
    """Whether a channel id has the form of an attempt's id."""
    return _UUID.match(channel_id) is not None


def attempt_of(channel_id: str) -> str:
    """The attempt behind a channel id: Asterisk names the far half of a Local pair `<id>;2`."""
    return channel_id.removesuffix(";2")


def agent_bridge(agent_id: int, nonce: str) -> str:
    """An id for the bridge in which a new leg of an agent stands; `nonce`: 8 hex digits. Each leg has its own: a bridge
    that was taken down keeps its name for as long as somebody lives who was moved from it into another one, and takes
    nobody in (seen with 22.10)."""
    return f"{_AGENT_BRIDGE}{agent_id}-{nonce}"


def hold_bridge(bridge: str) -> str:
    """The id of the bridge in which the person waits whom an agent has put on hold; `bridge`: the agent's."""
    return f"dialerd-hold-{bridge.removeprefix(_AGENT_BRIDGE)}"


def holder_of(bridge: str) -> int | None:
    """The agent who put somebody on hold into this bridge, or None when it is another one."""
    match = _HOLD.match(bridge)
    return int(match.group(1)) if match else None


def agent_leg(agent_id: int, nonce: str) -> str:
    """A channel id for a new agent leg; `nonce`: 8 hex digits, so that a leg that returns is another."""
    return f"dialerd-agent-{agent_id}-{nonce}"


def agent_of(id_: str) -> int | None:
    """The agent behind a leg's or a bridge's id, or None when it is not of that form."""
    match = _AGENT.match(id_)
    return int(match.group(1)) if match else None


def recording(channel_id: str, nonce: str) -> str:
    """A name for what a channel says; `nonce`: 8 hex digits. It becomes the name of a file: no slash."""
    return f"{channel_id}-{nonce}"


def recorded_channel(name: str) -> str | None:
    """The channel that said it, or None when the name is not of that form."""
    channel, dash, nonce = name.rpartition("-")
    return channel if dash and len(nonce) == 8 and is_attempt(channel) else None


def recorder(recording: str) -> str:
    """The id of the channel that listens to a call and is recorded; `recording`: its name (core.recording)."""
    return f"dialerd-rec-{recording}"


def recording_of(channel_id: str) -> str | None:
    """The recording that a channel is for, or None when the id is not of that form."""
    head, dash, name = channel_id.partition("dialerd-rec-")
    return name if dash and not head else None


def playback(channel_id: str, nonce: str) -> str:
    """An id for a sound that a channel is to hear; `nonce`: 8 hex digits, so that each sound has its own."""
    return f"{channel_id}/{nonce}"


def playing_channel(playback_id: str) -> str | None:
    """The channel that hears it, or None when the id is not of that form."""
    channel, slash, _ = playback_id.rpartition("/")
    return channel if slash else None


def third_leg(agent_id: int, nonce: str) -> str:
    """A channel id for a third party whom an agent calls; `nonce`: 8 hex digits."""
    return f"dialerd-third-{agent_id}-{nonce}"


def caller_of(channel_id: str) -> int | None:
    """The agent who called this third party, or None when the id is not of that form."""
    match = _THIRD.match(channel_id)
    return int(match.group(1)) if match else None


def snoop(agent_id: int, nonce: str) -> str:
    """A channel id for what a supervisor (an agent) hears of a conversation."""
    return f"dialerd-snoop-{agent_id}-{nonce}"


def listener_of(channel_id: str) -> int | None:
    """The supervisor who listens by this channel, or None when the id is not of that form."""
    match = _SNOOP.match(channel_id)
    return int(match.group(1)) if match else None


def waiting_room(attempt: str, nonce: str) -> str:
    """The id of the bridge in which a person waits without an agent; `nonce`: 8 hex digits, so that the next one is
    another."""
    return f"dialerd-wait-{nonce}-{attempt}"


def is_waiting_room(bridge: str) -> bool:
    """Whether it is one of those."""
    return bridge.startswith("dialerd-wait-") and room_of(bridge) is not None


def queue_room(attempt: str, node: str, nonce: str) -> str:
    """The id of the bridge in which a person waits at a flow's node; `nonce`: 8 hex digits, as in a waiting room's."""
    return f"dialerd-queue-{nonce}-{node}-{attempt}"


def queue_node(bridge: str) -> str | None:
    """The node at which somebody waits in this bridge, or None when it is another one."""
    match = _QUEUE.match(bridge)
    return match.group(1) if match else None


def pair_bridge(attempt: str) -> str:
    """The id of the bridge in which a person talks to a third party without an agent."""
    return f"dialerd-pair-{attempt}"


def park_room(attempt: str, by: int, meant: int | None) -> str:
    """The id of the bridge in which a person is parked; it says by which agent, and for which one (None: any)."""
    return f"dialerd-park-{by}-{meant or 0}-{attempt}"


def parked(bridge: str) -> tuple[int, int | None] | None:
    """By whom and for whom somebody is parked in this bridge, or None when it is another one."""
    match = _PARK.match(bridge)
    return (int(match.group(1)), int(match.group(2)) or None) if match else None


def room_of(bridge: str) -> str | None:
    """The attempt for whose person a room was made, or None when it is another bridge."""
    match = _ROOM.match(bridge)
    return match.group(1) if match else None
