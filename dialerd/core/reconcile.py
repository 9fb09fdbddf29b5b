"""Bringing two lists together: what Asterisk has, and what we believe (rule 5). Pure: returns what to do.

The same function serves at start, at every reconnect and on the timer.
"""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

from dialerd.core import ids

AGENTS_CONTEXT = "dialerd-agents"  # of asterisk-conf/extensions.d: where agents log in by phone
INBOUND_CONTEXT = "dialerd-inbound"  # and where people come in who call back

TRANSFER_CONTEXT = "dialerd-transfer"  # and where flows put people through


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of Asterisk: its id, its state ("Ring", "Up", …), its accountcode, whether our app holds it, and its
    context in the dialplan."""

    id: str
    state: str
    account: str
    in_app: bool
    context: str = ""


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


def plan(
    channels: Iterable[Channel], attempts: Collection[Believed], legs: Mapping[int, str], owned: Container[str]
) -> Plan:
    """What to do about `channels`, a list that was asked for after `attempts` and `legs` were written down.

    `legs`: agent id → the channel id that we believe stands for this agent. `owned`: the channel ids (attempts and
    legs) that we own at the time the list has arrived; what was dialled meanwhile is no orphan. A channel without our
    accountcode is the admin's and is never touched.
    """
    ours = {c.id: c for c in channels if c.account == ids.ACCOUNT}
    seen = {b.attempt: ours[b.attempt].state for b in attempts if b.attempt in ours}
    gone = tuple(b.attempt for b in attempts if b.attempt not in ours and _is_lost(b))
    orphans = tuple(
        c.id for c in ours.values() if (_we_named(c.id) or _called_us(c)) and ids.attempt_of(c.id) not in owned
    )
    standing = {agent: channel for agent, channel in legs.items() if channel in ours}
    return Plan(seen, gone, orphans, standing, tuple(a for a in legs if a not in standing))


def _is_lost(believed: Believed) -> bool:
    return believed.proved_alive or believed.age_seconds > believed.patience_seconds


def _called_us(channel: Channel) -> bool:
    """Somebody who called us: Asterisk gave the id, so the place tells. One in the dialplan is still on its way."""
    return channel.context in (AGENTS_CONTEXT, INBOUND_CONTEXT) and channel.in_app


def _we_named(channel_id: str) -> bool:
    """Only ids that we gave out: a far leg that Asterisk named itself ends with the near one."""
    near = ids.attempt_of(channel_id)
    return ids.is_attempt(near) or any(of(near) is not None for of in (ids.agent_of, ids.caller_of, ids.listener_of))
