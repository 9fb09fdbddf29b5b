"""`dialer-admin retention`: how long the record is kept."""

from dataclasses import asdict

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json
from dialerd.clock import Clock
from dialerd.store import retention


@click.group("retention")
def group() -> None:
    """How long the tenant keeps its record: for ever, unless told otherwise.

    What is older is erased by the daemon once a day: numbers of attempts become pseudonyms, contacts of campaigns that
    are over lose name and numbers, events lose their detail. Consents and do-not-call entries stay.
    """


@command(group, "show")
async def show(session: Session, as_json: bool) -> None:
    """The setting, and the last run."""
    async with session.tenant() as (pool, tenant):
        _tell(await retention.show(pool, tenant.id), as_json)


@command(group, "set")
@click.argument("days", metavar="DAYS|forever")
async def set_command(session: Session, as_json: bool, days: str) -> None:
    """Keep the record for DAYS days. Refused when a campaign's legal profile, limits or lockouts ask for more."""
    if days != "forever" and not (days.isascii() and days.isdigit() and len(days) < 6):
        raise click.BadParameter("a number of days, or 'forever'", param_hint="DAYS")
    wanted = None if days == "forever" else int(days)
    async with session.tenant() as (pool, tenant):
        _tell(await retention.set_days(pool, tenant.id, wanted, session.by), as_json)


@command(group, "run")
@click.option("--dry-run", is_flag=True, help="Count what would be erased, and erase nothing.")
async def run(session: Session, as_json: bool, dry_run: bool) -> None:
    """Erase now what is older than the setting says. There is no way back."""
    async with session.tenant() as (pool, tenant):
        done = await retention.run(pool, tenant.id, Clock().now(), session.by, dry_run)
    if as_json:
        show_json({**asdict(done), "dry_run": dry_run})
    else:
        show_fields(asdict(done))
    if done.busy:
        say("another run is at work: nothing was done")
    elif done.before is None:
        say("the record is kept for ever: dialer-admin retention set DAYS")
    elif dry_run:
        say("nothing was erased")


def _tell(setting: retention.Setting, as_json: bool) -> None:
    if as_json:
        show_json(setting)
    else:
        days = "for ever" if setting.days is None else f"{setting.days} days"
        show_fields({"kept": days, "last run": setting.ran_at})


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
