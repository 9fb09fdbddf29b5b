"""The HTTP API on a real PostgreSQL and Redis, through ASGI."""

import asyncpg
import httpx
from pydantic import SecretStr
from redis.asyncio import Redis

from dialerd import config
from dialerd.web.api import routes
from dialerd.web.app import create_app
from dialerd.web.database import Database
from tests.web.engine import TOKEN, FakeEngine

BEARER = {"authorization": f"Bearer {TOKEN}"}


def api_client(pool: asyncpg.Pool, redis: Redis) -> httpx.AsyncClient:
    """A client of the whole surface, signed in by the token."""
    settings = config.Config(
        ami=config.Ami(secret=SecretStr("x")),
        ari=config.Ari(password=SecretStr("x")),
        web=config.Web(token=SecretStr(TOKEN)),
    )
    app = create_app(FakeEngine(), TOKEN, api=routes(settings, Database(lambda: pool), redis))
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://dialer.test:8000", headers=BEARER)
