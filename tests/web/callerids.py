"""The surface with caller IDs in it: a real desk on a real Redis and PostgreSQL, asked through ASGI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from pydantic import SecretStr
from starlette.applications import Starlette

from dialerd import config
from dialerd.clock import Clock
from dialerd.engine.desk import CallerIdDesk, FrontDesk, NoLookups
from dialerd.engine.directory import Directory
from dialerd.fastagi.desk import Desk
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect
from dialerd.store import callerids
from dialerd.store.callerid_log import RequestLog
from dialerd.web.api import CallerIdService, routes
from dialerd.web.app import Bounds, create_app
from dialerd.web.database import Database
from tests.web.engine import TOKEN, FakeEngine

BEARER = {"authorization": f"Bearer {TOKEN}"}
BASE = "http://dialer.test:8000"
NO_AGENTS: Any = ()
QUIET = Bounds(heartbeat_seconds=600)  # what a page hears of, it hears when it happens


@dataclass
class House:
    """The surface and what is behind it. Campaign "sales" has a fallback, any other name has none."""

    app: Starlette
    desk: Desk
    pool: CallerIds
    directory: Directory
    requests: RequestLog
    database: asyncpg.Pool

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 4000))
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def load(self) -> None:
        """What the daemon does when it is notified."""
        self.directory.load(await callerids.campaigns(self.database), await callerids.tenants(self.database))
        self.pool.load(await callerids.load(self.database))


@asynccontextmanager
async def house(
    database: asyncpg.Pool, redis: config.Redis, around: type | None = None, clock: Clock | None = None
) -> AsyncIterator[House]:
    """A whole surface; `around`: a class that stands between the desk and the doors."""
    settings = config.Config(
        ami=config.Ami(secret=SecretStr("x")),
        ari=config.Ari(password=SecretStr("x")),
        web=config.Web(token=SecretStr(TOKEN)),
    )
    clock = clock or Clock()
    client = connect(redis)
    requests = RequestLog("node-a", lambda: database)
    pool = CallerIds(client, 300, lambda: requests.usage(clock.now(), 300))
    directory = Directory(settings.callerids, NO_AGENTS, {})
    inner = CallerIdDesk("node-a", pool, clock, directory, requests, lambda *_: None)
    desk: Desk = FrontDesk(inner, NoLookups())
    desk = around(desk) if around else desk
    await database.execute(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk, caller_id)"
        " VALUES (1, 'sales', 'active', 'progressive', 'q', 'batch', '5551234567')"
    )
    api = routes(settings, Database(lambda: database), client, clock, CallerIdService(desk, pool))
    found = House(create_app(FakeEngine(), TOKEN, clock, QUIET, api), desk, pool, directory, requests, database)
    await found.load()
    yield found
    await client.aclose()
