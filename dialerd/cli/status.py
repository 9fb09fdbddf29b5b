"""`dialer-admin status`: what the daemon is doing, once or as a live board, asked of the daemon over HTTP."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, NoReturn, Protocol

import aiohttp
import click
from rich.console import Console
from rich.live import Live

from dialerd.cli import board
from dialerd.config import Config

LINK_DOWN, REFUSED, UNREACHABLE = 1, 1, 4  # as for every command of dialer-admin
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
_STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=3, sock_read=45)  # three heartbeats


class HasConfig(Protocol):
    """What the root command leaves for its commands."""

    @property
    def config(self) -> Config:
        """The configuration, read when it is first wanted."""


class Unreachable(Exception):
    """The daemon did not answer, or not like a dialerd."""


class Refused(Exception):
    """The daemon does not know this token."""


@click.command()
@click.option("--watch", is_flag=True, help="Stay, and show the live board until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="JSON; with --watch one line at every change.")
@click.option("--url", metavar="URL", help="The daemon's address; default: [web] of the configuration.")
@click.pass_obj
def status(session: HasConfig, watch: bool, as_json: bool, url: str | None) -> None:
    """Show what the daemon is doing: links, calls, agents, campaigns.

    Exit status: 0 all links are up; 1 a link is down, or the token is refused; 4 the daemon cannot be
    reached.
    """
    config = session.config
    base = (url or _address(config.web.host, config.web.port)).rstrip("/")
    token = config.web.token.get_secret_value()
    try:
        if watch:
            asyncio.run(_watch(base, token, as_json))
        else:
            _once(asyncio.run(_fetch(base, token)), as_json)
    except KeyboardInterrupt:
        pass
    except Unreachable as error:
        _fail(UNREACHABLE, f"{base}: {error}. Is dialerd running? systemctl status dialerd")
    except Refused:
        _fail(REFUSED, f"{base} refuses the token of [web] in the configuration.")


def _once(current: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(current, indent=2))
    else:
        console = Console()
        console.print(board.render(current, console.width))
    if any(link["state"] != "up" for link in current["links"]):
        sys.exit(LINK_DOWN)


async def _watch(base: str, token: str, as_json: bool) -> None:
    """Follow the figures; a lost connection is said on the board and tried again, with jitter."""
    console = Console()
    current = await _fetch(base, token)  # a daemon that was never there is an error, not a board
    live = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal and not as_json else None
    pause = 1.0
    with live or nullcontext():
        while True:
            try:
                async for current in figures(base, token):
                    pause = 1.0
                    _show(console, live, current, as_json)
                lost = "the daemon ended the stream"
            except Unreachable as error:
                lost = str(error)
            if live:
                note = f" No live connection ({lost}), trying again. "
                live.update(board.render(current, console.width, note=note), refresh=True)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 — jitter
            pause = min(pause * 2, 15.0)


def _show(console: Console, live: Live | None, current: dict[str, Any], as_json: bool) -> None:
    if live:
        live.update(board.render(current, console.width), refresh=True)
    elif as_json:
        click.echo(json.dumps(current))
    else:
        console.print(board.render(current, console.width), "")


async def _fetch(base: str, token: str) -> dict[str, Any]:
    async with _session(token, _TIMEOUT) as http:
        try:
            async with http.get(f"{base}/status", allow_redirects=False) as reply:
                _check(reply)
                return _parsed(await reply.text())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(_why(error)) from error


async def figures(base: str, token: str) -> AsyncIterator[dict[str, Any]]:
    """The `figures` events of the live stream until it ends."""
    async with _session(token, _STREAM_TIMEOUT) as http:
        try:
            async with http.get(f"{base}/events", allow_redirects=False) as reply:
                _check(reply)
                kind = ""
                async for raw in reply.content:
                    line = raw.decode("utf-8", "replace").rstrip("\n")
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: ") and kind == "figures":
                        yield _parsed(line.removeprefix("data: "))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(_why(error)) from error


def _session(token: str, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    # One event is one line: a large installation's status is longer than aiohttp's 64 kB default allows.
    return aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=8 * 1024 * 1024)


def _check(reply: aiohttp.ClientResponse) -> None:
    if reply.status in (401, 403):
        raise Refused
    if reply.status != 200:
        raise Unreachable(f"it answered {reply.status}")


def _parsed(text: str) -> dict[str, Any]:
    status = json.loads(text)
    if not isinstance(status, dict) or "campaigns" not in status:
        raise ValueError("that is not dialerd's status")
    return status


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect ({error.os_error.strerror or 'refused'})"
    return str(error) or type(error).__name__


def _address(host: str, port: int) -> str:
    """Where to reach a daemon that listens on `host`: a wildcard is reached over loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def register(cli: click.Group) -> None:
    """Add this file's command."""
    cli.add_command(status)


def _fail(code: int, message: str) -> NoReturn:
    click.echo(f"dialer-admin: {message}", err=True)
    sys.exit(code)
