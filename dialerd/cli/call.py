"""`dialer-admin call`."""

import json
from uuid import UUID

import click

from dialerd.cli.common import Session, command, show_fields, show_json, show_table
from dialerd.store import calls


@click.group("call")
def group() -> None:
    """Single calls."""


@command(group, "show")
@click.argument("call_id", metavar="ID", type=click.UUID)
async def show(session: Session, as_json: bool, call_id: UUID) -> None:
    """One attempt, and everything that was learned about it."""
    async with session.tenant() as (pool, tenant):
        call = await calls.get(pool, tenant.id, call_id)
    if as_json:
        show_json({**call.attempt, "events": call.events})
        return
    show_fields({name: value for name, value in call.attempt.items() if value is not None})
    rows = [(e["at"], e["kind"], json.dumps(e["detail"], ensure_ascii=False)) for e in call.events]
    show_table(("AT", "EVENT", "DETAIL"), rows)


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
