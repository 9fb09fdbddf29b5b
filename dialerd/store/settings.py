"""Changing a campaign's settings: everything that a `core.campaign.Draft` holds, through one function.

What changed goes into call_events, with the values before and after.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import asyncpg

from dialerd.core import campaign as rules
from dialerd.core import windows as calling
from dialerd.store import campaigns, queue
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("admin")
_LOCK, _CHANGE, _ADD_EVENT, _REMOVE_WINDOWS = _Q.lock_campaign, _Q.change_campaign, _Q.add_event, _Q.remove_windows
_LOCK_IMPORT = queries("contacts").lock_import
_NAMES = frozenset(field.name for field in fields(rules.Draft))


async def change(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, changes: Mapping[str, Any], by: str
) -> campaigns.Campaign:
    """Give a campaign new settings; `changes`: field of `core.campaign.Draft` → value.

    A running campaign keeps to them from the next call on. A new filter holds and frees contacts before this returns;
    a new order sorts the queue. Raises `core.campaign.CampaignRefused`, `NotFound`, and `Refused`: the name is taken,
    or contacts are being imported while the filter is to be changed.
    """
    if unknown := changes.keys() - _NAMES:
        raise rules.CampaignRefused([(sorted(unknown)[0], "no setting is called so")])
    async with pool.acquire() as connection, connection.transaction():
        before = await _draft(connection, tenant_id, campaign_id)
    _check(before, changes)
    new_filter = changes.get("filter", before.filter) != before.filter
    try:
        async with pool.acquire() as connection, connection.transaction():
            if new_filter:
                if not await connection.fetchval(_LOCK_IMPORT, campaign_id):
                    raise Refused("contacts are being imported: change the filter when they are in")
                await queue.hold_by(pool, connection, campaign_id, changes["filter"])
            await write(connection, tenant_id, campaign_id, changes, by)
    except asyncpg.UniqueViolationError:
        raise Refused(f"there is a campaign {changes.get('name')!r} already") from None
    finally:  # also where the new filter was not stored: those it would have held are free again
        if new_filter or "order_by" in changes:
            await queue.apply_filter(pool, campaign_id)
    return await campaigns.get(pool, tenant_id, campaign_id)


async def write(connection: Any, tenant_id: int, campaign_id: int, changes: Mapping[str, Any], by: str) -> None:
    """The same as a part of the caller's transaction, for settings other than filter and order."""
    before = await _draft(connection, tenant_id, campaign_id)
    after = _check(before, changes)
    changed = {name for name in changes if getattr(before, name) != getattr(after, name)}
    if not changed:
        return
    if "windows" in changed:
        await connection.execute(_REMOVE_WINDOWS, campaign_id)
        await campaigns.add_windows(connection, campaign_id, after.windows)
    values = {name: value for name, value in campaigns.stored(after).items() if name in changed}
    await connection.execute(_CHANGE, tenant_id, campaign_id, values)  # for the windows too: the daemons hear of it
    detail = {name: {"from": _plain(before, name), "to": _plain(after, name)} for name in sorted(changed)}
    await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "campaign.changed", {"by": by, "changed": detail})


async def _draft(connection: Any, tenant_id: int, campaign_id: int) -> rules.Draft:
    """The settings as they are, held until the end of the transaction. Raises `NotFound`."""
    row = await connection.fetchrow(_LOCK, tenant_id, campaign_id)
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    values = {name: row[name] for name in _NAMES if name != "windows"}
    windows = await campaigns.windows_of(connection, campaign_id)
    return rules.Draft(**{**values, "limits": tuple(row["limits"]), "windows": windows})


def _check(before: rules.Draft, changes: Mapping[str, Any]) -> rules.Draft:
    after = replace(before, **changes)
    rules.check(after)
    if (before.legal_profile, before.ring_timeout_seconds) != (after.legal_profile, after.ring_timeout_seconds):
        campaigns.check_profile(after.legal_profile, after.ring_timeout_seconds)
    return after


def _plain(draft: rules.Draft, name: str) -> Any:
    return calling.describe(draft.windows) if name == "windows" else getattr(draft, name)
