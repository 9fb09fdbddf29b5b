"""`dialer-admin dnc` as an operator meets it."""

from pathlib import Path

import asyncpg
import pytest

from dialerd import config
from tests.integration.test_admin import CREATE, Admin, runner


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


@pytest.mark.accepts("DNC-01")
async def test_lists_are_kept_by_command(admin: Admin, pool: asyncpg.Pool) -> None:
    await admin(*CREATE)
    added = (await admin("dnc", "add", "040 123 4567", "--prefix", "+358600", "--source", "letter", "--json")).json
    assert added == {"list": "own", "added": ["+358401234567", "+358600…"]}
    await admin("dnc", "add", "0401234567", "--system", "--list", "police")
    await admin("dnc", "add", "0401234567", "--campaign", "Ventas")
    bars = (await admin("dnc", "check", "+358 40 1234567", "--json")).json["bars"]
    assert [(b["scope"], b["list"], b["campaign"], b["source"]) for b in bars] == [
        ("system", "police", None, "operator"),
        ("tenant", "own", None, "letter"),
        ("campaign", "own", "Ventas", "operator"),
    ]
    gone = (await admin("dnc", "remove", "0401234567", "--reason", "wrong person", "--json")).json
    assert gone == {"list": "own", "removed": ["+358401234567"]}
    lists = (await admin("dnc", "list", "--json")).json["lists"]
    assert [(i["name"], i["scope"], i["numbers"], i["prefixes"]) for i in lists] == [
        ("police", "system", 1, 0),
        ("own", "tenant", 0, 1),
        ("own", "campaign", 1, 0),
    ]
    event = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'dnc.removed'")
    assert event["by"].startswith("dialer-admin:") and event["reason"] == "wrong person"


async def test_a_register_is_imported_and_a_campaign_scrubbed(admin: Admin, tmp_path: Path) -> None:
    await admin(*CREATE)
    contacts, register = tmp_path / "contacts.csv", tmp_path / "register.txt"
    contacts.write_text("phone\n0401234567\n0401234568\n")
    register.write_text("+358401234567\n+358401234569\nnobody\n")
    await admin("contacts", "import", str(contacts), "--campaign", "Ventas")
    what = ("dnc", "import", str(register), "--list", "national", "--system", "--as-of", "2020-01-31")
    report = (await admin(*what, "--max-age-days", "30", "--json")).json
    assert (report["rows"], report["numbers"], report["added"]) == (3, 2, 2)
    assert (report["refused"], report["examples"]) == ({"characters": 1}, [[3, "characters", "nobody"]])
    (found,) = (await admin("dnc", "list", "--json")).json["lists"]
    assert (found["source"], found["stale"], found["max_age_days"]) == ("register.txt", True, 30)
    register.write_text("+358401234568\n")
    scrub = ("dnc", "scrub", "--campaign", "Ventas", "--with", f"file:{register}", "--json")
    result = (await admin(*scrub)).json
    assert (result["list"], result["rows"], result["numbers"]) == ("scrub file", 2, 1)
    assert (await admin("dnc", "check", "0401234568", "--json")).json["bars"][0]["kind"] == "scrub"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("add",), 2, "give a NUMBER"),
        (("add", "0401234567", "--system", "--campaign", "x"), 2, "not both"),
        (("add", "0401234567", "--campaign", "nobody"), 3, "no campaign"),
        (("add", "call me"), 1, "characters"),
        (("add", "--prefix", "0600"), 1, "prefix '0600'"),
        (("remove", "0401234567", "--reason", "x", "--list", "none"), 3, "no list 'none'"),
        (("remove", "0401234567"), 2, "--reason"),
        (("import", "/etc/hostname", "--list", "x"), 1, "no number"),
        (("check", "12"), 1, "short"),
    ],
)
async def test_what_cannot_be_done_is_said(admin: Admin, arguments: tuple[str, ...], status: int, says: str) -> None:
    answer = await admin("dnc", *arguments)
    assert answer.status == status and says in answer.err
    assert "Traceback" not in answer.err
