"""The import of contacts: one transaction per file, batch by batch, so that nothing is ever half done.

A number stands in a campaign once. A row any of whose numbers is there already is refused as a whole, so that no
person becomes two contacts; for the same reason a second import of the same file changes nothing.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import asyncpg

from dialerd.core.contactfile import Contact, Remark
from dialerd.core.phone import Number
from dialerd.core.textrows import FileRefused
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("contacts")
_LOCK, _EXISTS, _KNOWN, _DNC = _Q.lock_import, _Q.campaign_exists, _Q.known_numbers, _Q.dnc_numbers
_ELSEWHERE, _NEW_IDS, _COUNT, _NOTIFY = _Q.known_elsewhere, _Q.new_ids, _Q.count, _Q.notify
_BY_INDEX, _ZONE_SET, _ADD_LIST, _COUNT_LIST = _Q.by_index, _Q.zone_set, _Q.add_list, _Q.count_list
_ADD_CONTACTS, _ADD_NUMBERS, _LIST = _Q.add_contacts, _Q.add_numbers, _Q.list_called
_ADD_EVENT = queries("admin").add_event

MAX_CONTACTS = 10_000_000  # of one file, for it is one transaction
_BATCH = 5_000
_SWITCH_SECONDS = 0.0005
_BETWEEN, _NULL = "\x1f", "\x1e"  # as contacts.sql reads a column of texts
_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Report:
    """What became of a file. Rows without any cell are not counted.

    `imported` rows became contacts with `numbers` numbers; the campaign has `contacts` now. `refused` counts rows and
    single numbers by reason. `unknown_zone` numbers are kept and never dialled until their zone is known; `dnc`
    numbers are kept and not dialled while they are on the list. `unknown_postcode` numbers are judged by their own
    zones.
    """

    rows: int = 0
    imported: int = 0
    contacts: int = 0
    numbers: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unknown_zone: int = 0
    unknown_postcode: int = 0
    dnc: int = 0


async def import_contacts(
    pool: asyncpg.Pool,
    tenant_id: int,
    campaign_id: int,
    entries: Iterable[Contact | Remark],
    by: str,
    on_remark: Callable[[Remark], None] = lambda remark: None,
    skip_known_anywhere: bool = False,
    list_name: str = "import",
    of_request: bool = False,
) -> Report:
    """Put a contact file's good rows into a campaign; `on_remark` hears of the others, and of
    numbers that are kept but will not be dialled.

    `entries` come as from `core.contactfile.contacts`, in the order of their rows; they are read in a thread, while
    the database takes those before. `skip_known_anywhere` refuses numbers that any campaign of the tenant has.
    `list_name` says where they come from. `of_request`: the few rows of a request, which need not wait for their turn
    among the imports, and go to the list of that name that is there; the campaign's contacts are not counted.
    Raises `FileRefused`, `NotFound`, and `Refused` when another import is at work; then nothing has changed.
    """
    work = _Import(tenant_id, campaign_id, on_remark, skip_known_anywhere, list_name, by, of_request)
    try:
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_EXISTS, tenant_id, campaign_id):
                raise NotFound(f"there is no campaign {campaign_id}")
            if not of_request and not await connection.fetchval(_LOCK, campaign_id):
                raise Refused("another import into this campaign is at work: wait for its end")
            await connection.execute(_BY_INDEX)
            async for batch in _read_ahead(entries):
                await work.take(connection, batch)
            await work.flush(connection)
            report = work.report
            report.contacts = 0 if of_request else await connection.fetchval(_COUNT, campaign_id)
            if report.imported:
                await work.end(connection)
                detail = {"imported": report.imported, "numbers": report.numbers, "list": list_name, "by": by}
                await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "contacts.imported", detail)
                await connection.execute(_NOTIFY, campaign_id)
    except asyncpg.UniqueViolationError:
        raise Refused("contacts were added to this campaign meanwhile: import the file again") from None
    return report


async def what_would_happen(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, found: list[Contact], skip_known_anywhere: bool = False
) -> list[Remark]:
    """What `import_contacts` would remark of the first contacts of a file; reads only."""
    remarks: list[Remark] = []
    work = _Import(tenant_id, campaign_id, remarks.append, skip_known_anywhere)
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        work.decide(found, *await work.ask(connection, found))
    return remarks


async def _read_ahead(entries: Iterable[Contact | Remark]) -> AsyncIterator[list[Contact | Remark]]:
    """Batches; the next one is read while the one before is in work."""
    source = iter(entries)

    def read() -> list[Contact | Remark]:
        return list(islice(source, _BATCH))

    # By default a thread keeps the interpreter for 5 ms, and each word to PostgreSQL would wait so long for its turn.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    reading = asyncio.create_task(asyncio.to_thread(read))
    try:
        while batch := await reading:
            reading = asyncio.create_task(asyncio.to_thread(read))
            yield batch
    finally:
        await asyncio.gather(reading, return_exceptions=True)  # a thread cannot be cancelled
        sys.setswitchinterval(interval)


class _Import:
    """One file on its way into one campaign."""

    def __init__(
        self,
        tenant_id: int,
        campaign_id: int,
        on_remark: Callable[[Remark], None],
        skip_known_anywhere: bool,
        list_name: str = "",
        by: str = "",
        reuse_list: bool = False,
    ) -> None:
        self.report = Report()
        self._tenant_id = tenant_id
        self._campaign_id = campaign_id
        self._on_remark = on_remark
        self._skip_known_anywhere = skip_known_anywhere
        self._last_row = 0
        self._first_id: int | None = None  # of this import: what has a higher one came with this file
        self._list_name = list_name
        self._by = by
        self._reuse = reuse_list
        self._list_id: int | None = None
        self._columns: _Columns | None = None  # decided on, and not written yet
        self._zone_sets: dict[tuple[str, ...], int] = {(): 0}

    async def _list(self, connection: Any) -> int:
        """The list, made with the first contact that comes with it."""
        if self._list_id is None:
            name = self._list_name
            found = await connection.fetchval(_LIST, self._tenant_id, self._campaign_id, name) if self._reuse else None
            if found is None:
                found = await connection.fetchval(_ADD_LIST, self._tenant_id, self._campaign_id, name, self._by)
            self._list_id = int(found)
        return self._list_id

    async def end(self, connection: Any) -> None:
        """Say how many came."""
        await connection.execute(_COUNT_LIST, self._list_id, self.report.imported, self._first_id)

    async def take(self, connection: Any, batch: Sequence[Contact | Remark]) -> None:
        """Decide on each row of a batch, in a thread, while PostgreSQL writes the good ones of the batch before."""
        known, dnc = await self.ask(connection, batch)
        for e164 in self._columns.e164s if self._columns else ():
            known[e164] = "duplicate_in_file"
        writing = asyncio.create_task(self.flush(connection))
        try:
            columns = await asyncio.to_thread(self.decide, batch, known, dnc)
        finally:
            await writing
        self._columns = columns
        if self.report.imported > MAX_CONTACTS:
            raise FileRefused(f"more than {MAX_CONTACTS} contacts: split the file")

    async def flush(self, connection: Any) -> None:
        """Write what was decided last."""
        columns, self._columns = self._columns, None
        if columns is not None:
            await self._write(connection, columns)

    def decide(
        self, batch: Sequence[Contact | Remark], known: dict[str, str], dnc: Collection[str]
    ) -> "_Columns | None":
        """The good rows of a batch, if any; the report and `on_remark` are told of all. `known` gets their numbers."""
        good: list[Contact] = []
        for entry in batch:
            if entry.row != self._last_row:  # a row may have several remarks
                self._last_row = entry.row
                self.report.rows += 1
            if isinstance(entry, Remark) and entry.effect == "kept":
                self.report.unknown_postcode += 1
                self._on_remark(entry)
                continue
            remark = entry if isinstance(entry, Remark) else _duplicate(entry, known)
            if remark is not None:
                self.report.refused[remark.reason] = self.report.refused.get(remark.reason, 0) + 1
                self._on_remark(remark)
            elif isinstance(entry, Contact):
                for number in entry.numbers:
                    known[number.e164] = "duplicate_in_file"
                    if not number.zones or number.e164 in dnc:
                        self._remark_kept(entry.row, number, dnc)
                good.append(entry)
        self.report.imported += len(good)
        self.report.numbers += sum(len(contact.numbers) for contact in good)
        return _columns(good) if good else None

    async def ask(self, connection: Any, batch: Sequence[Contact | Remark]) -> tuple[dict[str, str], set[str]]:
        """Which of the batch's numbers are known already, and why that matters; and which must not be called."""
        wanted = ",".join({n.e164 for row in batch if isinstance(row, Contact) for n in row.numbers})
        known: dict[str, str] = {}
        if self._skip_known_anywhere:
            rows = await connection.fetch(_ELSEWHERE, self._tenant_id, self._campaign_id, wanted)
            known = dict.fromkeys((row["e164"] for row in rows), "duplicate_in_tenant")
        for e164, contact_id in await connection.fetch(_KNOWN, self._campaign_id, wanted):
            ours = self._first_id is not None and contact_id >= self._first_id
            known[e164] = "duplicate_in_file" if ours else "duplicate_in_campaign"
        dnc = {row["e164"] for row in await connection.fetch(_DNC, self._tenant_id, self._campaign_id, wanted)}
        return known, dnc

    def _remark_kept(self, row: int, number: Number, dnc: Collection[str]) -> None:
        if number.e164 in dnc:
            self.report.dnc += 1
            self._on_remark(Remark(row, "", number.e164, "dnc", "kept"))
        if not number.zones:
            self.report.unknown_zone += 1
            self._on_remark(Remark(row, "", number.e164, "unknown_zone", "kept"))

    async def _write(self, connection: Any, c: "_Columns") -> None:
        """INSERT from columns: COPY knows no row-level security."""
        ids = await connection.fetchval(_NEW_IDS, len(c.counts))
        self._first_id = self._first_id or ids[0]
        for zones in set(c.zones) - self._zone_sets.keys():
            self._zone_sets[zones] = await connection.fetchval(_ZONE_SET, list(zones))
        list_id = await self._list(connection)
        owner = self._tenant_id, self._campaign_id
        first = _joined([self._zone_sets[zones] for zones in c.first_zones])
        await connection.execute(
            _ADD_CONTACTS,
            *owner,
            list_id,
            _joined(ids),
            c.external_ids,
            c.names,
            c.priorities,
            c.customs,
            c.begin,
            first,
        )
        contacts = _joined([id_ for id_, count in zip(ids, c.counts, strict=True) for _ in range(count)])
        zone_sets = _joined([self._zone_sets[zones] for zones in c.zones])
        await connection.execute(_ADD_NUMBERS, *owner, contacts, c.positions, ",".join(c.e164s), zone_sets)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Contacts as contacts.sql reads them, but for ids: a text a column. `counts`: how many numbers each has; `e164s`
    and `zones`: those numbers, in order; `first_zones`: of the number that each contact begins with."""

    counts: list[int]
    external_ids: str
    names: str
    priorities: str
    customs: str
    begin: str
    first_zones: list[tuple[str, ...]]
    positions: str
    e164s: list[str]
    zones: list[tuple[str, ...]]


def _columns(good: list[Contact]) -> _Columns:
    numbers = [number for contact in good for number in contact.numbers]
    begin = [0 if contact.numbers[0].zones else _begin(contact) for contact in good]
    return _Columns(
        [len(contact.numbers) for contact in good],
        _texts([_NULL if contact.external_id is None else contact.external_id for contact in good]),
        _texts([contact.name for contact in good]),
        _joined([contact.priority for contact in good]),
        _json([contact.custom for contact in good]),
        _joined(begin),
        [contact.numbers[at].zones for contact, at in zip(good, begin, strict=True)],
        _joined([position for contact in good for position in range(len(contact.numbers))]),
        [number.e164 for number in numbers],
        [number.zones for number in numbers],
    )


def _begin(contact: Contact) -> int:
    """The position of a contact's first number with a known zone; 0 where there is none."""
    return next((at for at, number in enumerate(contact.numbers) if number.zones), 0)


def _joined(values: Iterable[int]) -> str:
    return ",".join(map(str, values))


def _texts(values: list[str]) -> str:
    """A column of texts. No cell holds the characters that stand between them: a contact file's rows with control
    characters are refused, and a text that has them all the same would shift its column and be refused here."""
    text = _BETWEEN.join([*values, "."])
    if text.count(_BETWEEN) != len(values):
        raise FileRefused("a text holds the control character 31")
    return text


def _duplicate(contact: Contact, known: dict[str, str]) -> Remark | None:
    """Why a contact is refused as one that is there already, or None."""
    for number in contact.numbers:
        if reason := known.get(number.e164):
            return Remark(contact.row, "", number.e164, reason)
    return None
