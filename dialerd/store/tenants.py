"""Tenants, what they pay, and the kill switches. Every change leaves its row in call_events.

For pools that see every tenant. A switch that is off refuses new calls at once (the claim asks for both, and gives the
reason `disabled`); calls in progress go on.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import asyncpg

from dialerd.core.phone import known_region
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("tenants")
_ALL, _ADD, _LOCK, _SET_MONEY, _SET_ENABLED = _Q.all, _Q.add, _Q.lock, _Q.set_money, _Q.set_enabled
_SET_MAX_CALLS = _Q.set_max_calls
_INSTALLATION, _SET_INSTALLATION, _NOTE, _LIVE = (
    _Q.installation,
    _Q.set_installation,
    _Q.note_installation,
    _Q.live_calls,
)
_ADD_EVENT = queries("admin").add_event
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
Unlimited = Literal["unlimited"]
MOST_CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company. `balance` None: unlimited. Prices: of an attempt, and of a started minute of talk. `max_calls`: at a
    time, in all its campaigns; None: no limit."""

    id: int
    name: str
    enabled: bool
    default_region: str
    balance: Decimal | None
    price_attempt: Decimal
    price_minute: Decimal
    max_calls: int | None
    skip_holidays: bool
    schedule_version: int
    created_at: datetime
    campaigns: int
    active_campaigns: int


async def add(pool: asyncpg.Pool, name: str, region: str, by: str) -> Tenant:
    """A new tenant, without a balance. Raises `Refused`: the name is none or is taken, or there is no such region."""
    if not _NAME.match(name):
        raise Refused(f"name {name[:64]!r}: 1 to 64 letters, digits, '_', '.' or '-', a letter or digit first")
    region = region.upper()
    if not known_region(region):
        raise Refused(f"region {region[:10]!r}: a country's two letters, as in FI")
    async with pool.acquire() as connection, connection.transaction():
        tenant_id = await connection.fetchval(_ADD, name, region)
        if tenant_id is None:
            raise Refused(f"there is a tenant {name!r} already")
        await _note(connection, tenant_id, "tenant.added", {"name": name, "region": region, "by": by})
    return await get(pool, name)


async def all_of(pool: asyncpg.Pool) -> list[Tenant]:
    """Every tenant, by name."""
    return [Tenant(**row) for row in await pool.fetch(_ALL, None)]


async def get(pool: asyncpg.Pool, name: str) -> Tenant:
    """One tenant. Raises `NotFound`."""
    row = await pool.fetchrow(_ALL, name)
    if row is None:
        raise NotFound(f"there is no tenant {name!r}; see: dialer-admin tenant list")
    return Tenant(**row)


async def set_money(
    pool: asyncpg.Pool,
    name: str,
    by: str,
    *,
    balance: Decimal | Unlimited | None = None,
    price_attempt: Decimal | None = None,
    price_minute: Decimal | None = None,
) -> Tenant:
    """New prices or balance, where given; attempts that are claimed already keep what they cost then."""
    wanted = {"balance": balance, "price_attempt": price_attempt, "price_minute": price_minute}
    async with pool.acquire() as connection, connection.transaction():
        row = await _locked(connection, name)
        new = {field: row[field] if value is None else value for field, value in wanted.items()}
        if new["balance"] == "unlimited":
            new["balance"] = None
        changes = {f: {"from": _text(row[f]), "to": _text(new[f])} for f in new if new[f] != row[f]}
        if changes:
            await connection.execute(_SET_MONEY, row["id"], *new.values())
            await _note(connection, row["id"], "tenant.prices", {**changes, "by": by})
    return await get(pool, name)


async def set_max_calls(pool: asyncpg.Pool, name: str, max_calls: int | Unlimited, by: str) -> Tenant:
    """How many calls a tenant may have at a time; calls in progress go on. Raises `Refused`: not from 0 to
    `MOST_CALLS`."""
    new = None if max_calls == "unlimited" else max_calls
    if new is not None and not 0 <= new <= MOST_CALLS:
        raise Refused(f"max_calls: 0 to {MOST_CALLS}")
    async with pool.acquire() as connection, connection.transaction():
        row = await _locked(connection, name)
        if row["max_calls"] != new:
            await connection.execute(_SET_MAX_CALLS, row["id"], new)
            await _note(connection, row["id"], "tenant.max_calls", {"from": row["max_calls"], "to": new, "by": by})
    return await get(pool, name)


async def credit(pool: asyncpg.Pool, name: str, amount: Decimal, by: str) -> Tenant:
    """Add to a balance. Raises `Refused` where there is none, or nothing is added."""
    if amount <= 0:
        raise Refused("a credit is more than 0; to set a balance outright: dialer-admin tenant set NAME --balance N")
    async with pool.acquire() as connection, connection.transaction():
        row = await _locked(connection, name)
        if row["balance"] is None:
            raise Refused(f"{name} has no balance and is unlimited; first: dialer-admin tenant set {name} --balance 0")
        new = row["balance"] + amount
        await connection.execute(_SET_MONEY, row["id"], new, row["price_attempt"], row["price_minute"])
        detail = {"amount": _text(amount), "from": _text(row["balance"]), "to": _text(new), "by": by}
        await _note(connection, row["id"], "tenant.credited", detail)
    return await get(pool, name)


async def switch(pool: asyncpg.Pool, name: str, enabled: bool, by: str) -> Tenant:
    """The tenant's kill switch."""
    async with pool.acquire() as connection, connection.transaction():
        row = await _locked(connection, name)
        await switch_within(connection, row["id"], enabled, by)
    return await get(pool, name)


async def switch_within(connection: Any, tenant_id: int, enabled: bool, by: str) -> None:
    """The same for a transaction that is the caller's."""
    if await connection.fetchval(_SET_ENABLED, tenant_id, enabled) is not None:
        await _note(connection, tenant_id, "tenant.enabled" if enabled else "tenant.disabled", {"by": by})


async def installation_enabled(pool: asyncpg.Pool) -> bool:
    """Whether the installation's kill switch is on."""
    return bool(await pool.fetchval(_INSTALLATION))


async def switch_installation(pool: asyncpg.Pool, enabled: bool, by: str) -> bool:
    """The installation's kill switch; whether it was the other way before. One event per tenant."""
    async with pool.acquire() as connection, connection.transaction():
        changed = bool(await connection.fetchval(_SET_INSTALLATION, enabled))
        if changed:
            kind = "installation.enabled" if enabled else "installation.disabled"
            await connection.execute(_NOTE, kind, {"by": by})
        return changed


async def live_calls(pool: asyncpg.Pool, tenant_id: int | None = None) -> int:
    """Calls in progress of a tenant, or of all."""
    return int(await pool.fetchval(_LIVE, tenant_id))


async def _locked(connection: Any, name: str) -> Any:
    row = await connection.fetchrow(_LOCK, name)
    if row is None:
        raise NotFound(f"there is no tenant {name!r}; see: dialer-admin tenant list")
    return row


async def _note(connection: Any, tenant_id: int, kind: str, detail: dict[str, Any]) -> None:
    await connection.execute(_ADD_EVENT, tenant_id, None, kind, detail)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
