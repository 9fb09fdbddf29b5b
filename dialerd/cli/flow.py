"""`dialer-admin flow`: the IVR flows of this installation, checked before a caller meets them."""

import sys

import click

from dialerd.cli.common import REFUSED, Session, command, say, show_json, show_table
from dialerd.config import Flows
from dialerd.core.flow import FlowRefused, Script
from dialerd.places import flows


@click.group("flow")
def group() -> None:
    """IVR flows: NAME.toml in the folder that [flows] names. docs/flows.md says what is in one."""


@command(group, "check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
async def check(session: Session, as_json: bool, names: tuple[str, ...]) -> None:
    """Check flows, all of them unless some are named, and make the sound files of their texts.

    Every mistake is told with its file, its node and what to do. A daemon reads a flow when it starts and when a
    campaign that names it is changed, paused or started.
    """
    config = session.config.flows
    problems: list[dict[str, str]] = []
    good: list[Script] = []
    for name in names or flows.names(config):
        try:
            good.append(flows.prepare(config, name))
        except FlowRefused as error:
            problems += [{"file": error.where, "node": p.node, "problem": p.says} for p in error.problems]
            say(str(error))
    if as_json:
        show_json({"checked": [script.flow.name for script in good], "problems": problems})
    for script in good:
        say(f"{script.flow.name}: {len(script.flow.nodes)} nodes, {len(script.sounds)} sounds")
    if flows.unlooked(config):
        say(f"sound files were not looked for: none of {', '.join(config.sounds)} is on this machine")
    if not good and not problems:
        say(f"there are no flows in {config.folder}")
    if problems:
        sys.exit(REFUSED)


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The flows, with what they want."""
    rows = [_summary(session.config.flows, name) for name in flows.names(session.config.flows)]
    if as_json:
        show_json({"flows": rows})
    else:
        show_table(("NAME", "NODES", "AGENTS", "PROBLEM"), [tuple(row.values()) for row in rows])


def _summary(config: Flows, name: str) -> dict[str, object]:
    try:
        flow = flows.load(config, name).flow
    except FlowRefused as error:
        return {"name": name, "nodes": None, "agents": None, "problem": str(error.problems[0])}
    return {"name": name, "nodes": len(flow.nodes), "agents": flow.wants_agents, "problem": ""}


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
