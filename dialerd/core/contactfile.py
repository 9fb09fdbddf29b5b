"""A contact file's rows into contacts: every row comes out as a contact or as a named refusal.

A row, a cell and the number of columns have limits; how a text becomes rows says `textrows`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from dialerd.core.phone import Number, NumberRefused, parse
from dialerd.core.textrows import FileRefused, SpoiledRow, rows

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
_INTEGER = re.compile(r"[+-]?[0-9]{1,7}\Z", re.ASCII)
_ZONE = re.compile(r"(?:[A-Za-z]+/[A-Za-z0-9_+/-]+|UTC)\Z", re.ASCII)


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
    too_many_cells, too_many_numbers, no_number, priority, zone. The import adds duplicate_in_file,
    duplicate_in_campaign and duplicate_in_tenant, and, of numbers that are kept, unknown_zone and dnc.
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


def contacts(chunks: Iterable[str], default_region: str) -> Iterator[Contact | Remark]:
    """The rows of a text file, given its decoded text (lines end in \\n) in chunks of any size.

    Raises `FileRefused` when there is nothing to go by: an empty file, or several columns without a header.
    """
    return contacts_of(rows(chunks), default_region)


def contacts_of(
    numbered: Iterable[tuple[int, list[str] | SpoiledRow]],
    default_region: str,
    mapping: Mapping[str, str] | None = None,
    on_columns: Callable[[Columns], object] = lambda columns: None,
) -> Iterator[Contact | Remark]:
    """The same of rows and their numbers, from wherever they come.

    `mapping` says what columns are, by their names: phone, name, first_name, last_name, priority, external_id, zone
    or custom; a field that it mentions is not looked for elsewhere. `on_columns` hears what was found.
    """
    columns: Columns | None = None
    for row, cells in numbered:
        if isinstance(cells, SpoiledRow):
            yield Remark(row, "", cells.text, cells.reason)
            continue
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if columns is None:
            columns, is_header = _columns(cells, mapping or {})
            on_columns(columns)
            if is_header:
                continue
        yield from _contact(row, cells, columns, default_region)
    if columns is None:
        raise FileRefused("the file is empty")


def _columns(cells: Sequence[str], mapping: Mapping[str, str]) -> tuple[Columns, bool]:
    """The columns, and whether this first row is a header."""
    if len(cells) > MAX_COLUMNS:
        raise FileRefused(f"more than {MAX_COLUMNS} columns")
    said = {name.strip().casefold(): kind for name, kind in mapping.items()}
    if missing := said.keys() - {cell.casefold() for cell in cells}:
        raise FileRefused(f"no column is called {sorted(missing)[0]!r}; there are: {', '.join(cells)[:300]}")
    if unknown := set(said.values()) - {"phone", "custom", *_FIELDS.values()}:
        raise FileRefused(f"no field is called {sorted(unknown)[0]!r}")
    fields: list[str] = []
    for cell in cells:
        name = said.get(cell.casefold()) or _field_of(cell)
        if cell.casefold() not in said and name in said.values():
            name = "custom"
        fields.append("custom" if name != "phone" and name in fields else name)
    if "phone" in fields:
        return Columns(_unique(cells), tuple(fields)), True
    if len(cells) == 1:
        return Columns(("phone",), ("phone",)), False
    if any(_NUMBER_LIKE.match(cell) for cell in cells):
        raise FileRefused("several columns and no header: name them in a first line, as in 'phone,name,zone'")
    raise FileRefused("no column holds numbers: call it 'phone' (or number, tel, mobile) in the first line")


def _field_of(header: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")
    return "phone" if _PHONE.match(plain) else _FIELDS.get(plain, "custom")


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
    priority = texts.get("priority", "0")
    if not _INTEGER.match(priority) or abs(int(priority)) > _PRIORITY:
        yield Remark(row, "priority", priority, "priority")
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
            numbers[number.e164] = _also_in(zone, number) if zone else number
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
        priority=int(priority),
        external_id=texts.get("external_id"),
        custom=custom,
    )


def _bad_cell(row: int, cells: Sequence[str], columns: Columns) -> Remark | None:
    if len(cells) > len(columns.names) and any(cells[len(columns.names) :]):
        return Remark(row, "", cells[len(columns.names)][:100], "too_many_cells")
    if max(map(len, cells)) <= MAX_CELL and not _CONTROL.search("".join(cells)):
        return None
    for name, cell in zip(columns.names, cells, strict=False):
        if len(cell) > MAX_CELL:
            return Remark(row, name, cell[:100], "cell_too_long")
        if _CONTROL.search(cell):
            return Remark(row, name, cell[:100], "control_characters")
    return None


def _also_in(zone: str, number: Number) -> Number:
    """The number, to be open in the row's zone as well as in its own: what a file says can only narrow."""
    return replace(number, zones=(zone, *(own for own in number.zones if own != zone)))


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
