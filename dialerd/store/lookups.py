"""What a dialplan may look up: whose campaign a name is, which lists bar a number, who has it. Nothing is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialerd.store import campaigns
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("lookups")
_CAMPAIGNS, _STALE, _BARS, _CONTACT = _Q.campaigns, _Q.stale, _Q.bars, _Q.contact


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose lists and contacts are meant. `campaign_id` None: no campaign of ours; `any_campaign`: it might be each."""

    tenant_id: int
    default_region: str
    campaign_id: int | None = None
    any_campaign: bool = False


async def scope(pool: Any, campaign: str, tenant: str) -> Scope:
    """The scope of a campaign by name, else by id, of whichever tenant it is.

    No campaign: that of `tenant` as a whole. A name that is none of ours (another system's, or a slip): the same, and
    the lists of each of its campaigns count, since the stricter is never wrong. Raises `Refused` when two tenants have
    a campaign of that name, `NotFound` when there is no such tenant.
    """
    rows = await pool.fetch(_CAMPAIGNS, campaign, campaigns.id_of(campaign)) if campaign else []
    named = [row for row in rows if row["by_name"]] or rows
    if len(named) > 1:
        raise Refused(f"more than one tenant has a campaign {campaign!r}: ask by its id")
    if named:
        return Scope(named[0]["tenant_id"], named[0]["default_region"], named[0]["id"])
    whole = await campaigns.tenant(pool, tenant)
    return Scope(whole.id, whole.default_region, None, bool(campaign))


async def bars(pool: Any, where: Scope, e164: str) -> tuple[str, ...] | None:
    """The names of the lists that bar a number; None when a list that might is too old to say."""
    asked = (where.tenant_id, where.campaign_id, where.any_campaign)
    found = tuple(row["name"] for row in await pool.fetch(_BARS, *asked, int(e164[1:])))
    if not found and await pool.fetchval(_STALE, *asked) is not None:
        return None
    return found


async def contact(pool: Any, where: Scope, e164: str) -> Mapping[str, Any] | None:
    """The newest contact with a number: contact_id, campaign_id, name, state, attempts, last_outcome. Or None."""
    row = await pool.fetchrow(_CONTACT, where.tenant_id, where.campaign_id, e164)
    return dict(row) if row is not None else None
