"""`make bench-live`: a predictive campaign with ten robot agents on real Asterisk, held against the simulator.

The simulator runs the same pacing code in a world made of the same shares and times; the measured occupancy and
abandonment belong into the band of 95 % of its runs. Figures go into bench/results/live.json.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dialerd.core.ids import is_attempt
from lab.band import Band, Figures, LabWorld, measured, simulated
from lab.robots import Habits, Robots
from lab.site import Site
from lab.subscribers import Behaviour, Subscribers, number

RESULTS = Path(__file__).parent / "results" / "live.json"
SUBSCRIBERS = Subscribers(
    mix={Behaviour.PERSON: 30, Behaviour.BUSY: 30, Behaviour.NO_ANSWER: 40}, ring_seconds=3.0, talk_seconds=20.0
)
AGENTS, RATIO, RING_TIMEOUT, WRAP_UP, RUNS = 10, 3.0, 8, 4.0, 200
# Per conversation the lab needs a little more time than its world: events, HTTP, a robot's reaction.
SLACK = 0.01


async def live(site: Site, seconds: float) -> tuple[Figures, dict[str, Any]]:
    """The run; its figures, and what else is worth telling."""
    pool = await site.pool()
    try:
        campaign = await _prepare(pool, site)
        site.daemon.start()
        site.daemon.until_dialing()
        habits = Habits(wrap_up_seconds=WRAP_UP, pause_chance=0.0, hangup_chance=0.0)
        stop = asyncio.Event()
        robots = asyncio.create_task(Robots(site.daemon.url, site.token, site.lab.agents, habits).run(stop))
        await _all_ready(site)
        since = datetime.now(UTC)
        await pool.execute("UPDATE campaigns SET state = 'active' WHERE id = $1", campaign)
        await asyncio.sleep(seconds)
        await pool.execute("UPDATE campaigns SET state = 'paused' WHERE id = $1", campaign)
        status = await asyncio.to_thread(site.daemon.status)
        await _quiet(site)
        stop.set()
        await robots
        figures = await measured(pool, since, seconds)
        abandoned = await pool.fetch(
            "SELECT extract(epoch FROM answered_at - $1)::float8 AS at FROM attempts WHERE outcome = 'abandoned'"
            " ORDER BY 1", since,
        )  # fmt: skip
    finally:
        await pool.close()
    (shown,) = status["campaigns"]
    attempts = sum(is_attempt(invite.attempt) for invite in site.lab.invites())
    when = [round(row["at"]) for row in abandoned]  # seconds from the start: early ones are a beginner's
    return figures, {
        "attempts": attempts,
        "abandoned_at_seconds": when,
        "connect_ms": shown["connect_ms"],
        "pacing": shown["pacing"],
    }


async def _prepare(pool: Any, site: Site) -> int:
    id_: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, pacing_ratio, queue_name, trunk, caller_id,"
        " wrap_up_seconds, max_retries, skip_holidays, ring_timeout_seconds, max_concurrent_calls)"
        " VALUES (1, 'live', 'paused', 'predictive', $1, 'sales', 'trunk-out', '+358401109999', 60, 0, false, $2, 100)"
        " RETURNING id", RATIO, RING_TIMEOUT,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", id_
    )
    numbers = [number(Behaviour.MIX, n) for n in range(10_000)]
    await pool.execute(
        """WITH given AS (SELECT e164, n, nextval(pg_get_serial_sequence('contacts', 'id')) AS id
                          FROM unnest($2::text[]) WITH ORDINALITY AS x (e164, n) ORDER BY n),
                made AS (INSERT INTO contacts (id, tenant_id, campaign_id, zone_set) OVERRIDING SYSTEM VALUE
                         SELECT given.id, 1, $1, zone_set_of('{Europe/Helsinki}') FROM given RETURNING id)
           INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164, zone_set)
           SELECT 1, $1, given.id, given.e164, zone_set_of('{Europe/Helsinki}') FROM given JOIN made USING (id)""",
        id_, numbers,
    )  # fmt: skip
    for name in site.lab.agents:
        await pool.execute(
            "WITH a AS (INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, $1, $1) RETURNING id)"
            " INSERT INTO agent_queues SELECT id, 'sales' FROM a", name,
        )  # fmt: skip
    return id_


async def _all_ready(site: Site) -> None:
    async with asyncio.timeout(30):
        agents: list[Any] = []
        while not agents or not all(agent["state"] == "ready" for agent in agents):
            await asyncio.sleep(0.1)
            agents = (await asyncio.to_thread(site.daemon.status))["agents"]


async def _quiet(site: Site) -> None:
    async with asyncio.timeout(60):
        calls = True
        while calls:
            await asyncio.sleep(0.2)
            calls = bool((await asyncio.to_thread(site.daemon.status))["calls_by_state"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.live")
    parser.add_argument("--duration", type=float, default=40.0 if os.environ.get("QUICK") else 600.0)
    duration = parser.parse_args().duration
    with Site(AGENTS, SUBSCRIBERS) as site:
        site.lab.wait_registered()
        found, more = asyncio.run(live(site, duration))
    runs = simulated(LabWorld(SUBSCRIBERS, RING_TIMEOUT, WRAP_UP), AGENTS, duration, RATIO, RUNS)
    bands = {name: Band.of([getattr(run, name) for run in runs]) for name in ("occupancy", "abandonment", "answers")}
    inside = bands["occupancy"].holds(found.occupancy, SLACK) and bands["abandonment"].holds(found.abandonment)
    result = {
        "seconds": duration, "agents": AGENTS, "answer_chance": 0.3, "simulated_runs": RUNS, "slack": SLACK,
        "measured": {name: round(value, 4) for name, value in asdict(found).items()},
        "simulated": {name: {k: round(v, 4) for k, v in asdict(band).items()} for name, band in bands.items()},
        "inside_the_band": inside, **more,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }  # fmt: skip
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0 if inside else 1


if __name__ == "__main__":
    sys.exit(main())
