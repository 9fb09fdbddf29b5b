"""A whole installation on one machine: the lab's telephone network, PostgreSQL, Redis and a dialerd beside them.

Demo, live tests and benches all stand on this one.
"""

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from pydantic import SecretStr

from dialerd import config
from dialerd.store.migrate import migrate
from dialerd.store.pool import connect
from lab.daemon import Daemon
from lab.lab import Lab
from lab.services import Postgres, Redis, scratch
from lab.subscribers import Subscribers

DATABASE = "dialerd"


class Site:
    """`with Site(agents=5) as site:`: everything is up, the schema is made, dialerd is not started yet."""

    def __init__(
        self,
        agents: int = 2,
        subscribers: Subscribers | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        fsync: bool = True,
    ) -> None:
        self.folder = scratch("site")
        try:
            self.lab = Lab(self.folder / "lab", agents, subscribers)
        except BaseException:  # no Asterisk, no ports, or Ctrl+C while Asterisk is being fetched
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.postgres = Postgres(self._public("pg"), self.lab.ports.postgres, fsync)
        self.redis = Redis(self._public("redis"), self.lab.ports.redis)
        self._settings = settings or {}
        self.token = secrets.token_urlsafe(24)
        self._daemons: list[Daemon] = []
        self.database = DATABASE
        self.daemon = self.new_daemon()

    def _public(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o711)
        return folder

    def new_daemon(self, **settings: Mapping[str, Any]) -> Daemon:
        """Another dialerd (not started), with sections of its configuration changed; the site stops it at its end."""
        tables = self.settings()
        for section, values in settings.items():
            tables[section] = {**tables.get(section, {}), **values}
        self.daemon = Daemon(self.folder / f"dialerd-{len(self._daemons) + 1}", tables, self.secrets())
        self._daemons.append(self.daemon)
        return self.daemon

    def settings(self) -> dict[str, dict[str, Any]]:
        """dialerd.toml."""
        ports = self.lab.ports
        tables: dict[str, dict[str, Any]] = {
            "postgres": {"dsn": self.postgres.dsn(self.database)},
            "redis": {"url": self.redis.url.removesuffix("/0") + "/1"},
            "ami": {"host": "127.0.0.1", "port": ports.ami},
            "ari": {"url": self.lab.ari_url},
            "fastagi": {"port": ports.fastagi},
            "web": {"port": ports.web},
            "recordings": {
                "folder": str(self.folder / "recordings"),
                "spool": str(self.lab.pbx.spool),
                "min_free_mb": 1,
            },
            "trunks": {"trunk-out": {"endpoint": self.lab.trunk, "max_calls": 200, "calls_per_second": 50}},
        }
        for section, values in self._settings.items():
            tables[section] = {**tables.get(section, {}), **values}
        return {"node": "lab", **tables}  # type: ignore[dict-item]

    def secrets(self) -> dict[str, dict[str, Any]]:
        """conf.d/secrets.toml."""
        return {
            "postgres": {"password": self.postgres.password},
            "redis": {"password": self.redis.password},
            "ami": {"secret": self.lab.ami_secret},
            "ari": {"password": self.lab.ari_password},
            "web": {"token": self.token},
        }

    async def pool(self) -> asyncpg.Pool:
        """A pool on the site's database, for the caller to close."""
        password = SecretStr(self.postgres.password)
        settings = config.Postgres(dsn=self.postgres.dsn(self.database), password=password, pool_size=2)
        return await connect(settings, "lab")

    def start(self) -> None:
        """Starts everything but dialerd and makes the schema; nothing is left when that fails."""
        try:
            self.postgres.start()
            self.redis.start()
            self.lab.start()
            asyncio.run(self._make_schema())
        except BaseException:
            self.stop()
            raise

    async def _make_schema(self) -> None:
        await self.postgres.create_database(DATABASE)
        pool = await self.pool()
        try:
            await migrate(pool)
        finally:
            await pool.close()

    def kill_daemons(self) -> None:
        """Ends every dialerd of this site that still runs."""
        for daemon in self._daemons:
            daemon.kill9()

    def stop(self) -> None:
        """Ends everything and removes its folder."""
        self.kill_daemons()
        # The lab last: with it goes the block of ports in which the other two listen.
        for part in (self.redis, self.postgres, self.lab):
            part.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
