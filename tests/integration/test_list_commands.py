"""Lists at the terminal: the older dialer's files, contacts by hand, and the preview's look at the database."""

import json
from pathlib import Path

import asyncpg
import pytest

from dialerd import config
from dialerd.core.jsonrows import json_rows
from dialerd.core.textrows import FileRefused
from tests.integration.test_admin import Admin, runner
from tests.integration.test_settings import campaign

ON = ("--campaign", "Alpha")


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


@pytest.mark.accepts("NUM-20", "NUM-03")
@pytest.mark.parametrize(
    "content",
    [
        ["0401000001", "0401000002", "112", "0401000001"],
        [{"number": "0401000001", "name": "Aino"}, {"phone": "0401000002"}, {"number": "112"}, {"phone": "0401000001"}],
        [{"number": 401000001, "city": {"of": "Espoo"}}, "0401000002", {"phone": "112"}, "0401000001"],
    ],
    ids=["texts", "objects", "both"],
)
async def test_the_older_dialers_numbers_are_imported(
    admin: Admin, pool: asyncpg.Pool, tmp_path: Path, content: list[object]
) -> None:
    await campaign(pool, "Alpha")
    file = tmp_path / "numbers.json"
    file.write_text(json.dumps(content))
    result = (await admin("contacts", "import", str(file), *ON, "--json")).json
    assert (result["rows"], result["imported"]) == (4, 2)
    assert [(each["row"], each["reason"]) for each in result["remarks"]] == [(3, "emergency"), (4, "duplicate_in_file")]
    numbers = await pool.fetch("SELECT e164 FROM numbers ORDER BY id")
    assert [row["e164"] for row in numbers] == ["+358401000001", "+358401000002"]
    lists = (await admin("contacts", "lists", *ON, "--json")).json["lists"]
    assert [(each["name"], each["contacts"], each["open"]) for each in lists] == [("numbers.json", 2, 2)]


@pytest.mark.accepts("DNC-02")
async def test_the_list_is_kept_at_the_terminal_and_the_older_file_is_imported(
    admin: Admin, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    file = tmp_path / "dnc.json"
    file.write_text(json.dumps(["0401000001", {"phone": "+358401000002", "reason": "asked"}, "call me"]))
    result = (await admin("dnc", "import", str(file), "--list", "older", "--json")).json
    assert (result["rows"], result["numbers"], result["refused"]) == (3, 2, {"characters": 1})
    assert (await admin("dnc", "add", "0401000003", "--json")).json["added"] == ["+358401000003"]
    for number, name in (("0401000001", "older"), ("0401000002", "older"), ("0401000003", "own")):
        assert [bar["list"] for bar in (await admin("dnc", "check", number, "--json")).json["bars"]] == [name]
    gone = (await admin("dnc", "remove", "0401000003", "--reason", "consent", "--json")).json
    assert gone["removed"] == ["+358401000003"]
    assert (await admin("dnc", "check", "0401000003", "--json")).json["bars"] == []


@pytest.mark.parametrize("content", [b"[", b"[1,", b'["\xff"]', b"[[1]]", b'{"a": 1}', b"[" * 10_000])
def test_what_is_no_list_of_numbers_is_refused(content: bytes) -> None:
    with pytest.raises(FileRefused):
        list(json_rows(content))


@pytest.mark.accepts("NUM-21", "NUM-18")
async def test_numbers_are_typed_in_at_the_terminal(admin: Admin, pool: asyncpg.Pool) -> None:
    await campaign(pool, "Alpha")
    made = (await admin("contacts", "add", "040 100 0001", "0401000002", *ON, "--json")).json
    assert (made["imported"], made["contacts"], made["remarks"]) == (2, 2, [])
    one = ("contacts", "add", "0401000003", "0401000004", *ON, "--name", "Aino", "--priority", "7")
    assert (await admin(*one, "--external-id", "C-1", "--json")).json["numbers"] == 2
    row = await pool.fetchrow("SELECT name, priority, external_id FROM contacts ORDER BY id DESC LIMIT 1")
    assert tuple(row) == ("Aino", 7, "C-1")
    again = await admin("contacts", "add", "0401000001", "112", *ON)
    assert again.status == 1
    assert "duplicate_in_campaign" in again.err and "emergency" in again.err


async def test_a_preview_tells_duplicates_and_listed_numbers_and_changes_nothing(
    admin: Admin, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    await campaign(pool, "Alpha")
    await campaign(pool, "Beta")
    await admin("contacts", "add", "0401000001", *ON)
    await admin("contacts", "add", "0401000005", "--campaign", "Beta")
    await admin("dnc", "add", "0401000002")
    file = tmp_path / "f.csv"
    file.write_text("0401000001\n0401000002\n0401000003\n0401000003\n0401000005\n")
    command = ("contacts", "import", str(file), *ON, "--preview")
    shown = (await admin(*command, "--json")).json
    assert [(each["row"], each["reason"], each["effect"]) for each in shown["remarks"]] == [
        (1, "duplicate_in_campaign", "row_refused"),
        (2, "dnc", "kept"),
        (4, "duplicate_in_file", "row_refused"),
    ]
    assert [each["row"] for each in shown["contacts"]] == [2, 3, 5]
    assert "duplicate_in_campaign" in (await admin(*command)).out
    strict = (await admin(*command, "--skip-known-anywhere", "--json")).json
    assert strict["remarks"][-1]["reason"] == "duplicate_in_tenant"
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 2


async def test_a_list_has_the_name_that_it_is_given(admin: Admin, pool: asyncpg.Pool, tmp_path: Path) -> None:
    await campaign(pool, "Alpha")
    (tmp_path / "f.csv").write_text("0401000001\n")
    await admin("contacts", "import", str(tmp_path / "f.csv"), *ON, "--list", "spring")
    assert await pool.fetchval("SELECT name FROM lists") == "spring"
