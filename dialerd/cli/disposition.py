"""`dialer-admin disposition`: what agents may say of a call."""

import click

from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.core.disposition import DEFAULTS, Disposition, Meaning, meaning_of
from dialerd.store import campaigns, dispositions

_campaign = click.option("--campaign", "campaign_name", help="Only for this campaign: name or id.  [default: all]")


@click.group("disposition")
def group() -> None:
    """Dispositions. A campaign that has any of its own has these and no others."""


@command(group, "set")
@click.argument("code")
@click.option("--label", required=True, help="What agents read.")
@click.option("--meaning", required=True, type=click.Choice([m.value for m in Meaning]), help="What follows from it.")
@click.option("--key", type=click.IntRange(1, 9), help="On the phone and on the page.")
@click.option("--active/--inactive", default=True, help="Whether it may be chosen.")
@_campaign
async def set_command(
    session: Session, as_json: bool, code: str, label: str, meaning: str, key: int | None, active: bool,
    campaign_name: str | None,
) -> None:  # fmt: skip
    """Make a disposition, or change the one of this code."""
    made = Disposition(code, label, meaning_of(meaning), key, active)
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        await dispositions.put(pool, tenant.id, campaign.id if campaign else None, made, session.by)
    if as_json:
        show_json(made)
    say(f"{code} means {meaning}" + (f", key {key}" if key else ""))


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The dispositions; of a tenant without any, those that every one has."""
    async with session.tenant() as (pool, tenant):
        found = await dispositions.listed(pool, tenant.id, every=True)
    rows = found or [dispositions.Listed(None, d.code, d.label, d.meaning, d.key, d.active) for d in DEFAULTS]
    if as_json:
        show_json({"dispositions": rows})
        return
    columns = ("CAMPAIGN", "KEY", "CODE", "LABEL", "MEANING", "ACTIVE")
    show_table(columns, [(d.campaign or "all", d.key, d.code, d.label, d.meaning, d.active) for d in rows])
    if not found:
        say("none were made: these hold for every tenant without any")


@command(group, "remove")
@click.argument("code")
@_campaign
async def remove(session: Session, as_json: bool, code: str, campaign_name: str | None) -> None:
    """Take a disposition away. Calls that were given it keep it."""
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        await dispositions.remove(pool, tenant.id, campaign.id if campaign else None, code, session.by)
    if as_json:
        show_json({"removed": code})
    say(f"{code} is removed")


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
