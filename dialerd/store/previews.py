"""Contacts that are held for an agent to look at: for so long, and by themselves free again after it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from dialerd.core.terms import Judgement
from dialerd.store.claim import Claim, claim
from dialerd.store.queries import queries

_Q = queries("agents")
_NEXT, _END, _HELD = _Q.preview_next, _Q.preview_end, _Q.preview_held
_ADD_EVENT = queries("admin").add_event


@dataclass(frozen=True, slots=True)
class Held:
    """A contact and its number, held until then."""

    contact_id: int
    e164: str
    until: datetime


async def hold_next(
    pool: asyncpg.Pool, campaign_id: int, agent_id: int, judgement: Judgement, seconds: float
) -> Held | None:
    """Holds the campaign's next contact for an agent, in place of the one they may have; None: there is none now."""
    if judgement.refusal is not None:
        return None
    row = await pool.fetchrow(_NEXT, campaign_id, agent_id, list(judgement.open), seconds)
    return Held(row["contact_id"], row["e164"], row["until"]) if row is not None else None


async def end(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, agent_id: int, seconds: float, detail: dict[str, Any]
) -> int | None:
    """Ends the agent's hold: the contact's turn comes again after `seconds`. What was skipped, by whom and why goes on
    record as `detail`. The contact's id, or None where the hold was over."""
    async with pool.acquire() as connection, connection.transaction():
        contact: int | None = await connection.fetchval(_END, agent_id, seconds)
        if contact is not None:
            await connection.execute(
                _ADD_EVENT,
                tenant_id,
                campaign_id,
                "preview.ended",
                {"contact": contact, "after_seconds": seconds} | detail,
            )
        return contact


async def claim_held(
    pool: asyncpg.Pool, campaign_id: int, agent_id: int, node: str, judgement: Judgement
) -> Claim:  # fmt: skip
    """Takes the contact that is held for the agent, as `store.claim.claim` takes the next ones: when it returns, the
    attempt is committed. A refusal may be a rule about this contact; its hold is over then."""
    held: int | None = await pool.fetchval(_HELD, agent_id)
    if held is None:
        return Claim((), "not_held")
    return await claim(pool, campaign_id, 1, node, judgement, [agent_id], contact=held)
