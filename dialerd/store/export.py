"""The export of contacts to CSV or XLSX, streamed from a cursor: memory does not depend on the list.

No cell becomes a formula: in CSV a text that a spreadsheet would take for one gets an apostrophe, except the number,
which is +E.164 by design; in XLSX every text is stored as text.
"""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import asyncpg

from dialerd.core.selection import Selection
from dialerd.core.textrows import FileRefused
from dialerd.store.queries import queries

_CONTACTS = queries("export").contacts
COLUMNS = (
    *("phone", "name", "external_id", "status", "attempts", "last_outcome", "created_at", "last_attempt_at"),
    *("answered_at", "ended_at", "agent", "next_at", "last_input", "priority", "custom"),
)
_PREFETCH = 2_000
_SHEET_ROWS = 1_048_575  # below the header
_UNPRINTABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32)))  # what XML cannot hold


async def export_csv(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, selection: Selection, out: IO[str]) -> int:
    """Write the selected contacts to `out` (opened with newline=""); how many rows there were, one per number."""
    table = csv.writer(out)
    table.writerow(COLUMNS)
    count = 0
    async for row in _rows(pool, tenant_id, campaign_id, selection):
        table.writerow([row[0], *(inert(_text(value)) for value in row[1:])])
        count += 1
    return count


async def export_xlsx(pool: asyncpg.Pool, tenant_id: int, campaign_id: int, selection: Selection, path: Path) -> int:
    """The same as a spreadsheet. Raises `FileRefused` for more rows than a sheet can have."""
    return await write_sheet(COLUMNS, _rows(pool, tenant_id, campaign_id, selection), path)


async def write_sheet(columns: Sequence[str], rows: AsyncIterator[Sequence[Any]], out: Path | IO[bytes]) -> int:
    """Rows as a spreadsheet whose every text is text; how many there were. The loop goes on meanwhile.

    Raises `FileRefused` for more rows than a sheet can have.
    """
    import openpyxl  # slow to load, and seldom wanted
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("contacts")
    waiting: list[Sequence[Any]] = []
    count = 0

    def cell(value: Any) -> Any:
        if isinstance(value, int):
            return value
        made = WriteOnlyCell(sheet, _text(value).translate(_UNPRINTABLE))
        made.data_type = "s"  # even where it begins with "="
        made.number_format = "@"
        return made

    def write() -> None:
        for row in waiting:
            sheet.append([None if value is None else cell(value) for value in row])
        waiting.clear()

    try:
        sheet.append(columns)
        async for row in rows:
            count += 1
            if count > _SHEET_ROWS:
                raise FileRefused(f"more than {_SHEET_ROWS} rows: export CSV")
            waiting.append(row)
            if len(waiting) >= _PREFETCH:
                await asyncio.to_thread(write)
        await asyncio.to_thread(write)
    except BaseException:
        sheet.close()  # and with it the temporary file
        raise
    await asyncio.to_thread(book.save, out)
    return count


async def _rows(
    pool: asyncpg.Pool, tenant_id: int, campaign_id: int, selection: Selection
) -> AsyncIterator[tuple[Any, ...]]:
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = connection.cursor(_CONTACTS, tenant_id, campaign_id, *selection.parameters(), prefetch=_PREFETCH)
        async for record in cursor:
            yield tuple(record)


def inert(cell: str) -> str:
    """A cell that a spreadsheet will not take for a formula."""
    return "'" + cell if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
