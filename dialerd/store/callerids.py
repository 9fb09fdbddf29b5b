"""The caller-ID pool, and the campaigns that draw from it, from PostgreSQL."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from dialerd.core.callerid import CallerId
from dialerd.store.queries import queries

_Q = queries("callerids")
_POOL, _CAMPAIGNS, _TENANTS = _Q.pool, _Q.campaigns, _Q.tenants
_PAGE = 1_000  # numbers read at a time: some milliseconds of the loop


async def load(pool: asyncpg.Pool) -> list[CallerId]:
    """Every number of every pool, active or not."""
    found: list[CallerId] = []
    while rows := await pool.fetch(_POOL, found[-1].id if found else 0, _PAGE):
        found += [CallerId(**row) for row in rows]
    return found


async def campaigns(pool: asyncpg.Pool) -> list[Mapping[str, Any]]:
    """Of every campaign: `id`, `tenant_id`, `name`, `caller_id`, `local_presence`, `sticky_caller_id`, and the
    tenant's `default_region`."""
    found: list[Mapping[str, Any]] = await pool.fetch(_CAMPAIGNS)
    return found


async def tenants(pool: asyncpg.Pool) -> list[Mapping[str, Any]]:
    """Of every tenant: `id`, `name`, `default_region`."""
    found: list[Mapping[str, Any]] = await pool.fetch(_TENANTS)
    return found
