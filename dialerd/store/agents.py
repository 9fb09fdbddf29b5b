"""Agents as an operator sees and changes them. What they do now is the engine's to write."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from dialerd.core.phone import DIALABLE
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("admin")
_ADD, _ADD_QUEUES, _ALL, _ADD_EVENT = _Q.add_agent, _Q.add_queues, _Q.agents, _Q.add_event
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,200}\Z")


@dataclass(frozen=True, slots=True)
class Agent:
    """A person at a phone; `endpoint` is its PJSIP endpoint's name, `phone` the number at which outside dialers reach
    them."""

    id: int
    name: str
    full_name: str
    endpoint: str
    phone: str | None
    active: bool
    state: str
    state_at: datetime
    node: str | None
    queues: tuple[str, ...]


async def add(
    pool: asyncpg.Pool,
    tenant_id: int,
    name: str,
    endpoint: str,
    queue_names: Sequence[str],
    full_name: str,
    by: str,
    phone: str | None = None,
) -> Agent:
    """A new agent. Raises `Refused`: a name that is no name, or one or an endpoint that is taken."""
    for what, text in (("name", name), ("endpoint", endpoint), *(("queue", q) for q in queue_names)):
        if not _NAME.match(text):
            raise Refused(f"{what} {text[:64]!r}: 1 to 64 letters, digits, '_', '.' or '-'")
    if not _TEXT.match(full_name):
        raise Refused("full name: at most 200 characters, no control characters")
    if phone is not None and not DIALABLE.match(phone):
        raise Refused("phone: 3 to 15 digits, with or without a plus")
    try:
        async with pool.acquire() as connection, connection.transaction():
            agent_id: int = await connection.fetchval(_ADD, tenant_id, name, full_name, endpoint, phone)
            await connection.execute(_ADD_QUEUES, agent_id, list(queue_names))
            detail = {"agent_id": agent_id, "name": name, "by": by}
            await connection.execute(_ADD_EVENT, tenant_id, None, "agent.added", detail)
    except asyncpg.UniqueViolationError as error:
        taken = f"endpoint {endpoint!r}" if "endpoint" in (error.constraint_name or "") else f"name {name!r}"
        raise Refused(f"the {taken} belongs to another agent already") from None
    return next(agent for agent in await all_of(pool, tenant_id) if agent.id == agent_id)


async def all_of(pool: asyncpg.Pool, tenant_id: int) -> list[Agent]:
    """The tenant's agents by name."""
    return [Agent(**{**row, "queues": tuple(row["queues"])}) for row in await pool.fetch(_ALL, tenant_id)]
