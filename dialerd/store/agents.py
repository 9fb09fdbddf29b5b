"""Agents as an operator sees and changes them. What they do now is the engine's to write."""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from dialerd.core import pin
from dialerd.core.phone import DIALABLE
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("admin")
_ADD, _ADD_QUEUES, _ALL, _ADD_EVENT = _Q.add_agent, _Q.add_queues, _Q.agents, _Q.add_event
_QA = queries("agents")
_SET_PIN, _CHANGE, _BY_NAME, _FORGET, _NOTIFY = _QA.set_pin, _QA.change, _QA.by_name, _QA.forget_queues, _QA.notify
_NUMBER = re.compile(r"[0-9]{2,12}\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,200}\Z")


@dataclass(frozen=True, slots=True)
class Agent:
    """A person at a phone; `endpoint` is its PJSIP endpoint's name, `phone` a number at which they are reached: by
    outside dialers, and by us over `phone_trunk`. `login_number` and PIN are for the login extension and the page."""

    id: int
    name: str
    full_name: str
    endpoint: str
    phone: str | None
    phone_trunk: str | None
    login_number: str | None
    has_pin: bool
    supervisor: bool
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


async def set_pin(
    pool: Any, tenant_id: int, name: str, pin_text: str | None, login_number: str | None, by: str
) -> Agent:  # fmt: skip
    """Gives an agent a PIN (None: none, and no way in), and a login number. Pages that are open with the PIN before are
    closed. Raises `NotFound`, `Refused`, `core.pin.PinRefused`."""
    if login_number is not None and not _NUMBER.match(login_number):
        raise Refused("login number: 2 to 12 digits")
    stored = None
    if pin_text is not None:
        pin.check(pin_text)
        stored = await asyncio.to_thread(pin.hashed, pin_text, secrets.token_bytes(pin.SALT_BYTES))
    agent_id = await _id_of(pool, tenant_id, name)
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_SET_PIN, tenant_id, agent_id, stored, login_number)
            detail = {"agent_id": agent_id, "has_pin": stored is not None, "by": by}
            await connection.execute(_ADD_EVENT, tenant_id, None, "agent.pin_set", detail)
    except asyncpg.UniqueViolationError:
        raise Refused(f"login number {login_number} is another agent's") from None
    return await get(pool, tenant_id, name)


async def change(
    pool: Any, tenant_id: int, name: str, by: str, *, phone: str | None = None, phone_trunk: str | None = None,
    full_name: str | None = None, active: bool | None = None, endpoint: str | None = None,
    queue_names: Sequence[str] = (), supervisor: bool | None = None,
) -> Agent:  # fmt: skip
    """What is None or empty stays; `phone_trunk` "": the phone is a PJSIP endpoint again. Raises `NotFound`,
    `Refused`."""
    if phone is not None and not DIALABLE.match(phone):
        raise Refused("phone: 3 to 15 digits, with or without a plus")
    if full_name is not None and not _TEXT.match(full_name):
        raise Refused("full name: at most 200 characters, no control characters")
    for what, text in (("trunk", phone_trunk or None), ("endpoint", endpoint), *(("queue", q) for q in queue_names)):
        if text is not None and not _NAME.match(text):
            raise Refused(f"{what} {text[:64]!r}: 1 to 64 letters, digits, '_', '.' or '-'")
    agent_id = await _id_of(pool, tenant_id, name)
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _CHANGE, tenant_id, agent_id, phone, phone_trunk, full_name, active, endpoint, supervisor
            )
            if queue_names:
                await connection.execute(_FORGET, agent_id)
                await connection.execute(_ADD_QUEUES, agent_id, list(queue_names))
            changed = {
                "phone": phone, "phone_trunk": phone_trunk, "full_name": full_name, "active": active,
                "endpoint": endpoint, "queues": list(queue_names) or None, "supervisor": supervisor,
            }  # fmt: skip
            detail = {"agent_id": agent_id, "by": by, **{k: v for k, v in changed.items() if v is not None}}
            await connection.execute(_ADD_EVENT, tenant_id, None, "agent.changed", detail)
            await connection.execute(_NOTIFY, agent_id)
    except asyncpg.UniqueViolationError:
        raise Refused(f"endpoint {endpoint!r} is another agent's") from None
    return await get(pool, tenant_id, name)


async def get(pool: Any, tenant_id: int, name: str) -> Agent:
    """One agent. Raises `NotFound`."""
    found = [agent for agent in await all_of(pool, tenant_id) if agent.name == name]
    if not found:
        raise NotFound(f"there is no agent {name[:64]!r}")
    return found[0]


async def _id_of(pool: Any, tenant_id: int, name: str) -> int:
    found = await pool.fetchval(_BY_NAME, tenant_id, name)
    if found is None:
        raise NotFound(f"there is no agent {name[:64]!r}")
    return int(found)
