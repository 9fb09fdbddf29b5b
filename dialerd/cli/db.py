"""`dialer-admin db`: the schema."""

import click

from dialerd.cli.common import Session, command, say, show_json
from dialerd.store.migrate import migrate


@click.group("db")
def group() -> None:
    """The database."""


@command(group, "migrate")
async def migrate_command(session: Session, as_json: bool) -> None:
    """Bring the schema to this version. Safe to run again; refuses a schema that is newer."""
    async with session.pool(checked=False) as pool:
        steps = [f"{step.version:04d}_{step.name}" for step in await migrate(pool)]
    if as_json:
        show_json({"applied": steps})
    for name in steps:
        say(f"applied {name}")
    if not steps:
        say("the schema is up to date")


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
