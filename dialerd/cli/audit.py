"""`dialer-admin audit`: whether the record is still what was written."""

import re
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import Progress

from dialerd.cli.common import REFUSED, Session, command, say, show_fields, show_json, show_table
from dialerd.store import audit

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-fA-F]{64})\Z", re.ASCII)
_SHOWN = 50


@click.group("audit")
def group() -> None:
    """The seals of the record: every event is a link of its tenant's chain of hashes.

    The chain shows what was changed after it was sealed. Who owns the database could make a whole new chain; a head
    that was noted outside of it (the daemon's log has one every few minutes) shows that too.
    """


@command(group, "head")
async def head(session: Session, as_json: bool) -> None:
    """The chain's end, as SEQ:HASH: note it where nobody of here can change it."""
    async with session.tenant() as (pool, _):
        found = await audit.heads(pool)
    if as_json:
        show_json({"head": str(found[0]) if found else None})
    elif found:
        click.echo(str(found[0]))
    else:
        say("nothing is sealed yet: dialerd does that, a moment after an event was written")


@command(group, "verify")
@click.option("--expect", metavar="SEQ:HASH", help="A head that was noted: the chain must still go through it.")
async def verify(session: Session, as_json: bool, expect: str | None) -> None:
    """Read the tenant's whole record and hold it against its seals. Exit status 1 when something is wrong."""
    noted = None
    if expect is not None:
        match = _HEAD.match(expect.strip())
        if match is None:
            raise click.BadParameter("SEQ:HASH, as audit head and the log give it", param_hint="--expect")
        noted = (int(match[1]), match[2])
    async with session.tenant() as (pool, tenant):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("verifying", total=None)
            report = await audit.verify(
                pool, tenant.id, noted, lambda done, last: progress.update(bar, completed=done, total=last)
            )
    if as_json:
        show_json({"ok": report.ok, **asdict(report)})
    else:
        show_fields({name: value for name, value in asdict(report).items() if name != "findings"})
        if report.findings:
            shown = report.findings[:_SHOWN]
            show_table(("WHAT", "SEQ", "EVENT", ""), [(f.kind, f.seq, f.event_id, f.words) for f in shown])
    if report.ok:
        say("the record is what was sealed")
        return
    more = f" ({report.found - _SHOWN} more)" if report.found > _SHOWN and not as_json else ""
    say(f"the record is not what was sealed: {report.found} findings{more}")
    raise click.exceptions.Exit(REFUSED)


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
