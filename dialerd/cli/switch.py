"""`dialer-admin switch`: the kill switch of the whole installation."""

import click

from dialerd.cli.common import Session, command, say, show_json
from dialerd.store import tenants


@click.group("switch")
def group() -> None:
    """The installation's kill switch: off, and no company places a new call. Calls in progress go on.

    One company only: dialer-admin tenant disable NAME.
    """


@command(group, "on")
async def on(session: Session, as_json: bool) -> None:
    """Let calls be placed again, for the companies that are enabled."""
    await _flip(session, as_json, True)


@command(group, "off")
async def off(session: Session, as_json: bool) -> None:
    """Stop new calls at once, everywhere."""
    await _flip(session, as_json, False)


@command(group, "show")
async def show(session: Session, as_json: bool) -> None:
    """Whether it is on, and which companies are off by their own switch."""
    async with session.pool() as pool:
        enabled = await tenants.installation_enabled(pool)
        disabled = [tenant.name for tenant in await tenants.all_of(pool) if not tenant.enabled]
    if as_json:
        show_json({"enabled": enabled, "disabled_tenants": disabled})
        return
    click.echo("on" if enabled else "off")
    if disabled:
        say(f"disabled by their own switch: {', '.join(disabled)}")


async def _flip(session: Session, as_json: bool, enabled: bool) -> None:
    async with session.pool() as pool:
        changed = await tenants.switch_installation(pool, enabled, session.by)
        live = await tenants.live_calls(pool)
    if as_json:
        show_json({"enabled": enabled, "changed": changed, "live_calls": live})
    word = "on" if enabled else "off"
    say(f"the switch is {word}{'' if changed else ' already'}; {live} calls in progress")


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
