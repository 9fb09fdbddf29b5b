"""A list's file into numbered rows of cells: text of any encoding, the cells of a spreadsheet (XLSX), or JSON.

Files are read piece by piece. An archive that claims to unpack into far more than it is, is refused unread.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from dialerd.core.jsonrows import MAX_BYTES, is_json, json_rows
from dialerd.core.textrows import FileRefused, SpoiledRow, encoding_of, rows

_CHUNK = 65_536
_MAX_SHEET = 2 << 30  # bytes unpacked; the largest sheet there can be has 1,048,576 rows
_MAX_TABLE = 64 << 20  # bytes unpacked of a part that must stand in memory as a whole
_MAX_RATIO = 200  # unpacked to packed
_MAX_ROWS = 1_048_576


def read_rows(
    path: Path, progress: Callable[[int], None] = lambda done: None, sheet: str | None = None
) -> Iterator[tuple[int, list[str] | SpoiledRow]]:
    """The rows of a CSV, XLSX or JSON file, told apart by how it begins. `progress` gets the bytes or, of a
    spreadsheet, the share of `path`'s size that has been read. `sheet` is the name of a spreadsheet's; else its first
    one.

    Raises `FileRefused` and OSError.
    """
    with path.open("rb") as source:
        head = source.read(1_000)
        if is_json(head) and sheet is None:
            return json_rows(head + source.read(MAX_BYTES))
    if head.startswith(b"PK\x03\x04"):
        return _sheet_rows(path, progress, sheet)
    if sheet is not None:
        raise FileRefused("this file is no spreadsheet: it has no sheets")
    return rows(read_text(path, progress))


def read_text(path: Path, progress: Callable[[int], None] = lambda done: None) -> Iterator[str]:
    """A file's text in chunks, its encoding found out, its line ends made \\n. `progress` gets bytes read so far.

    Raises `FileRefused` and OSError.
    """
    with path.open("rb") as source:
        encoding = encoding_of(iter(lambda: source.read(_CHUNK), b""))
        source.seek(0)
        text = io.TextIOWrapper(source, encoding=encoding, errors="replace", newline=None)
        while chunk := text.read(_CHUNK):
            progress(source.tell())
            yield chunk


def _sheet_rows(
    path: Path, progress: Callable[[int], None], sheet: str | None
) -> Iterator[tuple[int, list[str] | SpoiledRow]]:
    import openpyxl  # slow to load, and seldom wanted

    _check_archive(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # whatever a broken archive makes a library of XML and ZIP say
        raise FileRefused(f"this is no spreadsheet that can be read: {error}") from error
    try:
        names = [each.title for each in book.worksheets]
        if not names or (sheet is not None and sheet not in names):
            raise FileRefused(f"no sheet is called {sheet!r}; there are: {', '.join(names)[:300]}")
        table = book[sheet or names[0]]
        size, total = path.stat().st_size, max(table.max_row or 0, 1)
        table.reset_dimensions()  # what a file says of its size is good enough for a progress bar only
        for number, cells in enumerate(table.iter_rows(values_only=True), 1):
            if number > _MAX_ROWS:
                raise FileRefused(f"more than {_MAX_ROWS} rows")
            if number % 1000 == 0:
                progress(min(size, size * number // total))
            yield number, [_cell(value) for value in cells]
    except (zipfile.BadZipFile, SyntaxError, ValueError, KeyError, TypeError, EOFError) as error:
        raise FileRefused(f"this spreadsheet is broken: {error}") from error
    finally:
        book.close()


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise FileRefused(f"this is no spreadsheet that can be read: {error}") from error
    for part in parts:
        limit = _MAX_SHEET if part.filename.startswith("xl/worksheets/") else _MAX_TABLE
        swells = part.file_size > 1 << 20 and part.file_size > _MAX_RATIO * max(part.compress_size, 1)
        if part.file_size > limit or swells:
            raise FileRefused(f"{part.filename[:60]!r} in this file unpacks into too much: save the list as CSV")


def _cell(value: Any) -> str:
    """A cell as it would stand in a CSV file. Numbers were stored as such; dates are no part of a list."""
    if value is None or isinstance(value, date | time | timedelta):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
