"""The document on one number: complete, honest about its seals, and readable as a PDF."""

import re
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from dialerd import config
from dialerd.store import audit, proof_pdf
from dialerd.store.claim import claim
from dialerd.store.consents import opt_out
from dialerd.store.proof import Proof, proof
from dialerd.store.terms import judged
from tests.integration.test_admin import runner
from tests.integration.test_audit import seal_all, tamper
from tests.integration.test_why import NUMBER, make


async def history(pool: asyncpg.Pool) -> str:
    """A call that was answered, one decision not to call, an opt-out; everything sealed. The attempt's id."""
    async with pool.acquire() as connection:
        campaign = await make(connection)
        await connection.execute("UPDATE campaigns SET name = 'Kevään uusinnat 春' WHERE name = 'c'")
        (taken,) = (
            await claim(connection, campaign, 1, "n", await judged(connection, campaign, datetime.now(UTC)))
        ).taken
        await connection.execute(
            "UPDATE attempts SET state = 'ended', outcome = 'connected', cause = 16, caller_id = '+358931',"
            " answered_at = now(), ended_at = now(), agent_id = (SELECT id FROM agents)"
        )
        await connection.execute(
            "INSERT INTO inputs (tenant_id, attempt_id, digits, node_name) VALUES (1, $1, '9', 'menu')", taken.attempt
        )
        await opt_out(connection, 1, NUMBER, "ivr", UUID(str(taken.attempt)))
        await connection.execute("UPDATE contacts SET state = 'queued'")
        await claim(connection, campaign, 1, "n", await judged(connection, campaign, datetime.now(UTC)))
    await seal_all(pool)
    return str(taken.attempt)


async def of(pool: asyncpg.Pool) -> Proof:
    return await proof(pool, 1, "default", NUMBER, datetime.now(UTC))


async def test_every_call_comes_with_its_window_check_in_the_numbers_zone_and_its_seals(pool: asyncpg.Pool) -> None:
    id_ = await history(pool)
    found = await of(pool)
    (attempt,) = found.attempts
    assert (attempt.id, attempt.facts["caller_id"], attempt.facts["agent"]) == (id_, "+358931", "aino")
    assert attempt.window is not None
    assert list(attempt.window.zones) == ["Europe/Helsinki"]
    assert datetime.fromisoformat(str(attempt.window.open_until)) > attempt.facts["claimed_at"]
    assert (attempt.window.calls_24h, attempt.window.calls_7d, attempt.window.calls_30d) == (0, 0, 0)
    local = datetime.strptime(attempt.local["Europe/Helsinki"], "%a %Y-%m-%d %H:%M:%S %z")
    assert abs(local - attempt.facts["claimed_at"]) < timedelta(seconds=1)
    assert local.utcoffset() in (timedelta(hours=2), timedelta(hours=3))
    assert [i["digits"] for i in attempt.inputs] == ["9"]
    assert [(e.kind, e.detail["rule"]) for e in found.not_called] == [("not_dialed", "dnc")]
    assert [(bar.list, bar.source) for bar in found.dnc] == [("opt-outs", "ivr")]
    assert [(c["kind"], str(c["attempt_id"])) for c in found.consents] == [("opt_out", id_)]
    assert found.seals == {"sealed": 2, "erased": 0, "not_sealed_yet": 0, "changed": 0}
    assert found.head == str((await audit.heads(pool))[0])


async def test_an_event_that_was_changed_is_marked(pool: asyncpg.Pool) -> None:
    await history(pool)
    await tamper(
        pool, "call_events", "UPDATE call_events SET detail = detail || '{\"calls_24h\": 1}' WHERE kind = 'claimed'"
    )
    found = await of(pool)
    assert [event.seal for event in found.attempts[0].events] == ["changed"]
    await pool.execute(
        "INSERT INTO call_events (tenant_id, attempt_id, at, kind) SELECT 1, id, now(), 'late' FROM attempts"
    )
    assert (await of(pool)).seals == {"sealed": 1, "erased": 0, "not_sealed_yet": 1, "changed": 1}


async def test_another_tenants_calls_are_not_in_it(
    pool: asyncpg.Pool, tmp_path: Path, database: config.Postgres
) -> None:
    await history(pool)
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    admin = runner(tmp_path / "etc", database)
    assert len((await admin("proof", NUMBER, "--json")).json["attempts"]) == 1
    found = (await admin("--tenant", "other", "proof", NUMBER, "--json")).json
    assert (found["attempts"], found["not_called"], found["dnc"], found["consents"]) == ([], [], [], [])


async def test_the_pdf_has_sections_page_numbers_and_all_letters(
    pool: asyncpg.Pool, tmp_path: Path, database: config.Postgres
) -> None:
    await history(pool)
    admin = runner(tmp_path / "etc", database)
    file = tmp_path / "proof.pdf"
    done = await admin("proof", NUMBER, "--pdf", str(file))
    assert (done.status, done.err.strip()) == (0, f"written to {file}")
    data = file.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Title (") >= 6 or data.count(b"/Title") >= 6
    assert (await admin("proof", NUMBER, "--pdf", str(tmp_path / "nowhere" / "x.pdf"))).status == 1


async def test_without_fonts_the_pdf_replaces_unknown_letters_and_says_so(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await history(pool)
    file = tmp_path / "proof.pdf"
    proof_pdf.write(await of(pool), file, fonts=tmp_path)
    streams = re.findall(rb"stream\r?\n(.*?)endstream", file.read_bytes(), re.DOTALL)
    text = b"".join(zlib.decompressobj().decompress(stream) for stream in streams if stream[:1] == b"x")
    assert b"no DejaVu fonts" in text
    assert "Kevään uusinnat ?".encode("cp1252") in text
