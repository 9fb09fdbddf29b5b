"""`dialer-admin callerid`."""

import click

from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.store import callerid_admin, campaigns


@click.group("callerid")
def group() -> None:
    """Caller IDs: the pools of numbers that are shown to those who are called."""


@command(group, "add")
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True)
@click.option("--campaign", "campaign_name", help="Name or id.  [default: the tenant's own pool]")
@click.option("--carrier", default="")
@click.option("--area-code", default="", help="Calls into this area prefer it.")
@click.option("--daily-limit", type=int, default=1000, show_default=True, help="Calls a day.")
@click.option("--hourly-limit", type=int, default=100, show_default=True, help="Calls an hour.")
async def add(
    session: Session,
    as_json: bool,
    numbers: tuple[str, ...],
    campaign_name: str | None,
    carrier: str,
    area_code: str,
    daily_limit: int,
    hourly_limit: int,
) -> None:
    """Put numbers into a pool: all of them, or none."""
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        added = await callerid_admin.add(
            pool,
            tenant.id,
            numbers,
            tenant.default_region,
            session.by,
            campaign.id if campaign else None,
            carrier,
            area_code,
            daily_limit,
            hourly_limit,
        )
    if as_json:
        show_json({"caller_ids": added})
    for entry in added:
        say(f"caller ID {entry.e164} is in the pool of {entry.campaign or 'the tenant'}")


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The caller IDs of all pools."""
    async with session.tenant() as (pool, tenant):
        found = await callerid_admin.all_of(pool, tenant.id)
    if as_json:
        show_json({"caller_ids": found})
        return
    columns = ("ID", "NUMBER", "CAMPAIGN", "CARRIER", "AREA", "PER DAY", "PER HOUR", "ACTIVE")
    show_table(
        columns,
        [(i.id, i.e164, i.campaign, i.carrier, i.area_code, i.daily_limit, i.hourly_limit, i.active) for i in found],
    )


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
