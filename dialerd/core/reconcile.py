"""Bringing two lists together: what Asterisk has, and what we believe (rule 5). Pure: returns what to do.

The same function serves at start, at every reconnect and on the timer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dialerd.core import ids


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of Asterisk: its id, its state ("Ring", "Up", …), its accountcode, and whether our app holds it."""

    id: str
    state: str
    account: str
    in_app: bool


@dataclass(frozen=True, slots=True)
class Believed:
    """A live attempt as we hold it. `age_seconds` since its claim; `patience_seconds`: how long it may be unseen."""

    attempt: str
    age_seconds: float
    patience_seconds: float
    proved_alive: bool  # some event showed its channel: when it is not there any more, it ended


@dataclass(frozen=True, slots=True)
class Plan:
    """`seen`: attempt → its channel's state. `gone`: attempts to close. `orphans`: channels to hang up.

    `legs`: agent legs that stand (agent id → channel id). `lost_legs`: agents whose leg is not there any more.
    """

    seen: Mapping[str, str]
    gone: tuple[str, ...]
    orphans: tuple[str, ...]
    legs: Mapping[int, str]
    lost_legs: tuple[int, ...]


def plan(channels: Iterable[Channel], attempts: Iterable[Believed], legs: Mapping[int, str]) -> Plan:
    """What to do. `legs`: agent id → the channel id that we believe stands for this agent.

    A channel without our accountcode is the admin's and is never touched. One of ours that no live attempt and no
    agent owns is an orphan.
    """
    ours = {c.id: c for c in channels if c.account == ids.ACCOUNT}
    owned = {b.attempt: b for b in attempts}
    seen: dict[str, str] = {}
    orphans: list[str] = []
    for channel in ours.values():
        attempt = ids.attempt_of(channel.id)
        if attempt in owned:
            if attempt == channel.id:
                seen[attempt] = channel.state
        elif legs.get(ids.agent_of(channel.id) or -1) != channel.id and _was_given_out_by_us(channel.id):
            orphans.append(channel.id)
    gone = tuple(
        b.attempt
        for b in owned.values()
        if b.attempt not in seen and (b.proved_alive or b.age_seconds > b.patience_seconds)
    )
    standing = {agent: channel for agent, channel in legs.items() if channel in ours}
    return Plan(seen, gone, tuple(orphans), standing, tuple(a for a in legs if a not in standing))


def _was_given_out_by_us(channel_id: str) -> bool:
    """Only ids that we made: a far leg that Asterisk named itself ends with the near one, and may not be ours."""
    return ids.is_attempt(ids.attempt_of(channel_id)) or ids.agent_of(channel_id) is not None
