"""`dialer-admin agent`."""

import click

from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.store import agents


@click.group("agent")
def group() -> None:
    """Agents."""


@command(group, "add")
@click.argument("name")
@click.option("--endpoint", help="The PJSIP endpoint of the agent's phone.  [default: NAME]")
@click.option("--queue", "queue_names", multiple=True, required=True, help="A queue that the agent serves; repeatable.")
@click.option("--full-name", default="")
@click.option("--phone", help="The number at which outside dialers reach the agent.")
async def add(
    session: Session, as_json: bool, name: str, endpoint: str | None, queue_names: tuple[str, ...], full_name: str,
    phone: str | None,
) -> None:  # fmt: skip
    """Make an agent known."""
    async with session.tenant() as (pool, tenant):
        agent = await agents.add(pool, tenant.id, name, endpoint or name, queue_names, full_name, session.by, phone)
    if as_json:
        show_json(agent)
    say(f"agent {agent.id} ({agent.name}) at PJSIP/{agent.endpoint} serves {', '.join(agent.queues)}")


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The agents, and what they do now."""
    async with session.tenant() as (pool, tenant):
        found = await agents.all_of(pool, tenant.id)
    if as_json:
        show_json({"agents": found})
        return
    columns = ("ID", "NAME", "FULL NAME", "ENDPOINT", "QUEUES", "ACTIVE", "STATE", "SINCE", "NODE")
    show_table(
        columns,
        [(a.id, a.name, a.full_name, a.endpoint, a.queues, a.active, a.state, a.state_at, a.node) for a in found],
    )


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
