"""`dialer-admin`: the operator's command. Each group of commands has its file."""

import os
from pathlib import Path

import click

from dialerd import __version__
from dialerd.cli import (
    agent,
    agi,
    audit,
    call,
    callback,
    callerid,
    callerid_health,
    callerid_simulate,
    campaign,
    contacts,
    db,
    disposition,
    dnc,
    flow,
    holiday,
    pacing,
    profile,
    proof,
    recording,
    retention,
    setup,
    simulate,
    stats,
    switch,
    tenant,
    trunk,
    why,
)
from dialerd.cli.common import EXIT_CODES, Failures, Session
from dialerd.cli.status import status
from dialerd.config_file import DEFAULT_PATH, PATH_VARIABLE


@click.group(
    cls=Failures,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=f"Set up and steer dialerd, the outbound dialer beside Asterisk.\n\n{EXIT_CODES}",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=lambda: os.environ.get(PATH_VARIABLE, str(DEFAULT_PATH)),
    show_default=f"${PATH_VARIABLE}, else {DEFAULT_PATH}",
    help="The configuration file; conf.d/ is looked for beside it.",
)
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Whose campaigns.")
@click.version_option(__version__, prog_name="dialer-admin")
@click.pass_context
def cli(ctx: click.Context, config_path: Path, tenant_name: str) -> None:
    """The root: keeps the options that stand before the command."""
    ctx.obj = Session(config_path, tenant_name)


_MODULES = (
    *(setup, db, campaign, contacts, callback, dnc, agent, disposition, callerid, callerid_simulate, callerid_health),
    *(trunk, flow, call, holiday, profile, tenant, switch, stats, why, proof, audit, retention, pacing, simulate, agi),
    *(recording,),
)
for module in _MODULES:
    module.register(cli)
cli.add_command(status)


def main() -> None:
    """The console script."""
    cli(prog_name="dialer-admin")


if __name__ == "__main__":
    main()
