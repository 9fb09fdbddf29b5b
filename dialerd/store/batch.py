"""Numbers in batches for an outside dialer: each one is an attempt that lives until its result or its expiry.

The claim is the one of all campaigns, with every gate inside; only the trunk is another one, and is nobody's channel.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from dialerd.core.schedule import is_call_allowed
from dialerd.core.terms import Judgement
from dialerd.places.zones import country_of
from dialerd.store import terms
from dialerd.store.campaigns import OUTSIDE_TRUNK, id_of
from dialerd.store.claim import Claimed, claim
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries
from dialerd.store.queue import promote_on

_Q = queries("batch")
_CAMPAIGNS, _END, _VERSION, _AGENTS = _Q.campaigns, _Q.end_handouts, _Q.version, _Q.active_agents
NODE = TRUNK = OUTSIDE_TRUNK
_EXPIRED_AT_ONCE = 1_000
_TRIES = 3

Reason = Literal["insufficient_funds", "disabled", "holiday", "no_window", "outside_allowed_time_window"]
_NOTHING_NOW = frozenset({"nothing_due", "list_used_up", "still_looking"})


class Ambiguous(Refused):
    """Which campaign is meant is not clear."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """As the batch API needs it."""

    id: int
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Agent:
    """An active agent; `phone` is where an outside dialer reaches them."""

    id: int
    full_name: str
    phone: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is handed out. `detail`: the rule's own name where the five reasons are too few."""

    reason: Reason
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What was asked for: numbers, perhaps none; or a refusal."""

    schedule_version: int
    id: UUID
    numbers: Sequence[Claimed] = ()
    agents: Sequence[Agent] = ()
    refusal: Refusal | None = None


async def campaign_of(pool: Any, tenant_id: int, wanted: str | None) -> Campaign:
    """The campaign named (name or id); else the only active one, else the only one. Raises `NotFound`, `Ambiguous`."""
    number = id_of(wanted) if wanted else None
    found = [Campaign(**row) for row in await pool.fetch(_CAMPAIGNS, tenant_id, wanted, number)]
    if wanted is not None:
        if not found:
            raise NotFound(f"there is no campaign {wanted[:60]!r}")
        return found[0]
    active = [campaign for campaign in found if campaign.state == "active"]
    if len(active or found) != 1:
        names = ", ".join(f"{campaign.name} ({campaign.state})" for campaign in found) or "none"
        raise Ambiguous(f"which campaign is meant is not clear; there are: {names}")
    return (active or found)[0]


async def next_batch(
    connection: Any, tenant_id: int, campaign_id: int, size: int, timeout_seconds: float, zone: str, now: datetime
) -> Batch:
    """Hands out up to `size` numbers, after freeing those that had no result for `timeout_seconds`.

    `zone`: whose clock and holidays say why nothing is handed out. What is returned is committed. Raises `NotFound`.
    """
    await connection.execute(_END, campaign_id, timeout_seconds, _EXPIRED_AT_ONCE)
    await promote_on(connection, campaign_id)
    batch_id = uuid4()
    for _ in range(_TRIES):
        judged = await terms.judged(connection, campaign_id, now)
        taken = await claim(connection, campaign_id, size, NODE, judged, trunk=TRUNK, batch=batch_id)
        if taken.refusal not in ("judgement_too_old", "still_looking"):
            break
    version: int = await connection.fetchval(_VERSION, tenant_id)
    if taken.refusal is not None:
        refusal = await asyncio.to_thread(_refusal, taken.refusal, judged, zone, now)
        if refusal is not None:
            return Batch(version, batch_id, refusal=refusal)
    return Batch(version, batch_id, taken.taken, await _agents(connection, tenant_id))


async def _agents(connection: Any, tenant_id: int) -> list[Agent]:
    rows = await connection.fetch(_AGENTS, tenant_id)
    return [Agent(row["id"], row["full_name"] or row["name"], row["phone"]) for row in rows]


def _refusal(gate: str, judged: Judgement, zone: str, now: datetime) -> Refusal | None:
    """The claim's refusal in the words of the batch API; None: calling is allowed, and there is nothing to call."""
    if gate in ("disabled", "insufficient_funds"):
        return Refusal("disabled" if gate == "disabled" else "insufficient_funds")
    if gate not in _NOTHING_NOW and gate != "outside_allowed_time_window":
        return Refusal("disabled", gate)
    why = is_call_allowed(judged.terms.schedule, (zone,), country_of(), now).reason
    if why in ("holiday", "no_window", "outside_allowed_time_window"):
        return Refusal(why)
    if why is not None:
        return Refusal("disabled", why)
    return None if gate in _NOTHING_NOW else Refusal("outside_allowed_time_window")
