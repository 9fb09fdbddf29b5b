"""How long a claim of 100 contacts takes with every rule on, and whether claimers at the same time ever share one.

The data: contacts of one number each in fifty zones, a register of as many do-not-call numbers, past attempts for one
number in five; one number in a hundred is barred. Commits wait for the disk.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

import asyncpg
from pydantic import SecretStr

from dialerd import config
from dialerd.core.limits import Lockout, parse
from dialerd.core.schedule import Schedule
from dialerd.core.terms import Judgement, Terms, judge
from dialerd.core.windows import parse as windows
from dialerd.places.zones import country_of
from dialerd.store.batch import next_batch
from dialerd.store.claim import claim
from dialerd.store.migrate import migrate
from dialerd.store.pool import TenantPool, connect
from dialerd.store.terms import zone_sets
from dialerd.store.why import why
from lab.services import Postgres

FILL_SECONDS = 3600.0
DATABASE = "claims"
WANT = 100
ROUNDS = 600
WARM = 20  # rounds that are not counted: the plans are made in them
_PER_STATEMENT = 250_000
_LIMITS = tuple(map(parse, ("3/24h/tenant", "7/7d/tenant/person", "20/ever")))
_LOCKOUTS = (Lockout("abandon", ("abandoned",), 72 * 3600), Lockout("refusal", ("refusal",), 60 * 86400, whom="person"))


def zones(count: int = 50) -> list[str]:
    """Some zones of the world, all of them in a country."""
    return [zone for zone in sorted(available_timezones()) if zone in country_of()][:: 450 // count][:count]


async def campaign(pool: asyncpg.Pool, name: str) -> int:
    """An active campaign whose trunk is never full."""
    await pool.execute(
        "INSERT INTO trunks (name, node, max_calls) VALUES ('bench', 'bench', 100000000) ON CONFLICT DO NOTHING"
    )
    found: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk, max_concurrent_calls)"
        " VALUES (1, $1, 'active', 'power', 'q', 'bench', 100000000) RETURNING id",
        name,
    )
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", found
    )
    return found


async def fill(pool: asyncpg.Pool, campaign_id: int, count: int, say: Callable[[str], None]) -> None:
    """Contacts for a campaign, priorities 0 to 9, the zones in turn; past attempts for one in five."""
    async with pool.acquire() as connection:
        await connection.execute(f"SET statement_timeout = '{FILL_SECONDS}s'")
        sets = [await connection.fetchval("SELECT zone_set_of($1)", [zone]) for zone in zones()]
        for start in range(0, count, _PER_STATEMENT):
            await connection.execute(
                """WITH made AS (
                       INSERT INTO contacts (tenant_id, campaign_id, name, priority, zone_set, rank)
                       SELECT 1, $1, 'Contact ' || i, i % 10, ($2::integer[])[1 + i % cardinality($2::integer[])],
                              contact_rank('oldest', i::integer % 10, 0, NULL, false, i)
                       FROM generate_series($3::bigint, $4::bigint) AS i RETURNING id, zone_set)
                   INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164, zone_set)
                   SELECT 1, $1, id, '+44' || 7000000000 + id, zone_set FROM made""",
                campaign_id, sets, start, min(start + _PER_STATEMENT, count) - 1, timeout=FILL_SECONDS,
            )  # fmt: skip
            await connection.execute(
                """INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state,
                                         outcome, claimed_at, ended_at)
                   SELECT uuid7(), 1, $1, n.contact_id, n.id, n.e164, 'bench', 'bench', 'ended', 'no_answer', at.at,
                          at.at + interval '30 seconds'
                   FROM numbers n, LATERAL (SELECT abs(hashint8(n.id)) AS dice) AS d,
                        LATERAL (SELECT now() - interval '1 day' * (1 + dice % 41) AS at) AS at
                   WHERE n.campaign_id = $1 AND dice % 5 = 0 AND n.id > (SELECT max(id) FROM numbers) - $2""",
                campaign_id, min(_PER_STATEMENT, count - start), timeout=FILL_SECONDS,
            )  # fmt: skip
            say(f"{min(start + _PER_STATEMENT, count):,} of {count:,} contacts")


async def fill_register(pool: asyncpg.Pool, entries: int) -> None:
    """A register of so many numbers; one contact in a hundred is on it."""
    async with pool.acquire() as connection:
        await connection.execute(f"SET statement_timeout = '{FILL_SECONDS}s'")
        list_id = await connection.fetchval(
            "INSERT INTO dnc_lists (name, kind) VALUES ('bench', 'register') RETURNING id"
        )
        await connection.execute(
            "INSERT INTO dnc_numbers (number, list_id) SELECT 447000000000 + i * 97, $2::integer"
            " FROM generate_series(1, $1::bigint) AS i",
            entries, list_id, timeout=FILL_SECONDS,
        )  # fmt: skip
        await connection.execute("INSERT INTO dnc_prefixes (prefix, list_id) VALUES (4479999, $1)", list_id)


async def settle(server: Postgres, pool: asyncpg.Pool) -> None:
    """What a day's autovacuum does, and nothing left that waits for the disk: filling is not what is measured."""
    async with pool.acquire() as connection:
        await connection.execute(f"SET statement_timeout = '{FILL_SECONDS}s'")
        for table in ("contacts", "numbers", "attempts", "dnc_lists", "dnc_numbers", "dnc_prefixes"):
            await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=FILL_SECONDS)
    await server.checkpoint()


async def judgement(pool: asyncpg.Pool, campaign_id: int) -> Judgement:
    """The campaign's terms with limits and lockouts, for a claim right now."""
    row = await pool.fetchrow(
        "SELECT t.schedule_version || '.' || c.version AS version, clock_timestamp() AS now"
        " FROM campaigns c JOIN tenants t ON t.id = c.tenant_id WHERE c.id = $1",
        campaign_id,
    )
    week = Schedule(tuple(windows(["always"])))
    return judge(Terms(week, _LIMITS, _LOCKOUTS, row["version"]), await zone_sets(pool), country_of(), row["now"])


async def timed_claims(pool: asyncpg.Pool, campaign_id: int, rounds: int) -> list[float]:
    """Milliseconds of each claim of 100; what was taken stays taken, as in a day's work."""
    times: list[float] = []
    while len(times) < rounds + WARM:
        terms = await judgement(pool, campaign_id)
        began = time.perf_counter()
        result = await claim(pool, campaign_id, WANT, "bench", terms)
        elapsed = (time.perf_counter() - began) * 1000
        if result.refusal == "judgement_too_old":  # a minute ended in between
            continue
        times.append(elapsed)
        if len(result.taken) != WANT:
            raise RuntimeError(f"the claim took {len(result.taken)}: {result.refusal}")
        await _end(pool, [taken.attempt for taken in result.taken])
    return times[WARM:]


async def _end(pool: asyncpg.Pool, attempts: Sequence[str]) -> None:
    """The calls are over: nobody answered, so they wait for another try."""
    await pool.execute(
        "SELECT record_v2(gen_random_uuid(), 'bench', 1, (SELECT jsonb_agg(r) FROM unnest($1::text[]) AS a,"
        " LATERAL (VALUES (jsonb_build_object('attempt', jsonb_build_object('id', a, 'state', 'ended', 'outcome',"
        " 'no_answer', 'ended_at', now()))), (jsonb_build_object('contact', jsonb_build_object('attempt_id', a,"
        " 'next_at', now() + interval '1 hour', 'counts', true)))) AS v (r)))",
        list(attempts),
    )


async def doubles(pool: asyncpg.Pool, campaign_id: int, claims: int, claimers: int = 8) -> dict[str, Any]:
    """Claimers at the same time until so many contacts are taken, calls that end among them; how many were taken twice
    although they wait for an hour after their call."""
    began = time.perf_counter()

    async def work() -> None:
        while len(taken) < claims:
            result = await claim(pool, campaign_id, WANT, "bench", await judgement(pool, campaign_id))
            taken.extend(each.contact_id for each in result.taken)
            await _end(pool, [each.attempt for each in result.taken])

    taken: list[int] = []
    await asyncio.gather(*(work() for _ in range(claimers)))
    return {
        "claims": len(taken),
        "double_claims": len(taken) - len(set(taken)),
        "claims_per_s": round(len(taken) / (time.perf_counter() - began)),
    }


async def measure(
    server: Postgres, small: int, large: int, dnc: int, claims: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The figures of the claim, at both sizes in one run. The database is left for others to measure on."""
    settings = config.Postgres(
        dsn=await server.create_database(DATABASE), password=SecretStr(server.password), statement_timeout_seconds=300,
        pool_size=12,
    )  # fmt: skip
    pool = await connect(settings, "bench")
    try:
        await migrate(pool)
        say(f"{dnc:,} do-not-call numbers")
        await fill_register(pool, dnc)
        little = await campaign(pool, "small")
        await fill(pool, little, small, say)
        await settle(server, pool)
        say("claims of 100")
        rounds = min(ROUNDS, (small // WANT - WARM) * 2 // 3)  # a small list is not to run out
        at_small = figures(await timed_claims(pool, little, rounds))
        big = await campaign(pool, "large")
        await fill(pool, big, large, say)
        say("vacuum")
        await settle(server, pool)
        say("claims of 100")
        at_large = figures(await timed_claims(pool, big, rounds))
        say(f"{claims:,} claims by 8 claimers")
        raced = await doubles(pool, big, claims)
        say("vacuum")
        await settle(server, pool)
        return {
            "p50_ms": at_large["p50_ms"],
            "p99_ms": at_large["p99_ms"],
            "p50_ms_at_100k": at_small["p50_ms"],
            "p99_ms_at_100k": at_small["p99_ms"],
            "ratio_p50": round(at_large["p50_ms"] / at_small["p50_ms"], 2),
            "contacts": large,
            "contacts_of_the_smaller": small,
            "dnc_numbers": dnc,
            "zones": len(zones()),
            "rounds": rounds,
            **raced,
        }
    finally:
        pool.terminate()


async def doors(server: Postgres, numbers: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds of what outside dialers and operators ask, at the size that `measure` has left behind: the next 100
    numbers, and why a number would (not) be dialed."""
    settings = config.Postgres(dsn=server.dsn(DATABASE), password=SecretStr(server.password), pool_size=4)
    pool = await connect(settings, "bench")
    try:
        tenant = TenantPool(pool, 1)
        id_ = await pool.fetchval("SELECT id FROM campaigns WHERE name = 'large'")
        first = await pool.fetchval("SELECT min(id) FROM contacts WHERE campaign_id = $1", id_)
        batches, whys = [], []
        for round_ in range(rounds + WARM):
            began = time.perf_counter()
            async with tenant.acquire() as connection:
                batch = await next_batch(connection, 1, id_, WANT, 3600, "Asia/Tehran", datetime.now(UTC))
            batches.append((time.perf_counter() - began) * 1000)
            if len(batch.numbers) != WANT:
                raise RuntimeError(f"the batch has {len(batch.numbers)} numbers: {batch.refusal}")
            await _end(pool, [taken.attempt for taken in batch.numbers])
            e164 = f"+44{7_000_000_000 + first + round_ * 7919 % numbers}"
            began = time.perf_counter()
            answer = await why(tenant, 1, e164, datetime.now(UTC))
            whys.append((time.perf_counter() - began) * 1000)
            if len(answer.campaigns) != 1:
                raise RuntimeError(f"{e164} is in {len(answer.campaigns)} campaigns")
        next_figures, why_figures = figures(batches[WARM:]), figures(whys[WARM:])
        return {
            "next_batch_p50_ms": next_figures["p50_ms"],
            "next_batch_p99_ms": next_figures["p99_ms"],
            "why_p50_ms": why_figures["p50_ms"],
            "why_p99_ms": why_figures["p99_ms"],
        }
    finally:
        pool.terminate()


def figures(times: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}
