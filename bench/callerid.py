"""`make bench-callerid`: how fast and how fairly caller IDs are chosen, beside other ways to choose them.

A dialerd of its own with PostgreSQL and Redis, no Asterisk: clients play it (bench/agi_load.py). Client, server and
Redis share this machine. What must never happen is looked up in dialerd's own log, the table caller_id_requests.
Figures go into bench/results/callerid.json.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import aiohttp
import asyncpg
from pydantic import SecretStr

from bench.lists import machine
from dialerd import config
from dialerd.paths import shipped
from dialerd.store.migrate import migrate
from dialerd.store.pool import connect
from lab.daemon import Daemon
from lab.services import Postgres, Redis, free_port, scratch

RESULTS = Path(__file__).parent / "results" / "callerid.json"
DATABASE = "callerid"
CAMPAIGNS, NUMBERS, FEW = 50, 10_000, 100
SHORT, LONG = 2, 300  # seconds of a reservation: so short that 10,000 numbers never run out; as shipped
_AREAS = ("212", "213", "305", "312", "415", "512", "617", "702", "713", "808")


@dataclass(frozen=True)
class Size:
    """How much is done."""

    rate_seconds: float = 30.0
    turns: int = 5  # of each contender, by turns
    turn_seconds: float = 6.0
    even: int = 100_000
    parallel: int = 6_000
    processes: int = 60


QUICK = Size(rate_seconds=4.0, turns=1, turn_seconds=2.5, even=4_000, parallel=2_500, processes=10)


class Place:
    """PostgreSQL, Redis and a dialerd; every part is ended at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("pg", "redis"):
            (folder / name).mkdir(mode=0o711)
        self.postgres, self.redis = Postgres(folder / "pg"), Redis(folder / "redis")
        self.token, self._daemons = secrets.token_urlsafe(24), 0

    @contextmanager
    def daemon(self, reservation_seconds: int) -> Iterator[tuple[int, str]]:
        """A fresh one, on the pool as it is; the ports of FastAGI and HTTP. Asterisk is away, which it says and no
        door of this bench needs."""
        self._daemons += 1
        agi = free_port()
        tables = {
            "node": "bench", "postgres": {"dsn": self.postgres.dsn(DATABASE)},
            "redis": {"url": self.redis.url.removesuffix("/0") + "/1"},
            "ami": {"port": free_port()}, "ari": {"url": f"http://127.0.0.1:{free_port()}/ari/"},
            "fastagi": {"port": agi}, "web": {"port": free_port()},
            "dialing": {"reservation_seconds": reservation_seconds},
            # All requests come from one address: what is measured is not to be what is allowed.
            "callerids": {"requests_per_minute_per_agent": 0, "requests_per_minute_per_address": 0},
        }  # fmt: skip
        keys = {
            "postgres": {"password": self.postgres.password}, "redis": {"password": self.redis.password},
            "ami": {"secret": "none"}, "ari": {"password": "none"}, "web": {"token": self.token},
        }  # fmt: skip
        daemon = Daemon(self.folder / f"dialerd-{self._daemons}", tables, keys)  # type: ignore[arg-type]
        daemon.start()
        try:
            daemon.until(lambda: offer(agi, requests=1)["statuses"].get("OK", 0) == 1, 30, "choose a caller ID")
            yield agi, daemon.url
        finally:
            daemon.stop()

    @contextmanager
    def rival(self, kind: str, *more: str) -> Iterator[int]:
        """A process of bench/callerid_rivals.py; its port."""
        port = free_port()
        argv = [sys.executable, "-m", "bench.callerid_rivals", kind, str(port)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True)
        assert process.stdin is not None
        try:
            process.stdin.write(" ".join((self.redis.url_with_password(2), *more)) + "\n")
            process.stdin.flush()
            until_open(port)
            yield port
        finally:
            process.kill()
            process.wait(10)

    async def pool(self) -> asyncpg.Pool:
        """To the database, for the caller to close."""
        settings = config.Postgres(
            dsn=self.postgres.dsn(DATABASE), password=SecretStr(self.postgres.password), pool_size=2
        )
        return await connect(settings, "bench")


def until_open(port: int, seconds: float = 20.0) -> None:
    """Waits until somebody listens. Raises TimeoutError."""

    async def knock() -> None:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return

    asyncio.run(knock())


def offer(port: int, **load: Any) -> dict[str, Any]:
    """Requests from a process of their own; what they saw."""
    load = {"campaigns": [str(n) for n in range(1, CAMPAIGNS + 1)], "destinations": DESTINATIONS, **load}
    argv = [sys.executable, "-m", "bench.agi_load", str(port), json.dumps(load)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _destinations(count: int = 2000) -> list[str]:
    lots = Random(7)
    return [f"+1{lots.choice(_AREAS)}{lots.randrange(300, 1000)}{lots.randrange(10_000):04}" for _ in range(count)]


DESTINATIONS = _destinations()


async def fill(place: Place, numbers: int, hourly_limit: int = 1_000_000) -> None:
    """That many numbers in one pool which all the campaigns share, spread over ten area codes; the log is empty."""
    pool = await place.pool()
    try:
        await pool.execute("TRUNCATE caller_id_requests")
        await pool.execute("DELETE FROM caller_ids")
        await pool.execute(
            "INSERT INTO caller_ids (tenant_id, e164, area_code, daily_limit, hourly_limit)"
            " SELECT 1, '+1' || area || (2000000 + n)::text, area, 1000000, $2"
            " FROM (SELECT n, ($3::text[])[1 + n % cardinality($3::text[])] AS area FROM generate_series(1, $1) n) x",
            numbers, hourly_limit, list(_AREAS),
        )  # fmt: skip
        await pool.execute("ANALYZE")
    finally:
        await pool.close()
    from redis.asyncio import Redis as Client

    async with Client.from_url(place.redis.url_with_password(0)) as client:
        await client.flushall()


async def prepare(place: Place) -> None:
    """The schema and the campaigns."""
    await place.postgres.create_database(DATABASE)
    pool = await place.pool()
    try:
        await migrate(pool)
        await pool.execute("UPDATE tenants SET default_region = 'US' WHERE id = 1")
        await pool.execute(
            "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk)"
            " SELECT 1, 'campaign ' || n, 'paused', 'progressive', 'q', 't' FROM generate_series(1, $1) AS n",
            CAMPAIGNS,
        )  # fmt: skip
    finally:
        await pool.close()


# Of two uses of a number the second may not begin while the first one's reservation lasts. Nothing is released here,
# and no reservation is over before the bench is.
_DOUBLE = """
SELECT count(*) FROM (
    SELECT at, lag(at) OVER (PARTITION BY caller_id_id ORDER BY at) AS before
    FROM caller_id_requests WHERE status = 'OK' AND NOT again AND released_at IS NULL
) AS uses WHERE at < before + make_interval(secs => $1)"""
_OVER = """
SELECT count(*) FROM (
    SELECT r.caller_id_id FROM caller_id_requests r JOIN caller_ids c ON c.id = r.caller_id_id
    WHERE r.status = 'OK' AND NOT r.again
    GROUP BY r.caller_id_id, date_trunc('hour', r.at, 'UTC'), c.hourly_limit HAVING count(*) > c.hourly_limit
) AS over"""
_UNEVEN = """
SELECT max(n) - min(n) FROM (
    SELECT c.id, count(r.caller_id_id) AS n
    FROM caller_ids c LEFT JOIN caller_id_requests r ON r.caller_id_id = c.id AND r.status = 'OK' AND NOT r.again
    GROUP BY c.id
) AS uses"""


async def asked(place: Place, query: str, *arguments: Any, rows: int | None = None) -> int:
    """One number of the log, once `rows` requests are in it."""
    pool = await place.pool()
    try:
        deadline = time.monotonic() + 60
        while rows is not None and await pool.fetchval("SELECT count(*) FROM caller_id_requests") < rows:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the log does not come to {rows} rows")
            await asyncio.sleep(0.1)
        found: int = await pool.fetchval(query, *arguments)
        return found
    finally:
        await pool.close()


def speed(place: Place, size: Size) -> dict[str, Any]:
    """At a thousand a second; then as fast as it goes, by turns with the ceiling."""
    asyncio.run(fill(place, NUMBERS))
    ours, ceiling = [], []
    with place.daemon(SHORT) as (port, _), place.rival("ceiling") as other:
        offer(port, requests=2_000)  # warm
        offer(other, requests=2_000)
        at_rate = offer(port, rate=1000, seconds=size.rate_seconds, seed=2)
        for turn in range(size.turns):
            ours.append(offer(port, seconds=size.turn_seconds, seed=10 + turn))
            ceiling.append(offer(other, seconds=size.turn_seconds, seed=10 + turn))
    none = sum(n for status, n in at_rate["statuses"].items() if status != "OK")
    most, highest = (median(each["per_s"] for each in found) for found in (ours, ceiling))
    ratios = [mine["per_s"] / theirs["per_s"] for mine, theirs in zip(ours, ceiling, strict=True)]
    return {
        "fastagi": {
            "offered_per_s": 1000, "answered": at_rate["answered"], "p50_ms": round(at_rate["p50_ms"], 2),
            "p99_ms": round(at_rate["p99_ms"], 2), "errors": at_rate["errors"] + none, "client_late": at_rate["late"],
            "max_per_s": round(most),
        },
        "ceiling_per_s": round(highest),
        "ratio": round(median(ratios), 3),
    }  # fmt: skip


def growth(place: Place, size: Size) -> dict[str, Any]:
    """Seconds a call (chosen, then released) with ten thousand numbers, of those with a hundred; by turns."""
    ratios = []
    for turn in range(size.turns):
        cost = []
        for numbers in (FEW, NUMBERS):
            asyncio.run(fill(place, numbers))
            with place.daemon(LONG) as (port, _):
                offer(port, requests=500, release=True)
                found = offer(port, seconds=size.turn_seconds, release=True, seed=20 + turn)
                cost.append(1 / found["per_s"])
        ratios.append(cost[1] / cost[0])
    return {"growth_100_to_10k": round(median(ratios), 3)}


def fairness(place: Place, size: Size) -> dict[str, Any]:
    """How far apart the uses of a uniform pool are; two hundred at once, on more requests than the limits allow."""
    one_place = ["+442071234567"]  # as near to every number as to any other
    asyncio.run(fill(place, 1000))
    with place.daemon(LONG) as (port, _):
        even = offer(port, requests=size.even, clients=16, release=True, destinations=one_place)
        gap = asyncio.run(asked(place, _UNEVEN, rows=even["answered"]))
    numbers, limit = size.parallel // 5, 2
    asyncio.run(fill(place, numbers, limit))
    with place.daemon(LONG) as (port, _):
        found = offer(port, requests=size.parallel, clients=200)
        double = asyncio.run(asked(place, _DOUBLE, LONG, rows=found["answered"]))
        given = found["statuses"].get("OK", 0)
    asyncio.run(fill(place, numbers, limit))
    with place.daemon(SHORT) as (port, _):  # so short that each number comes up to its limit
        answered = used = 0
        for seed in range(100, 200):
            if used >= numbers * limit - 1:  # one was used to see that the daemon is there
                break
            found = offer(port, requests=numbers, clients=200, seed=seed)
            answered, used = answered + found["answered"], used + found["statuses"].get("OK", 0)
        over = asyncio.run(asked(place, _OVER, rows=answered))
    return {
        "even_selections": even["statuses"].get("OK", 0), "evenness_gap": gap,
        "parallel": {"clients": 200, "numbers": numbers, "requests": size.parallel, "given": given},
        "limits": {"clients": 200, "numbers": numbers, "hourly_limit": limit, "requests": answered, "given": used},
        "double_reservations": double, "limits_passed": over,
    }  # fmt: skip


def rivals(place: Place, size: Size) -> dict[str, Any]:
    """Others in the same run."""
    asyncio.run(fill(place, NUMBERS))
    with place.rival("s4", place.postgres.dsn(DATABASE), place.postgres.password) as port:
        rates = [asyncio.run(_http(port, size.turn_seconds)) for _ in range(size.turns)]
    with place.daemon(SHORT) as (_, url):
        process, in_time = _agi_processes(url, place.token, size.processes)
    found = {
        "s4_http_per_s": round(median(rates)),
        "agi_process_per_s": round(process, 1),
        "agi_process_in_time": in_time,
    }
    return {"rivals": found}


async def _http(port: int, seconds: float) -> float:
    """Requests a second, as fast as they are answered."""
    lots, answered, until = Random(3), 0, time.perf_counter() + seconds
    async with aiohttp.ClientSession() as session:

        async def client() -> None:
            nonlocal answered
            while time.perf_counter() < until:
                query = {"to": lots.choice(DESTINATIONS), "campaign": "1", "agent": "a"}
                async with session.get(f"http://127.0.0.1:{port}/next-cid", params=query) as reply:
                    await reply.read()
                    answered += reply.status == 200

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(32)))
        return answered / (time.perf_counter() - begun)


def _agi_processes(url: str, token: str, count: int) -> tuple[float, float]:
    """Calls a second when each starts the shipped classic AGI script, two at a time; and the share of them that had
    its answer within the script's own limit of half a second."""
    script = shipped("agi") / "classic" / "dialerd-cid.py"
    environ = {**os.environ, "DIALERD_URL": url, "DIALERD_TOKEN": token}
    begun, running, good = time.perf_counter(), [], 0
    for n in range(count):
        argv = [sys.executable, str(script), "next-cid", DESTINATIONS[n], "1", "agent"]
        running.append(_agi_process(argv, environ, n))
        if len(running) == 2:
            good += _agi_ended(running.pop(0))
    good += sum(map(_agi_ended, running))
    return count / (time.perf_counter() - begun), round(good / count, 3)


def _agi_process(argv: Sequence[str], environ: dict[str, str], n: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert process.stdin is not None
    process.stdin.write(f"agi_request: x\nagi_uniqueid: p.{n}\n\n".encode() + b"200 result=1\n" * 10)
    process.stdin.close()
    return process


def _agi_ended(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    said = process.stdout.read()
    process.wait(20)
    return b'"CID_STATUS" "OK"' in said


def main() -> int:
    """Measures everything; the status is 1 when something happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m bench.callerid", description=__doc__)
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    size = QUICK if parser.parse_args().quick else Size()
    folder = scratch("bench")
    result: dict[str, Any] = {"machine": machine(), "quick": size is QUICK, "numbers": NUMBERS, "campaigns": CAMPAIGNS}
    try:
        place = Place(folder)
        with place.postgres, place.redis:
            asyncio.run(prepare(place))
            for part in (speed, growth, fairness, rivals):
                begun = time.monotonic()
                result |= part(place, size)
                print(f"{part.__name__}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    path = RESULTS.with_suffix(".quick.json") if result["quick"] else RESULTS
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 1 if result["double_reservations"] or result["limits_passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
