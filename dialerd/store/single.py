"""A single call in the database: its contact is put in or found, and claimed, in one transaction.

What the claim refuses, and what a dry run asks for, leaves nothing behind: the transaction is taken back.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from dialerd.core import campaign as rules
from dialerd.core.phone import Number
from dialerd.core.singlecall import CallRefused, Placed, Wanted
from dialerd.core.terms import Judgement
from dialerd.store import campaigns
from dialerd.store.claim import Claimed, claim
from dialerd.store.errors import NotFound
from dialerd.store.queries import queries
from dialerd.store.why import why_on

_Q = queries("calls")
_CAMPAIGN, _START, _ZONE_SET, _LOCK_CAMPAIGN = _Q.campaign, _Q.start_campaign, _Q.zone_set, _Q.lock_campaign
_LOCK_KEY, _KNOWN, _REMEMBER, _FORGET = _Q.lock_key, _Q.known, _Q.remember, _Q.forget
_NUMBER, _ADD, _AGAIN, _TURN = _Q.number, _Q.add_contact, _Q.ask_again, _Q.turn
_NEW_ID, _DRY_CALL, _CREATED_AT = _Q.new_id, _Q.dry_call, _Q.created_at
_CREATE, _ADD_EVENT = queries("admin").create_campaign, queries("admin").add_event
NAME, QUEUE = "single calls", "single-calls"
_NOWHERE = "outside_allowed_time_window"


async def campaign_for(pool: asyncpg.Pool, tenant_id: int, trunk: str | None) -> int:
    """The tenant's campaign for single calls, made over `trunk` when there is none. Raises `CallRefused`."""
    found: int | None = await pool.fetchval(_CAMPAIGN, tenant_id)
    if found is not None:
        return found
    if trunk is None:
        raise CallRefused(
            "refused", "unknown_trunk", "which trunk single calls leave by is not clear: set [calls] trunk"
        )
    draft = rules.Draft(NAME, "preview", QUEUE, trunk, max_retries=0)
    try:
        async with pool.acquire() as connection, connection.transaction():
            made: int = await connection.fetchval(_CREATE, tenant_id, campaigns.stored(draft))
            await campaigns.add_windows(connection, made, draft.windows)
            await connection.execute(_START, tenant_id, made)
            for kind in ("campaign.created", rules.EVENTS["start"]):
                await connection.execute(_ADD_EVENT, tenant_id, made, kind, {"by": "the first single call"})
    except asyncpg.UniqueViolationError:
        found = await pool.fetchval(_CAMPAIGN, tenant_id)  # another request was first
        if found is None:
            says = f"a campaign of another kind is named {NAME!r}: give it another name"
            raise CallRefused("refused", "campaign_name_taken", says) from None
        return found
    return made


async def zone_set(pool: asyncpg.Pool, number: Number) -> int:
    """The id of the zones that the number may lie in; it stays, whatever becomes of the call."""
    found: int = await pool.fetchval(_ZONE_SET, list(number.zones))
    return found


async def known(db: Any, tenant_id: int, wanted: Wanted) -> Placed | None:
    """The call that a request with this key made before. Raises `CallRefused` when that asked for something else."""
    row = await db.fetchrow(_KNOWN, tenant_id, wanted.key) if wanted.key is not None else None
    if row is None:
        return None
    if row["digest"] != wanted.digest:
        says = "this Idempotency-Key belongs to a request that asked for something else"
        raise CallRefused("invalid", "key_reused", says)
    return Placed(row["id"], wanted.number.e164, row["at"], row["dry_run"], again=True)


async def dry_call(pool: Any, tenant_id: int, call_id: UUID) -> Placed:
    """A call that a dry run did not place. Raises `NotFound`."""
    row = await pool.fetchrow(_DRY_CALL, tenant_id, call_id)
    if row is None:
        raise NotFound(f"there is no call {call_id}")
    return Placed(row["id"], row["e164"], row["at"], dry_run=True)


async def take(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, wanted: Wanted, zones: int, node: str, judgement: Judgement,
    now: datetime, dry_run: bool,
) -> tuple[Placed, Claimed | None]:  # fmt: skip
    """The call, and the attempt that was made for it, committed (rule 1) and to be dialled once; no attempt: it is one
    of before, or a dry one. `zones`: the number's zone set. Raises `CallRefused`, `NotFound`, and what `store.claim`
    does; then whether there is an attempt is not known."""
    async with pool.acquire() as connection:
        await connection.execute(_FORGET)
        async with connection.transaction():
            if wanted.key is not None:
                await connection.fetchval(_LOCK_KEY, tenant_id, wanted.key)
                before = await known(connection, tenant_id, wanted)
                if before is not None:
                    return before, None
            unasked, unclaimed = connection.transaction(), connection.transaction()  # savepoints, to go back to
            await unasked.start()
            contact = await _in_queue(connection, tenant_id, campaign_id, wanted, zones)
            await unclaimed.start()
            result = await claim(connection, campaign_id, 1, node, judgement, contact=contact)
            if result.refusal is not None:
                await unclaimed.rollback()
                raise await _refusal(connection, tenant_id, campaign_id, wanted, result.refusal, now)
            claimed = None if dry_run else result.taken[0]
            if dry_run:
                await unasked.rollback()
            call_id = claimed.attempt if claimed is not None else await connection.fetchval(_NEW_ID)
            e164 = wanted.number.e164
            if dry_run or wanted.key is not None:
                dry = e164 if dry_run else None
                await connection.execute(_REMEMBER, call_id, tenant_id, wanted.digest, wanted.key, dry)
            at: datetime = await connection.fetchval(_CREATED_AT, call_id)
    return Placed(call_id, e164, at, dry_run), claimed


async def _in_queue(connection: Any, tenant_id: int, campaign_id: int, wanted: Wanted, zones: int) -> int:
    """Sees to it that the contact stands where the claim finds it; its id. A contact of a list must be in the queue by
    itself: only which of its numbers is meant is set."""
    e164 = wanted.number.e164
    if await connection.fetchval(_LOCK_CAMPAIGN, tenant_id, campaign_id) is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    row = await connection.fetchrow(_NUMBER, campaign_id, e164)
    if wanted.campaign_id is not None:
        if row is None or row["contact_id"] != wanted.contact_id:
            raise NotFound(f"contact {wanted.contact_id} of campaign {campaign_id} has no such number")
        if not row["dead"]:
            await connection.execute(_TURN, row["contact_id"], row["position"], row["zone_set"])
    elif row is None:
        made: int = await connection.fetchval(_ADD, tenant_id, campaign_id, e164, zones)
        return made
    elif row["state"] != "claimed":
        await connection.execute(_AGAIN, row["contact_id"], row["position"], zones)
    return int(row["contact_id"])


async def _refusal(
    connection: Any, tenant_id: int, campaign_id: int, wanted: Wanted, rule: str, now: datetime
) -> CallRefused:
    """Which gate it was, in the words of `dialer-admin why`."""
    if rule == "judgement_too_old":
        return CallRefused("unavailable", rule, "the campaign's settings are being changed: ask again")
    found = await why_on(connection, tenant_id, wanted.number.e164, now, str(campaign_id))
    for place in found.campaigns:
        shut = [check for check in place.decision.checks if not check.ok]
        if place.campaign_id == campaign_id and shut:
            # That the campaign may call nowhere now says less than why it may not call there.
            first = next((check for check in shut if check.rule != _NOWHERE or check.until is not None), shut[0])
            return CallRefused("refused", first.rule, first.words, place.decision.next_at)
    return CallRefused("refused", rule, f"the claim refused it: {rule.replace('_', ' ')}")
