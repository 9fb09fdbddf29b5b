"""A file of caller IDs into checked entries: every row comes out as an entry or as a named refusal.

Columns: caller_id, carrier, area_code, daily_limit, hourly_limit, meta_json, by their names in the first line, in any
order; all but the number may be missing. What a row leaves empty it says nothing of: a new number gets the default, one
that is there keeps what it has. How a text becomes rows says `textrows`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialerd.core.contactfile import Remark
from dialerd.core.phone import NumberRefused, parse
from dialerd.core.textrows import FileRefused, SpoiledRow

COLUMNS = ("caller_id", "carrier", "area_code", "daily_limit", "hourly_limit", "meta_json")
MAX_LIMIT = 1_000_000  # calls
MAX_TEXT = 64  # characters of carrier and area code
MAX_META = 2_000  # characters, as JSON
MAX_ROWS = 100_000  # of a file

_FIELDS = {
    **dict.fromkeys(("caller_id", "callerid", "number", "phone", "phone_number", "did", "e164"), "caller_id"),
    "carrier": "carrier",
    **dict.fromkeys(("area_code", "areacode", "area"), "area_code"),
    "daily_limit": "daily_limit",
    "hourly_limit": "hourly_limit",
    **dict.fromkeys(("meta_json", "meta"), "meta_json"),
}
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]*\Z")
_LIMIT = re.compile(r"[0-9]{1,7}\Z", re.ASCII)
_NUMBER_LIKE = re.compile(r"[+(]?[0-9][0-9 ()./\-\u00a0]{4,}\Z", re.ASCII)


class EntryRefused(ValueError):
    """What is wrong with one field of a caller ID. `reason`: too_long, limit, meta_json or control_characters."""

    def __init__(self, column: str, reason: str, text: str) -> None:
        super().__init__(f"{column}: {text}")
        self.column = column
        self.reason = reason


@dataclass(slots=True)
class Entry:
    """A good row. `row` counts from 1, the header included. None: the row says nothing of it."""

    row: int
    e164: str
    carrier: str | None = None
    area_code: str | None = None
    daily_limit: int | None = None
    hourly_limit: int | None = None
    meta: dict[str, Any] | None = None


def line(text: str, column: str) -> str:
    """A carrier or an area code. Raises `EntryRefused`."""
    if len(text) > MAX_TEXT:
        raise EntryRefused(column, "too_long", f"at most {MAX_TEXT} characters")
    if not _LINE.match(text):
        raise EntryRefused(column, "control_characters", "no control characters")
    return text


def limit(value: int, column: str) -> int:
    """Calls an hour or a day. Raises `EntryRefused`."""
    if 0 <= value <= MAX_LIMIT:
        return value
    raise EntryRefused(column, "limit", f"a whole number from 0 to {MAX_LIMIT}")


def notes(value: object) -> dict[str, Any]:
    """The notes of a number: a JSON object that PostgreSQL can store and that is not long. Raises `EntryRefused`."""
    try:
        if not isinstance(value, dict):
            raise ValueError
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()  # half a surrogate pair is a ValueError
    except (ValueError, TypeError, RecursionError):
        raise EntryRefused("meta_json", "meta_json", 'a JSON object, as in {"state": "CA"}') from None
    if len(text) > MAX_META or "\\u0000" in text:
        raise EntryRefused("meta_json", "meta_json", f"at most {MAX_META} characters, without NUL")
    return value


def entries_of(
    numbered: Iterable[tuple[int, Sequence[str] | SpoiledRow]], default_region: str
) -> Iterator[Entry | Remark]:
    """The rows, each as an entry or with what is wrong with it. Raises `FileRefused` for the whole file."""
    reader: _Reader | None = None
    seen: set[str] = set()
    count = 0
    for row, cells in numbered:
        if isinstance(cells, SpoiledRow):
            yield Remark(row, "", cells.text, cells.reason)
            continue
        texts = [cell.strip() for cell in cells]
        if not any(texts):
            continue
        if reader is None:
            fields, is_header = _fields(texts)
            reader = _Reader(fields, default_region)
            if is_header:
                continue
        count += 1
        if count > MAX_ROWS:
            raise FileRefused(f"more than {MAX_ROWS} rows: split the file")
        entry = reader.entry(row, texts)
        if isinstance(entry, Entry) and entry.e164 in seen:
            yield Remark(row, "caller_id", entry.e164, "duplicate_in_file")
            continue
        if isinstance(entry, Entry):
            seen.add(entry.e164)
        yield entry
    if reader is None:
        raise FileRefused("the file is empty")


def _fields(cells: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """What each column holds, and whether this first row is a header."""
    names = [re.sub(r"[^a-z0-9]+", "_", cell.casefold()).strip("_") for cell in cells]
    found = tuple(_FIELDS.get(name, "") for name in names)
    if "caller_id" not in found:
        if len(cells) == 1 and _NUMBER_LIKE.match(cells[0]):
            return ("caller_id",), False
        raise FileRefused("the first line must name the columns, as in 'caller_id,carrier,area_code,daily_limit'")
    if "" in found:
        wrong = cells[found.index("")][:40]
        raise FileRefused(f"no column is called {wrong!r}; there are: {', '.join(COLUMNS)}")
    if len(set(found)) < len(found):
        raise FileRefused("two columns mean the same")
    return found, True


class _Reader:
    """Rows into entries."""

    def __init__(self, fields: Sequence[str], region: str) -> None:
        self._fields = fields
        self._region = region

    def entry(self, row: int, cells: Sequence[str]) -> Entry | Remark:
        if len(cells) > len(self._fields) and any(cells[len(self._fields) :]):
            return Remark(row, "", cells[len(self._fields)][:100], "too_many_cells")
        said = {field: cell for field, cell in zip(self._fields, cells, strict=False) if cell}
        try:
            e164 = parse(said.get("caller_id", ""), self._region).e164
        except NumberRefused as refused:
            return Remark(row, "caller_id", said.get("caller_id", "")[:100], refused.reason)
        try:
            return Entry(
                row,
                e164,
                _said_line(said, "carrier"),
                _said_line(said, "area_code"),
                _said_limit(said, "daily_limit"),
                _said_limit(said, "hourly_limit"),
                _said_notes(said),
            )
        except EntryRefused as refused:
            return Remark(row, refused.column, said[refused.column][:100], refused.reason)


def _said_line(said: Mapping[str, str], column: str) -> str | None:
    return line(said[column], column) if column in said else None


def _said_limit(said: Mapping[str, str], column: str) -> int | None:
    text = said.get(column)
    if text is None:
        return None
    return limit(int(text) if _LIMIT.match(text) else -1, column)


def _said_notes(said: Mapping[str, str]) -> dict[str, Any] | None:
    text = said.get("meta_json")
    if text is None:
        return None
    try:
        value = json.loads(text) if len(text) <= MAX_META else None
    except (ValueError, RecursionError):
        value = None
    return notes(value)
