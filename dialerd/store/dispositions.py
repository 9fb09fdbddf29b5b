"""Dispositions as an operator sees and changes them; every change leaves its row in call_events.

A campaign that has any of its own has these and no others; else its tenant's hold, else those of `core.disposition`.
"""

from dataclasses import dataclass
from typing import Any

import asyncpg

from dialerd.core import disposition as core
from dialerd.core.disposition import Disposition, Meaning
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("dispositions")
_ALL, _LISTED, _LOCK, _OTHER, _PUT, _REMOVE = _Q.all, _Q.listed, _Q.lock, _Q.other_meaning, _Q.put, _Q.remove
_ADD_EVENT = queries("admin").add_event
MOST = 100  # of a campaign, or of a tenant


@dataclass(frozen=True, slots=True)
class Listed:
    """A disposition and whose it is: a campaign's, or (None) the tenant's."""

    campaign: str | None
    code: str
    label: str
    meaning: Meaning
    key: int | None
    active: bool


async def load(pool: asyncpg.Pool) -> core.Stored:
    """All tenants', for the daemon."""
    return core.read(await pool.fetch(_ALL))


async def listed(pool: Any, tenant_id: int, campaign_id: int | None = None, *, every: bool = False) -> list[Listed]:
    """Those of a campaign, of the tenant (None), or with `every` all that were made."""
    rows = await pool.fetch(_LISTED, tenant_id, campaign_id, every)
    return [
        Listed(row["campaign"], row["code"], row["label"], Meaning(row["meaning"]), row["key"], row["active"])
        for row in rows
    ]


async def put(pool: Any, tenant_id: int, campaign_id: int | None, made: Disposition, by: str) -> None:
    """Make a disposition, or change the one of its code. The first one of a campaign takes the place of all that it had
    from its tenant. Raises `core.disposition.DispositionRefused`, and `Refused`: the key is taken, the code means
    something else in another campaign, or there are too many."""
    core.check(made)
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, tenant_id)
            other = await connection.fetchval(_OTHER, tenant_id, campaign_id, made.code, made.meaning.value)
            if other is not None:  # lockouts go by the code, for all campaigns of a tenant
                raise Refused(f"{made.code!r} means {other} elsewhere in this tenant: choose another code")
            before = await connection.fetch(_LISTED, tenant_id, campaign_id, False)
            if len(before) >= MOST and made.code not in {row["code"] for row in before}:
                raise Refused(f"at most {MOST} dispositions")
            await connection.execute(
                _PUT, tenant_id, campaign_id, made.code, made.label.strip(), made.meaning.value, made.key, made.active
            )
            detail = {
                "code": made.code, "label": made.label, "meaning": made.meaning.value, "key": made.key,
                "active": made.active, "by": by,
            }  # fmt: skip
            await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "disposition.set", detail)
    except asyncpg.UniqueViolationError:
        raise Refused(f"key {made.key} is another disposition's") from None
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"there is no campaign {campaign_id}") from None


async def remove(pool: Any, tenant_id: int, campaign_id: int | None, code: str, by: str) -> None:
    """Take one away; calls that were given it keep it. Raises `NotFound`."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, tenant_id)
        if await connection.fetchval(_REMOVE, tenant_id, campaign_id, code) is None:
            raise NotFound(f"there is no disposition {code!r} here")
        detail = {"code": code, "by": by}
        await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "disposition.removed", detail)
