"""What an outside dialer reports of a number that it was given. One report is one transaction, and counts once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dialerd.core import phone, retry
from dialerd.core.causes import LIVE_ANSWERS, Outcome
from dialerd.core.numberstatus import NumberStatus, result_of
from dialerd.store.dnc import Scope, digits, open_own, put
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries
from dialerd.store.tenants import switch_within

_Q = queries("batch")
_LOCK_LIVE, _LOCK_NUMBER, _BEFORE, _AGENTS = _Q.lock_live, _Q.lock_number, _Q.reported_before, _Q.agents_of
_LATE, _BESIDE, _RECORD, _BAN, _ATTEMPTS = _Q.late_attempt, _Q.beside_live, _Q.record, _Q.ban, _Q.attempts
_ADD_EVENT = queries("admin").add_event
BANNED_LIST = "banned"
_BY = "outside dialer"
Row = Mapping[str, Mapping[str, Any]]


class WrongNumber(Refused):
    """The phone number is not that of the number id."""


class UnknownAgent(Refused):
    """No agent, or more than one, is meant."""


class Conflicting(Refused):
    """The same attempt was reported with another status."""


@dataclass(frozen=True, slots=True)
class Report:
    """One result. `attempted_at` is aware; `call_allowed` turns the tenant's kill switch."""

    number_id: int
    phone_number: str
    status: NumberStatus
    reason: str | None = None
    attempted_at: datetime | None = None
    call_allowed: bool | None = None
    agent_id: int | None = None
    agent_phone: str | None = None
    user_message: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it. `repeated`: it had been reported before, and nothing has changed."""

    attempts: int
    repeated: bool = False


async def report(connection: Any, tenant_id: int, region: str, told: Report, now: datetime) -> Told:
    """Writes a result down. Raises `NotFound`, `WrongNumber`, `UnknownAgent`, `Conflicting`; then nothing is done."""
    async with connection.transaction():
        await connection.execute(_LOCK_LIVE, tenant_id, told.number_id)
        number = await connection.fetchrow(_LOCK_NUMBER, tenant_id, told.number_id)
        if number is None:
            raise NotFound(f"there is no number {told.number_id}")
        if not _same_number(told.phone_number, number["e164"], region):
            raise WrongNumber(f"number {told.number_id} is not {told.phone_number[:40]!r}")
        agent_id = await _agent(connection, tenant_id, told, region)
        if await _is_repeated(connection, tenant_id, told, number):
            return Told(number["attempts"], repeated=True)
        await _write(connection, tenant_id, told, number, agent_id, now)
        if told.call_allowed is not None:
            await switch_within(connection, tenant_id, told.call_allowed, _BY)
        attempts = await connection.fetchval(_ATTEMPTS, tenant_id, number["contact_id"])
        if told.status is NumberStatus.BANNED:  # the last step: claims wait for the commit
            await connection.execute(_BAN, tenant_id, number["contact_id"])
            await ban(connection, tenant_id, number["campaign_id"], [number["e164"]], "reported as BANNED", _BY)
        return Told(attempts)


async def ban(
    connection: Any, tenant_id: int, campaign_id: int, e164s: Sequence[str], source: str, by: str
) -> None:  # fmt: skip
    """Puts numbers on the campaign's own list of banned ones. To be the end of a transaction. Raises `Refused`."""
    list_id = await open_own(connection, Scope(tenant_id, campaign_id), BANNED_LIST)
    new = await put(connection, list_id, sorted(map(digits, e164s)), (), source)
    if new:
        detail = {"entries": new[:1000], "count": len(new), "list": BANNED_LIST, "source": source, "by": by}
        await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "dnc.added", detail)


def _same_number(text: str, e164: str, region: str) -> bool:
    try:
        return phone.parse(text, region).e164 == e164
    except phone.NumberRefused:
        return text.strip() in (e164, phone.national(e164))


async def _agent(connection: Any, tenant_id: int, told: Report, region: str) -> int | None:
    if told.agent_id is None and told.agent_phone is None:
        return None
    rows = await connection.fetch(_AGENTS, tenant_id, told.agent_id, _spellings(told.agent_phone, region))
    if len(rows) != 1 or told.agent_id not in (None, rows[0]["id"]):
        meant = f"id {told.agent_id}" if told.agent_id is not None else f"phone {str(told.agent_phone)[:40]!r}"
        raise UnknownAgent(f"no agent, or more than one, has {meant}")
    found: int = rows[0]["id"]
    return found


def _spellings(text: str | None, region: str) -> list[str]:
    """How an agent's phone may stand in the table."""
    if text is None:
        return []
    try:
        e164 = phone.parse(text, region).e164
    except phone.NumberRefused:
        return [text.strip()]
    return [text.strip(), e164, phone.national(e164)]


async def _is_repeated(connection: Any, tenant_id: int, told: Report, number: Any) -> bool:
    """Whether this very result is in already: of the same time, or without one when nothing was handed out since."""
    at = _time(told.attempted_at)
    if at is None and number["attempt_id"] is not None:
        return False
    key = (tenant_id, number["e164"], number["contact_id"], at)
    before = await connection.fetchval(_BEFORE, *key)
    if before is not None and at is not None and before != told.status:
        raise Conflicting(f"the attempt of {at} was reported as {before} already")
    return bool(before == told.status)


async def _write(
    connection: Any, tenant_id: int, told: Report, number: Any, agent_id: int | None, now: datetime
) -> None:
    result = result_of(told.status)
    attempt, claimed_at = number["attempt_id"], number["claimed_at"]
    late = attempt is None
    if late:
        made = await connection.fetchrow(_LATE, tenant_id, told.number_id)
        if made is not None:
            attempt, claimed_at = made
    event = {"tenant_id": tenant_id, "campaign_id": number["campaign_id"], "at": now.isoformat()}
    said = {
        "status": told.status, "attempted_at": _time(told.attempted_at), "reason": told.reason, "agent_id": agent_id,
        "late": late or None,
    }  # fmt: skip
    reported = event | {"kind": "reported", "detail": {k: v for k, v in said.items() if v is not None}}
    if attempt is None:  # the dialer of this house calls the number just now: that call goes on
        attempt = await connection.fetchval(
            _BESIDE, tenant_id, told.number_id, result.outcome, result.disposition, told.user_message, agent_id,
            told.reason,
        )  # fmt: skip
        await connection.execute(_RECORD, [{"event": reported | {"attempt_id": str(attempt)}}])
        return
    again = _retry(number, result.outcome, now)
    next_at = _time(again.next_at)
    ended = {"outcome": result.outcome, "retry": again.why, "next_at": next_at}
    at = _clamped(told.attempted_at, claimed_at, now)
    answered = at if result.outcome in LIVE_ANSWERS else None
    rows: list[Row] = [
        {"event": reported | {"attempt_id": str(attempt)}},
        {"event": event | {"attempt_id": str(attempt), "kind": "ended", "detail": ended}},
        {
            "attempt": {
                "id": str(attempt), "state": "ended", "outcome": result.outcome, "disposition": result.disposition,
                "detail": told.reason, "message": told.user_message, "agent_id": agent_id, "dialed_at": _time(at),
                "answered_at": _time(answered),
                "connected_at": _time(at) if result.outcome is Outcome.CONNECTED else None,
                "ended_at": _time(at),  # how long it was is not reported: an answer costs one minute
            }
        },
        {
            "contact": {
                "attempt_id": str(attempt), "next_at": next_at, "counts": again.counts, "number": again.number
            }
        },
    ]  # fmt: skip
    await connection.execute(_RECORD, rows)


def _retry(number: Any, outcome: Outcome, now: datetime) -> retry.Retry:
    """Final, unless the campaign has a rule for just this outcome: who fetches batches puts numbers back himself."""
    rules = retry.read(number["retry_rules"])
    if outcome not in rules:
        return retry.Retry(None, True, "a reported result is final")
    history = retry.History(number["attempts"], number["tries"])
    return retry.after(
        outcome, history, retry.Rules(number["max_retries"], number["retry_delay_seconds"], rules), now
    )  # fmt: skip


def _clamped(at: datetime | None, earliest: datetime, latest: datetime) -> datetime:
    """When it was called, as far as the dialer's clock can be believed."""
    return latest if at is None else max(min(at, latest), earliest)


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
