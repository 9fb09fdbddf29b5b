"""Everything on record about one number, for whoever asks why it was called: attempts with the check of their window as
it was judged, decisions not to call, lists, consents, and whether the events are still what was sealed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dialerd.core.calendar import clock_of
from dialerd.core.seal import GENESIS, follows, matches
from dialerd.store import audit, dnc
from dialerd.store.queries import queries

_Q = queries("proof")
_ATTEMPTS, _COUNT, _EVENTS, _INPUTS, _ZONES, _NAMES = (
    _Q.attempts, _Q.count_attempts, _Q.events, _Q.inputs, _Q.zones, _Q.campaign_names
)  # fmt: skip
_CONSENTS = queries("why").consents
MOST = 1_000  # attempts, decisions not to call, consents: the newest ones
_MOST_ZONES = 4  # in which a time is written

Sealed = Literal["sealed", "erased", "not_sealed_yet", "changed"]


@dataclass(frozen=True, slots=True)
class Event:
    """`seal`: sealed (it is what was sealed), erased (all but its detail is), not_sealed_yet, or changed."""

    id: int
    at: datetime
    kind: str
    detail: Mapping[str, Any]
    campaign: str | None
    seal: Sealed
    seq: int | None
    hash: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """Why the call was allowed when it was claimed, as the claim wrote it: the zones in which calling was open and
    until when, the version of the settings, and how often the number (or person) had been called before."""

    zones: Sequence[str]
    open_until: str | None
    version: str | None
    calls_24h: int | None
    calls_7d: int | None
    calls_30d: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """`facts`: the row, times in UTC; `local`: the moment of the claim in each zone that was judged. `window` None: it
    was erased, or is not on record."""

    id: str
    facts: Mapping[str, Any]
    local: Mapping[str, str]
    window: Window | None
    inputs: Sequence[Mapping[str, Any]]
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Proof:
    """The document. `left_out`: older attempts than are in it. `head`: the end of the tenant's chain, SEQ:HASH."""

    number: str
    tenant: str
    generated_at: datetime
    zones: Sequence[str]
    attempts: Sequence[Attempt]
    left_out: int
    not_called: Sequence[Event]
    dnc: Sequence[dnc.Bar]
    consents: Sequence[Mapping[str, Any]]
    seals: Mapping[str, int]
    head: str | None


async def proof(pool: Any, tenant_id: int, tenant: str, e164: str, now: datetime) -> Proof:
    """The record of an E.164 number, from one snapshot."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_ATTEMPTS, tenant_id, e164, MOST)
        ids = [row["id"] for row in rows]
        found = await connection.fetch(_EVENTS, tenant_id, e164, ids, MOST)
        named = await connection.fetch(_NAMES, tenant_id, [row["campaign_id"] for row in found if row["campaign_id"]])
        names = {row["id"]: row["name"] for row in named}
        events = [(row["attempt_id"], _event(row, names)) for row in found]
        inputs = await connection.fetch(_INPUTS, tenant_id, ids)
        heads = [head for head in await audit.heads(connection) if head.tenant_id == tenant_id]
        states = [event.seal for _, event in events]
        return Proof(
            number=e164,
            tenant=tenant,
            generated_at=now,
            zones=[row["zone"] for row in await connection.fetch(_ZONES, tenant_id, e164)],
            attempts=[
                _attempt(row, [e for id_, e in events if id_ == row["id"]], [i for i in inputs if i[0] == row["id"]])
                for row in rows
            ],
            left_out=await connection.fetchval(_COUNT, tenant_id, e164) - len(rows),
            not_called=[event for id_, event in events if id_ is None],
            dnc=await dnc.check(connection, tenant_id, e164),
            consents=[dict(row) for row in await connection.fetch(_CONSENTS, tenant_id, e164, MOST)],
            seals={state: states.count(state) for state in ("sealed", "erased", "not_sealed_yet", "changed")},
            head=str(heads[0]) if heads else None,
        )


def _event(row: Mapping[str, Any], names: Mapping[int, str]) -> Event:
    campaign = names.get(row["campaign_id"])
    facts = (row["id"], row["at"], row["kind"], json.loads(row["detail"]), campaign)
    if row["seq"] is None:
        return Event(*facts, "not_sealed_yet", None, None)
    seal, event = audit.seal_of(row), audit.event_of(row)
    before = GENESIS if seal.seq == 1 else row["before"]
    whole = event is not None and before is not None and matches(seal, event) and follows(seal, before)
    state: Sealed = "changed" if not whole else "erased" if seal.is_erased else "sealed"
    return Event(*facts, state, seal.seq, seal.hash.hex())


def _attempt(row: Mapping[str, Any], events: Sequence[Event], inputs: Sequence[Mapping[str, Any]]) -> Attempt:
    claimed = next((event.detail for event in events if event.kind == "claimed" and event.detail), None)
    window = None
    if claimed is not None:
        names = ("open_until", "version", "calls_24h", "calls_7d", "calls_30d")
        window = Window(claimed.get("zones") or (), *(claimed.get(name) for name in names))
    zones = list(window.zones) if window else []
    facts = {name: value for name, value in row.items() if name != "id"}
    pressed = [{name: each[name] for name in ("at", "node_name", "digits")} for each in inputs]
    return Attempt(str(row["id"]), facts, local_times(row["claimed_at"], zones), window, pressed, events)


def local_times(at: datetime, zones: Sequence[str]) -> dict[str, str]:
    """A moment as the clocks of some zones show it."""
    found = {}
    for zone in zones[:_MOST_ZONES]:
        if (clock := clock_of(zone)) is not None:
            found[zone] = at.astimezone(clock).strftime("%a %Y-%m-%d %H:%M:%S %z")
    return found
