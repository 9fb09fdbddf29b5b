"""What the do-not-call lists cost: in the claim of 100 contacts, and in the last look before the Originate.

`python -m bench.dnc [ENTRIES]` prints it as JSON, on a PostgreSQL of its own; `measure` is for a larger benchmark.
"""

import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from pydantic import SecretStr

from dialerd import config
from dialerd.store.claim import claim
from dialerd.store.dnc import bars
from dialerd.store.migrate import migrate
from dialerd.store.pool import connect
from lab.services import Postgres, scratch

_FILL_SECONDS = 1200.0
_ROUNDS = 200
_WANT = 100


async def fill(pool: asyncpg.Pool, entries: int) -> None:
    """A register of that many numbers, none of them one of `measure`'s contacts."""
    async with pool.acquire() as connection:
        await connection.execute(f"SET statement_timeout = '{_FILL_SECONDS}s'")
        list_id = await connection.fetchval(
            "INSERT INTO dnc_lists (name, kind) VALUES ('bench', 'register') RETURNING id"
        )
        await connection.execute(
            "INSERT INTO dnc_numbers (number, list_id)"
            " SELECT 44700000000 + i * 7, $2::integer FROM generate_series(1, $1::bigint) AS i",
            entries, list_id, timeout=_FILL_SECONDS,
        )  # fmt: skip
        await connection.execute("VACUUM (ANALYZE) dnc_numbers, dnc_prefixes, dnc_lists", timeout=_FILL_SECONDS)


async def measure(pool: asyncpg.Pool) -> dict[str, Any]:
    """Milliseconds of a claim of 100 contacts, with and without the look at the lists, and of the last look at 100 and
    at 3 numbers. The database must be a benchmark's own: the look is taken out for a while."""
    await pool.execute("INSERT INTO trunks VALUES ('bench', 'bench', 1000000, true) ON CONFLICT DO NOTHING")
    campaign = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk, max_concurrent_calls) VALUES"
        " (1, 'bench' || clock_timestamp(), 'active', 'progressive', 'q', 'bench', 1000000) RETURNING id"
    )
    await pool.execute(
        "WITH c AS ("
        " INSERT INTO contacts (tenant_id, campaign_id) SELECT 1, $1 FROM generate_series(1, $2) RETURNING id)"
        " INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164, zones)"
        " SELECT 1, $1, id, '+' || 44700000001 + 7 * id, '{Europe/London}' FROM c", campaign, _ROUNDS * _WANT,
    )  # fmt: skip
    await pool.execute("ANALYZE contacts, numbers")
    numbers = [row["e164"] for row in await pool.fetch("SELECT e164 FROM numbers WHERE campaign_id = $1", campaign)]
    at = 0

    def some(size: int) -> list[str]:
        nonlocal at
        at = (at + 7919) % (len(numbers) - size)
        return numbers[at : at + size]

    async def take() -> None:
        # given back afterwards, so that each round finds the same
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            began = time.perf_counter()
            until = datetime.now(UTC) + timedelta(minutes=1)
            taken = (await claim(connection, campaign, _WANT, "bench", ["Europe/London"], until)).taken
            claims.append((time.perf_counter() - began) * 1000)
            await transaction.rollback()
            if len(taken) != _WANT:
                raise RuntimeError(f"the claim took {len(taken)}")

    results: dict[str, Any] = {"look_ms_100": await _timed(lambda: bars(pool, 1, campaign, some(100)))}
    results["look_ms_3"] = await _timed(lambda: bars(pool, 1, campaign, some(3)))
    claims: list[float] = []
    await _timed(take)
    results["claim_ms"] = _figures(claims)
    name = "dnc_bars(integer, bigint, text)"
    source = await pool.fetchval("SELECT pg_get_functiondef($1::text::regprocedure)", name)
    try:
        await pool.execute(f"{source.partition('$function$')[0]}$$ SELECT NULL::text WHERE false $$")
        claims.clear()
        await _timed(take)
        results["claim_ms_without"] = _figures(claims)
    finally:
        await pool.execute(source)
    return results


async def _timed(work: Callable[[], Awaitable[object]]) -> dict[str, float]:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await work()
        times.append((time.perf_counter() - began) * 1000)
    return _figures(times)


def _figures(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)}


async def _main(entries: int) -> None:
    folder = scratch("bench-dnc")
    try:
        with Postgres(folder, fsync=False) as server:
            dsn = await server.create_database("bench")
            pool = await connect(config.Postgres(dsn=dsn, password=SecretStr(server.password)), "bench")
            await migrate(pool)
            empty = await measure(pool)
            await fill(pool, entries)
            print(json.dumps({"entries": entries, "empty": empty, "full": await measure(pool)}, indent=2))
            pool.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))
