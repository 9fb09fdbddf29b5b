"""A PostgreSQL and a Redis of one's own, for tests, demo and benches: nothing of the machine's is touched.

Local processes where the binaries are installed, containers where only a Docker engine is; the same interface
either way. Servers listen on 127.0.0.1, ask for a generated password, and die with the process that started
them (with the thread that did: start them from one that lives on).
"""

import contextlib
import random
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import asyncpg

START_SECONDS = 30.0
STOP_SECONDS = 20.0
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z", re.ASCII)


class ServiceFailed(RuntimeError):
    """A private server did not start; the text ends with the last lines of its log."""


class Server(Protocol):
    """What `Postgres` and `Redis` need from the thing that runs them."""

    def start(self) -> None:
        """Start, and return at once."""

    def stop(self, seconds: float) -> None:
        """Stop in good order, by force after `seconds`."""

    def kill9(self) -> None:
        """End without warning."""

    def running(self) -> bool:
        """Whether it is there."""

    def ready(self) -> bool:
        """Whether it answers."""

    def log_tail(self) -> str:
        """The last lines that it wrote."""


def scratch(name: str) -> Path:
    """A new folder below the system's temporary one, for the caller to remove; any user may pass it.

    Root's home is closed to them, and PostgreSQL never runs as root.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"dialerd-{name}-"))
    folder.chmod(0o711)
    return folder


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, below the range that outgoing connections use."""
    draw = random.SystemRandom()
    for _ in range(200):
        port = draw.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServiceFailed("no free port between 20000 and 32000")


class Service:
    """Start, stop, kill and restart; a context manager stops at its end."""

    _server: Server

    def start(self) -> Self:
        """Start and wait until it answers. Raises `ServiceFailed`."""
        limit = time.monotonic() + START_SECONDS
        self._server.start()
        while not self._server.ready():
            if time.monotonic() > limit or not self._server.running():
                tail = self._server.log_tail()
                self._server.kill9()
                raise ServiceFailed(f"{type(self).__name__} did not start:\n{tail}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop in good order; nothing happens when it is not running."""
        self._server.stop(STOP_SECONDS)

    def kill9(self) -> None:
        """Kill it as a power cut would."""
        self._server.kill9()

    def restart(self) -> None:
        """Stop in good order and start again on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Postgres(Service):
    """A private PostgreSQL cluster in `folder`; the role `dialerd`, no superuser, owns the databases made here.

    `fsync=False` is for tests whose data may be lost with the machine: much faster, still safe against kill9.
    `settings` are PostgreSQL's own.
    """

    user = "dialerd"
    _superuser = "postgres"

    def __init__(
        self, folder: Path, port: int | None = None, fsync: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        self.password = secrets.token_urlsafe(24)
        self.port = port or free_port()
        self.socket_folder: Path | None = None  # the unix socket; none in a container
        settings = {**(settings or {}), **({} if fsync else {"fsync": "off", "full_page_writes": "off"})}
        if _local("postgres"):
            from lab.processes import PostgresProcess

            process = PostgresProcess(folder, self.port, self._superuser, self.password, settings)
            self.socket_folder = process.socket_folder
            self._server = process
        else:
            from lab.containers import PostgresContainer

            self._server = PostgresContainer(self.port, self._superuser, self.password, settings)

    def dsn(self, database: str = "postgres") -> str:
        """How to reach a database, without the password."""
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    async def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, as a copy of `template` (which nobody may be using); its dsn."""
        source = f" TEMPLATE {_checked(template)}" if template else ""
        # Ours is the password's only user; row-level security binds no superuser, so dialerd must be none.
        role = f"CREATE ROLE {self.user} LOGIN PASSWORD '{self.password}'"
        await self._execute(f"DO $$ BEGIN {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        await self._execute(f"CREATE DATABASE {_checked(name)} OWNER {self.user}{source}")
        return self.dsn(name)

    async def checkpoint(self) -> None:
        """Have everything written to disk that waits for it."""
        await self._execute("CHECKPOINT", timeout=600)

    async def drop_database(self, name: str) -> None:
        """Remove a database, throwing out whoever is connected to it."""
        await self._execute(f"DROP DATABASE IF EXISTS {_checked(name)} WITH (FORCE)")

    async def _execute(self, sql: str, timeout: float = 60) -> None:  # noqa: ASYNC109 -- asyncpg's
        address = {"host": "127.0.0.1", "port": self.port, "user": self._superuser, "database": "postgres"}
        connection = await asyncpg.connect(**address, password=self.password, timeout=10, command_timeout=timeout)
        try:
            await connection.execute(sql)
        finally:
            await connection.close(timeout=10)


class Redis(Service):
    """A private Redis that keeps nothing: a restart is a flush. 16 numbered databases."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.password = secrets.token_urlsafe(24)
        self.port = port or free_port()
        if _local("redis"):
            from lab.processes import RedisProcess

            self._server = RedisProcess(folder, self.port, self.password)
        else:
            from lab.containers import RedisContainer

            self._server = RedisContainer(self.port, self.password)

    @property
    def url(self) -> str:
        """Where it is (database 0), without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def url_with_password(self, database: int = 0) -> str:
        """All that a client needs, for tests; never for a command line or a log."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"


def _local(kind: str) -> bool:
    from lab.processes import postgres_binaries

    return postgres_binaries() is not None if kind == "postgres" else shutil.which("redis-server") is not None


def _checked(name: str) -> str:
    if not _DATABASE_NAME.match(name):
        raise ValueError(f"not a database name: {name!r}")
    return name
