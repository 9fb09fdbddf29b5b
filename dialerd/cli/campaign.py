"""`dialer-admin campaign`: make, show, change, start, pause, stop."""

from dataclasses import asdict
from typing import Any

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.core import campaign as rules
from dialerd.core import windows
from dialerd.store import campaigns, schedules


@click.group("campaign")
def group() -> None:
    """Campaigns. CAMPAIGN is a name or an id."""


@command(group, "create")
@click.argument("name")
@click.option("--mode", "dial_mode", default="progressive", show_default=True, help="preview or progressive.")
@click.option("--queue", "queue_name", required=True, help="Whose agents take the calls.")
@click.option("--trunk", required=True, help="The way out: a [trunks.NAME] of the configuration.")
@click.option("--caller-id", help="Shown when the pool has nothing free.")
@click.option("--description", default="")
@click.option("--window", "window_texts", multiple=True, help="'mon-fri 09:00-20:00' (repeatable) or 'always', in the "
              "called number's own zone.  [default: mon-sat 09:00-20:00]")  # fmt: skip
@click.option("--max-retries", type=int, default=3, show_default=True)
@click.option("--retry-delay", "retry_delay_seconds", type=int, default=300, show_default=True, help="Seconds.")
@click.option("--pacing-ratio", type=float, default=3.0, show_default=True, help="For modes that use one.")
@click.option("--max-concurrent-calls", type=int, default=50, show_default=True)
@click.option("--ring-timeout", "ring_timeout_seconds", type=int, default=30, show_default=True, help="Seconds.")
@click.option("--wrap-up", "wrap_up_seconds", type=int, default=15, show_default=True, help="Seconds.")
@click.option("--machine-detection", type=click.Choice(["off", "drop"]), default="off", show_default=True)
@click.option("--profile", "legal_profile", help="Legal profile whose hours and holidays hold as well: "
              "see 'profile list'.")  # fmt: skip
@click.option("--purpose", type=click.Choice(rules.PURPOSES), default="marketing", show_default=True)
@click.option("--skip-holidays/--no-skip-holidays", default=None, help="Call nobody on holidays.  "
              "[default: as the tenant has it]")  # fmt: skip
async def create(
    session: Session, as_json: bool, window_texts: tuple[str, ...], caller_id: str | None, **fields: Any
) -> None:
    """Make a campaign. It is a draft until it is started."""
    calling = tuple(windows.parse(window_texts)) if window_texts else windows.DEFAULT
    async with session.tenant() as (pool, tenant):
        shown = rules.caller_id(caller_id, tenant.default_region) if caller_id else None
        draft = rules.Draft(**fields, caller_id=shown, windows=calling)
        campaign = await campaigns.create(pool, tenant.id, draft, session.by)
    _show(campaign, as_json)


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The campaigns, newest first."""
    async with session.tenant() as (pool, tenant):
        found = await campaigns.all_of(pool, tenant.id)
    if as_json:
        show_json({"campaigns": found})
        return
    columns = ("ID", "NAME", "STATE", "MODE", "QUEUE", "TRUNK", "CONTACTS", "QUEUED", "ATTEMPTS")
    show_table(
        columns,
        [(c.id, c.name, c.state, c.dial_mode, c.queue_name, c.trunk, c.contacts, c.queued, c.attempts) for c in found],
    )


@command(group, "show")
@click.argument("campaign")
async def show(session: Session, as_json: bool, campaign: str) -> None:
    """One campaign in full."""
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
    _show(found, as_json)


@command(group, "update")
@click.argument("campaign")
@click.option("--window", "window_texts", multiple=True, help="These windows in place of all it has; as in 'create'.")
@click.option("--profile", "legal_profile", help="Another legal profile, or 'none'.")
@click.option("--purpose", type=click.Choice(rules.PURPOSES))
@click.option("--skip-holidays", "holidays", flag_value="skip", help="Call nobody on holidays.")
@click.option("--no-skip-holidays", "holidays", flag_value="work", help="Call on holidays, where the profile lets it.")
@click.option("--tenant-holidays", "holidays", flag_value="tenant", help="Keep holidays as the tenant has it.")
async def update(
    session: Session,
    as_json: bool,
    campaign: str,
    window_texts: tuple[str, ...],
    legal_profile: str | None,
    **fields: Any,
) -> None:
    """Change when a campaign calls; a running one keeps to it from the next call on."""
    calling = tuple(windows.parse(window_texts)) if window_texts else None
    wanted = schedules.Change(calling, "" if legal_profile == "none" else legal_profile, **fields)
    if wanted == schedules.Change():
        raise click.UsageError("nothing to change: name at least one option")
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
        changed = await schedules.change(pool, tenant.id, found.id, wanted, session.by)
    _show(changed, as_json)


@command(group, "start")
@click.argument("campaign")
async def start(session: Session, as_json: bool, campaign: str) -> None:
    """Start or resume dialing. Refused where it could never dial: no calling window, no such trunk."""
    await _change(session, as_json, campaign, "start")


@command(group, "pause")
@click.argument("campaign")
async def pause(session: Session, as_json: bool, campaign: str) -> None:
    """Place no new calls until it is started again; live calls go on."""
    await _change(session, as_json, campaign, "pause")


@command(group, "stop")
@click.argument("campaign")
async def stop(session: Session, as_json: bool, campaign: str) -> None:
    """End the campaign; live calls go on. It can be started again."""
    await _change(session, as_json, campaign, "stop")


async def _change(session: Session, as_json: bool, name: str, action: rules.Action) -> None:
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, name)
        declared = session.config.trunks.keys()
        changed = await campaigns.change(pool, tenant.id, found.id, action, session.by, declared)
    if as_json:
        show_json(changed)
    say(f"campaign {changed.id} ({changed.name}) is {changed.state}")


def _show(campaign: campaigns.Campaign, as_json: bool) -> None:
    if as_json:
        show_json(campaign)
    else:
        show_fields(asdict(campaign))


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
