"""What people want: the consent row and the do-not-call row, always in one transaction."""

from typing import Any
from uuid import UUID

from dialerd.core import phone
from dialerd.store.dnc import Scope, check_text, digits, open_own, put
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("dnc")
_LOCK, _LAST, _ADD, _LISTS, _REMOVE = (
    _Q.lock_consent,
    _Q.last_consent,
    _Q.add_consent,
    _Q.opt_out_lists,
    _Q.remove_numbers,
)
_ADD_EVENT = queries("admin").add_event
LIST = "opt-outs"


async def opt_out(
    connection: Any,
    tenant_id: int,
    e164: str,
    source: str,
    attempt_id: UUID | None = None,
    campaign_id: int | None = None,
) -> bool:
    """Never call this number again: for the tenant, or for one campaign. True when something was written.

    The same opt-out again writes nothing. Part of the caller's transaction if it is in one, and then it should be its
    last step: claims wait for the commit. Queued contacts of the number are suppressed by the next claim that meets
    them. Raises `Refused`.
    """
    _check(e164, source)
    async with connection.transaction():
        await connection.execute(_LOCK, tenant_id, e164)
        known = _same(await connection.fetchrow(_LAST, tenant_id, e164), "opt_out", source, attempt_id)
        if not known:
            await connection.execute(_ADD, tenant_id, e164, "opt_out", source, attempt_id)
        list_id = await open_own(connection, Scope(tenant_id, campaign_id), LIST)
        return bool(await put(connection, list_id, [digits(e164)], (), source)) or not known


async def opt_in(connection: Any, tenant_id: int, e164: str, source: str, attempt_id: UUID | None = None) -> bool:
    """Takes the opt-outs of this number back, in all campaigns of the tenant. True when something was written.

    Other lists that bar the number still do (`dnc.check`). Raises `Refused`.
    """
    _check(e164, source)
    async with connection.transaction():
        await connection.execute(_LOCK, tenant_id, e164)
        known = _same(await connection.fetchrow(_LAST, tenant_id, e164), "opt_in", source, attempt_id)
        if not known:
            await connection.execute(_ADD, tenant_id, e164, "opt_in", source, attempt_id)
        gone = []
        for row in await connection.fetch(_LISTS, tenant_id, LIST):
            gone += await connection.fetch(_REMOVE, row["id"], [digits(e164)])
        for was in gone:
            detail = {"entry": e164, "list": LIST, "source": was["source"], "reason": f"opt-in: {source}",
                      "added_at": was["added_at"].isoformat()}  # fmt: skip
            await connection.execute(_ADD_EVENT, tenant_id, None, "dnc.removed", detail)
        return bool(gone) or not known


def _check(e164: str, source: str) -> None:
    check_text("source", source)
    if not phone.E164.match(e164):
        raise Refused("an opt-out needs an E.164 number")


def _same(last: Any, kind: str, source: str, attempt_id: UUID | None) -> bool:
    return last is not None and (last["kind"], last["source"], last["attempt_id"]) == (kind, source, attempt_id)
