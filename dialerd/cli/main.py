"""`dialer-admin`: the operator's command. Each group of commands has its file."""

import os
from importlib import import_module
from pathlib import Path

import click

from dialerd import __version__
from dialerd.cli.common import EXIT_CODES, Failures, Session
from dialerd.config_file import DEFAULT_PATH, PATH_VARIABLE

# Command → the files that make it: its own name's, unless this says otherwise.
_FILES = dict.fromkeys(("cid", "callerid"), ("callerid", "callerid_simulate", "callerid_health"))
_NAMES = (
    *(
        "agent",
        "agi",
        "audit",
        "call",
        "callback",
        "callerid",
        "campaign",
        "cid",
        "contacts",
        "db",
        "disposition",
        "dnc",
    ),
    *(
        "flow",
        "holiday",
        "pacing",
        "profile",
        "proof",
        "recording",
        "retention",
        "setup",
        "simulate",
        "stats",
        "status",
    ),
    *("switch", "tenant", "trunk", "why"),
)


class Commands(Failures):
    """Reads the file of a command when it is asked for: all of them together take longer than most commands do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted({*super().list_commands(ctx), *_NAMES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, or None."""
        if cmd_name in _NAMES and cmd_name not in self.commands:
            for file in _FILES.get(cmd_name, (cmd_name,)):
                import_module(f"dialerd.cli.{file}").register(self)
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=Commands,
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


def main() -> None:
    """The console script."""
    cli(prog_name="dialer-admin")


if __name__ == "__main__":
    main()
