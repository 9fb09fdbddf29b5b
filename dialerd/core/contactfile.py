"""A contact file's text into contacts, row by row: every row comes out as a contact or as a named refusal.

Memory stays bounded whatever the file holds: a line, a row and a cell have limits, and a quote that is never closed
spoils its own line only. Nothing is repaired silently.
"""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from dialerd.core.phone import Number, NumberRefused, parse

MAX_ROW = 65_536  # characters; below csv's own limit of a field
MAX_CELL = 2_000
MAX_COLUMNS = 200
MAX_NUMBERS = 10  # of one contact
_PRIORITY = 1_000_000  # either way

_PHONE = re.compile(
    r"(?:(?:home|work|office|mobile|cell|alt|second|other|primary)_)?"
    r"(?:phone|phone_number|phone_no|telephone|tel|mobile|mobile_number|cell|cell_phone|cellphone|msisdn|number"
    r"|puhelin|puhelinnumero|telefono)(?:_?[0-9]+)?\Z"
)
_FIELDS = {
    **dict.fromkeys(("name", "full_name", "contact", "contact_name", "nimi", "nombre"), "name"),
    **dict.fromkeys(("first_name", "firstname", "given_name"), "first_name"),
    **dict.fromkeys(("last_name", "lastname", "surname", "family_name"), "last_name"),
    "priority": "priority",
    **dict.fromkeys(("external_id", "customer_id", "id", "ref", "reference"), "external_id"),
    **dict.fromkeys(("zone", "timezone", "time_zone", "tz"), "zone"),
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")
_NUMBER_LIKE = re.compile(r"[+(]?[0-9][0-9 ()./\-\u00a0]{4,}\Z", re.ASCII)
_ZONE = re.compile(r"(?:[A-Za-z]+/[A-Za-z0-9_+/-]+|UTC)\Z", re.ASCII)


class FileRefused(ValueError):
    """The whole file cannot be read as contacts."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A good row. `row` counts from 1, the header included, as a spreadsheet does."""

    row: int
    numbers: tuple[Number, ...]
    name: str = ""
    priority: int = 0
    external_id: str | None = None
    custom: dict[str, str] = field(default_factory=dict)


Effect = Literal["row_refused", "number_refused", "kept"]


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said of a row, or of one number of it, and what it means for the row.

    `reason` is one of `phone.NumberRefused`'s, or: unclosed_quote, row_too_long, cell_too_long, control_characters,
    too_many_cells, too_many_numbers, no_number, priority, zone. The import adds duplicate_in_file and
    duplicate_in_campaign, and, of numbers that are kept, unknown_zone and dnc.
    """

    row: int
    column: str
    value: str
    reason: str
    effect: Effect = "row_refused"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what: the header's names, and per column its field ("phone", "name", …, "custom")."""

    names: tuple[str, ...]
    fields: tuple[str, ...]


def encoding_of(chunks: Iterable[bytes]) -> str:
    """The encoding of a file: by its byte order mark, UTF-8 where all of it is, else Windows' Western one.

    Raises `FileRefused` for files that are no text at all.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    first = True
    for chunk in chunks:
        if first:
            if known := _encoding_by_start(chunk):
                return known
            first = False
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return "cp1252"
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _encoding_by_start(head: bytes) -> str | None:
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileRefused("this is a spreadsheet or an archive: save it as CSV")
    if head.startswith(b"\x1f\x8b"):
        raise FileRefused("this file is compressed: unpack it first")
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark: ASCII in UTF-16 has a zero in every other byte.
    sample = head[:200]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = sample[start::2]
        if len(zeros) > 3 and not any(zeros) and all(sample[1 - start :: 2]):
            return name
    return None


def delimiter_of(line: str) -> str:
    """The character between the cells of a line: the most frequent candidate outside quotes, else a comma."""
    bare = re.sub(r'"[^"]*"', "", line)
    best = max(",;\t|", key=bare.count)
    return best if best in bare else ","


def contacts(chunks: Iterable[str], default_region: str) -> Iterator[Contact | Remark]:
    """The rows of a file, given its decoded text (lines end in \\n) in chunks of any size.

    Raises `FileRefused` when there is nothing to go by: an empty file, or several columns without a header.
    """
    columns: Columns | None = None
    for row, cells in _rows(_Lines(chunks)):
        if isinstance(cells, Remark):
            yield cells
            continue
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if columns is None:
            columns, is_header = _columns(cells)
            if is_header:
                continue
        yield from _contact(row, cells, columns, default_region)
    if columns is None:
        raise FileRefused("the file is empty")


class _Spoiled(Exception):
    """The row that is being read cannot become one; the text is the reason."""


class _Lines:
    """The lines of a text, cut at `MAX_ROW`; knows which of them the row in work has used."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._source = _split(chunks)
        self._again: deque[str | None] = deque()
        self._used: list[str | None] = []
        self._size = 0

    def peek(self) -> str:
        """The first line that is not empty, or the empty text."""
        for line in self._source:
            self._again.append(line)
            if line is not None and line.strip():
                return line
        return ""

    def begin_row(self) -> None:
        """The next line starts a row."""
        self._used, self._size = [], 0

    def rewind(self) -> str:
        """Give back all lines of the row in work but its first, which is returned (shortened)."""
        self._again.extendleft(reversed(self._used[1:]))
        first = self._used[0] if self._used else None
        return first[:100] if first else ""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source, "")
        if line == "":  # the end; every line has its \n
            if self._used:
                raise _Spoiled("unclosed_quote")
            raise StopIteration
        self._used.append(line)
        if line is None:
            raise _Spoiled("row_too_long" if len(self._used) == 1 else "unclosed_quote")
        self._size += len(line)
        if self._size > MAX_ROW:
            raise _Spoiled("unclosed_quote")
        return line


def _split(chunks: Iterable[str]) -> Iterator[str | None]:
    """Lines with their \\n; None for one that is longer than `MAX_ROW`, whose text is dropped on the way."""
    rest, too_long = "", False
    for chunk in chunks:
        lines = chunk.split("\n")
        for line in lines[:-1]:
            whole = rest + line
            yield None if too_long or len(whole) >= MAX_ROW else whole + "\n"
            rest, too_long = "", False
        rest += lines[-1]
        if len(rest) >= MAX_ROW:
            rest, too_long = "", True
    if too_long:
        yield None
    elif rest:
        yield rest + "\n"


def _rows(lines: _Lines) -> Iterator[tuple[int, list[str] | Remark]]:
    delimiter = delimiter_of(lines.peek())
    row = 0
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        row += 1
        lines.begin_row()
        try:
            yield row, next(reader)
        except StopIteration:
            return
        except (_Spoiled, csv.Error) as error:
            reason = str(error) if isinstance(error, _Spoiled) else "unclosed_quote"
            yield row, Remark(row, "", lines.rewind().strip(), reason)
            reader = csv.reader(lines, delimiter=delimiter)


def _columns(cells: Sequence[str]) -> tuple[Columns, bool]:
    """The columns, and whether this first row is a header."""
    if len(cells) > MAX_COLUMNS:
        raise FileRefused(f"more than {MAX_COLUMNS} columns")
    fields: list[str] = []
    for cell in cells:
        plain = re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_")
        name = "phone" if _PHONE.match(plain) else _FIELDS.get(plain, "custom")
        fields.append("custom" if name != "phone" and name in fields else name)
    if "phone" in fields:
        return Columns(_unique(cells), tuple(fields)), True
    if len(cells) == 1:
        return Columns(("phone",), ("phone",)), False
    if any(_NUMBER_LIKE.match(cell) for cell in cells):
        raise FileRefused("several columns and no header: name them in a first line, as in 'phone,name,zone'")
    raise FileRefused("no column holds numbers: call it 'phone' (or number, tel, mobile) in the first line")


def _unique(cells: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = _CONTROL.sub("", cell)[:64] or f"column_{number}"
        names.append(name if name not in names else f"{name[:56]}_{number}")
    return tuple(names)


def _contact(row: int, cells: Sequence[str], columns: Columns, region: str) -> Iterator[Contact | Remark]:
    if spoiled := _bad_cell(row, cells, columns):
        yield spoiled
        return
    texts: dict[str, str] = {}
    custom: dict[str, str] = {}
    phones: list[tuple[str, str]] = []
    for name, kind, cell in zip(columns.names, columns.fields, cells, strict=False):
        if not cell:
            continue
        if kind == "phone":
            phones.append((name, cell))
        elif kind == "custom":
            custom[name] = cell
        else:
            texts[kind] = cell
    if not re.match(r"[+-]?[0-9]{1,7}\Z", texts.get("priority", "0"), re.ASCII) or (
        abs(int(texts.get("priority", "0"))) > _PRIORITY
    ):
        yield Remark(row, "priority", texts["priority"], "priority")
        return
    zone = texts.get("zone")
    if zone is not None and not is_zone(zone):
        yield Remark(row, "zone", zone, "zone")
        return
    numbers: dict[str, Number] = {}
    remarks: list[Remark] = []
    for name, cell in phones:
        try:
            number = parse(cell, region)
        except NumberRefused as refused:
            remarks.append(Remark(row, name, cell, refused.reason, effect="number_refused"))
        else:
            numbers[number.e164] = Number(number.e164, number.region, (zone,)) if zone else number
    if len(numbers) > MAX_NUMBERS:
        yield Remark(row, "", "", "too_many_numbers")
        return
    if not numbers:
        if remarks:
            yield from (replace(remark, effect="row_refused") for remark in remarks)
        else:
            yield Remark(row, "", "", "no_number")
        return
    yield from remarks
    yield Contact(
        row=row,
        numbers=tuple(numbers.values()),
        name=texts.get("name") or " ".join(filter(None, (texts.get("first_name"), texts.get("last_name")))),
        priority=int(texts.get("priority", "0")),
        external_id=texts.get("external_id"),
        custom=custom,
    )


def _bad_cell(row: int, cells: Sequence[str], columns: Columns) -> Remark | None:
    if len(cells) > len(columns.names) and any(cells[len(columns.names) :]):
        return Remark(row, "", cells[len(columns.names)][:100], "too_many_cells")
    for name, cell in zip(columns.names, cells, strict=False):
        if len(cell) > MAX_CELL:
            return Remark(row, name, cell[:100], "cell_too_long")
        if _CONTROL.search(cell):
            return Remark(row, name, cell[:100], "control_characters")
    return None


@lru_cache(maxsize=1000)
def is_zone(text: str) -> bool:
    """Whether it is the IANA name of a zone that this machine knows."""
    if not _ZONE.match(text):
        return False
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return False
    return True
