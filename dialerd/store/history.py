"""What PostgreSQL has of a past campaign, for a simulation of its like. All of it is read in one transaction, so it is
of one moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg

from dialerd.core.contactfile import is_zone
from dialerd.pacing.likeness import History
from dialerd.places import profiles
from dialerd.store import campaigns
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("history")
_ENDED, _LENGTHS, _WRAP_UPS, _FAST_FAIL = _Q.ended, _Q.lengths, _Q.wrap_ups, _Q.fast_fail
_AGENTS, _PAUSES, _CONTACTS = _Q.agents, _Q.pauses, _Q.contacts
_PARTS = 40  # of rings, talks and wrap-ups
_LONGEST_PAUSE = timedelta(hours=2)  # what is longer is the end of a day that nobody closed
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


async def history(pool: asyncpg.Pool, tenant_id: int, campaign: str, since: datetime | None, zone: str) -> History:
    """Of the campaign with that name or id; hours as in `zone`. Raises `NotFound`, `Refused` when `zone` is none."""
    if not is_zone(zone):
        raise Refused(f"zone {zone[:40]!r}: an IANA name, as in Europe/Helsinki")
    found = await campaigns.find(pool, tenant_id, campaign)
    settings = _settings(found)
    which = (tenant_id, found.id, since or _EVER)
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        lengths = await connection.fetch(_LENGTHS, *which, _PARTS)
        pauses = await connection.fetchrow(_PAUSES, *which, _LONGEST_PAUSE)
        contacts = await connection.fetchrow(_CONTACTS, tenant_id, found.id)
        return replace(
            settings,
            ended={(row["hour"], row["outcome"]): row["n"] for row in await connection.fetch(_ENDED, *which, zone)},
            rings=tuple(row["seconds"] for row in lengths if row["what"] == "ring"),
            talks=tuple(row["seconds"] for row in lengths if row["what"] == "talk"),
            wrap_ups=tuple(row["seconds"] for row in await connection.fetch(_WRAP_UPS, *which, _PARTS)),
            fast_fail_seconds=await connection.fetchval(_FAST_FAIL, *which),
            agents={
                row["hour"]: row["agents"] for row in await connection.fetch(_AGENTS, *which, zone, _LONGEST_PAUSE)
            },
            handled=pauses["handled"],
            pauses=pauses["pauses"],
            pause_seconds=pauses["seconds"],
            contacts_left=contacts["left"],
            contacts=contacts["contacts"],
            max_calls=await _max_calls(connection, found),
        )


def _settings(found: campaigns.Campaign) -> History:
    """What the campaign itself says; nothing of its calls yet."""
    abandon = profiles.profile(found.legal_profile).abandon if found.legal_profile else None
    return History(
        name=found.name,
        mode=found.dial_mode,
        pacing_ratio=found.pacing_ratio,
        ring_timeout_seconds=found.ring_timeout_seconds,
        wrap_up_seconds=found.wrap_up_seconds,
        detects_machines=found.machine_detection != "off",
        attempts_per_contact=found.max_retries + 1,
        retry_seconds=found.retry_delay_seconds,
        ended={},
        fast_fail_seconds=None,
        rings=(),
        talks=(),
        wrap_ups=(),
        agents={},
        handled=0,
        pauses=0,
        pause_seconds=0.0,
        contacts_left=0,
        contacts=0,
        cap=abandon.cap if abandon else None,
        grace_seconds=abandon.grace_seconds if abandon else None,
        trunk=found.trunk,
    )


async def _max_calls(connection: asyncpg.Connection, found: campaigns.Campaign) -> int:
    """What trunk and campaign allow, the smaller of the two."""
    trunks = {trunk.name: trunk.max_calls for trunk in await campaigns.trunks(connection)}
    return min(found.max_concurrent_calls, trunks.get(found.trunk, found.max_concurrent_calls))
