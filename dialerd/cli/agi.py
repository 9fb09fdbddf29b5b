"""`dialer-admin agi`: is the FastAGI server there, asked as Asterisk asks it."""

import asyncio
import re
import sys
from typing import NoReturn

import click

from dialerd.cli.common import UNREACHABLE, Session, command, say, show_json

_SECONDS = 3.0
_MAX_COMMANDS = 10
_SET = re.compile(r'EXEC MSet "([^"]*)"\n\Z')
_REQUEST = b"agi_network: yes\nagi_network_script: ping\nagi_request: agi://dialer-admin/ping\nagi_uniqueid: ping\n\n"


@click.group("agi")
def group() -> None:
    """The FastAGI server that Asterisk's dialplan asks."""


@command(group, "ping")
@click.option("--host", help="Where it listens.  [default: as configured]")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: as configured]")
async def ping(session: Session, as_json: bool, host: str | None, port: int | None) -> None:
    """Ask it whether it is there, in Asterisk's place. Exit status 0 when it is, else 4."""
    settings = session.config.fastagi
    where = (host or settings.host, port or settings.port)
    try:
        async with asyncio.timeout(_SECONDS):
            told = await _ask(*where)
    except (OSError, TimeoutError, ValueError) as error:
        words = str(error) or f"no answer within {_SECONDS:g} s"
        _gone(where, words)
    if told.get("DIALERD") != "ok":
        _gone(where, "that is not dialerd's answer")
    if as_json:
        show_json({"host": where[0], "port": where[1], "version": told.get("DIALERD_VERSION")})
    say(f"dialerd {told.get('DIALERD_VERSION')} answers at {where[0]}:{where[1]}")


def _gone(where: tuple[str, int], words: str) -> NoReturn:
    say(f"FastAGI at {where[0]}:{where[1]}: {words}")
    sys.exit(UNREACHABLE)


async def _ask(host: str, port: int) -> dict[str, str]:
    """The variables that it sets."""
    reader, writer = await asyncio.open_connection(host, port)
    told: dict[str, str] = {}
    try:
        writer.write(_REQUEST)
        for _ in range(_MAX_COMMANDS):
            line = (await reader.readline()).decode("ascii", "replace")
            if not line:
                break
            if match := _SET.match(line):
                for pair in match[1].split(","):
                    name, _, value = pair.partition("=")
                    told[name] = value
            writer.write(b"200 result=1\n")
    finally:
        writer.transport.abort()
    return told


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
