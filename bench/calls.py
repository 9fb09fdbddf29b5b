"""`make bench-calls`: what conversations cost, on real SIP: joining, holding, the screen pop, and what is left behind.

First many short calls: a bare ARI client joins some to phones (the floor), then dialerd does, with everything that it
does beside. Then many long calls at once, half of them with agents, the others in a menu. Nobody speaks: sound costs
both Asterisks' processors, not dialerd's. Figures go into bench/results/calls.json.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.bare_ari import BareClient
from bench.lists import machine
from lab.site import Site
from lab.subscribers import Behaviour, Subscribers, number
from lab.summary import percentile

RESULTS = Path(__file__).parent / "results" / "calls.json"
_MENU = """\
language = "en"
start = "wait"
[nodes.wait]
type = "menu"
prompt = "silence/5"
keys = {1 = "end"}
timeout = "end"
timeout_seconds = 60
retries = 10
[nodes.end]
type = "hangup"
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; `rate`: answers a second."""

    agents: int = 110
    floor: int = 400
    warm: int = 200
    row: int = 1000
    rate: float = 20.0
    held: int = 500
    held_rate: float = 20.0
    stay: float = 10.0  # seconds that the held calls are looked at


QUICK = Size(agents=40, floor=50, warm=30, row=80, rate=10.0, held=40, held_rate=15.0, stay=3.0)


def process(pid: int) -> dict[str, float]:
    """CPU seconds, megabytes in memory and open descriptors of a process."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": (int(stat[11]) + int(stat[12])) / ticks,
        "mb": int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page / 2**20,
        "descriptors": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
    }


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises TimeoutError with `what` when it does not come true."""
    limit = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > limit:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.2)


async def campaign(pool: asyncpg.Pool, name: str, people: Sequence[str], **changes: Any) -> int:
    """A paused one with these people."""
    columns = {
        "tenant_id": 1, "name": name, "state": "paused", "dial_mode": "progressive", "queue_name": "sales",
        "trunk": "trunk-out", "caller_id": "+358401109999", "wrap_up_seconds": 0, "max_retries": 0,
        "skip_holidays": False, "max_concurrent_calls": 300, **changes,
    }  # fmt: skip
    names, places = ", ".join(columns), ", ".join(f"${i}" for i in range(1, len(columns) + 1))
    insert = f"INSERT INTO campaigns ({names}) VALUES ({places}) RETURNING id"  # noqa: S608 - our own names
    id_: int = await pool.fetchval(insert, *columns.values())
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", id_
    )
    await add(pool, id_, people)
    return id_


async def add(pool: asyncpg.Pool, campaign_id: int, people: Sequence[str]) -> None:
    """More people."""
    await pool.execute(
        """WITH given AS (SELECT e164, n, nextval(pg_get_serial_sequence('contacts', 'id')) AS id
                          FROM unnest($2::text[]) WITH ORDINALITY AS x (e164, n) ORDER BY n),
                made AS (INSERT INTO contacts (id, tenant_id, campaign_id, zone_set) OVERRIDING SYSTEM VALUE
                         SELECT given.id, 1, $1, zone_set_of('{Europe/Helsinki}') FROM given RETURNING id)
           INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164, zone_set)
           SELECT 1, $1, given.id, given.e164, zone_set_of('{Europe/Helsinki}') FROM given JOIN made USING (id)""",
        campaign_id, list(people),
    )  # fmt: skip


async def seat(pool: asyncpg.Pool, site: Site) -> None:
    """Every phone gets an agent, and every agent's phone is called."""
    await pool.execute(
        "WITH a AS (INSERT INTO agents (tenant_id, name, endpoint) SELECT 1, n, n FROM unnest($1::text[]) AS n"
        " RETURNING id) INSERT INTO agent_queues SELECT id, 'sales' FROM a", site.lab.agents,
    )  # fmt: skip
    site.daemon.start()
    await asyncio.to_thread(site.daemon.until_dialing)
    for name in site.lab.agents:
        await asyncio.to_thread(site.daemon.post, f"/agents/{name}/connect")
    await until(lambda: agents(site, "ready") == len(site.lab.agents), 60, "every agent ready")


def agents(site: Site, state: str) -> int:
    return sum(agent["state"] == state for agent in site.daemon.status()["agents"])


async def floor(site: Site, size: Size) -> dict[str, float | None]:
    """The bare client's milliseconds."""
    people = [number(Behaviour.PERSON, n) for n in range(size.floor)]
    async with BareClient(site.lab.ari_url, site.lab.ari_password, site.lab.trunk) as client:
        await client.call_phones(site.lab.agents)
        await client.call(people, size.rate)
        found = quantiles(client.join_ms)
    await until(lambda: site.lab.quiet(1), 30, "quiet after the bare client")
    return found


def quantiles(samples: Sequence[float]) -> dict[str, float | None]:
    return {name: percentile(samples, q) for name, q in (("p50", 50.0), ("p99", 99.0))}


@contextlib.contextmanager
def pages(site: Site, shown: dict[str, float]) -> Iterator[None]:
    """Every agent has a page open; at the end `shown` has each call, and when its agent's page had it."""
    argv = [sys.executable, "-m", "bench.pages", site.daemon.url.rsplit(":", 1)[1], *site.lab.agents]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(f"{site.token}\n")
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the pages did not open")
        yield
        process.stdin.close()
        shown |= json.loads(process.stdout.read())
    finally:
        process.kill()
        process.wait(10)


async def in_a_row(site: Site, pool: asyncpg.Pool, size: Size) -> dict[str, Any]:
    """Calls one after the other: how soon they are joined, what they cost, and what is left of them."""
    await seat(pool, site)
    id_ = await campaign(pool, "row", [number(Behaviour.PERSON, n) for n in range(size.warm)])
    seen: dict[str, float] = {}
    with pages(site, seen):
        await run(site, pool, id_, size.warm)
        before = {**process(site.daemon.pid), **left(site)}
        await add(pool, id_, [number(Behaviour.PERSON, size.warm + n) for n in range(size.row)])
        await run(site, pool, id_, size.warm + size.row)
        after = {**process(site.daemon.pid), **left(site)}
    joined = await pool.fetch("SELECT id::text, connected_at FROM attempts WHERE connected_at IS NOT NULL")
    # Asterisk cuts its times to whole milliseconds: the two were joined up to one later than it says.
    late = [row["id"] for row in joined if seen.get(row["id"], 1e12) >= row["connected_at"].timestamp() + 0.001]
    (shown,) = site.daemon.status()["campaigns"]
    outcomes = dict(await pool.fetch("SELECT outcome, count(*) FROM attempts GROUP BY 1"))
    exactly, about = ("channels", "bridges", "tasks"), ("descriptors", "mb")  # pools of connections breathe
    leaks = {name: after[name] - before[name] for name in exactly if after[name] > before[name]}
    leaks |= {name: round(after[name] - before[name], 1) for name in about if after[name] > before[name] * 1.05}
    return {
        "calls_in_a_row": size.row,
        "outcomes": outcomes,
        "not_sent": await not_sent(pool),
        "join_ms": {name: round(shown["connect_ms"][name], 2) for name in ("p50", "p99")},
        "cpu_ms_per_connected_call": round((after["cpu"] - before["cpu"]) * 1000 / size.row, 2),
        "leaks": leaks,
        "before": {k: round(v, 1) for k, v in before.items()}, "after": {k: round(v, 1) for k, v in after.items()},
        "pop_before_voice": round(1 - len(late) / len(joined), 4),
    }  # fmt: skip


async def not_sent(pool: asyncpg.Pool) -> list[str]:
    """Why calls that were claimed did not leave."""
    rows = await pool.fetch("SELECT e.detail::text FROM call_events e JOIN attempts a ON a.id = e.attempt_id"
                            " WHERE a.outcome = 'not_sent' AND e.kind = 'not_sent'")  # fmt: skip
    return [row["detail"] for row in rows]


def left(site: Site) -> dict[str, float]:
    """What Asterisk and the daemon's event loop hold."""
    tasks = (site.daemon.health() or {})["tasks"]
    return {"channels": len(site.lab.pbx.channels()), "bridges": len(site.lab.pbx.bridges()), "tasks": tasks}


async def run(site: Site, pool: asyncpg.Pool, campaign_id: int, total: int) -> None:
    """Until so many attempts have ended and every agent is free."""
    await pool.execute("UPDATE campaigns SET state = 'active' WHERE id = $1", campaign_id)
    limit = time.monotonic() + 60 + total
    while await pool.fetchval("SELECT count(*) FROM attempts WHERE state = 'ended'") < total:
        if time.monotonic() > limit:
            raise TimeoutError(f"{total} calls have not ended")
        await asyncio.sleep(0.5)
    await until(lambda: agents(site, "ready") == len(site.lab.agents), 30, "every agent free again")


async def held(site: Site, pool: asyncpg.Pool, size: Size) -> dict[str, Any]:
    """Many calls at once, half of them with agents."""
    half = size.held // 2
    await seat(pool, site)
    people = [number(Behaviour.PERSON, n) for n in range(size.held)]
    await campaign(pool, "agents", people[:half])
    await campaign(pool, "menu", people[half:], flow="wait", dial_mode="power", pacing_ratio=1.0)
    await pool.execute("UPDATE campaigns SET state = 'active'")
    calls: dict[str, int] = {}

    def all_there() -> bool:
        calls.clear()
        calls.update(site.daemon.status()["calls_by_state"])
        return sum(calls.values()) == size.held and agents(site, "on_call") == half and len(calls) == 2

    failed = None
    try:
        await until(all_there, 30 + 3 * size.held / size.held_rate, "every call held")
        await asyncio.sleep(size.stay)  # they are to stay, not only to come
        stay = all_there()
    except TimeoutError:
        stay, failed = False, site.daemon.tail(20)
    ended = dict(await pool.fetch("SELECT outcome, count(*) FROM attempts WHERE state = 'ended' GROUP BY 1"))
    log = site.daemon.log.read_text(errors="replace")
    wrong = [line for line in log.splitlines() if line.startswith(("<4>", "<3>", "<2>"))]
    errors = sum(ended.values()) + sum(not line.startswith("<4>") for line in wrong)
    return {
        "held": sum(calls.values()), "bridged": agents(site, "on_call"), "errors": errors + (not stay),
        "rss_mb": round(process(site.daemon.pid)["mb"], 1), "states": dict(calls), "ended_early": ended,
        "not_sent": await not_sent(pool), "warnings": wrong[:20],
        **({"log": failed} if failed else {}),
    }  # fmt: skip


def at_site(size: Size, agents_: int, talk: float, rate: float, work: Callable[[Site], Any]) -> dict[str, Any]:
    """A site of its own for a part of the run."""
    subscribers = Subscribers(ring_seconds=0.5, talk_seconds=talk, silent=True)
    trunk = {"max_calls": size.held + 50, "calls_per_second": rate}
    with Site(agents_, subscribers, fsync=False) as site:
        site.lab.wait_registered(60)
        folder = site.folder / "flows"
        folder.mkdir(mode=0o755)
        (folder / "wait.toml").write_text(_MENU)
        endpoint = site.settings()["trunks"]["trunk-out"]["endpoint"]
        site.new_daemon(
            trunks={"trunk-out": {"endpoint": endpoint, **trunk}},
            flows={"folder": str(folder), "sounds": [str(site.folder / "none")], "prompts": str(site.folder / "said")},
        )
        found: dict[str, Any] = asyncio.run(work(site))
        return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="As QUICK=1.")
    quick = parser.parse_args().quick
    size = QUICK if quick else Size()

    async def short(site: Site) -> dict[str, Any]:
        least = await floor(site, size)
        async with contextlib.AsyncExitStack() as stack:
            pool = await site.pool()
            stack.push_async_callback(pool.close)
            return {"floor_ms": {k: round(v or 0.0, 2) for k, v in least.items()}, **await in_a_row(site, pool, size)}

    async def long(site: Site) -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as stack:
            pool = await site.pool()
            stack.push_async_callback(pool.close)
            return await held(site, pool, size)

    result = {"machine": machine(), "quick": quick}
    result |= at_site(size, size.agents, 3.0, size.rate, short)
    print(json.dumps(result, indent=2), file=sys.stderr)
    result |= at_site(size, size.held // 2, 600.0, size.held_rate, long)
    path = RESULTS.with_suffix(".quick.json") if quick else RESULTS
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 1 if result["errors"] or result["leaks"] else 0


if __name__ == "__main__":
    sys.exit(main())
