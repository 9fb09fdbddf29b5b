"""`dialer-admin pacing`: what pacing decided, why, and whether it would decide the same again."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from dialerd.cli.common import REFUSED, Session, command, say, show_json, show_table
from dialerd.clock import Clock
from dialerd.pacing import kept
from dialerd.store import campaigns, pacing

_PERIOD = re.compile(r"([1-9][0-9]{0,5})([smhd])\Z", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SHOWN = 50  # differences; all of them are counted


def period(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """A time span as an option's callback reads it: 90m."""
    match = _PERIOD.match(value.strip())
    if match is None:
        raise click.BadParameter("a number and s, m, h or d, as in 90m")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that does not come out again. `again`: None where it could not be made."""

    at: datetime
    node: str
    lines: int
    reason: str
    again: dict[str, Any] | None
    words: str


@click.group("pacing")
def group() -> None:
    """Pacing's decisions: how many lines, and why. CAMPAIGN is a name or an id.

    A decision a second of each campaign is kept for 30 days, with all that it was made from.
    """


@command(group, "show")
@click.argument("campaign")
@click.option("--since", callback=period, default="1h", show_default=True, metavar="PERIOD", help="As in 90m or 2d.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The last so many.")
async def show(session: Session, as_json: bool, campaign: str, since: timedelta, limit: int) -> None:
    """The last decisions of CAMPAIGN, oldest first."""
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
        told = await pacing.latest(pool, tenant.id, found.id, Clock().now() - since, limit)
    if as_json:
        show_json({"campaign": found.id, "decisions": told})
    elif told:
        show_table(("AT", "LINES", "REASON"), [(each.at, each.lines, each.reason) for each in told])
    else:
        say(f"no decision in that time; the campaign is {found.state}")


@command(group, "replay")
@click.argument("campaign")
@click.option("--since", callback=period, default="1d", show_default=True, metavar="PERIOD", help="As in 90m or 2d.")
async def replay(session: Session, as_json: bool, campaign: str, since: timedelta) -> None:
    """Decide everything again from what was kept, by the program as it is now.

    Exit status 1 when a decision comes out differently, by a single letter of its reason: then the record or the
    program was changed.
    """
    differences: list[Difference] = []
    same = different = 0
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
        start = Clock().now() - since
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("deciding again", total=await pacing.count(pool, tenant.id, found.id, start))
            async for each in pacing.stored(pool, tenant.id, found.id, start):
                difference = _differs(each)
                if difference is None:
                    same += 1
                else:
                    different += 1
                    if len(differences) < _SHOWN:
                        differences.append(difference)
                progress.advance(bar)
    if as_json:
        show_json({"campaign": found.id, "same": same, "different": different, "differences": differences})
    elif differences:
        rows = [(d.at, d.lines, d.reason, d.words) for d in differences]
        show_table(("AT", "LINES", "REASON", "AGAIN"), rows)
    more = f"; the first {_SHOWN} are shown" if different > _SHOWN else ""
    say(f"{same} of {same + different} decisions come out the same, byte for byte{more}")
    if different:
        raise click.exceptions.Exit(REFUSED)


def _differs(each: pacing.Stored) -> Difference | None:
    """What is different when the decision is made again; None: nothing."""
    says: dict[str, Any] | None = None
    if each.digest is not None and each.curves is None:
        words = f"cannot be made: its model {each.digest} is not there"
    else:
        try:
            again = kept.replay(each.snapshot, each.curves, each.grace)
        except (KeyError, TypeError, ValueError) as error:
            words = f"cannot be made: what was kept is broken ({type(error).__name__}: {error})"
        else:
            if (again.lines, again.reason) == (each.lines, each.reason):
                return None
            says = {"lines": again.lines, "reason": again.reason}
            words = f"{again.lines} lines: {again.reason}"
    return Difference(each.at, each.node, each.lines, each.reason, says, words)


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
