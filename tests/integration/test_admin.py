"""`dialer-admin` as an operator meets it: what it prints, what it answers, what it leaves in the database."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


Admin = Callable[..., Awaitable[Answer]]


def runner(folder: Path, postgres: config.Postgres) -> Admin:
    """`dialer-admin` with a configuration of its own in `folder`."""
    assert postgres.password is not None
    (folder / "conf.d").mkdir(parents=True)
    (folder / "dialerd.toml").write_text("[trunks.trunk-out]\nendpoint = 'trunk-out'\n")
    secrets = folder / "conf.d" / "secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text(
        f"[ami]\nsecret = 'a'\n[ari]\npassword = 'b'\n[web]\ntoken = 'c'\n"
        f"[postgres]\ndsn = '{postgres.dsn}'\npassword = '{postgres.password.get_secret_value()}'\n"
    )

    async def run(*arguments: str) -> Answer:
        argv = [sys.executable, "-c", "from dialerd.cli.main import main; main()"]
        argv += ["--config", str(folder / "dialerd.toml"), *arguments]
        done = await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, cwd=ROOT, timeout=60, stdin=subprocess.DEVNULL
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


CREATE = ("campaign", "create", "Ventas", "--queue", "sales", "--trunk", "trunk-out")


@pytest.mark.accepts("PAC-05")
async def test_a_campaigns_life_from_draft_to_stopped(admin: Admin, pool: asyncpg.Pool) -> None:
    made = (await admin(*CREATE, "--caller-id", "040 123 4567", "--json")).json
    assert (made["state"], made["dial_mode"], made["caller_id"]) == ("draft", "progressive", "+358401234567")
    assert (made["max_retries"], made["retry_delay_seconds"], made["windows"]) == (3, 300, ["mon-sat 09:00-20:00"])
    states = [(await admin("campaign", word, "Ventas", "--json")).json["state"] for word in ("start", "pause", "start")]
    assert states == ["active", "paused", "active"]
    assert (await admin("campaign", "stop", str(made["id"]), "--json")).json["state"] == "stopped"
    assert [c["state"] for c in (await admin("campaign", "list", "--json")).json["campaigns"]] == ["stopped"]
    events = await pool.fetch("SELECT kind, detail FROM call_events WHERE campaign_id = $1 ORDER BY id", made["id"])
    assert [e["kind"].removeprefix("campaign.") for e in events] == [
        "created",
        "started",
        "paused",
        "started",
        "stopped",
    ]
    assert all(e["detail"]["by"].startswith("dialer-admin:") for e in events)
    assert {k: events[1]["detail"][k] for k in ("from", "to")} == {"from": "draft", "to": "active"}


async def test_windows_are_kept_to_the_minute_and_to_midnight(admin: Admin) -> None:
    texts = ["mon-fri 09:00-18:30", "sat 20:00-24:00"]
    made = (await admin(*CREATE, "--window", texts[0], "--window", texts[1], "--json")).json
    assert made["windows"] == texts
    assert (await admin(*CREATE[:2], "Any", *CREATE[3:], "--window", "always", "--json")).json["windows"] == [
        "mon-sun 00:00-24:00"
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((*CREATE, "--mode", "loud"), 1, "dial_mode: one of preview, progressive, predictive, power"),
        ((*CREATE, "--window", "mon 22:00-02:00"), 1, "write two windows"),
        ((*CREATE, "--ring-timeout", "4"), 1, "ring_timeout_seconds: 5 to 120"),
        ((*CREATE, "--ring-timeout", "x"), 2, "not a valid integer"),
        (("campaign", "create", "x"), 2, "Missing option"),
        (("campaign", "show", "nobody"), 3, "no campaign 'nobody'"),
        (("campaign", "start", "99999999999999999999"), 3, "no campaign"),
        (("--tenant", "x'; DROP TABLE tenants", "campaign", "list"), 3, "no tenant"),
        (("call", "show", "00000000-0000-0000-0000-000000000000"), 3, "no call"),
        (("status", "--url", "http://127.0.0.1:1"), 4, "127.0.0.1:1"),
        (("call", "show", "x"), 2, "not a valid UUID"),
        (("contacts", "import", "/nonexistent", "--campaign", "c"), 2, "does not exist"),
        (("agent", "add", "a b", "--queue", "q"), 1, "name 'a b'"),
        (("agent", "add", "ab", "--queue", "q", "--phone", "call me"), 1, "phone: 3 to 15 digits"),
        (("callerid", "add", "555&x"), 1, "characters"),
        (("--config", "/nonexistent/dialerd.toml", "db", "migrate"), 1, "dialer-admin setup"),
    ],
)
async def test_a_refusal_has_its_words_on_stderr_and_its_status(
    admin: Admin, arguments: tuple[str, ...], status: int, says: str
) -> None:
    answer = await admin(*arguments, "--json")
    assert (answer.status, answer.out) == (status, "")
    assert says in answer.err
    assert "Traceback" not in answer.err


async def test_illegal_changes_and_campaigns_that_cannot_dial_are_refused(admin: Admin, pool: asyncpg.Pool) -> None:
    await admin(*CREATE)
    answer = await admin("campaign", "pause", "Ventas")
    assert (answer.status, "draft cannot pause" in answer.err) == (1, True)
    await pool.execute("DELETE FROM campaign_windows")
    await pool.execute("UPDATE campaigns SET trunk = 'elsewhere'")
    answer = await admin("campaign", "start", "Ventas")
    assert answer.status == 1
    assert "windows: there is none" in answer.err
    assert "'elsewhere' is unknown; known: trunk-out" in answer.err
    await pool.execute("INSERT INTO trunks (name, node, max_calls, active) VALUES ('elsewhere', 'n', 1, false)")
    assert "switched off" in (await admin("campaign", "start", "Ventas")).err
    assert await pool.fetchval("SELECT state FROM campaigns") == "draft"


async def test_two_campaigns_cannot_share_a_name(admin: Admin) -> None:
    assert (await admin(*CREATE)).status == 0
    answer = await admin(*CREATE)
    assert (answer.status, "already" in answer.err) == (1, True)


async def test_an_import_prints_its_result_and_writes_its_remarks(admin: Admin, tmp_path: Path) -> None:
    await admin(*CREATE)
    file, report = tmp_path / "f.csv", tmp_path / "report.csv"
    file.write_text("phone,name\n0401234567,Aino\n=CMD(),x\n")
    arguments = ("contacts", "import", str(file), "--campaign", "Ventas", "--report", str(report))
    result = (await admin(*arguments, "--json")).json
    remark = {"row": 3, "column": "phone", "value": "=CMD()", "reason": "characters", "effect": "row_refused"}
    assert result == {
        "rows": 2,
        "imported": 1,
        "contacts": 1,
        "numbers": 1,
        "refused": {"characters": 1},
        "unknown_zone": 0,
        "unknown_postcode": 0,
        "dnc": 0,
        "remarks": [remark],
        "remarks_left_out": 0,
    }
    assert report.read_text() == "row,column,value,reason,effect\n3,phone,'=CMD(),characters,row_refused\n"
    again = await admin(*arguments)
    assert (again.status, "duplicate_in_campaign 1" in again.out) == (0, True)
    assert "row 3 phone: characters '=CMD()' (row refused)" in again.err


async def test_a_preview_shows_the_mapping_and_changes_nothing(admin: Admin, tmp_path: Path) -> None:
    await admin(*CREATE)
    file = tmp_path / "f.csv"
    file.write_text("Soita;Kuka;Postinumero\n0401234567;Aino;00100\n112;x;\n")
    arguments = ("contacts", "import", str(file), "--campaign", "Ventas", "--map", "phone=Soita", "--map", "name=kuka")
    shown = (await admin(*arguments, "--preview", "--json")).json
    assert [each["field"] for each in shown["columns"]] == ["phone", "name", "custom"]
    assert shown["contacts"][0]["numbers"][0]["e164"] == "+358401234567"
    assert [each["reason"] for each in shown["remarks"]] == ["emergency"]
    assert "row refused: emergency" in (await admin(*arguments, "--preview")).out
    result = (await admin(*arguments, "--json")).json
    assert (result["imported"], result["contacts"], result["refused"]) == (1, 1, {"emergency": 1})
    assert (await admin(*arguments[:5], "--map", "phone")).status == 2


async def test_an_export_writes_a_file_in_the_format_of_its_name(admin: Admin, tmp_path: Path) -> None:
    await admin(*CREATE)
    (tmp_path / "f.csv").write_text("phone,name\n0401234567,Aino\n0401234568,=x\n")
    await admin("contacts", "import", str(tmp_path / "f.csv"), "--campaign", "Ventas")
    for name in ("out.csv", "out.xlsx"):
        arguments = ("contacts", "export", str(tmp_path / name), "--campaign", "Ventas", "--search", "040 1234568")
        assert (await admin(*arguments, "--json")).json == {"file": str(tmp_path / name), "rows": 1}
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("+358401234568,'=x,")
    assert (tmp_path / "out.xlsx").read_bytes().startswith(b"PK")


async def test_agents_and_caller_ids_are_added_once(admin: Admin) -> None:
    agent = (await admin("agent", "add", "aino", "--queue", "sales", "--queue", "help", "--json")).json
    assert (agent["endpoint"], agent["queues"], agent["state"]) == ("aino", ["help", "sales"], "offline")
    twice = await admin("agent", "add", "other", "--endpoint", "aino", "--queue", "q")
    assert (twice.status, "endpoint 'aino' belongs to another" in twice.err) == (1, True)
    assert [a["name"] for a in (await admin("agent", "list", "--json")).json["agents"]] == ["aino"]
    (entry,) = (await admin("callerid", "add", "0401234567", "--carrier", "x", "--json")).json["caller_ids"]
    assert (entry["e164"], entry["daily_limit"], entry["hourly_limit"]) == ("+358401234567", 1000, 100)
    assert (await admin("callerid", "add", "+358 40 1234567")).status == 1
    assert (await admin("callerid", "add", "0401234568", "0401234567")).status == 1
    assert len((await admin("callerid", "list", "--json")).json["caller_ids"]) == 1
    assert (await admin("callerid", "add", "0401234568", "0401234569")).status == 0
    assert len((await admin("callerid", "list", "--json")).json["caller_ids"]) == 3


async def test_a_call_is_shown_with_all_that_was_learned(admin: Admin, pool: asyncpg.Pool, tmp_path: Path) -> None:
    id_ = (await admin(*CREATE, "--json")).json["id"]
    (tmp_path / "f.csv").write_text("0401234567\n")
    await admin("contacts", "import", str(tmp_path / "f.csv"), "--campaign", "Ventas")
    call = "01890000-0000-7000-8000-000000000001"
    await pool.execute(
        """INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk)
           SELECT $1, 1, $2, contact_id, id, e164, 'n', 't' FROM numbers""",
        call,
        id_,
    )
    await pool.execute(
        "INSERT INTO call_events (tenant_id, attempt_id, at, kind, detail) VALUES (1, $1, now(), 'ringing', $2)",
        call,
        {"name": "\x1b]0;title\x07"},
    )
    shown = (await admin("call", "show", call, "--json")).json
    assert (shown["id"], shown["state"], shown["events"][0]["kind"]) == (call, "claimed", "ringing")
    human = await admin("call", "show", call)
    assert human.status == 0 and "ringing" in human.out and "\x1b" not in human.out


async def test_tables_are_plain_without_a_terminal_and_cannot_be_driven_by_names(
    admin: Admin, pool: asyncpg.Pool
) -> None:
    await admin("campaign", "create", "[red]x[/red]", *CREATE[3:])
    await pool.execute("UPDATE campaigns SET description = $1", "\x1b]0;title\x07")
    answer = await admin("campaign", "list")
    assert answer.out.split()[:3] == ["ID", "NAME", "STATE"]
    assert "[red]x[/red]" in answer.out
    assert "\x1b" not in (await admin("campaign", "show", "[red]x[/red]")).out


async def test_trunks_of_daemons_and_of_the_file_are_listed(admin: Admin, pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('seen', 'n1', 5)")
    found = (await admin("trunk", "list", "--json")).json
    assert [t["name"] for t in found["trunks"]] == ["seen"]
    assert found["not_yet_declared"] == ["trunk-out"]


async def test_migrating_twice_and_working_before_it(tmp_path: Path, empty_database: config.Postgres) -> None:
    admin = runner(tmp_path / "etc", empty_database)
    early = await admin("campaign", "list")
    assert (early.status, "dialer-admin db migrate" in early.err) == (1, True)
    assert (await admin("db", "migrate", "--json")).json["applied"][0] == "0001_base"
    assert (await admin("db", "migrate", "--json")).json == {"applied": []}
    assert (await admin("campaign", "list", "--json")).json == {"campaigns": []}


async def test_a_newer_schema_is_refused_by_the_command(admin: Admin, pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    answer = await admin("db", "migrate")
    assert (answer.status, "schema version 9999" in answer.err) == (1, True)


async def test_an_unreachable_database_has_a_status_of_its_own(tmp_path: Path, database: config.Postgres) -> None:
    nowhere = database.model_copy(update={"dsn": "postgresql://dialerd@127.0.0.1:1/x"})
    answer = await runner(tmp_path / "etc", nowhere)("campaign", "list", "--json")
    assert (answer.status, answer.out) == (4, "")
    assert "127.0.0.1:1" in answer.err
