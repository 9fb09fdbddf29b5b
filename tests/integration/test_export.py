"""Lists out of the database and back: spreadsheets, the selection, and what hostile files and cells do not do."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import openpyxl
import pytest

from dialerd.core.campaign import Draft
from dialerd.core.contactfile import Remark, contacts_of
from dialerd.core.selection import Selection, SelectionRefused
from dialerd.core.textrows import FileRefused
from dialerd.store import campaigns
from dialerd.store.contacts import Report, import_contacts
from dialerd.store.export import export_csv, export_xlsx
from dialerd.store.listfile import read_rows

TENANT = 1
EVERYTHING = Selection(select_all=True)
DIRTY = [
    ["Phone", "Phone 2", "Name", "Priority", "Customer ID", "City"],
    ["040 123 4567", "", "Aino", "1", "C-1", "Espoo"],
    ["358401234568", "", "=cmd|' /C calc'!A1", "2", "@x", "-1+1"],
    ["+98 912 345 6789", "0912", "Reza", "", "", ""],
    ["112", "", "Emergency", "", "", ""],
    ["0600 123456", "", "Premium", "", "", ""],
    ["", "", "", "", "", ""],
    ["0401234567", "", "Twice", "", "", ""],
    ["0401234569", "", "Urgent", "high", "", ""],
]


async def campaign(pool: asyncpg.Pool, name: str) -> int:
    draft = Draft(name=name, dial_mode="progressive", queue_name="q", trunk="t")
    return (await campaigns.create(pool, TENANT, draft, "test")).id


async def take(pool: asyncpg.Pool, campaign_id: int, path: Path) -> tuple[Report, list[Remark]]:
    remarks: list[Remark] = []
    entries = contacts_of(read_rows(path), "FI")
    return await import_contacts(pool, TENANT, campaign_id, entries, "test", remarks.append), remarks


async def exported(pool: asyncpg.Pool, campaign_id: int, selection: Selection = EVERYTHING) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    count = await export_csv(pool, TENANT, campaign_id, selection, out)
    found = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert len(found) == count
    return found


def as_csv(path: Path, table: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(table)
    return path


def as_xlsx(path: Path, table: list[list[str]]) -> Path:
    """With the numbers of the list as spreadsheets have them: as numbers, some of them with a fraction of 0."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in table:
        sheet.append([float(c) if c.isdigit() and c[0] != "0" and len(c) > 9 else c or None for c in row])
        for cell in sheet[sheet.max_row]:
            if cell.data_type == "f":
                cell.data_type = "s"
    book.save(path)
    return path


async def test_a_spreadsheet_gives_what_the_same_rows_give_as_csv(pool: asyncpg.Pool, tmp_path: Path) -> None:
    one, two = await campaign(pool, "csv"), await campaign(pool, "xlsx")
    from_csv = await take(pool, one, as_csv(tmp_path / "l.csv", DIRTY))
    from_xlsx = await take(pool, two, as_xlsx(tmp_path / "l.xlsx", DIRTY))
    assert from_csv[0].imported == 3
    assert from_csv[0].refused == {
        "short": 1,
        "emergency": 1,
        "premium": 1,
        "duplicate_in_file": 1,
        "priority": 1,
    }
    assert from_xlsx == from_csv
    columns = ("phone", "name", "external_id", "priority", "custom")
    rows = [[[row[c] for c in columns] for row in await exported(pool, id_)] for id_ in (one, two)]
    assert rows[0] == rows[1]


async def test_the_cells_of_a_spreadsheet_are_read_as_what_they_mean(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["x"])
    sheet = book.create_sheet("List")
    sheet.append([358401234567.0, 401234567, 1.5, None, True, datetime(2026, 1, 1), "0401234567"])
    book.save(tmp_path / "f.xlsx")
    ((number, cells),) = read_rows(tmp_path / "f.xlsx", sheet="List")
    assert (number, cells) == (1, ["358401234567", "401234567", "1.5", "", "True", "", "0401234567"])
    with pytest.raises(FileRefused, match="no sheet is called 'Lost'; there are: Sheet, List"):
        list(read_rows(tmp_path / "f.xlsx", sheet="Lost"))


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
def test_an_archive_that_swells_is_refused_unread(tmp_path: Path, part: str) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr(part, b" " * (80 << 20))
    with pytest.raises(FileRefused, match="unpacks into too much"):
        list(read_rows(tmp_path / "bomb.xlsx"))


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 and then nothing", b"\x1f\x8b compressed", b"\xd0\xcf\x11\xe0 of old"],
    ids=["no archive", "gzip", "xls"],
)
def test_archives_that_are_no_lists_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(FileRefused):
        list(read_rows(tmp_path / "f"))


@pytest.mark.parametrize("xml", ["<worksheet><sheetData><row><c", "", "<x/>"])
def test_a_broken_spreadsheet_is_refused(tmp_path: Path, xml: str) -> None:
    whole = as_xlsx(tmp_path / "whole.xlsx", DIRTY)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "broken.xlsx", "w") as broken:
        for name in source.namelist():
            broken.writestr(name, xml if name == "xl/worksheets/sheet1.xml" else source.read(name))
    with pytest.raises(FileRefused):
        list(contacts_of(read_rows(tmp_path / "broken.xlsx"), "FI"))


async def test_what_was_exported_can_be_imported_again(pool: asyncpg.Pool, tmp_path: Path) -> None:
    one = await campaign(pool, "one")
    await take(pool, one, as_csv(tmp_path / "l.csv", DIRTY))
    with (tmp_path / "out.csv").open("w", newline="", encoding="utf-8") as out:
        await export_csv(pool, TENANT, one, EVERYTHING, out)
    assert await export_xlsx(pool, TENANT, one, EVERYTHING, tmp_path / "out.xlsx") == 3
    phones = [row["phone"] for row in await exported(pool, one)]
    assert phones == ["+358401234567", "+358401234568", "+989123456789"]
    for name in ("out.csv", "out.xlsx"):
        again = await campaign(pool, name)
        assert (await take(pool, again, tmp_path / name))[0].imported == 3
        assert [row["phone"] for row in await exported(pool, again)] == phones


async def test_no_cell_of_an_export_is_a_formula(pool: asyncpg.Pool, tmp_path: Path) -> None:
    id_ = await campaign(pool, "c")
    names = ["=1+1", "+1", "-1", "@SUM(A1)"]
    table = [["phone", "name"], *([f"040123456{n}", name] for n, name in enumerate(names))]
    await take(pool, id_, as_csv(tmp_path / "l.csv", table))
    await pool.execute("UPDATE contacts SET external_id = chr(9) || '=1', name = name || chr(11)")
    rows = await exported(pool, id_)
    assert [row["name"] for row in rows] == [f"'{name}\v" for name in names]
    assert {row["external_id"] for row in rows} == {"'\t=1"}
    await export_xlsx(pool, TENANT, id_, EVERYTHING, tmp_path / "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").worksheets[0]
    assert {cell.data_type for row in sheet for cell in row} <= {"s", "n", "inlineStr"}
    assert [sheet.cell(row, 2).value for row in range(2, 6)] == names
    assert sheet["A2"].value == "+358401234560"


@pytest.mark.accepts("NUM-15")
async def test_a_selection_finds_what_it_says(pool: asyncpg.Pool, tmp_path: Path) -> None:
    id_, other = await campaign(pool, "c"), await campaign(pool, "other")
    table = [["phone", "name"], ["0401111111", "Aino 100%"], ["0402222222", "a_b"], ["0403333333", "axb"]]
    for each in (id_, other):
        await take(pool, each, as_csv(tmp_path / "l.csv", table))
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM contacts WHERE campaign_id = $1 ORDER BY id", id_)]
    await pool.execute("UPDATE contacts SET state = 'done' WHERE id = $1", ids[2])

    async def found(selection: Selection) -> list[str]:
        return [row["phone"][-1] for row in await exported(pool, id_, selection)]

    assert await found(Selection(ids=ids[:2])) == ["1", "2"]
    assert await found(Selection(select_all=True, excluded=ids[:1])) == ["2", "3"]
    assert await found(Selection(select_all=True, states=["done"])) == ["3"]
    assert await found(Selection(ids=ids, states=["queued"], excluded=ids[1:])) == ["1"]
    assert await found(Selection(select_all=True, search="0402 222")) == ["2"]
    assert await found(Selection(select_all=True, search="+35840333")) == ["3"]
    assert await found(Selection(select_all=True, search="a_B")) == ["2"]
    assert await found(Selection(select_all=True, search="100%")) == ["1"]
    assert await found(Selection(select_all=True, search="' OR 1=1--")) == []
    assert await found(Selection(select_all=True, created_from=datetime(2999, 1, 1, tzinfo=UTC))) == []
    assert await export_csv(pool, 2, id_, EVERYTHING, io.StringIO()) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"ids": [1], "select_all": True},
        {"select_all": True, "states": ["x' OR 1=1"]},
        {"select_all": True, "search": "a" * 101},
        {"select_all": True, "search": "a\0"},
        {"ids": range(100_001)},
    ],
)
def test_a_selection_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SelectionRefused):
        Selection(**wrong)  # type: ignore[arg-type]
