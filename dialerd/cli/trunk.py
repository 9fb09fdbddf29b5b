"""`dialer-admin trunk`."""

import click

from dialerd.cli.common import Session, command, show_json, show_table
from dialerd.store import campaigns


@click.group("trunk")
def group() -> None:
    """Trunks. They are declared in the configuration, as [trunks.NAME]."""


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The trunks that daemons have declared, and those that only this node's file knows yet."""
    async with session.pool() as pool:
        seen = await campaigns.trunks(pool)
    names = {trunk.name for trunk in seen}
    waiting = [name for name in sorted(session.config.trunks) if name not in names]
    if as_json:
        show_json({"trunks": seen, "not_yet_declared": waiting})
        return
    rows: list[tuple[object, ...]] = [(t.name, t.node, t.max_calls, t.live, t.active) for t in seen]
    rows += [(name, "(no daemon yet)", session.config.trunks[name].max_calls, 0, "") for name in waiting]
    show_table(("NAME", "NODE", "MAX CALLS", "LIVE", "ACTIVE"), rows)


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
