"""`dialer-admin callback`: calls at a time that was agreed with the person."""

import click

from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.clock import Clock
from dialerd.core import phone
from dialerd.store import callbacks, campaigns

_campaign = click.option("--campaign", "campaign_name", required=True, help="Name or id.")


@click.group("callback")
def group() -> None:
    """Callbacks. Times are those of the person's clock, unless they carry an offset."""


@command(group, "add")
@click.argument("number")
@_campaign
@click.option("--at", required=True, metavar="TIME", help="As in '2026-11-23 14:30', or '2026-11-23T14:30+02:00'.")
@click.option("--zone", help="The zone that is meant (IANA), where the number may lie in several.")
@click.option("--agent", help="Whose callback it is.  [default: anyone's]")
@click.option("--note", help="For whoever takes the call.")
async def add(
    session: Session, as_json: bool, number: str, campaign_name: str, at: str, zone: str | None, agent: str | None,
    note: str | None,
) -> None:  # fmt: skip
    """Agree on a callback with a contact of the campaign, in place of one that it has.

    Refused when calling is not allowed at that time; the refusal names the next moment at which it is.
    """
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        e164 = phone.parse(number, tenant.default_region).e164
        wanted = callbacks.Wanted(e164, at, zone, agent, note)
        contact = await callbacks.add(pool, tenant.id, campaign.id, wanted, session.by, Clock().now())
        found = [each for each in await callbacks.agreed(pool, tenant.id, campaign.id) if each.contact_id == contact]
    if as_json:
        show_json(found[0] if found else {"contact_id": contact})
    for each in found:
        say(f"{each.number} is called at {each.at:%Y-%m-%d %H:%M} UTC by {each.agent or 'anyone'}")


@command(group, "list")
@click.option("--campaign", "campaign_name", help="Only this one's: name or id.")
async def list_command(session: Session, as_json: bool, campaign_name: str | None) -> None:
    """The agreed callbacks, the next one first."""
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        found = await callbacks.agreed(pool, tenant.id, campaign.id if campaign else None)
    if as_json:
        show_json({"callbacks": found})
        return
    columns = ("CONTACT", "NUMBER", "NAME", "CAMPAIGN", "AT", "AGENT", "NOTE")
    show_table(columns, [(c.contact_id, c.number, c.name, c.campaign, c.at, c.agent, c.note) for c in found])


@command(group, "cancel")
@click.argument("number")
@_campaign
async def cancel(session: Session, as_json: bool, number: str, campaign_name: str) -> None:
    """Take a callback back. A contact that was reached before is done then; another one waits for its turn."""
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        e164 = phone.parse(number, tenant.default_region).e164
        contact = await callbacks.find(pool, tenant.id, campaign.id, e164)
        state = await callbacks.cancel(pool, tenant.id, contact, session.by)
    if as_json:
        show_json({"contact_id": contact, "state": state})
    say(f"the callback to {e164} is cancelled; the contact is {state}")


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
