"""The import of contact files: one transaction per file, batch by batch, so that nothing is ever half done.

A number stands in a campaign once. A row any of whose numbers is there already is refused as a whole, so that no
person becomes two contacts; for the same reason a second import of the same file changes nothing.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg

from dialerd.core.contactfile import Contact, FileRefused, Remark, contacts, encoding_of
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("contacts")
_LOCK, _EXISTS, _KNOWN, _DNC = _Q.lock_import, _Q.campaign_exists, _Q.known_numbers, _Q.dnc_numbers
_NEW_IDS, _ADD, _COUNT, _NOTIFY = _Q.new_ids, _Q.add_contacts, _Q.count, _Q.notify
_ADD_EVENT = queries("admin").add_event

MAX_CONTACTS = 1_000_000  # of one file: the numbers that it has given so far are kept in memory
_BATCH = 2_000
_CHUNK = 65_536


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


def read_text(path: Path, progress: Callable[[int], None] | None = None) -> Iterator[str]:
    """A file's text in chunks, its encoding found out, its line ends made \\n. `progress` gets bytes read so far.

    Raises `core.contactfile.FileRefused` and OSError.
    """
    with path.open("rb") as source:
        encoding = encoding_of(iter(lambda: source.read(_CHUNK), b""))
        source.seek(0)
        text = io.TextIOWrapper(source, encoding=encoding, errors="replace", newline=None)
        while chunk := text.read(_CHUNK):
            if progress is not None:
                progress(source.tell())
            yield chunk


async def import_file(
    pool: asyncpg.Pool,
    tenant_id: int,
    campaign_id: int,
    text: Iterable[str],
    default_region: str,
    by: str,
    on_remark: Callable[[Remark], None] = lambda remark: None,
) -> Report:
    """Put a contact file's good rows into a campaign; `on_remark` hears of the others, and of
    numbers that are kept but will not be dialled.

    `text` comes as from `read_text`. Reading it takes the event loop's time: for operators' commands, not for a
    server that has calls to mind. Raises `core.contactfile.FileRefused`, `NotFound`, and `Refused` when another
    import is at work; then nothing has changed.
    """
    work = _Import(tenant_id, campaign_id, on_remark)
    try:
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_EXISTS, tenant_id, campaign_id):
                raise NotFound(f"there is no campaign {campaign_id}")
            if not await connection.fetchval(_LOCK, campaign_id):
                raise Refused("another import into this campaign is at work: wait for its end")
            rows = contacts(text, default_region)
            while batch := list(islice(rows, _BATCH)):
                await work.take(connection, batch)
            report = work.report
            report.rows = len(work.rows_seen)
            report.contacts = await connection.fetchval(_COUNT, campaign_id)
            if report.imported:
                detail = {"imported": report.imported, "numbers": report.numbers, "by": by}
                await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "contacts.imported", detail)
                await connection.execute(_NOTIFY, campaign_id)
    except asyncpg.UniqueViolationError:
        raise Refused("contacts were added to this campaign meanwhile: import the file again") from None
    return report


class _Import:
    """One file on its way into one campaign."""

    def __init__(self, tenant_id: int, campaign_id: int, on_remark: Callable[[Remark], None]) -> None:
        self.report = Report()
        self.rows_seen = _RowCounter()
        self._tenant_id = tenant_id
        self._campaign_id = campaign_id
        self._on_remark = on_remark
        self._taken: set[int] = set()  # the digits of every number that this file has brought

    async def take(self, connection: Any, batch: list[Contact | Remark]) -> None:
        """Decide on each row of a batch, and write the good ones."""
        wanted = list({n.e164 for entry in batch if isinstance(entry, Contact) for n in entry.numbers})
        known = {row["e164"] for row in await connection.fetch(_KNOWN, self._campaign_id, wanted)}
        dnc = {row["e164"] for row in await connection.fetch(_DNC, self._tenant_id, self._campaign_id, wanted)}
        good: list[Contact] = []
        for entry in batch:
            self.rows_seen.add(entry.row)
            remark = entry if isinstance(entry, Remark) else self._duplicate(entry, known)
            if remark is not None:
                self.report.refused[remark.reason] = self.report.refused.get(remark.reason, 0) + 1
                self._on_remark(remark)
            elif isinstance(entry, Contact):
                self._taken.update(int(number.e164) for number in entry.numbers)
                self._remark_kept(entry, dnc)
                good.append(entry)
        if self.report.imported + len(good) > MAX_CONTACTS:
            raise FileRefused(f"more than {MAX_CONTACTS} contacts: split the file")
        if good:
            await self._write(connection, good)
        self.report.imported += len(good)
        self.report.numbers += sum(len(contact.numbers) for contact in good)

    def _remark_kept(self, contact: Contact, dnc: set[str]) -> None:
        for number in contact.numbers:
            if number.e164 in dnc:
                self.report.dnc += 1
                self._on_remark(Remark(contact.row, "", number.e164, "dnc", "kept"))
            if not number.zones:
                self.report.unknown_zone += 1
                self._on_remark(Remark(contact.row, "", number.e164, "unknown_zone", "kept"))

    def _duplicate(self, contact: Contact, known: set[str]) -> Remark | None:
        for number in contact.numbers:
            if int(number.e164) in self._taken:
                return Remark(contact.row, "", number.e164, "duplicate_in_file")
            if number.e164 in known:
                return Remark(contact.row, "", number.e164, "duplicate_in_campaign")
        return None

    async def _write(self, connection: Any, good: list[Contact]) -> None:
        ids = [row["id"] for row in await connection.fetch(_NEW_IDS, len(good))]
        await connection.execute(
            _ADD,
            self._tenant_id,
            self._campaign_id,
            ids,
            [contact.external_id for contact in good],
            [contact.name for contact in good],
            [contact.priority for contact in good],
            [json.dumps(contact.custom, ensure_ascii=False) for contact in good],
        )
        await connection.copy_records_to_table(
            "numbers",
            columns=["tenant_id", "campaign_id", "contact_id", "position", "e164", "zones"],
            records=[
                (self._tenant_id, self._campaign_id, contact_id, position, number.e164, list(number.zones))
                for contact_id, contact in zip(ids, good, strict=True)
                for position, number in enumerate(contact.numbers)
            ],
        )


class _RowCounter:
    """Counts rows that come in order, each maybe several times."""

    def __init__(self) -> None:
        self._last = self._count = 0

    def add(self, row: int) -> None:
        if row != self._last:
            self._last, self._count = row, self._count + 1

    def __len__(self) -> int:
        return self._count
