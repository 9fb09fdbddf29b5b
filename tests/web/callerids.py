"""The surface with caller IDs in it: a real desk on a real Redis and PostgreSQL, asked through ASGI."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx
from pydantic import SecretStr
from starlette.applications import Starlette

from dialerd import config
from dialerd.clock import Clock
from dialerd.core.callerid import Usage
from dialerd.engine.desk import Caller, CallerIdDesk
from dialerd.fastagi.desk import Desk
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect
from dialerd.store import callerids
from dialerd.web.api import CallerIdService, routes
from dialerd.web.app import create_app
from dialerd.web.database import Database
from tests.web.engine import TOKEN, FakeEngine

BEARER = {"authorization": f"Bearer {TOKEN}"}
BASE = "http://dialer.test:8000"
CALLERS = {"sales": Caller(1, 0, "5551234567", "US"), "bare": Caller(1, 0, None, "US")}


async def no_usage() -> Iterable[Usage]:
    return []


@dataclass
class House:
    """The surface and what is behind it."""

    app: Starlette
    desk: Desk
    pool: CallerIds
    database: asyncpg.Pool

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 4000))
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def load(self) -> None:
        """What the daemon does when it is notified."""
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
    pool = CallerIds(client, 300, no_usage)
    desk: Desk = CallerIdDesk("node-a", pool, clock, lambda campaign, _: CALLERS.get(campaign), lambda *_: None)
    desk = around(desk) if around else desk
    api = routes(settings, Database(lambda: database), client, clock, CallerIdService(desk, pool))
    found = House(create_app(FakeEngine(), TOKEN, clock, api=api), desk, pool, database)
    await found.load()
    yield found
    await client.aclose()
