"""What every command shares: the settings, the database, `--json`, tables, and exit codes that mean something.

Results go to stdout, as a table or as one JSON document; everything said to the operator goes to stderr.
"""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dialerd import config_file
from dialerd.config import Config
from dialerd.core.callbacks import CallbackRefused
from dialerd.core.callerid_file import EntryRefused
from dialerd.core.campaign import CampaignRefused, TransitionRefused
from dialerd.core.disposition import DispositionRefused
from dialerd.core.filters import FilterRefused
from dialerd.core.flow import FlowRefused
from dialerd.core.limits import LimitRefused
from dialerd.core.phone import NumberRefused
from dialerd.core.pin import PinRefused
from dialerd.core.retry import RuleRefused
from dialerd.core.selection import SelectionRefused
from dialerd.core.textrows import FileRefused
from dialerd.core.windows import WindowRefused
from dialerd.pacing.likeness import TooLittle
from dialerd.pacing.scenario_text import ScenarioRefused
from dialerd.store import campaigns
from dialerd.store.errors import NotFound, Refused
from dialerd.store.migrate import SchemaError, check
from dialerd.store.pool import DatabaseUnreachable, TenantPool, connect

REFUSED, USAGE, NOT_FOUND, UNREACHABLE = 1, 2, 3, 4
EXIT_CODES = """\b
Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 not found;
4 PostgreSQL, Redis or the daemon cannot be reached."""

_REFUSALS = (
    *(CampaignRefused, TransitionRefused, NumberRefused, WindowRefused, FileRefused, Refused),
    *(SelectionRefused, CallbackRefused, FilterRefused, LimitRefused, RuleRefused),
    *(ScenarioRefused, TooLittle, EntryRefused, FlowRefused, DispositionRefused, PinRefused),
    *(SchemaError, config_file.ConfigError, OSError, asyncpg.PostgresError),
)
_LOST = (
    DatabaseUnreachable,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


@dataclass
class Session:
    """The options before the command, and what follows from them."""

    config_path: Path
    tenant_name: str

    @cached_property
    def config(self) -> Config:
        """The configuration, read when it is first wanted. Raises `ConfigError`."""
        return config_file.load(self.config_path, os.environ)

    @property
    def by(self) -> str:
        """Who is changing things, for the audit."""
        return f"dialer-admin:{os.environ.get('SUDO_USER') or getpass.getuser()}"

    @asynccontextmanager
    async def pool(self, *, checked: bool = True) -> AsyncIterator[asyncpg.Pool]:
        """A pool on a database whose schema is the right one (unless not `checked`); it sees every tenant."""
        postgres = self.config.postgres.model_copy(update={"pool_size": 2})
        pool = await connect(postgres, "dialer-admin")
        try:
            if checked:
                await check(pool)
            yield pool
        finally:
            pool.terminate()

    @asynccontextmanager
    async def tenant(self) -> AsyncIterator[tuple[asyncpg.Pool, campaigns.Tenant]]:
        """The tenant that `--tenant` names, and a pool that sees nothing else. Raises `NotFound`."""
        async with self.pool() as pool:
            tenant = await campaigns.tenant(pool, self.tenant_name)
            yield TenantPool(pool, tenant.id), tenant


class Failures(click.Group):
    """A group that turns the errors of its commands into words on stderr and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except NotFound as error:
            _fail(NOT_FOUND, str(error))
        except _LOST as error:
            _fail(UNREACHABLE, f"cannot reach the database: {error or type(error).__name__}")
        except _REFUSALS as error:
            _fail(REFUSED, str(error) or type(error).__name__)


def command(group: click.Group, name: str) -> Callable[[Callable[..., Awaitable[None]]], click.Command]:
    """Make an async function `(session, as_json, …)` a command of `group` with a `--json` option."""

    def decorate(work: Callable[..., Awaitable[None]]) -> click.Command:
        def run(as_json: bool, **arguments: Any) -> None:
            session = click.get_current_context().find_object(Session)
            assert session is not None  # noqa: S101 -- the root group makes it
            coroutine: Coroutine[Any, Any, None] = _awaited(work(session, as_json, **arguments))
            asyncio.run(coroutine)

        update_wrapper(run, work)
        option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
        return group.command(name)(option(run))

    return decorate


async def _awaited(work: Awaitable[None]) -> None:
    await work


def say(text: str) -> None:
    """A word to the operator, on stderr."""
    click.echo(text, err=True)


def show_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; without a terminal nothing is cut or coloured."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _console().print(table)


def show_fields(fields: Mapping[str, object]) -> None:
    """Names and values, one pair a line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, _cell(value))
    _console().print(table)


def _console() -> Console:
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 250, highlight=False)


def _cell(value: object) -> Text:
    if isinstance(value, datetime):
        text = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, list | tuple):
        text = ", ".join(str(item) for item in value)
    else:
        text = "" if value is None else str(value)
    # Text, not markup, and nothing that drives a terminal: names come from files and from the network.
    return Text("".join(c if c.isprintable() else "�" for c in text))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def _fail(status: int, text: str) -> NoReturn:
    say(f"dialer-admin: {text}")
    raise click.exceptions.Exit(status)
