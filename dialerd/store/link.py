"""The connection to PostgreSQL: its pool, its notifications, and the knowledge of whether it is there.

One session LISTENs; its end is how a restart of the server is noticed at once, a short query every few seconds how
a silent one is. The schema is checked before the link counts as up.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from dialerd.clock import Clock
from dialerd.config import Postgres
from dialerd.core.backoff import backoff
from dialerd.core.status import Link, LinkState
from dialerd.store.errors import DB_ERRORS
from dialerd.store.migrate import SchemaError, check
from dialerd.store.pool import DatabaseUnreachable, connect

log = structlog.get_logger(__name__)

CHANNEL = "dialerd"
_PROBE_SECONDS = 0.9  # between probes, and for one: silence is noticed within two seconds (I10)
_MAX_SKEW_SECONDS = 5.0  # between our clock and the database's: windows are judged by ours, gated by its


class DbLink:
    """Keeps the pool. `on_up` is awaited each time before the link counts as up (it loads what the daemon needs);
    `on_notify` gets the payload of each notification; `on_change` is called when the state changes."""

    def __init__(
        self,
        config: Postgres,
        clock: Clock,
        on_up: Callable[[asyncpg.Pool], Awaitable[None]],
        on_notify: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_up = on_up
        self._on_notify = on_notify
        self._on_change = on_change
        self._failures = 0
        self._pool: asyncpg.Pool | None = None
        self.schema_version: int | None = None
        self.status = Link("postgres", "connecting", clock.now())

    @property
    def pool(self) -> asyncpg.Pool | None:
        """The pool while the link is up."""
        return self._pool

    @property
    def up(self) -> bool:
        return self._pool is not None

    async def run(self) -> None:
        """Connects, stays, reconnects; ends only by cancellation."""
        while True:
            try:
                await self._live()
            except (*DB_ERRORS, DatabaseUnreachable, SchemaError) as error:
                self._set("down", str(error) or type(error).__name__)
            await asyncio.sleep(backoff(self._failures, random.random()))  # noqa: S311 - jitter
            self._failures += 1

    async def _live(self) -> None:
        pool = await connect(self._config, "dialerd")
        try:
            self.schema_version = await check(pool)
            # Not given back: terminate() ends it, listeners and all.
            session = await pool.acquire(timeout=self._config.statement_timeout_seconds)
            lost = asyncio.Event()
            session.add_termination_listener(lambda _: lost.set())
            await session.add_listener(CHANNEL, lambda _c, _p, _ch, payload: self._on_notify(payload))
            await self._check_clock(session)
            await self._on_up(pool)
            self._pool = pool
            self._failures = 0
            self._set("up", "")
            await self._probe(session, lost)
        finally:
            self._pool, self.schema_version = None, None
            pool.terminate()

    async def _probe(self, session: asyncpg.Connection, lost: asyncio.Event) -> None:
        while True:
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await lost.wait()
                raise ConnectionError("PostgreSQL closed the connection")
            except TimeoutError:
                pass
            await self._check_clock(session)

    async def _check_clock(self, session: asyncpg.Connection) -> None:
        theirs = await session.fetchval("SELECT clock_timestamp()", timeout=_PROBE_SECONDS)
        skew = abs((theirs - self._clock.now()).total_seconds())
        if skew > _MAX_SKEW_SECONDS:
            raise ConnectionError(f"our clock and PostgreSQL's are {skew:.0f} s apart: set them (NTP), then retry")

    def _set(self, state: LinkState, detail: str) -> None:
        if (state, detail) != (self.status.state, self.status.detail):
            self.status = Link("postgres", state, self._clock.now(), detail)
            (log.info if state == "up" else log.warning)("postgres.link", state=state, detail=detail)
        self._on_change()
