"""Registers: files of many millions of numbers, each import replacing the list's contents in one transaction.

A file is streamed into a table of the session's own; until its last row is in, the list is what it was. The list then
becomes the file by differences: a weekly register changes little, and claims go on meanwhile. Bounded memory.
"""

import csv
import gzip
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

import asyncpg

from dialerd.core.jsonrows import MAX_BYTES, is_json, json_rows
from dialerd.core.phone import NumberRefused
from dialerd.store.dnc import Scope, check_text, key
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("dnc")
_FIND, _NEW_ID, _PUT_LIST, _FLAG, _COUNT = _Q.find_list, _Q.new_list_id, _Q.put_list, _Q.flag_live, _Q.count_list
_MAKE, _DROP, _ANALYZE, _VACUUM = _Q.make_staging, _Q.drop_staging, _Q.analyze_staging, _Q.vacuum
_AWAY, _IN = _Q.merge_away, _Q.merge_in
_ADD_EVENT = queries("admin").add_event

_PLAIN = re.compile(rb"\+([1-9][0-9]{5,14})\r?\n?\Z")
_DIGITS = re.compile(r"[1-9][0-9]{5,14}\Z", re.ASCII)
_HEADER = re.compile(r"phone|number|msisdn|tel|mobile|numero|número", re.IGNORECASE)
_GZIP = b"\x1f\x8b"
_LINE_BYTES = 10_000  # a longer line is no list of numbers
_BATCH_LINES = 20_000
_IMPORT_SECONDS = 3600.0
_REASONS = 50
_SHOWN = 20


@dataclass(slots=True)
class Report:
    """What became of a file: lines with something on them, those refused by reason (`examples`: a few of them as
    line, reason, text), the numbers on the list now, and how many of them are new or gone."""

    rows: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    numbers: int = 0
    added: int = 0
    removed: int = 0

    def refuse(self, line: int, reason: str, text: str) -> None:
        """One more line that bars nobody."""
        if reason in self.refused or len(self.refused) < _REASONS:
            self.refused[reason] = self.refused.get(reason, 0) + 1
        if len(self.examples) < _SHOWN:
            self.examples.append((line, reason, text[:60]))


def read_numbers(
    path: Path, default_region: str, report: Report, *, bare_e164: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[int]:  # fmt: skip
    """The digits of a file's numbers: one a line, or the first column (or the one named phone, number …) of a CSV file,
    plain or gzip; or of a JSON list of texts or objects. Refused lines go to `report`. `progress` gets the bytes of the
    file that are read.

    `bare_e164`: digits without '+' are E.164 already; else they are read as written in `default_region`. Raises
    OSError, EOFError (a gzip file that ends early) and `Refused`.
    """
    with path.open("rb") as raw:
        head = raw.read(1_000)
        if is_json(head):
            yield from _of_json(head + raw.read(MAX_BYTES), default_region, report, bare_e164)
            return
        packed = head.startswith(_GZIP)
        raw.seek(0)
        source: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        column, delimiter, count = 0, "", 0
        while line := source.readline(_LINE_BYTES):
            count += 1
            if count % _BATCH_LINES == 0:
                progress(raw.tell())
            plain = _PLAIN.match(line)
            if plain is not None and column == 0:
                report.rows += 1
                yield int(plain[1])
                continue
            if len(line) == _LINE_BYTES:
                raise Refused(f"line {count} is longer than {_LINE_BYTES} bytes: this is no list of numbers")
            text = line.decode("utf-8-sig" if count == 1 else "utf-8", "replace").strip()
            if count == 1:
                if "\x00" in text or text.startswith("\ufffd\ufffd"):
                    raise Refused("the file is UTF-16 or binary: save it as UTF-8")
                delimiter = next((d for d in ",;\t|" if d in text), "")
                names = _cells(text, delimiter)
                if not any(c.isdigit() for c in text):
                    column = next((i for i, name in enumerate(names) if _HEADER.search(name)), 0)
                    continue
            if not text:
                continue
            report.rows += 1
            cells = _cells(text, delimiter)
            cell = cells[column].strip() if column < len(cells) else ""
            if (number := _number(count, cell, default_region, report, bare_e164)) is not None:
                yield number
        progress(raw.tell())


def _of_json(content: bytes, default_region: str, report: Report, bare_e164: bool) -> Iterator[int]:
    rows = json_rows(content)
    _, names = next(rows)
    column = next((i for i, name in enumerate(names) if _HEADER.search(name)), 0)
    for entry, cells in rows:
        report.rows += 1
        cell = cells[column].strip()
        if (number := _number(entry, cell, default_region, report, bare_e164)) is not None:
            yield number


def _number(line: int, cell: str, default_region: str, report: Report, bare_e164: bool) -> int | None:
    """The digits of a cell's number; None, and a word in the report, when it is none."""
    if bare_e164 and _DIGITS.match(cell):
        return int(cell)
    try:
        return int(key(cell, default_region)[1:])
    except NumberRefused as error:
        report.refuse(line, error.reason, cell)
        return None


async def import_register(
    pool: asyncpg.Pool,
    tenant_id: int,
    scope: Scope,
    list_name: str,
    numbers: Iterable[int],
    report: Report,
    by: str,
    source: str,
    as_of: datetime | None = None,
    max_age_days: int | None = None,
    may_shrink: bool = False,
) -> Report:
    """Make a register's contents these numbers, as `read_numbers` gives them; the list is made when there is none.

    `as_of` (default: now) is the data's date; with `max_age_days`, campaigns in the scope do not dial once it is older.
    Reading takes the event loop's time: for operators' commands. Raises what `read_numbers` raises, and `Refused`: no
    number at all, data older than what is there, a loss of more than half of the list without `may_shrink`, a list of
    another kind. Then nothing has changed.
    """
    async with staging(pool) as connection:
        await fill(connection, numbers)
        await replace(connection, tenant_id, scope, list_name, "register", report, by, source, as_of, max_age_days,
                      may_shrink)  # fmt: skip
        await connection.execute(_VACUUM, timeout=_IMPORT_SECONDS)
    return report


@asynccontextmanager
async def staging(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    """A connection with an empty table for a list's new contents, and time enough to work on it."""
    async with pool.acquire() as connection:
        await connection.alter(f"SET statement_timeout = '{_IMPORT_SECONDS}s'")
        await connection.execute(_MAKE)
        try:
            yield connection
        finally:
            if not connection.is_closed():
                await connection.execute(_DROP)


async def fill(connection: Any, numbers: Iterable[int]) -> None:
    """More numbers for the new contents."""

    async def lines() -> AsyncIterator[bytes]:
        batch: list[str] = []
        for number in numbers:
            batch.append(f"{number}\n")
            if len(batch) == _BATCH_LINES:
                yield "".join(batch).encode()
                batch.clear()
        yield "".join(batch).encode()

    await connection.copy_to_table("dnc_staging", source=lines(), schema_name="pg_temp", timeout=_IMPORT_SECONDS)


async def replace(
    connection: Any,
    tenant_id: int,
    scope: Scope,
    list_name: str,
    kind: Literal["register", "scrub"],
    report: Report,
    by: str,
    source: str,
    as_of: datetime | None = None,
    max_age_days: int | None = None,
    may_shrink: bool = True,
) -> None:
    """The list becomes what is staged, in one transaction; claims wait only for its last milliseconds.

    Raises `Refused`, see `import_register`.
    """
    now = datetime.now(UTC)
    as_of = as_of or now
    check_text("source", source)
    check_text("list", list_name)
    if as_of > now:
        raise Refused("the data's date is in the future")
    if max_age_days is not None and not 1 <= max_age_days <= 3650:
        raise Refused("maximum age: 1 to 3650 days")
    await connection.execute(_ANALYZE, timeout=_IMPORT_SECONDS)
    try:
        async with connection.transaction():
            row = await connection.fetchrow(_FIND, scope.tenant_id, scope.campaign_id, list_name)
            if row is not None and row["kind"] != kind:
                raise Refused(f"there is a list {list_name!r} already, of kind {row['kind']}")
            if row is not None and as_of < row["as_of"]:
                raise Refused(f"{list_name!r} is of {row['as_of']:%Y-%m-%d %H:%M}, these numbers are older")
            list_id = row["id"] if row else await connection.fetchval(_NEW_ID)
            # The entries come before a new list's own row, which holds claims up: for that moment they are nobody's.
            await connection.execute("SET LOCAL dialerd.tenant = 'all'")
            before = await connection.fetchval(_COUNT, list_id, timeout=_IMPORT_SECONDS) if row else 0
            report.removed = _affected(await connection.execute(_AWAY, list_id, timeout=_IMPORT_SECONDS))
            # from the end of the next statement on claims wait
            report.added = _affected(await connection.execute(_IN, list_id, timeout=_IMPORT_SECONDS))
            report.numbers = before - report.removed + report.added
            if kind == "register" and report.numbers == 0:
                raise Refused("there is no number in the file")
            if report.numbers * 2 < before and not may_shrink:
                raise Refused(f"the list would shrink from {before} numbers to {report.numbers}: is the file complete?")
            where = (scope.tenant_id, scope.campaign_id)
            await connection.execute(_PUT_LIST, list_id, *where, list_name, kind, source, as_of, max_age_days)
            await connection.execute(_FLAG, list_id)
            detail = {"list": list_name, "kind": kind, "source": source, "as_of": as_of.isoformat(), "by": by,
                      "numbers": report.numbers, "added": report.added, "removed": report.removed,
                      "rows": report.rows, "refused": report.refused}  # fmt: skip
            await connection.execute(_ADD_EVENT, tenant_id, scope.campaign_id, "dnc.imported", detail)
    except asyncpg.UniqueViolationError:
        raise Refused(f"{list_name!r} was made by somebody else meanwhile: try again") from None


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _cells(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [""]) if delimiter else [text]
