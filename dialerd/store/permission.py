"""May a number be called now, and when next; and the switches that decide beside the hours."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dialerd.core import phone
from dialerd.core.calendar import Window
from dialerd.core.schedule import is_call_allowed
from dialerd.places.zones import country_of
from dialerd.store import schedules, settings, terms
from dialerd.store.queries import queries
from dialerd.store.tenants import switch_within

_Q = queries("batch")
_SWITCHES, _ZONES = _Q.switches, _Q.zones_of_number
_WINDOWS = queries("admin").windows


@dataclass(frozen=True, slots=True)
class Switches:
    """What stops all calls of a tenant, or days of them. `schedule_version` grows with every change."""

    enabled: bool
    installation_enabled: bool
    skip_holidays: bool
    schedule_version: int
    out_of_funds: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """`reason`: a word of `core.schedule`, or disabled or insufficient_funds, whose end nobody knows."""

    allowed: bool
    reason: str | None
    next_at: datetime | None


async def switches(pool: Any, tenant_id: int) -> Switches:
    """The tenant's, and the installation's."""
    return Switches(**await pool.fetchrow(_SWITCHES, tenant_id))


async def windows(pool: Any, campaign_id: int) -> list[tuple[int, str, str]]:
    """A campaign's own windows: ISO weekday, from, to (HH:MM; 24:00 ends the day)."""
    return [tuple(row) for row in await pool.fetch(_WINDOWS, campaign_id)]


async def set_schedule(
    pool: Any,
    tenant_id: int,
    campaign_id: int,
    *,
    enabled: bool | None,
    skip_holidays: bool | None,
    calling: list[Window] | None,
    by: str,
) -> None:
    """Change switch, holidays and windows in one transaction; None leaves a thing as it is. Raises `NotFound`."""
    async with pool.acquire() as connection, connection.transaction():
        if calling is not None:
            await settings.write(connection, tenant_id, campaign_id, {"windows": tuple(calling)}, by)
        if skip_holidays is not None:
            await schedules.skip_within(connection, tenant_id, skip_holidays, by)
        if enabled is not None:
            await switch_within(connection, tenant_id, enabled, by)


async def may_call(
    pool: Any, tenant_id: int, campaign_id: int, active: bool, number: phone.Number | None, zone: str, now: datetime
) -> Answer:
    """Judges a number of a campaign where it lies; without a number, `zone`. DNC lists and limits are not asked.

    Raises `NotFound`.
    """
    now_set = await switches(pool, tenant_id)
    if not (now_set.enabled and now_set.installation_enabled and active):
        return Answer(False, "disabled", None)
    if now_set.out_of_funds:
        return Answer(False, "insufficient_funds", None)
    zones: tuple[str, ...] = (zone,)
    if number is not None:
        listed = await pool.fetchval(_ZONES, tenant_id, campaign_id, number.e164)
        zones = number.zones if listed is None else tuple(listed)
    schedule = (await terms.of(pool, campaign_id, now)).schedule
    verdict = await asyncio.to_thread(is_call_allowed, schedule, zones, country_of(), now)
    return Answer(verdict.allowed, verdict.reason, verdict.next_at)
