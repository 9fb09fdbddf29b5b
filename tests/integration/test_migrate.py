"""The schema's versions, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from dialerd import config
from dialerd.store import migrate as m
from dialerd.store.pool import DatabaseUnreachable, connect


def migration(version: int, sql: str, checksum: str | None = None) -> m.Migration:
    return m.Migration(version, "test", sql, checksum or f"checksum of {sql}")


@pytest.fixture
async def empty(empty_database: config.Postgres) -> AsyncIterator[asyncpg.Pool]:
    pool = await connect(empty_database, "tests")
    yield pool
    pool.terminate()


async def test_migrating_twice_changes_nothing_the_second_time(empty: asyncpg.Pool) -> None:
    first = await m.migrate(empty)
    assert [x.version for x in first] == list(range(1, len(m.shipped_migrations()) + 1))
    before = await empty.fetch("SELECT * FROM schema_migrations ORDER BY version")
    assert await m.migrate(empty) == []
    assert await empty.fetch("SELECT * FROM schema_migrations ORDER BY version") == before
    await m.check(empty)


async def test_four_runs_at_once_apply_each_migration_once(empty: asyncpg.Pool) -> None:
    runs = await asyncio.gather(*(m.migrate(empty) for _ in range(4)))
    applied = sorted(step.version for run in runs for step in run)
    assert applied == list(range(1, len(m.shipped_migrations()) + 1))


async def test_an_empty_database_is_outdated_and_says_what_to_type(empty: asyncpg.Pool) -> None:
    with pytest.raises(m.SchemaOutdated, match="dialer-admin db migrate"):
        await m.check(empty)


async def test_a_newer_schema_is_refused_and_left_alone(empty: asyncpg.Pool) -> None:
    one, two = migration(1, "CREATE TABLE a ()"), migration(2, "CREATE TABLE b ()")
    await m.migrate(empty, [one, two])
    for call in (m.migrate, m.check):
        with pytest.raises(m.SchemaTooNew, match="version 2, this dialerd knows 1"):
            await call(empty, [one])


async def test_a_changed_file_is_refused(empty: asyncpg.Pool) -> None:
    await m.migrate(empty, [migration(1, "CREATE TABLE a ()")])
    changed = [migration(1, "CREATE TABLE a (b int)"), migration(2, "CREATE TABLE c ()")]
    for call in (m.migrate, m.check):
        with pytest.raises(m.SchemaChanged, match="0001_test"):
            await call(empty, changed)
    assert await empty.fetchval("SELECT to_regclass('c')") is None


async def test_a_failing_migration_leaves_the_earlier_ones_and_nothing_of_itself(empty: asyncpg.Pool) -> None:
    steps = [migration(1, "CREATE TABLE a ()"), migration(2, "CREATE TABLE b (); SELECT 1/0")]
    with pytest.raises(m.MigrationFailed, match=r"0002_test: division by zero"):
        await m.migrate(empty, steps)
    assert await empty.fetchval("SELECT to_regclass('a')") is not None
    assert await empty.fetchval("SELECT to_regclass('b')") is None
    assert await empty.fetchval("SELECT count(*) FROM schema_migrations") == 1


async def test_the_pools_limits_hold_and_come_back_after_a_migration(empty_database: config.Postgres) -> None:
    settings = empty_database.model_copy(update={"statement_timeout_seconds": 0.3})
    pool = await connect(settings, "tests")
    await m.migrate(pool)
    assert await pool.fetchval("SHOW timezone") == "UTC"
    assert await pool.fetchval("SHOW lock_timeout") == "150ms"
    assert await pool.fetchval("SELECT $1::jsonb", {"a": [1, None, "ä"]}) == {"a": [1, None, "ä"]}
    with pytest.raises(asyncpg.QueryCanceledError):
        await pool.execute("SELECT pg_sleep(20)")
    pool.terminate()


async def test_an_unreachable_server_is_named_without_its_password(empty_database: config.Postgres) -> None:
    password = empty_database.password
    assert password is not None
    nowhere = empty_database.model_copy(update={"dsn": "postgresql://dialerd@127.0.0.1:1/x"})
    with pytest.raises(DatabaseUnreachable, match=r"127\.0\.0\.1:1/x") as caught:
        await connect(nowhere, "tests")
    assert password.get_secret_value() not in str(caught.value)


def test_gaps_and_strange_names_among_the_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="0001, 0002"):
        m.shipped_migrations(tmp_path)
    (tmp_path / "1-b.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="NNNN_name"):
        m.shipped_migrations(tmp_path)
