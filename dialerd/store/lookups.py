"""What a dialplan may look up: whose campaign a name is, which lists bar a number, whether it is open now, who has it.
Nothing is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dialerd.core import phone
from dialerd.core.hours import NO_CAMPAIGN, Hours
from dialerd.store import campaigns, permission
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("lookups")
_CAMPAIGNS, _TENANTS, _STALE, _BARS, _CONTACT = _Q.campaigns, _Q.tenants, _Q.stale, _Q.bars, _Q.contact
_STATE = _Q.state_of_campaign
_BY_HAND = ("active", "completed")  # nobody stopped it; a list that is used up keeps no agent from calling


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose lists and contacts are meant. `campaign_id` None: no campaign of ours; `any_campaign`: it might be each."""

    tenant_id: int
    default_region: str
    campaign_id: int | None = None
    any_campaign: bool = False


async def scope(pool: Any, campaign: str, tenant: str | None) -> Scope:
    """The scope of a campaign by id, else by name, of whichever tenant it is.

    No campaign: that of `tenant` (None: the only one) as a whole. A name that is none of ours (another system's, or a
    slip): the same, and the lists of each of its campaigns count, since the stricter is never wrong. Raises `Refused`
    when whose it is cannot be told.
    """
    rows = await pool.fetch(_CAMPAIGNS, campaign, campaigns.id_of(campaign)) if campaign else []
    meant = [row for row in rows if row["by_id"]] or rows
    if len(meant) > 1:
        raise Refused(f"more than one tenant has a campaign {campaign!r}: ask by its id")
    if meant:
        return Scope(meant[0]["tenant_id"], meant[0]["default_region"], meant[0]["id"])
    tenants = await pool.fetch(_TENANTS, tenant)
    if len(tenants) != 1:
        raise Refused("no campaign of ours, and no one tenant whose it could be: see [callerids] foreign_tenant")
    return Scope(tenants[0]["id"], tenants[0]["default_region"], None, bool(campaign))


async def bars(pool: Any, where: Scope, e164: str) -> tuple[str, ...] | None:
    """The names of the lists that bar a number; None when a list that might is too old to say."""
    asked = (where.tenant_id, where.campaign_id, where.any_campaign)
    found = tuple(row["name"] for row in await pool.fetch(_BARS, *asked, int(e164[1:])))
    if not found and await pool.fetchval(_STALE, *asked) is not None:
        return None
    return found


async def hours(pool: Any, where: Scope, e164: str, now: datetime) -> Hours:
    """Whether a number may be called by hand at `now` for the campaign of the scope. Raises `NotFound`."""
    if where.campaign_id is None:
        return Hours("", NO_CAMPAIGN)
    campaign, state = str(where.campaign_id), await pool.fetchval(_STATE, where.campaign_id)
    if state not in _BY_HAND:
        return Hours(campaign, f"campaign_{state or 'gone'}")
    number = phone.parse(e164, where.default_region)
    answer = await permission.may_call(pool, where.tenant_id, where.campaign_id, True, number, "", now)
    return Hours(campaign, "" if answer.allowed else answer.reason or "disabled", answer.next_at)


async def contact(pool: Any, where: Scope, e164: str) -> Mapping[str, Any] | None:
    """The newest contact with a number: contact_id, campaign_id, name, state, attempts, last_outcome. Or None."""
    row = await pool.fetchrow(_CONTACT, where.tenant_id, where.campaign_id, e164)
    return dict(row) if row is not None else None
