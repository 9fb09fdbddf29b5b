"""Real PostgreSQL and Redis for every test that asks: one server each per run, one database per test."""

import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from dialerd import config
from dialerd.store.migrate import migrate
from dialerd.store.pool import connect
from lab.services import Postgres, Redis, scratch

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL for this run."""
    folder = scratch("pg")
    try:
        with Postgres(folder, fsync=False) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A private Redis for this run. A test that stops or kills it starts its own instead."""
    folder = scratch("redis")
    try:
        with Redis(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder of this test's own that PostgreSQL's user can reach, unlike `tmp_path`."""
    folder = scratch("test")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(postgres: Postgres) -> str:
    """The name of a migrated database, from which each test's own is copied."""
    name = "template_dialerd"
    settings = settings_for(postgres, await postgres.create_database(name))
    pool = await connect(settings, "tests")
    try:
        await migrate(pool)
    finally:
        await pool.close()
    return name


@pytest_asyncio.fixture
async def database(postgres: Postgres, template: str) -> AsyncIterator[config.Postgres]:
    """The settings of a fresh, migrated database of this test's own; dropped afterwards."""
    name = f"test_{next(_numbers)}"
    dsn = await postgres.create_database(name, template)
    yield settings_for(postgres, dsn)
    await postgres.drop_database(name)


@pytest_asyncio.fixture
async def empty_database(postgres: Postgres) -> AsyncIterator[config.Postgres]:
    """The settings of a database without any schema."""
    name = f"test_{next(_numbers)}"
    dsn = await postgres.create_database(name)
    yield settings_for(postgres, dsn)
    await postgres.drop_database(name)


@pytest_asyncio.fixture
async def pool(database: config.Postgres) -> AsyncIterator[asyncpg.Pool]:
    """A pool on this test's database."""
    pool = await connect(database, "tests")
    yield pool
    pool.terminate()


@pytest.fixture
def redis_settings(redis_server: Redis) -> config.Redis:
    """The settings of a numbered Redis database that has just been emptied."""
    import redis

    number = next(_numbers) % 16
    with redis.Redis.from_url(redis_server.url_with_password(number)) as client:
        client.flushdb()
    url = f"{redis_server.url.removesuffix('/0')}/{number}"
    return config.Redis(url=url, password=SecretStr(redis_server.password))


@pytest.fixture
def redis_url(redis_server: Redis, redis_settings: config.Redis) -> str:
    """The same as `redis_settings`, as one address with the password in it."""
    return redis_server.url_with_password(int(redis_settings.url.rsplit("/", 1)[1]))


def settings_for(server: Postgres, dsn: str) -> config.Postgres:
    """The configuration section that reaches a database of the private server."""
    return config.Postgres(dsn=dsn, password=SecretStr(server.password))
