"""Holding the record against its seals: what was changed, removed or put in since it was sealed.

Everything is computed again here, with the chain's definition in core.seal and without the SQL that made it. Reads one
snapshot of the database in pieces, so that memory does not grow with the record.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from dialerd.core.seal import GENESIS, Event, Seal, follows, matches
from dialerd.store.queries import queries

_Q = queries("audit")
_SEAL, _HEADS, _HEAD, _HASH_AT = _Q.seal, _Q.heads, _Q.head, _Q.hash_at
_SEALED, _BEHIND, _TAIL, _ERASURES = _Q.sealed, _Q.behind, _Q.tail, _Q.erasures
_PIECE = 5_000
_SECONDS = 3_600.0  # for one piece: the first one of a long record may have to be sorted
Progress = Callable[[int, int], None]
MOST = 1_000  # findings that are kept; all are counted


@dataclass(frozen=True, slots=True)
class Head:
    """The last seal of a tenant's chain. Noted elsewhere it proves later that nothing up to it was rewritten."""

    tenant_id: int
    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. `kind`: changed (an event is not what was sealed), missing (sealed, and not there),
    inserted (there, behind the chain's end, without a seal), disorder (a seal out of order), broken (a seal does not
    follow from the one before), erased (without an erasure on record that covers it), unsealable, or rewritten (the
    chain is another one than was noted)."""

    kind: str
    seq: int | None
    event_id: int | None
    words: str


@dataclass
class Report:
    """`erased` events have no detail any more, by an erasure on record; `unsealed`: not sealed yet, which is no fault
    for the seconds after they were written."""

    events: int = 0
    erased: int = 0
    unsealed: int = 0
    head: str = ""
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.found == 0

    def add(self, kind: str, seq: int | None, event_id: int | None, words: str) -> None:
        self.found += 1
        if len(self.findings) < MOST:
            self.findings.append(Finding(kind, seq, event_id, words))


async def seal(pool: Any, most: int) -> int:
    """Seals at most that many events, of all tenants; how many. 0 also while another session is sealing."""
    sealed: int = await pool.fetchval(_SEAL, most)
    return sealed


async def heads(pool: Any) -> list[Head]:
    """Of every tenant that the session may see."""
    return [Head(row["tenant_id"], row["seq"], row["hash"].hex()) for row in await pool.fetch(_HEADS)]


async def verify(
    pool: Any, tenant_id: int, expect: tuple[int, str] | None = None, progress: Progress = lambda *_: None
) -> Report:
    """Reads a tenant's whole record. `expect`: seq and hash of a head that was noted. `progress(done, all)`: seals."""
    report = Report()
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            await connection.execute(f"SET LOCAL {setting} = '{int(_SECONDS)}s'")
        head = await connection.fetchrow(_HEAD, tenant_id)
        await _walk(connection, tenant_id, head["seq"] if head else 0, report, progress)
        await _look_beside(connection, tenant_id, head, report)
        if expect is not None:
            was = await connection.fetchval(_HASH_AT, tenant_id, expect[0])
            if was is None:
                report.add("rewritten", expect[0], None, "the chain ends before the seal that was noted")
            elif was.hex() != expect[1].lower():
                report.add("rewritten", expect[0], None, f"its hash is {was.hex()}, not the one that was noted")
        if head is not None:
            report.head = str(Head(tenant_id, head["seq"], head["hash"].hex()))
    return report


async def _walk(connection: Any, tenant_id: int, last: int, report: Report, progress: Progress) -> None:
    """Every seal in order, with its event."""
    covered = _Ranges(await connection.fetch(_ERASURES, tenant_id, timeout=_SECONDS))
    cursor = await connection.cursor(_SEALED, tenant_id, timeout=_SECONDS)
    seq, before, place = 0, GENESIS, (0, 0)
    while rows := await cursor.fetch(_PIECE, timeout=_SECONDS):
        for row in rows:
            seal, event = seal_of(row), event_of(row)
            if seal.seq != seq + 1:
                report.add("missing", seq + 1, None, f"the seals from {seq + 1} to {seal.seq - 1} are not there")
                before = None if seal.seq > seq + 1 else before  # type: ignore[assignment]
            if before is not None and not follows(seal, before):
                report.add("broken", seal.seq, seal.event_id, "the seal does not follow from the one before")
            if (seal.xid, seal.event_id) <= place:
                report.add("disorder", seal.seq, seal.event_id, "sealed after an event that comes later")
            if event is None:
                report.add("missing", seal.seq, seal.event_id, "the event was sealed, and is not there any more")
            elif not matches(seal, event):
                report.add("changed", seal.seq, event.id, f"the event ({event.kind}) is not what was sealed")
            if seal.is_erased:
                report.erased += 1
                if seal.seq not in covered:
                    report.add("erased", seal.seq, seal.event_id, "no erasure on record covers it")
            report.events += 1
            seq, before, place = seal.seq, seal.hash, (seal.xid, seal.event_id)
        progress(seq, last)


async def _look_beside(connection: Any, tenant_id: int, head: Mapping[str, Any] | None, report: Report) -> None:
    """The events that have no seal."""
    place = (str(head["xid"]), head["event_id"]) if head else ("0", 0)
    cursor = await connection.cursor(_BEHIND, tenant_id, *place, timeout=_SECONDS)
    while rows := await cursor.fetch(_PIECE, timeout=_SECONDS):
        for row in rows:
            words = f"the event ({row['kind']}) has no seal, and the chain has passed it"
            report.add("inserted", None, row["id"], words)
    tail = await connection.fetchrow(_TAIL, tenant_id, *place, timeout=_SECONDS)
    report.unsealed = tail["events"]
    if tail["foreign_xid"]:
        words = f"{tail['foreign_xid']} events cannot be sealed: their transactions are none of this server's"
        report.add("unsealable", None, None, words)


def seal_of(row: Mapping[str, Any]) -> Seal:
    """The seal in a row of the query `sealed`."""
    return Seal(
        row["seq"], row["event_id"], row["seal_xid"], row["salt"], row["content"], row["digest"], row["hash"]
    )  # fmt: skip


def event_of(row: Mapping[str, Any]) -> Event | None:
    """The event in a row of the query `sealed`, if it is there."""
    if row["id"] is None:
        return None
    names = ("id", "tenant_id", "campaign_id", "attempt_id", "at", "xid", "kind", "detail")
    return Event(*(row[name] for name in names))


class _Ranges:
    """Ranges of seq, joined where they touch."""

    def __init__(self, rows: list[asyncpg.Record]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in rows:
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self._firsts, seq) - 1
        return place >= 0 and seq <= self._lasts[place]
