"""`dialer-admin agent`."""

import sys
from typing import Any

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


@command(group, "change")
@click.argument("name")
@click.option("--endpoint", help="The PJSIP endpoint of the agent's phone.")
@click.option("--phone", help="A number at which the agent is reached.")
@click.option(
    "--trunk", "phone_trunk", help="Call that number over this trunk as the agent's phone; '' for the endpoint."
)
@click.option("--full-name")
@click.option("--queue", "queue_names", multiple=True, help="The queues that the agent serves, in place of the others.")
@click.option("--active/--inactive", default=None, help="Whether the agent may work.")
@click.option(
    "--supervisor/--no-supervisor",
    default=None,
    help="Whether the agent may listen to others, whisper, barge, take over.",
)
async def change(session: Session, as_json: bool, name: str, **changes: Any) -> None:
    """Change what is known of an agent. What is not given stays."""
    async with session.tenant() as (pool, tenant):
        agent = await agents.change(pool, tenant.id, name, session.by, **changes)
    if as_json:
        show_json(agent)
    say(f"agent {agent.id} ({agent.name}) is changed")


@command(group, "pin")
@click.argument("name")
@click.option("--number", "login_number", help="What the agent types at the login extension, 2 to 12 digits.")
@click.option("--none", "no_pin", is_flag=True, help="Take the PIN away: no login by phone or page.")
async def pin(session: Session, as_json: bool, name: str, login_number: str | None, no_pin: bool) -> None:
    """Give an agent a PIN, read from stdin or typed twice. Who is signed in with the one before is signed out."""
    typed = None if no_pin else _typed()
    async with session.tenant() as (pool, tenant):
        agent = await agents.set_pin(pool, tenant.id, name, typed, login_number, session.by)
    if as_json:
        show_json(agent)
    number = f", login number {agent.login_number}" if agent.login_number else ""
    say(f"{agent.name} has {'a PIN' if agent.has_pin else 'no PIN'}{number}")


def _typed() -> str:
    """Never an argument: those are in the shell's history and in the list of processes."""
    if sys.stdin.isatty():
        return str(click.prompt("PIN", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().strip()


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The agents, and what they do now."""
    async with session.tenant() as (pool, tenant):
        found = await agents.all_of(pool, tenant.id)
    if as_json:
        show_json({"agents": found})
        return
    columns = ("ID", "NAME", "FULL NAME", "PHONE", "LOGIN", "PIN", "QUEUES", "ACTIVE", "STATE", "SINCE", "NODE")
    rows = [
        (a.id, a.name, a.full_name, _phone(a), a.login_number, a.has_pin, a.queues, a.active, a.state, a.state_at,
         a.node)
        for a in found
    ]  # fmt: skip
    show_table(columns, rows)


def _phone(agent: agents.Agent) -> str:
    """How it is called."""
    return f"{agent.phone} over {agent.phone_trunk}" if agent.phone_trunk else f"PJSIP/{agent.endpoint}"


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
