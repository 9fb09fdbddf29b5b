"""`dialer-admin stats`: how a campaign's calls went, by hour, list, caller ID, agent, outcome or day."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from dialerd.cli.common import Session, command, show_json, show_table
from dialerd.core.contactfile import is_zone
from dialerd.store import campaigns, stats

_SINCE = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"])
_COLUMNS = (
    *("ATTEMPTS", "LIVE", "CONNECTED", "ABANDONED", "RATE", "MACHINES", "BUSY", "NO ANSWER", "FAILED"),
    *("IN PROGRESS", "TALK MEAN", "COST"),
)


def register(cli: click.Group) -> None:
    """Add the command."""

    @command(cli, "stats")
    @click.argument("campaign")
    @click.option("--by", type=click.Choice(stats.BY), default="day", show_default=True, help="hour: of the day.")
    @click.option("--since", type=_SINCE, help="Calls from this time on, in the zone.  [default: all]")
    @click.option("--zone", help="IANA zone of hours and days.  [default: the main one of the tenant's region]")
    async def show(
        session: Session, as_json: bool, campaign: str, by: str, since: datetime | None, zone: str | None
    ) -> None:
        """Show how a campaign's attempts went.

        LIVE: a person answered. RATE: abandoned, of those. FAILED: the call never reached the line, or its fate is
        not known. TALK MEAN: seconds, of connected calls.
        """
        async with session.tenant() as (pool, tenant):
            found = await campaigns.find(pool, tenant.id, campaign)
            zone = zone or await stats.zone_of(pool, tenant.id)
            start = since.replace(tzinfo=ZoneInfo(zone)) if since and is_zone(zone) else since
            table = await stats.grouped(pool, tenant.id, found.id, by, start, zone)
        if as_json:
            show_json({"campaign_id": found.id, **table.as_dict()})
            return
        show_table((by.upper().replace("-", " "), *_COLUMNS), [_row(group) for group in (*table.groups, table.total)])


def _row(g: stats.Group) -> tuple[object, ...]:
    rate = "" if g.abandonment_rate is None else f"{100 * g.abandonment_rate:.2f} %"
    return (
        *(g.name, g.attempts, g.live_answers, g.connected, g.abandoned, rate, g.machines, g.busy, g.no_answer),
        *(g.failed, g.in_progress, g.mean_talk_seconds, g.cost),
    )
