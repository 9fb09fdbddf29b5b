"""`dialer-admin contacts`: the import and the export of files."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO

import click
from rich.console import Console
from rich.progress import Progress

from dialerd.cli.common import REFUSED, Session, command, say, show_fields, show_json, show_table
from dialerd.core.contactfile import Columns, Contact, Remark, contacts_of
from dialerd.core.selection import STATES, Selection
from dialerd.places import postcodes
from dialerd.store import campaigns
from dialerd.store.contacts import import_contacts, what_would_happen
from dialerd.store.export import export_csv, export_xlsx, inert
from dialerd.store.listfile import read_rows
from dialerd.store.recycle import lists

_SHOWN = 20  # remarks on the terminal
_KEPT = 1000  # remarks in the JSON document


@click.group("contacts")
def group() -> None:
    """Contacts of a campaign."""


@command(group, "import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--campaign", "campaign_name", required=True, help="Name or id.")
@click.option("--region", help="ISO country for numbers without a country code.  [default: the tenant's]")
@click.option("--map", "mapped", multiple=True, metavar="FIELD=COLUMN", help="What a column is, as in phone=Puhelin.")
@click.option("--list", "list_name", help="What the list is called.  [default: the file's name]")
@click.option("--sheet", help="Of a spreadsheet.  [default: the first one]")
@click.option("--skip-known-anywhere", is_flag=True, help="Refuse numbers that any campaign of the tenant has.")
@click.option("--preview", is_flag=True, help="Show how the first rows would be taken, and change nothing.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write every remark to this CSV file.")
async def import_command(
    session: Session,
    as_json: bool,
    file: Path,
    campaign_name: str,
    region: str | None,
    mapped: tuple[str, ...],
    list_name: str | None,
    sheet: str | None,
    skip_known_anywhere: bool,
    preview: bool,
    report: Path | None,
) -> None:
    """Import a CSV, XLSX or JSON file: good rows are taken, bad ones reported, nothing is half done.

    Columns by their names in the first line: phone (number, tel, mobile … phone2 and so on for further numbers of the
    same person), name, priority, external_id, zone (IANA; the number must be open there as well as where it lies),
    postcode (so must it; United States, Canada, Australia); all others are kept as they are. --map says it outright.
    A single column of numbers needs no header. CSV: comma, semicolon, tab or bar; UTF-8, UTF-16 or Windows-1252. JSON:
    a list of texts, or of objects with fields like the columns. The same file twice changes nothing.

    \b
    In the result: rows read; imported, the rows that became contacts; numbers, theirs; contacts, in the campaign
    now; refused, rows and numbers by reason; unknown_zone and dnc, numbers that are kept but not dialled;
    unknown_postcode, numbers that are judged by their own zones.
    """
    remarks = _Remarks(as_json)
    mapping = _mapping(mapped)
    size = _size(file)
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        where = (region or tenant.default_region).upper()
        if preview:
            look = _Preview(file, sheet, where, mapping)
            more = await what_would_happen(pool, tenant.id, campaign.id, look.contacts, skip_known_anywhere)
            look.show(more, as_json)
            return
        with ExitStack() as stack:
            if report is not None:
                stack.enter_context(remarks.writing_to(report))
            progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
            bar = progress.add_task("importing", total=size)
            rows = read_rows(file, lambda done: progress.update(bar, completed=done), sheet)
            entries = contacts_of(rows, where, mapping, zones_of=postcodes.zones_of)
            done = await import_contacts(
                pool, tenant.id, campaign.id, entries, session.by, remarks, skip_known_anywhere, list_name or file.name
            )
    result = asdict(done)
    if as_json:
        show_json({**result, "remarks": remarks.kept, "remarks_left_out": remarks.count - len(remarks.kept)})
    else:
        refused = ", ".join(f"{reason} {n}" for reason, n in sorted(done.refused.items())) or "none"
        show_fields({**result, "refused": refused})
        if remarks.count > _SHOWN:
            say(f"… and {remarks.count - _SHOWN} more remarks" + ("" if report else "; --report FILE keeps them all"))


def _mapping(mapped: tuple[str, ...]) -> dict[str, str]:
    """Column → field, from FIELD=COLUMN."""
    found: dict[str, str] = {}
    for text in mapped:
        field, equals, column = text.partition("=")
        if not equals or not field.strip() or not column.strip():
            raise click.BadParameter(f"{text!r} is not FIELD=COLUMN, as in phone=Puhelin", param_hint="--map")
        found[column.strip()] = field.strip()
    return found


class _Preview:
    """The first rows of a file, and how they would be taken."""

    def __init__(self, file: Path, sheet: str | None, region: str, mapping: Mapping[str, str]) -> None:
        found: list[Columns] = []
        rows = read_rows(file, sheet=sheet)
        entries = list(islice(contacts_of(rows, region, mapping, found.append, postcodes.zones_of), _SHOWN))
        self.columns = [{"column": n, "field": f} for c in found for n, f in zip(c.names, c.fields, strict=True)]
        self.contacts = [entry for entry in entries if isinstance(entry, Contact)]
        self.remarks = [entry for entry in entries if isinstance(entry, Remark)]

    def show(self, more: Sequence[Remark], as_json: bool) -> None:
        """`more`: what the database says of the contacts."""
        refused = {remark.row for remark in more if remark.effect == "row_refused"}
        remarks = sorted([*self.remarks, *more], key=lambda remark: remark.row)
        good = [contact for contact in self.contacts if contact.row not in refused]
        if as_json:
            show_json({"columns": self.columns, "contacts": [asdict(c) for c in good], "remarks": remarks})
            return
        show_table(["COLUMN", "TAKEN AS"], [(c["column"], c["field"]) for c in self.columns])
        entries: list[Contact | Remark] = sorted([*good, *remarks], key=lambda entry: entry.row)
        show_table(["ROW", "NUMBERS", "NAME", "PRIORITY", "ZONES", "WHAT WOULD HAPPEN"], map(_preview_row, entries))


def _preview_row(entry: Contact | Remark) -> tuple[object, ...]:
    if isinstance(entry, Remark):
        what = f"{entry.effect.replace('_', ' ')}: {entry.reason}"
        return (entry.row, entry.value[:60], "", "", "", what)
    numbers = [number.e164 for number in entry.numbers]
    zones = sorted({zone for number in entry.numbers for zone in number.zones}) or ["unknown"]
    return (entry.row, numbers, entry.name, entry.priority, zones[:4], "imported")


def _size(file: Path) -> int:
    return file.stat().st_size


class _Remarks:
    """Takes what the import has to say: shown, kept for JSON, written to a file."""

    def __init__(self, as_json: bool) -> None:
        self.count = 0
        self.kept: list[Remark] = []
        self._as_json = as_json
        self._write: Callable[[list[str]], object] | None = None

    @contextmanager
    def writing_to(self, path: Path) -> Iterator[None]:
        with path.open("w", newline="", encoding="utf-8") as out:
            self._write = csv.writer(out).writerow
            self._write(["row", "column", "value", "reason", "effect"])
            yield

    def __call__(self, remark: Remark) -> None:
        self.count += 1
        if self._as_json and self.count <= _KEPT:
            self.kept.append(remark)
        if not self._as_json and self.count <= _SHOWN:
            where = f" {remark.column}" if remark.column else ""
            say(f"row {remark.row}{where}: {remark.reason} {remark.value[:60]!r} ({remark.effect.replace('_', ' ')})")
        if self._write is not None:
            self._write([str(remark.row), *map(inert, (remark.column, remark.value)), remark.reason, remark.effect])


@command(group, "export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=True))
@click.option("--campaign", "campaign_name", required=True, help="Name or id.")
@click.option("--format", "kind", type=click.Choice(["csv", "xlsx"]), help="[default: as FILE's name ends, else csv]")
@click.option("--status", "states", multiple=True, type=click.Choice(STATES), help="Only these; several times.")
@click.option("--search", default="", help="Part of a number, name, external id or agent's name.")
@click.option("--id", "ids", multiple=True, type=int, help="Only this contact; several times.")
@click.option("--exclude", "excluded", multiple=True, type=int, help="Without this contact; several times.")
async def export_command(
    session: Session,
    as_json: bool,
    file: Path,
    campaign_name: str,
    kind: str | None,
    states: tuple[str, ...],
    search: str,
    ids: tuple[int, ...],
    excluded: tuple[int, ...],
) -> None:
    """Write a campaign's contacts to FILE, one row per number. Nothing in it is taken for a formula."""
    chosen = Selection(ids=ids, select_all=not ids, excluded=excluded, states=states, search=search)
    as_sheet = kind == "xlsx" or (kind is None and file.suffix.lower() == ".xlsx")
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        if as_sheet:
            count = await export_xlsx(pool, tenant.id, campaign.id, chosen, file)
        else:
            with _new_text(file) as out:
                count = await export_csv(pool, tenant.id, campaign.id, chosen, out)
    result = {"file": str(file), "rows": count}
    show_json(result) if as_json else show_fields(result)


@command(group, "add")
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True)
@click.option("--campaign", "campaign_name", required=True, help="Name or id.")
@click.option("--name", default="", help="Whose number it is; all NUMBERs are then one contact's.")
@click.option("--priority", type=click.IntRange(-1_000_000, 1_000_000), default=0, show_default=True)
@click.option("--external-id", help="What the contact is called elsewhere.")
async def add_command(
    session: Session, as_json: bool, numbers: tuple[str, ...], campaign_name: str, name: str, priority: int,
    external_id: str | None,
) -> None:  # fmt: skip
    """Add contacts by hand, each NUMBER one of its own; with --name or --external-id one contact with all of them."""
    as_one = bool(name or external_id)
    groups = [numbers] if as_one else [(number,) for number in numbers]
    remarks = _Remarks(as_json)
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        header = [f"phone {n}" for n in range(1, len(groups[0]) + 1)] + ["name", "priority", "external_id"]
        table = [[*each, name, str(priority), external_id or ""] for each in groups]
        entries = contacts_of(enumerate([header, *table]), tenant.default_region)
        done = await import_contacts(pool, tenant.id, campaign.id, entries, session.by, remarks, list_name="by hand")
    if as_json:
        show_json({**asdict(done), "remarks": remarks.kept})
    else:
        say(f"added {done.imported} of {done.rows}; the campaign has {done.contacts} contacts")
    if not done.imported:
        raise click.exceptions.Exit(REFUSED)


@command(group, "lists")
@click.option("--campaign", "campaign_name", required=True, help="Name or id.")
async def lists_command(session: Session, as_json: bool, campaign_name: str) -> None:
    """Where a campaign's contacts came from, newest first; OPEN ones are not over yet."""
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        found = await lists(pool, tenant.id, campaign.id)
    if as_json:
        show_json({"lists": found})
        return
    columns = ("ID", "LIST", "CONTACTS", "OPEN", "IMPORTED", "BY")
    show_table(columns, [(x.id, x.name, x.contacts, x.open, x.imported_at, x.imported_by) for x in found])


def _new_text(path: Path) -> IO[str]:
    return path.open("w", newline="", encoding="utf-8")


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
