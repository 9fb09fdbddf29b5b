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
    **dict.fromkeys(("postcode", "post_code", "postal_code", "zip", "zip_code", "zipcode"), "postcode"),
}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")
_NUMBER_LIKE = re.compile(r"[+(]?[0-9][0-9 ()./\-\u00a0]{4,}\Z", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]{1,7}\Z", re.ASCII)
_ZONE = re.compile(r"(?:[A-Za-z]+/[A-Za-z0-9_+/-]+|UTC)\Z", re.ASCII)


@dataclass(slots=True)
class Contact:
    """A good row. `row` counts from 1, the header included, as a spreadsheet does. Not frozen: see `phone.Number`."""

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
    too_many_cells, too_many_numbers, no_number, priority, zone; and, of numbers that are kept, postcode. The import
    adds duplicate_in_file, duplicate_in_campaign and duplicate_in_tenant, and, of those kept, unknown_zone and dnc.
    """

    row: int
    column: str
    value: str
    reason: str
    effect: Effect = "row_refused"


ZonesOf = Callable[[str, str], Sequence[str] | None]


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
    zones_of: ZonesOf = lambda region, postcode: (),
) -> Iterator[Contact | Remark]:
    """The same of rows and their numbers, from wherever they come.

    `mapping` says what columns are, by their names: phone, name, first_name, last_name, priority, external_id, zone,
    postcode or custom; a field that it mentions is not looked for elsewhere. `on_columns` hears what was found.
    `zones_of` a region and a postcode: the number must be open there as well; None for a postcode that is unknown.
    """
    reader: _Reader | None = None
    for row, cells in numbered:
        if isinstance(cells, SpoiledRow):
            yield Remark(row, "", cells.text, cells.reason)
            continue
        cells = list(map(str.strip, cells))
        if not any(cells):
            continue
        if reader is None:
            columns, is_header = _columns(cells, mapping or {})
            on_columns(columns)
            reader = _Reader(columns, default_region, zones_of)
            if is_header:
                continue
        yield from reader.entries(row, cells)
    if reader is None:
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
        name = CONTROL.sub("", cell)[:64] or f"column_{number}"
        names.append(name if name not in names else f"{name[:56]}_{number}")
    return tuple(names)


class _Reader:
    """Rows into contacts: where each field stands is found out once, for a list has millions of rows."""

    def __init__(self, columns: Columns, region: str, zones_of: ZonesOf) -> None:
        self._zones_of = zones_of
        self._names = columns.names
        self._width = len(columns.names)
        self._region = region
        places = list(enumerate(columns.fields))
        self._phones = [i for i, kind in places if kind == "phone"]
        self._custom = [(columns.names[i], i) for i, kind in places if kind in ("custom", "postcode")]
        self._place = {kind: i for i, kind in places if kind not in ("phone", "custom")}
        self._name = [self._place[kind] for kind in ("first_name", "last_name") if kind in self._place]

    def entries(self, row: int, cells: list[str]) -> Sequence[Contact | Remark]:
        """What becomes of a row: a contact, remarks, or both."""
        if len(cells) < self._width:
            cells += [""] * (self._width - len(cells))
        if bad := self._bad_cell(row, cells):
            return [bad]
        priority = self._text("priority", cells) or "0"
        if not _INTEGER.match(priority) or abs(int(priority)) > _PRIORITY:
            return [Remark(row, "priority", priority, "priority")]
        zone = self._text("zone", cells)
        if zone and not is_zone(zone):
            return [Remark(row, "zone", zone, "zone")]
        remarks: list[Contact | Remark] = []
        numbers = self._numbers(row, cells, remarks)
        if len(numbers) > MAX_NUMBERS:
            return [Remark(row, "", "", "too_many_numbers")]
        if not numbers:
            refused = [replace(remark, effect="row_refused") for remark in remarks if isinstance(remark, Remark)]
            return refused or [Remark(row, "", "", "no_number")]
        if zone:
            numbers = [_also_in((zone,), number) for number in numbers]
        if postcode := self._text("postcode", cells):
            numbers = [self._near(row, postcode, number, remarks) for number in numbers]
        name = self._text("name", cells) or " ".join([cells[i] for i in self._name if cells[i]])
        custom = {name: cells[i] for name, i in self._custom if cells[i]}
        external_id = self._text("external_id", cells) or None
        remarks.append(Contact(row, tuple(numbers), name, int(priority), external_id, custom))
        return remarks

    def _text(self, kind: str, cells: list[str]) -> str:
        place = self._place.get(kind)
        return "" if place is None else cells[place]

    def _numbers(self, row: int, cells: list[str], remarks: list[Contact | Remark]) -> list[Number]:
        """The row's numbers, each once; those that are none go into the remarks."""
        numbers: list[Number] = []
        for i in self._phones:
            if not cells[i]:
                continue
            try:
                number = parse(cells[i], self._region)
            except NumberRefused as refused:
                remarks.append(Remark(row, self._names[i], cells[i], refused.reason, effect="number_refused"))
            else:
                if number not in numbers:
                    numbers.append(number)
        return numbers

    def _near(self, row: int, postcode: str, number: Number, remarks: list[Contact | Remark]) -> Number:
        """The number, to be open where the postcode lies as well."""
        zones = self._zones_of(number.region, postcode)
        if zones is None:
            remarks.append(Remark(row, "postcode", postcode[:100], "postcode", effect="kept"))
        return _also_in(zones, number) if zones else number

    def _bad_cell(self, row: int, cells: Sequence[str]) -> Remark | None:
        if len(cells) > self._width and any(cells[self._width :]):
            return Remark(row, "", cells[self._width][:100], "too_many_cells")
        text = "".join(cells)
        if len(text) <= MAX_CELL and not CONTROL.search(text):
            return None
        for name, cell in zip(self._names, cells, strict=False):
            if len(cell) > MAX_CELL:
                return Remark(row, name, cell[:100], "cell_too_long")
            if CONTROL.search(cell):
                return Remark(row, name, cell[:100], "control_characters")
        return None


def _also_in(zones: Sequence[str], number: Number) -> Number:
    """The number, to be open in these zones as well as in its own: what a file says can only narrow."""
    return replace(number, zones=(*zones, *(own for own in number.zones if own not in zones)))


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
