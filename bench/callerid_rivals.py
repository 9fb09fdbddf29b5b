"""Other ways to answer the same question, for `make bench-callerid`. Each is a process that listens on PORT.

`ceiling`: our FastAGI framing, one Redis script call, and nothing else. `s4`: HTTP, an SQL query for the candidates,
several calls to Redis for last use, reservations and counts, an SQL update: the caller-ID rotation service for VICIdial
as its own text describes it (no code of it is here), read in its favour: last uses come in one call, and candidates are
looked at one by one only until one is free.
"""

import asyncio
import sys
import time
from typing import Any

import asyncpg
import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dialerd import config
from dialerd.fastagi.server import FastAgiServer
from dialerd.fastagi.wire import AgiCall

_TTL_SECONDS = 2
_CANDIDATES = """
SELECT id, e164, carrier, area_code, hourly_limit, daily_limit FROM caller_ids
WHERE active AND tenant_id = 1 AND area_code = $1"""


async def ceiling(port: int, redis_url: str) -> None:
    """Serves until it is killed."""
    script = Redis.from_url(redis_url).register_script("return redis.call('INCR', 'bench:ceiling')")

    async def run(call: AgiCall, desk: object) -> None:
        await script()

    server = FastAgiServer(config.FastAgi(port=port), {"next-cid": run}, None)  # type: ignore[arg-type]
    await server.start()
    await asyncio.Event().wait()


def s4(pool: asyncpg.Pool, redis: Any) -> Starlette:
    """The service."""

    async def next_cid(request: Request) -> JSONResponse:
        rows = {row["id"]: row for row in await pool.fetch(_CANDIDATES, request.query_params["to"][2:5])}
        used = await redis.zmscore("lru", list(rows))
        for _, id_ in sorted((at or 0.0, id_) for at, id_ in zip(used, rows, strict=True)):
            row = rows[id_]
            if await redis.exists(f"reservation:{id_}"):
                continue
            hour, day = await redis.mget(f"hourly:{id_}", f"daily:{id_}")
            if int(hour or 0) >= row["hourly_limit"] or int(day or 0) >= row["daily_limit"]:
                continue
            if await redis.set(f"reservation:{id_}", "1", nx=True, ex=_TTL_SECONDS):
                for key, seconds in ((f"hourly:{id_}", 3600), (f"daily:{id_}", 86400)):
                    await redis.incr(key)
                    await redis.expire(key, seconds)
                await redis.zadd("lru", {id_: time.time()})
                await pool.execute("UPDATE caller_ids SET meta = meta WHERE id = $1", id_)
                found = {"caller_id": row["e164"], "carrier": row["carrier"], "area_code": row["area_code"], "meta": {}}
                return JSONResponse(found)
        return JSONResponse({"error": "none"}, status_code=503)

    return Starlette(routes=[Route("/next-cid", next_cid)])


async def serve_s4(port: int, redis_url: str, dsn: str, password: str) -> None:
    """Serves until it is killed."""
    pool = await asyncpg.create_pool(
        dsn, password=password, min_size=4, max_size=8, server_settings={"dialerd.tenant": "all"}
    )
    redis = Redis.from_url(redis_url)
    settings = uvicorn.Config(s4(pool, redis), port=port, log_level="error", access_log=False)
    await uvicorn.Server(settings).serve()


if __name__ == "__main__":
    kind, number, *more = sys.argv[1:]
    # What they need to know comes on standard input: a password is nothing for a command line.
    secrets = sys.stdin.readline().split()
    asyncio.run(ceiling(int(number), secrets[0]) if kind == "ceiling" else serve_s4(int(number), *secrets))
