"""A campaign's settings from `dialer-admin` to the queue: made, changed, audited, applied."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.core.campaign import CampaignRefused, Draft
from dialerd.core.contactfile import contacts
from dialerd.store import campaigns
from dialerd.store.contacts import import_contacts
from dialerd.store.errors import Refused
from dialerd.store.pool import connect
from dialerd.store.queue import promote
from dialerd.store.settings import change
from tests import speech
from tests.integration.test_admin import Admin, runner
from tests.terms import add_contacts

CREATE = ("campaign", "create", "Alpha", "--queue", "q", "--trunk", "trunk-out")
ZONE = ["Europe/Helsinki"]


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


async def campaign(pool: asyncpg.Pool, name: str = "c", **settings: Any) -> int:
    draft = Draft(name=name, dial_mode="progressive", queue_name="q", trunk="t", **settings)
    return (await campaigns.create(pool, 1, draft, "test")).id


async def states(pool: asyncpg.Pool, campaign_id: int) -> dict[str, str]:
    """Name → state."""
    rows = await pool.fetch("SELECT name, state FROM contacts WHERE campaign_id = $1", campaign_id)
    return {row["name"]: row["state"] for row in rows}


@pytest.mark.accepts("PAC-05")
async def test_every_setting_is_made_read_and_changed_by_command(admin: Admin, pool: asyncpg.Pool) -> None:
    rules = ("--retry", "busy=5x60s", "--retry", "no_answer=3x1h*2/next", "--limit", "3/24h/tenant")
    made = (await admin(*CREATE, *rules, "--filter", "attempts < 3", "--order-by", "random", "--json")).json
    assert made["retry_rules"] == ["busy=5x1m", "no_answer=3x1h*2/next"]
    assert (made["limits"], made["filter"], made["order_by"]) == (["3/24h/tenant/number"], "attempts < 3", "random")
    assert (made["abandon_lockout_seconds"], made["callback_patience_seconds"]) == (259_200, 1_800)
    wanted = {
        "name": "Beta",
        "queue_name": "r",
        "trunk": "u",
        "dial_mode": "preview",
        "description": "d",
        "max_retries": 7,
        "retry_delay_seconds": 60,
        "pacing_ratio": 2.5,
        "serial_interval_seconds": 4.5,
        "weight": 3,
        "max_concurrent_calls": 9,
        "ring_timeout_seconds": 20,
        "wrap_up_seconds": 5,
        "machine_detection": "drop",
        "purpose": "debt",
        "abandon_lockout_seconds": 60,
        "callback_patience_seconds": 61,
        "order_by": "oldest",
        "filter": "",
        "caller_id": "+358401234567",
        "recording": "share",
        "recording_share": 0.25,
        "recording_announcement": "told",
        "recording_days": 90,
    }
    options = {"queue_name": "queue", "dial_mode": "mode"}
    arguments = [
        text
        for name, value in wanted.items()
        for text in ("--" + options.get(name, name.removesuffix("_seconds")).replace("_", "-"), str(value))
    ]
    none = ("--retry", "none", "--limit", "none")
    assert (made["serial_interval_seconds"], made["weight"], made["effective_ratio"]) == (None, 1, 1.0)
    changed = (await admin("campaign", "update", "Alpha", *arguments, *none, "--json")).json
    assert {name: changed[name] for name in wanted} == wanted
    assert (changed["retry_rules"], changed["limits"]) == ([], [])
    detail = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'campaign.changed'")
    assert set(detail["changed"]) == {*wanted, "retry_rules", "limits"}
    assert detail["changed"]["max_retries"] == {"from": 3, "to": 7}
    assert detail["by"].startswith("dialer-admin:")
    assert await pool.fetchval("SELECT version FROM campaigns") == 2


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--retry", "busy=5", "is no retry rule: OUTCOME=TIMESxDELAY"),
        ("--retry", "unknown=1x1h", "not for a campaign to decide"),
        ("--limit", "3", "is no limit: CALLS/PERIOD"),
        ("--filter", "attempts < many", "filter, column 12: a whole number"),
        ("--abandon-lockout", "-1", "abandon_lockout_seconds: 0 to"),
        ("--serial-interval", "-1", "serial_interval_seconds: 0 to 86400"),
        ("--weight", "0", "weight: 1 to 1000"),
        ("--recording-share", "1.5", "recording_share: 0 to 1"),
        ("--recording-announcement", "../../etc/passwd", "recording_announcement: a sound file as Asterisk names it"),
        ("--recording-days", "0", "recording_days: 1 to"),
        ("--callback-patience", "99999999", "callback_patience_seconds: 0 to"),
    ],
)
async def test_a_wrong_setting_is_refused_and_nothing_changes(
    admin: Admin, pool: asyncpg.Pool, option: str, value: str, says: str
) -> None:
    await campaign(pool, "Alpha")
    for command in ((*CREATE[:2], "Beta", *CREATE[3:]), ("campaign", "update", "Alpha", "--description", "new")):
        answer = await admin(*command, option, value)
        assert (answer.status, says in answer.err) == (1, True), answer.err
    assert await pool.fetchval("SELECT count(*) FROM campaigns WHERE version = 1") == 1


async def test_a_new_filter_holds_and_frees_contacts(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    for name, number, attempts in (("fresh", "+358401000001", 0), ("old", "+358401000002", 5)):
        await add_contacts(pool, id_, [number], ZONE, name=name, attempts=attempts)
    await add_contacts(pool, id_, ["+358401000003"], ZONE, name="over", attempts=0, state="done")
    await change(pool, 1, id_, {"filter": "attempts < 3"}, "test")
    assert await states(pool, id_) == {"fresh": "queued", "old": "held", "over": "done"}
    assert (await campaigns.get(pool, 1, id_)).held == 1
    await change(pool, 1, id_, {"filter": "attempts >= 3"}, "test")
    assert await states(pool, id_) == {"fresh": "held", "old": "queued", "over": "done"}
    await change(pool, 1, id_, {"filter": ""}, "test")
    assert await states(pool, id_) == {"fresh": "queued", "old": "queued", "over": "done"}


async def test_an_import_into_a_filtered_campaign_waits_for_the_filter(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, filter='custom.city = "Espoo" and zone = Europe/Helsinki')
    text = "phone,name,city\n0401000001,near,Espoo\n0401000002,far,Vaasa\n"
    await import_contacts(pool, 1, id_, contacts([text], "FI"), "test")
    assert set((await states(pool, id_)).values()) == {"waiting"}
    assert await promote(pool, id_) == 1
    assert await states(pool, id_) == {"near": "queued", "far": "held"}


async def test_an_agreed_callback_is_never_held(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, filter="attempts < 1")
    await add_contacts(pool, id_, ["+358401000001"], ZONE, name="agreed", attempts=4, state="waiting")
    await pool.execute("UPDATE contacts SET callback_at = now()")
    assert await promote(pool, id_) == 1
    await change(pool, 1, id_, {"filter": "attempts < 2"}, "test")
    assert await states(pool, id_) == {"agreed": "queued"}


async def test_nobody_enters_the_queue_while_its_filter_is_being_changed(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await add_contacts(pool, id_, ["+358401000001"], ZONE, name="due", state="waiting")
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('dialerd.filter', $1))", id_)
        assert await promote(pool, id_) == 0
    assert await states(pool, id_) == {"due": "waiting"}
    assert await promote(pool, id_) == 1


async def test_a_filter_is_not_changed_under_an_import(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('dialerd.import', $1))", id_)
        with pytest.raises(Refused, match="being imported"):
            await change(pool, 1, id_, {"filter": "attempts < 3"}, "test")
    assert (await campaigns.get(pool, 1, id_)).filter == ""


async def test_a_filter_that_cannot_be_read_lets_nobody_through(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await add_contacts(pool, id_, ["+358401000001"], ZONE, name="due", state="waiting")
    await pool.execute("UPDATE campaigns SET filter = 'mood = good'")
    assert await promote(pool, id_) == 0
    assert await states(pool, id_) == {"due": "held"}


async def test_a_new_order_sorts_the_queue(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    for name, number, attempts in (("first", "+358401000001", 3), ("second", "+358401000002", 0)):
        await add_contacts(pool, id_, [number], ZONE, name=name, attempts=attempts)
    order = "SELECT string_agg(name, ' ' ORDER BY rank, id) FROM contacts"
    assert await pool.fetchval(order) == "first second"
    await change(pool, 1, id_, {"order_by": "fewest_attempts"}, "test")
    assert await pool.fetchval(order) == "second first"


async def test_another_tenants_campaign_is_not_changed(pool: asyncpg.Pool, database: config.Postgres) -> None:
    id_ = await campaign(pool)
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    theirs = await connect(database, "tests", other)
    try:
        for tenant_id, through in ((other, pool), (1, theirs), (other, theirs)):
            with pytest.raises(LookupError):
                await change(through, tenant_id, id_, {"max_retries": 9}, "test")
    finally:
        theirs.terminate()


async def test_a_setting_that_does_not_exist_is_refused(pool: asyncpg.Pool) -> None:
    with pytest.raises(CampaignRefused, match="state: no setting"):
        await change(pool, 1, await campaign(pool), {"state": "active"}, "test")


@pytest.mark.accepts("PAC-01")
async def test_the_ratio_that_is_shown_is_the_one_that_the_mode_dials(admin: Admin) -> None:
    for mode, ratio, shown in (("progressive", "4", 1.0), ("predictive", "2.5", 2.5), ("power", "4", 4.0)):
        made = (await admin(*CREATE[:2], mode, *CREATE[3:], "--mode", mode, "--pacing-ratio", ratio, "--json")).json
        assert (made["pacing_ratio"], made["effective_ratio"]) == (float(ratio), shown)
    refused = await admin("campaign", "update", "power", "--pacing-ratio", "0.5")
    assert (refused.status, "pacing_ratio: 1 to 10" in refused.err) == (1, True)


@pytest.mark.accepts("PAC-03")
async def test_the_pause_between_calls_comes_from_the_option_else_from_the_environment(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIAL_INTERVAL_SECONDS", "7.5")
    for name, given, is_set in (("A", (), 7.5), ("B", ("--serial-interval", "0"), 0.0),
                                ("C", ("--serial-interval", "none"), None)):  # fmt: skip
        made = (await admin(*CREATE[:2], name, *CREATE[3:], *given, "--json")).json
        assert made["serial_interval_seconds"] == is_set
    off = (await admin("campaign", "update", "A", "--serial-interval", "none", "--json")).json
    assert off["serial_interval_seconds"] is None, "a change does not ask the environment"
    assert (await admin("campaign", "update", "A", "--serial-interval", "often")).status == 2
    monkeypatch.setenv("DIAL_INTERVAL_SECONDS", "often")
    broken = await admin(*CREATE[:2], "D", *CREATE[3:])
    assert (broken.status, "DIAL_INTERVAL_SECONDS" in broken.err) == (1, True)


async def test_calls_ring_as_long_as_the_legal_profile_wants(admin: Admin, pool: asyncpg.Pool) -> None:
    says = "ring_timeout_seconds: the legal profile US-FED wants 24 s of ringing before a call is given up, not 20"
    with pytest.raises(CampaignRefused, match=says):
        await campaign(pool, legal_profile="US-FED", ring_timeout_seconds=20)
    id_ = await campaign(pool, ring_timeout_seconds=20)
    with pytest.raises(CampaignRefused, match=says):
        await change(pool, 1, id_, {"legal_profile": "US-FED"}, "test")
    await change(pool, 1, id_, {"legal_profile": "US-FED", "ring_timeout_seconds": 24}, "test")
    short = await admin("campaign", "update", "c", "--ring-timeout", "20")
    assert (short.status, says in short.err) == (1, True)
    # A campaign that was made so before this was asked: it may be changed otherwise, but not started.
    await pool.execute("UPDATE campaigns SET ring_timeout_seconds = 20")
    await change(pool, 1, id_, {"description": "new"}, "test")
    with pytest.raises(CampaignRefused, match=says):
        await campaigns.change(pool, 1, id_, "start", "test", ["t"])


async def test_a_flow_is_named_by_a_campaign_that_can_run_it_and_by_no_other(
    tmp_path: Path, database: config.Postgres, pool: asyncpg.Pool
) -> None:
    admin = runner(tmp_path / "etc", database)
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "bye.toml").write_text('[nodes.bye]\ntype = "hangup"\n')
    (folder / "bad.toml").write_text('[nodes.bye]\ntype = "goto"\nnext = "nowhere"\n')
    main = tmp_path / "etc" / "dialerd.toml"
    main.write_text(f'{main.read_text()}\n[flows]\nfolder = "{folder}"\n')
    create = ("campaign", "create", "Alpha", "--trunk", "trunk-out")
    for options, says in (
        (("--flow", "bye"), "dialled in mode power, not progressive"),
        (("--flow", "bad", "--mode", "power"), "bad.toml: node 'bye': next leads to 'nowhere': there is no such node"),
        (("--flow", "../etc/passwd", "--mode", "power"), "a flow's name is"),
        (("--flow", "bye", "--mode", "power", "--broadcast", "demo-thanks"), "a flow or a broadcast, not both"),
    ):
        answer = await admin(*create, *options)
        assert (answer.status, says in answer.err) == (1, True), answer.err
    made = (await admin(*create, "--flow", "bye", "--mode", "power", "--json")).json
    assert (made["flow"], made["queue_name"]) == ("bye", "no-queue")
    changed = (await admin("campaign", "update", "Alpha", "--flow", "none", "--queue", "q", "--json")).json
    assert changed["flow"] is None
    machines = ("campaign", "update", "Alpha", "--machine-detection", "flow", "--machine-flow")
    for name, says in (
        ("bad", "next leads to 'nowhere'"),
        ("../etc/passwd", "a flow's name is"),
        ("none", "wants the"),
    ):
        answer = await admin(*machines, name)
        assert (answer.status, says in answer.err) == (1, True), answer.err
    changed = (await admin(*machines, "bye", "--machine-check", "0.2", "--json")).json
    assert (changed["machine_flow"], changed["machine_check"]) == ("bye", 0.2)
    listed = (await admin("flow", "list", "--json")).json["flows"]
    assert [(row["name"], row["agents"], row["problem"][:10]) for row in listed] == [
        ("bad", None, "node 'bye'"), ("bye", False, "")
    ]  # fmt: skip
    checked = await admin("flow", "check", "--json")
    said = json.loads(checked.out)
    assert (checked.status, said["checked"]) == (1, ["bye"])
    assert said["problems"][0]["node"] == "bye" and "bad.toml" in said["problems"][0]["file"]


async def test_a_campaign_that_names_its_seller_has_the_message_spoken_when_it_is_made_and_changed(
    admin: Admin, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts"
    with (tmp_path / "etc/dialerd.toml").open("a") as file:
        file.write(f"[flows]\nprompts = '{prompts}'\ntts_command = {speech.command(tmp_path)}\n")
    seller = ("--seller-name", "Acme Oy", "--seller-number", "+358401100000", "--message-language", "fi")
    made = (await admin(*CREATE, *seller, "--returned", "agents", "--json")).json
    assert (made["seller_name"], made["opt_out_key"], made["returned"]) == ("Acme Oy", "2", "agents")
    [first] = prompts.glob("*.wav")
    said = (await admin("campaign", "message", "Alpha", "--json")).json
    assert said["file"] == str(first) and said["text"].startswith("Teille soitti Acme Oy.")
    changed = (await admin("campaign", "update", "Alpha", "--opt-out-key", "9", "--json")).json
    assert changed["opt_out_key"] == "9" and len(list(prompts.glob("*.wav"))) == 2
    refused = await admin("campaign", "update", "Alpha", "--opt-out-key", "99")
    assert refused.status == 1 and "opt_out_key: one key of a phone" in refused.err
    refused = await admin("campaign", "update", "Alpha", "--seller-name", "none")
    assert refused.status == 1 and "seller_number: is said together with a seller_name" in refused.err
    none = ("--seller-name", "none", "--seller-number", "none", "--returned", "message")
    plain = (await admin("campaign", "update", "Alpha", *none, "--json")).json
    assert (plain["seller_name"], plain["returned"]) == (None, "message")
    assert (await admin("campaign", "message", "Alpha", "--json")).json == {"text": None, "file": None}
    (tmp_path / "tone.py").write_text("raise SystemExit('no voice')")
    refused = await admin("campaign", "create", "Beta", *CREATE[3:], *seller, "--opt-out-key", "7")
    assert refused.status == 1 and "could not be spoken" in refused.err
    assert await pool.fetchval("SELECT count(*) FROM campaigns") == 1


async def test_what_is_done_about_machines_is_set_shown_and_taken_back(admin: Admin, pool: asyncpg.Pool) -> None:
    message = ("--machine-detection", "message", "--machine-message", "acme/answering", "--machine-wait", "20")
    made = (await admin(*CREATE, *message, "--amd", "greeting=1200", "--amd", "silence_threshold=300", "--json")).json
    assert made["machine_parameters"] == {"greeting": 1200, "silence_threshold": 300}
    assert (made["machine_message"], made["machine_wait_seconds"]) == ("acme/answering", 20)
    for wrong, says in (("greeting=99", "300 to 10000"), ("x=1", "there are"), ("greeting", "is no parameter")):
        answer = await admin("campaign", "update", "Alpha", "--amd", wrong)
        assert (answer.status, says in answer.err) == (1, True), answer.err
    answer = await admin("campaign", "update", "Alpha", "--machine-message", "none")
    assert (answer.status, "wants the sound file" in answer.err) == (1, True), answer.err
    off = ("--machine-detection", "connect", "--machine-message", "none", "--amd", "none")
    changed = (await admin("campaign", "update", "Alpha", *off, "--json")).json
    assert (changed["machine_detection"], changed["machine_message"]) == ("connect", None)
    assert changed["machine_parameters"] == {}
    counted = await admin("campaign", "update", "Alpha", "--machine-detection", "drop", "--profile", "UK", "--json")
    assert (counted.json["machine_check"], "no agent checks any" in counted.err) == (0.0, True), counted.err
    assert "no agent checks any" not in (await admin("campaign", "update", "Alpha", "--machine-check", "0.1")).err
    told = (await admin("campaign", "machines", "Alpha", "--json")).json
    assert (told["machine"], told["false_negatives"], told["seconds_median"]) == (0, None, None)
