"""`dialer-admin cid simulate`: which caller ID a call would show now, and why every other one would not be it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import asyncpg
import click
from redis.exceptions import RedisError

from dialerd.cli import callerid
from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.config import Config
from dialerd.core import phone
from dialerd.core.callerid import CallerId, Candidate, Usage, explain, pool_of, shown
from dialerd.live.callerids import CallerIds
from dialerd.live.connection import connect
from dialerd.store import callerid_admin, callerids
from dialerd.store.callerid_log import RequestLog

_NEAR = {"area": "same area", "state": "same state", "country": "same country", "any": "elsewhere"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A candidate as it is shown. `why`: empty for the one that would be taken."""

    id: int
    caller_id: str
    near_as: str
    why: str
    used_this_hour: int
    hourly_limit: int
    used_today: int
    daily_limit: int
    last_used: datetime | None
    resting_until: datetime | None


@command(callerid.group, "simulate")
@click.option("--to", required=True, help="The number that would be called.")
@click.option("--campaign", "campaign_name", default="", help="Name or id; another name is another system's.")
async def simulate(session: Session, as_json: bool, to: str, campaign_name: str) -> None:
    """Say which caller ID a call would show now, and why every other one would not be it. Nothing is reserved."""
    async with session.tenant() as (pool, tenant):
        number = phone.parse(to, tenant.default_region)
        rule = await callerid_admin.rule_of(pool, tenant.id, campaign_name)
        rows = pool_of(await callerids.load(pool), tenant.id, rule.id)
        preferred = None
        if rule.sticky_caller_id:
            preferred = await callerid_admin.last_shown(pool, tenant.id, rule.id, number.e164)
        now = datetime.now(UTC)
        usages, source = await _usages(session.config, pool, rows, now)
    candidates = explain(rows, usages, number.e164, rule.local_presence, preferred, now)
    lines = _lines(candidates, rule.local_presence)
    fallback = shown(rule.caller_id if rule.id else session.config.callerids.fallback)
    taken = lines[0] if lines and not lines[0].why else None
    answer = {
        "to": number.e164,
        "campaign": rule.name or campaign_name,
        "pool": "the campaign's own" if rows and rows[0].campaign_id else "the tenant's",
        "local_presence": rule.local_presence,
        "sticky_caller_id": rule.sticky_caller_id,
        "status": "OK" if taken else "FALLBACK" if fallback else "NONE",
        "caller_id": taken.caller_id if taken else fallback,
        "uses_from": source,
    }
    if as_json:
        show_json({**answer, "candidates": [asdict(line) for line in lines]})
        return
    if campaign_name and not rule.id:
        say(f"no campaign of ours is called {campaign_name!r}: as for another system's, the tenant's own pool is used")
    show_fields(answer)
    columns = ("ID", "NUMBER", "NEAR AS", "WHY NOT", "THIS HOUR", "TODAY", "LAST USED")
    show_table(
        columns,
        [
            (
                line.id,
                line.caller_id,
                line.near_as,
                line.why or "(taken)",
                f"{line.used_this_hour} of {line.hourly_limit}",
                f"{line.used_today} of {line.daily_limit}",
                line.last_used,
            )
            for line in lines
        ],
    )


def _lines(candidates: Sequence[Candidate], local: bool) -> list[_Line]:
    found: list[_Line] = []
    for candidate in candidates:
        row = candidate.caller_id
        found.append(
            _Line(
                row.id,
                row.e164,
                _NEAR[candidate.distance],
                _why(candidate, candidates[0], local),
                candidate.used_this_hour,
                row.hourly_limit,
                candidate.used_today,
                row.daily_limit,
                candidate.last_used,
                row.resting_until,
            )
        )
    return found


def _why(candidate: Candidate, best: Candidate, local: bool) -> str:
    """Why this one is not taken, or the empty text."""
    if candidate.rule is not None:
        return str(candidate.rule)
    if candidate is best:
        return ""
    if best.preferred:
        return "another was shown before"
    if local and candidate.distance != best.distance:
        return "farther away"
    return "used more recently" if candidate.last_used != best.last_used else "as good, but later in the list"


async def _usages(
    config: Config, pool: asyncpg.Pool, rows: Sequence[CallerId], now: datetime
) -> tuple[Mapping[int, Usage], str]:
    """How the numbers were used, from Redis, else from PostgreSQL; and which of the two."""
    seconds = config.dialing.reservation_seconds
    requests = RequestLog(config.node, lambda: pool)
    client = connect(config.redis)
    ids = CallerIds(client, seconds, lambda: requests.usage(now, seconds))
    ids.load(rows)
    try:
        return await ids.usages(now), "redis"
    except (RedisError, OSError, TimeoutError) as error:
        say(f"Redis cannot be asked ({error}): uses and reservations are PostgreSQL's")
        return {usage.cid_id: usage for usage in await requests.usage(now, seconds)}, "postgres"
    finally:
        await client.aclose()


def register(cli: click.Group) -> None:
    """The command belongs to the group of `callerid`."""
