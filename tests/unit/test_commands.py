"""`dialer-admin` knows its commands without reading their files."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click

import dialerd.cli
from dialerd.cli.main import cli


def test_every_file_of_commands_is_reached_under_each_of_its_names() -> None:
    made = click.Group()
    for path in sorted(Path(dialerd.cli.__file__).parent.glob("*.py")):
        module = import_module(f"dialerd.cli.{path.stem}")
        if hasattr(module, "register"):
            module.register(made)
    context = click.Context(cli)
    assert cli.list_commands(context) == sorted(made.commands)
    for name, command in made.commands.items():
        found = cli.get_command(context, name)
        assert found is not None
        assert found.name == command.name
        assert sorted(getattr(found, "commands", ())) == sorted(getattr(command, "commands", ()))


def test_a_command_reads_no_other_commands_file() -> None:
    script = "import sys; from dialerd.cli.main import cli; cli(['campaign', '--help'], standalone_mode=False); " \
        "print(sorted(name for name in sys.modules if name.startswith('dialerd.cli.')))"  # fmt: skip
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "['dialerd.cli.campaign', 'dialerd.cli.common', 'dialerd.cli.main']"
