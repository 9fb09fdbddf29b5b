"""On which days a tenant calls nobody, as an operator changes it; every change leaves its row in call_events.

`tenants.schedule_version` grows with every change, of the campaigns' schedules too; the database counts it itself.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg

from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("admin")
_ADD_HOLIDAY, _REMOVE_HOLIDAY, _HOLIDAYS, _ADD_EVENT = _Q.add_holiday, _Q.remove_holiday, _Q.holidays, _Q.add_event
_TENANT_SCHEDULE, _SET_SKIP = _Q.tenant_schedule, _Q.set_skip_holidays
_NAME = 200  # characters


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day on which a tenant calls nobody."""

    day: date
    name: str


@dataclass(frozen=True, slots=True)
class TenantSchedule:
    """The tenant's switch for public holidays; `schedule_version` grows with every change of any schedule."""

    skip_holidays: bool
    schedule_version: int


async def add_holiday(pool: asyncpg.Pool, tenant_id: int, holiday: Holiday, by: str) -> None:
    """Call nobody on that day. A day that is known already gets the new name. Raises `Refused`."""
    if len(holiday.name) > _NAME or not holiday.name.isprintable():
        raise Refused(f"a holiday's name has at most {_NAME} characters, and no control characters")
    detail = {"by": by, "day": holiday.day.isoformat(), "name": holiday.name}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_ADD_HOLIDAY, tenant_id, holiday.day, holiday.name)
        await connection.execute(_ADD_EVENT, tenant_id, None, "holiday.added", detail)


async def remove_holiday(pool: asyncpg.Pool, tenant_id: int, day: date, by: str) -> None:
    """Call on that day again. Raises `NotFound`."""
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(_REMOVE_HOLIDAY, tenant_id, day) is None:
            raise NotFound(f"{day.isoformat()} is none of the tenant's holidays")
        await connection.execute(_ADD_EVENT, tenant_id, None, "holiday.removed", {"by": by, "day": day.isoformat()})


async def holidays(pool: asyncpg.Pool, tenant_id: int) -> list[Holiday]:
    """The tenant's days off beside the public holidays, in order."""
    return [Holiday(**row) for row in await pool.fetch(_HOLIDAYS, tenant_id)]


async def of_tenant(pool: asyncpg.Pool, tenant_id: int) -> TenantSchedule:
    """The tenant's switch and version."""
    return TenantSchedule(**await pool.fetchrow(_TENANT_SCHEDULE, tenant_id))


async def skip_holidays(pool: asyncpg.Pool, tenant_id: int, skip: bool, by: str) -> TenantSchedule:
    """Whether nobody is called on public holidays, where a campaign does not say otherwise."""
    async with pool.acquire() as connection, connection.transaction():
        await skip_within(connection, tenant_id, skip, by)
    return await of_tenant(pool, tenant_id)


async def skip_within(connection: Any, tenant_id: int, skip: bool, by: str) -> None:
    """The same as a part of the caller's transaction."""
    await connection.execute(_SET_SKIP, tenant_id, skip)
    await connection.execute(_ADD_EVENT, tenant_id, None, "tenant.skip_holidays", {"by": by, "skip": skip})
