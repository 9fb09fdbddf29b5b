"""The import of contacts: one transaction per file, batch by batch, so that nothing is ever half done.

A number stands in a campaign once. A row any of whose numbers is there already is refused as a whole, so that no
person becomes two contacts; for the same reason a second import of the same file changes nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
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
_BY_INDEX = _Q.by_index
_ADD_EVENT = queries("admin").add_event

MAX_CONTACTS = 10_000_000  # of one file, for it is one transaction
_BATCH = 5_000
_TEXT = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})  # as COPY reads it
_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Report:
    """What became of a file. Rows without any cell are not counted.

    `imported` rows became contacts with `numbers` numbers; the campaign has `contacts` now. `refused` counts rows and
    single numbers by reason. `unknown_zone` numbers are kept and never dialled until their zone is known; `dnc`
    numbers are kept and not dialled while they are on the list.
    """

    rows: int = 0
    imported: int = 0
    contacts: int = 0
    numbers: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unknown_zone: int = 0
    dnc: int = 0


async def import_contacts(
    pool: asyncpg.Pool,
    tenant_id: int,
    campaign_id: int,
    entries: Iterable[Contact | Remark],
    by: str,
    on_remark: Callable[[Remark], None] = lambda remark: None,
    skip_known_anywhere: bool = False,
) -> Report:
    """Put a contact file's good rows into a campaign; `on_remark` hears of the others, and of
    numbers that are kept but will not be dialled.

    `entries` come as from `core.contactfile.contacts`, in the order of their rows; they are read in a thread, while
    the database takes those before. `skip_known_anywhere` refuses numbers that any campaign of the tenant has.
    Raises `FileRefused`, `NotFound`, and `Refused` when another import is at work; then nothing has changed.
    """
    work = _Import(tenant_id, campaign_id, on_remark, skip_known_anywhere)
    try:
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_EXISTS, tenant_id, campaign_id):
                raise NotFound(f"there is no campaign {campaign_id}")
            if not await connection.fetchval(_LOCK, campaign_id):
                raise Refused("another import into this campaign is at work: wait for its end")
            await connection.execute(_BY_INDEX)
            async for batch in _read_ahead(entries, tenant_id, campaign_id):
                await work.take(connection, batch)
            report = work.report
            report.contacts = await connection.fetchval(_COUNT, campaign_id)
            if report.imported:
                detail = {"imported": report.imported, "numbers": report.numbers, "by": by}
                await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "contacts.imported", detail)
                await connection.execute(_NOTIFY, campaign_id)
    except asyncpg.UniqueViolationError:
        raise Refused("contacts were added to this campaign meanwhile: import the file again") from None
    return report


@dataclass(frozen=True, slots=True)
class _Row:
    """A contact as COPY wants it, but for its id: what follows the id in `contacts`, and in `numbers` per number."""

    contact: Contact
    contact_text: str
    number_texts: list[str]


async def _read_ahead(
    entries: Iterable[Contact | Remark], tenant_id: int, campaign_id: int
) -> AsyncIterator[list[_Row | Remark]]:
    """Batches; the next one is read while the one before is in work."""
    source = iter(entries)

    def read() -> list[_Row | Remark]:
        batch = islice(source, _BATCH)
        return [e if isinstance(e, Remark) else _row(e, tenant_id, campaign_id) for e in batch]

    reading = asyncio.create_task(asyncio.to_thread(read))
    try:
        while batch := await reading:
            reading = asyncio.create_task(asyncio.to_thread(read))
            yield batch
    finally:
        await asyncio.gather(reading, return_exceptions=True)  # a thread cannot be cancelled


def _row(contact: Contact, tenant_id: int, campaign_id: int) -> _Row:
    external_id = "\\N" if contact.external_id is None else contact.external_id.translate(_TEXT)
    name = contact.name.translate(_TEXT)
    custom = _json(contact.custom).translate(_TEXT) if contact.custom else "{}"
    return _Row(
        contact,
        f"\t{tenant_id}\t{campaign_id}\t{external_id}\t{name}\t{contact.priority}\t{custom}\n",
        [
            f"\t{tenant_id}\t{campaign_id}\t{position}\t{number.e164}\t{_zones_text(number.zones)}\n"
            for position, number in enumerate(contact.numbers)
        ],
    )


@lru_cache(maxsize=10_000)
def _zones_text(zones: tuple[str, ...]) -> str:
    return "{" + ",".join(zones) + "}"  # names of zones need no quotes


class _Import:
    """One file on its way into one campaign."""

    def __init__(
        self, tenant_id: int, campaign_id: int, on_remark: Callable[[Remark], None], skip_known_anywhere: bool
    ) -> None:
        self.report = Report()
        self._tenant_id = tenant_id
        self._campaign_id = campaign_id
        self._on_remark = on_remark
        self._skip_known_anywhere = skip_known_anywhere
        self._last_row = 0
        self._first_id: int | None = None  # of this import: what has a higher one came with this file

    async def take(self, connection: Any, batch: list[_Row | Remark]) -> None:
        """Decide on each row of a batch, and write the good ones."""
        known, dnc = await self._ask(connection, batch)
        good: list[_Row] = []
        for entry in batch:
            row = entry.row if isinstance(entry, Remark) else entry.contact.row
            if row != self._last_row:  # a row may have several remarks
                self._last_row = row
                self.report.rows += 1
            remark = entry if isinstance(entry, Remark) else _duplicate(entry.contact, known)
            if remark is not None:
                self.report.refused[remark.reason] = self.report.refused.get(remark.reason, 0) + 1
                self._on_remark(remark)
            elif isinstance(entry, _Row):
                for number in entry.contact.numbers:
                    known[number.e164] = "duplicate_in_file"
                    self._remark_kept(entry.contact.row, number, dnc)
                good.append(entry)
        self.report.imported += len(good)
        self.report.numbers += sum(len(row.number_texts) for row in good)
        if self.report.imported > MAX_CONTACTS:
            raise FileRefused(f"more than {MAX_CONTACTS} contacts: split the file")
        if good:
            await self._write(connection, good)

    async def _ask(self, connection: Any, batch: list[_Row | Remark]) -> tuple[dict[str, str], set[str]]:
        """Which of the batch's numbers are known already, and why that matters; and which must not be called."""
        wanted = list({n.e164 for row in batch if isinstance(row, _Row) for n in row.contact.numbers})
        known: dict[str, str] = {}
        if self._skip_known_anywhere:
            rows = await connection.fetch(_ELSEWHERE, self._tenant_id, self._campaign_id, wanted)
            known = dict.fromkeys((row["e164"] for row in rows), "duplicate_in_tenant")
        for e164, contact_id in await connection.fetch(_KNOWN, self._campaign_id, wanted):
            ours = self._first_id is not None and contact_id >= self._first_id
            known[e164] = "duplicate_in_file" if ours else "duplicate_in_campaign"
        dnc = {row["e164"] for row in await connection.fetch(_DNC, self._tenant_id, self._campaign_id, wanted)}
        return known, dnc

    def _remark_kept(self, row: int, number: Number, dnc: set[str]) -> None:
        if number.e164 in dnc:
            self.report.dnc += 1
            self._on_remark(Remark(row, "", number.e164, "dnc", "kept"))
        if not number.zones:
            self.report.unknown_zone += 1
            self._on_remark(Remark(row, "", number.e164, "unknown_zone", "kept"))

    async def _write(self, connection: Any, good: list[_Row]) -> None:
        ids = await connection.fetchval(_NEW_IDS, len(good))
        self._first_id = self._first_id or ids[0]
        contacts = "".join([f"{id_}{row.contact_text}" for id_, row in zip(ids, good, strict=True)])
        numbers = "".join([f"{id_}{n}" for id_, row in zip(ids, good, strict=True) for n in row.number_texts])
        columns = ["id", "tenant_id", "campaign_id", "external_id", "name", "priority", "custom"]
        await connection.copy_to_table("contacts", source=_pieces(contacts), columns=columns)
        columns = ["contact_id", "tenant_id", "campaign_id", "position", "e164", "zones"]
        await connection.copy_to_table("numbers", source=_pieces(numbers), columns=columns)


def _duplicate(contact: Contact, known: dict[str, str]) -> Remark | None:
    for number in contact.numbers:
        if reason := known.get(number.e164):
            return Remark(contact.row, "", number.e164, reason)
    return None


async def _pieces(text: str) -> AsyncIterator[bytes]:
    for start in range(0, len(text), 262_144):
        yield text[start : start + 262_144].encode()
