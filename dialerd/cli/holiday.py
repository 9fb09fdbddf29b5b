"""`dialer-admin holiday`: the tenant's own days off, and its switch for public holidays."""

from dataclasses import asdict
from datetime import datetime

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.store import schedules

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group("holiday")
def group() -> None:
    """Days on which nobody is called. DAY is YYYY-MM-DD, in each number's own zone.

    Public holidays come with dialerd, by country; these are added to them.
    """


@command(group, "add")
@click.argument("day", type=_DAY)
@click.argument("name", default="")
async def add(session: Session, as_json: bool, day: datetime, name: str) -> None:
    """Add a day, for every campaign that keeps holidays."""
    holiday = schedules.Holiday(day.date(), name)
    async with session.tenant() as (pool, tenant):
        await schedules.add_holiday(pool, tenant.id, holiday, session.by)
    if as_json:
        show_json(holiday)
    say(f"nobody is called on {holiday.day.isoformat()}")


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The days, in order."""
    async with session.tenant() as (pool, tenant):
        found = await schedules.holidays(pool, tenant.id)
    if as_json:
        show_json({"holidays": found})
        return
    show_table(("DAY", "NAME"), [(holiday.day.isoformat(), holiday.name) for holiday in found])


@command(group, "remove")
@click.argument("day", type=_DAY)
async def remove(session: Session, as_json: bool, day: datetime) -> None:
    """Take a day away again."""
    async with session.tenant() as (pool, tenant):
        await schedules.remove_holiday(pool, tenant.id, day.date(), session.by)
    if as_json:
        show_json({"removed": day.date().isoformat()})
    say(f"{day.date().isoformat()} is no holiday of this tenant any more")


@command(group, "skip")
@click.argument("switch", type=click.Choice(["on", "off"]), required=False)
async def skip(session: Session, as_json: bool, switch: str | None) -> None:
    """Show or set whether holidays are kept, where a campaign does not say.

    A campaign's legal profile may keep public holidays whatever is set here.
    """
    async with session.tenant() as (pool, tenant):
        if switch is None:
            found = await schedules.of_tenant(pool, tenant.id)
        else:
            found = await schedules.skip_holidays(pool, tenant.id, switch == "on", session.by)
    if as_json:
        show_json(found)
    else:
        show_fields(asdict(found))


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
