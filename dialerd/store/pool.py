"""Connections to PostgreSQL: never more than the pool's size, and no statement that waits for ever.

The server ends a statement after `statement_timeout_seconds` and a wait for a lock after half of that; should
the server itself fall silent, the client gives up two seconds later. Every session is in UTC; jsonb comes and
goes as Python values.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from dialerd.config import Postgres

CONNECT_TIMEOUT_SECONDS = 5.0
# How much longer the client waits than the server: a server that lives reports its own timeout first.
_GRACE_SECONDS = 2.0


class DatabaseUnreachable(ConnectionError):
    """PostgreSQL cannot be reached, or does not let us in."""


async def connect(postgres: Postgres, application_name: str, tenant_id: int | None = None) -> asyncpg.Pool:
    """A pool of at most `postgres.pool_size` connections; the first one is opened here.

    With a tenant its sessions see that tenant's rows and no others (sql/migrations/0009_tenancy.sql).
    Raises `DatabaseUnreachable`, whose text names the address and the cause, never the password.
    """
    statement_ms = int(postgres.statement_timeout_seconds * 1000)
    try:
        return await asyncpg.create_pool(
            postgres.dsn,
            password=postgres.password.get_secret_value() if postgres.password else None,
            min_size=1,
            max_size=postgres.pool_size,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=postgres.statement_timeout_seconds + _GRACE_SECONDS,
            server_settings={
                "application_name": application_name,
                "timezone": "UTC",
                "jit": "off",  # it compiles for seconds what runs for milliseconds
                "dialerd.tenant": "all" if tenant_id is None else str(tenant_id),
                "statement_timeout": str(statement_ms),
                "lock_timeout": str(statement_ms // 2),
                "idle_in_transaction_session_timeout": str(statement_ms * 2),
            },
            init=_prepare,
            connection_class=Session,
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as error:
        words = str(error) or type(error).__name__
        raise DatabaseUnreachable(f"PostgreSQL at {postgres.dsn}: {words}") from error


class Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is untyped
    """A connection of ours. A pool resets a session that goes back to it, which costs each query a second round trip;
    this one is reset only when `alter` was asked of it. Nothing else may change a session beyond its transaction."""

    _altered = False

    async def alter(self, statement: str) -> None:
        """A `SET` that holds until the connection goes back to its pool."""
        self._altered = True  # first: whether the statement took effect may stay unknown
        await self.execute(statement)

    def get_reset_query(self) -> str:
        """What `reset` asks of the server: nothing, of a session that is as it was."""
        return str(super().get_reset_query()) if self._altered else ""

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- asyncpg's
        """What the pool does with a session that comes back; one that cannot be reset is closed by it."""
        await super().reset(timeout=timeout)
        self._altered = False


class TenantPool:
    """A pool whose sessions see one tenant's rows and no others, over a pool that sees all: for the daemon, which
    serves many tenants with few connections. What is borrowed forgets the tenant when it is given back."""

    def __init__(self, pool: asyncpg.Pool, tenant_id: int) -> None:
        self._pool = pool
        self._set = f"SET dialerd.tenant = '{int(tenant_id)}'"

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """A connection; on release the session is reset."""
        async with self._pool.acquire() as connection:
            await connection.alter(self._set)
            yield connection

    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Any]:  # noqa: ASYNC109 -- asyncpg's
        """As asyncpg's; so are those below."""
        async with self.acquire() as connection:
            rows: list[Any] = await connection.fetch(query, *args, timeout=timeout)
            return rows

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 -- asyncpg's
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 -- asyncpg's
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args, timeout=timeout)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 -- asyncpg's
        async with self.acquire() as connection:
            status: str = await connection.execute(query, *args, timeout=timeout)
            return status


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # json.dumps would make one each time


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode, decoder=json.loads)
