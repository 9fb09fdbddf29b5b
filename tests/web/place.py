"""The HTTP API on a real PostgreSQL, through ASGI: a tenant in Iran, its campaign, its numbers."""

from typing import Any

import asyncpg
import httpx
from pydantic import SecretStr

from dialerd import config
from dialerd.clock import Clock
from dialerd.web.api import routes
from dialerd.web.app import create_app
from dialerd.web.database import Database
from tests.terms import add_contacts
from tests.web.engine import TOKEN, FakeEngine

DIALER_TOKEN = "d1a1er-token-of-the-older-set-up"
DIALER = {"authorization": f"Bearer {DIALER_TOKEN}"}
PANEL = {"authorization": f"Bearer {TOKEN}"}
IRAN = ["Asia/Tehran"]
NO_REDIS: Any = None  # none of these doors asks it


def app_client(
    pool: asyncpg.Pool, clock: Clock | None = None, **batch: Any
) -> httpx.AsyncClient:  # fmt: skip
    """A client of the whole surface; `batch`: keys of [batch]."""
    settings = config.Config(
        ami=config.Ami(secret=SecretStr("x")),
        ari=config.Ari(password=SecretStr("x")),
        web=config.Web(token=SecretStr(TOKEN)),
        batch=config.Batch(**{"token": SecretStr(DIALER_TOKEN), **batch}),
    )
    app = create_app(FakeEngine(), TOKEN, clock, api=routes(settings, Database(lambda: pool), NO_REDIS, clock))
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 4000), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://dialer.test:8000")


async def iranian_campaign(pool: asyncpg.Pool, numbers: int = 0, tenant_id: int = 1, name: str = "sales") -> int:
    """An active campaign that may call at any hour, with numbers from +989120000000 on."""
    await pool.execute("UPDATE tenants SET default_region = 'IR', skip_holidays = false WHERE id = $1", tenant_id)
    id_: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk)"
        " VALUES ($1, $2, 'active', 'progressive', 'q', 'batch') RETURNING id",
        tenant_id, name,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", id_
    )
    await add_contacts(pool, id_, [f"+98912{n:07}" for n in range(numbers)], IRAN)
    return id_


async def add_agent(pool: asyncpg.Pool, name: str, full_name: str, phone: str | None, **columns: Any) -> int:
    """An agent; its id."""
    values = {"tenant_id": 1, "name": name, "full_name": full_name, "phone": phone, "endpoint": f"pjsip-{name}"}
    values |= columns
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    insert = f"INSERT INTO agents ({', '.join(values)}) VALUES ({places}) RETURNING id"  # noqa: S608 -- our own names
    id_: int = await pool.fetchval(insert, *values.values())
    return id_


def reason(reply: httpx.Response) -> str:
    """The one word of a refusal."""
    error = reply.json()["error"]
    assert set(error) == {"reason", "message", "hint"}
    return str(error["reason"])
