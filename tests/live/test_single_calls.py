"""Single calls over real SIP: the carrier's own log says what was dialled, and what was not."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from lab.proxy import Proxy
from lab.subscribers import Behaviour, number
from tests.live.place import Place

pytestmark = pytest.mark.live

SHOWN = "+358401109999"


async def opened(place: Place, **changes: Any) -> int:
    """The campaign for single calls is made at first use; here an operator has set it up. Its queue is sales."""
    return await place.campaign(dial_mode="preview", name="single calls", single_calls=True, **changes)


def ask(
    place: Place, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and body of a POST, whatever it is."""
    headers = {"Authorization": f"Bearer {place.site.token}", "Content-Type": "application/json"}
    headers |= {"Idempotency-Key": key} if key else {}
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(place.daemon.url + path, data, headers, method="POST")  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def reason(reply: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return reply[0], reply[1]["error"]["reason"]


@pytest.mark.accepts("ORI-06", "ORI-08", "ORI-09", "ORI-11", "ORI-13", "ORI-16", "STA-01", "STA-02", "STA-03")
async def test_a_call_reaches_the_person_and_an_agent_and_each_change_is_told(place: Place) -> None:
    campaign = await opened(place)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    e164 = number(Behaviour.PERSON, 1)
    body = {"context": "outbound-ivr", "extension": "s", "timeout": 30000, "caller_id": "MyCompany"}
    status, placed = ask(place, f"/api/v2/interaction/{e164}", body)
    assert status == 200, placed
    assert placed["channel"] == placed["call_id"] and placed["created_at"].endswith("Z")
    seen = []
    url, token = f"{place.daemon.url}/api/v2/calls/{placed['call_id']}/ws", f"Bearer {place.site.token}"
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession(headers={"Authorization": token}) as http,
        http.ws_connect(url) as socket,
    ):
        async for message in socket:
            seen.append(json.loads(message.data))
    words = [each["status"] for each in seen]
    assert words[-2:] == ["answered", "completed"] and words == sorted(set(words), key=words.index)
    assert seen[-1]["is_completed"] and seen[-1]["duration"] >= 1
    await place.until_outcomes(connected=1)
    (invite,) = place.invites()
    assert (invite.number, invite.caller_id, invite.attempt) == (e164, SHOWN, placed["call_id"])
    stored = place.daemon.get(f"/api/v2/status/{placed['call_id']}")
    assert stored == seen[-1] and stored["created_at"] == placed["created_at"]
    details = place.daemon.get(f"/api/v2/calls/{placed['call_id']}")
    assert (details["outcome"], details["caller_id"], details["campaign_id"]) == ("connected", SHOWN, campaign)


@pytest.mark.accepts("ORI-10", "STA-02", "STA-03")
async def test_a_busy_line_ends_as_busy_is_streamed_and_is_not_tried_again_by_itself(place: Place) -> None:
    await opened(place)
    place.start()
    for times in (1, 2):  # whoever asks again is heard
        status, placed = ask(place, "/api/v2/calls", {"phone_number": number(Behaviour.BUSY, 1)})
        assert status == 201, placed
        last = (await asyncio.to_thread(follow, place, placed["call_id"]))[-1]
        assert (last["status"], last["is_active"], last["answered_at"]) == ("busy", False, None)
        await place.until_outcomes(busy=times)
    assert len(place.invites()) == 2


def follow(place: Place, call_id: str) -> list[dict[str, Any]]:
    """What a call's server-sent events say until they end."""
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{place.daemon.url}/api/v2/calls/{call_id}/events", headers={"Authorization": f"Bearer {place.site.token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return [json.loads(line[6:]) for line in reply if line.startswith(b"data: ")]


@pytest.mark.accepts("ORI-04")
async def test_a_phone_rings_as_long_as_was_asked_for_and_shows_the_number_of_the_pool_that_was_named(
    place: Place,
) -> None:
    pool = ["+358931000001", "+358931000002", "+358931000003"]
    for e164 in pool:
        await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, $1)", e164)
    await opened(place, ring_timeout_seconds=60)
    place.start()
    path = f"/api/v2/interaction/{number(Behaviour.NO_ANSWER, 1)}"
    assert reason(ask(place, path, {"caller_id": "+358409999999"})) == (422, "caller_id_not_ours")
    status, placed = ask(place, path, {"timeout": 2000, "caller_id": pool[2]})
    assert status == 200, placed
    await place.until_outcomes(seconds=40, no_answer=1)
    assert [invite.caller_id for invite in place.invites()] == [pool[2]]


@pytest.mark.accepts("ORI-01", "ORI-02", "ORI-03", "ORI-05", "ORI-07")
async def test_a_contact_of_a_campaign_is_called_with_its_variables(place: Place) -> None:
    campaign = await place.campaign(Behaviour.NO_ANSWER, Behaviour.NO_ANSWER, dial_mode="preview")
    row = await place.pool.fetchrow("SELECT contact_id, e164 FROM numbers ORDER BY id DESC LIMIT 1")
    place.start()
    body = {"campaign_id": campaign, "contact_id": row["contact_id"], "phone_number": row["e164"]}
    for field, value, why in (
        ("variables", {"CUSTOMER_ID": "a,b"}, "bad_variable"), ("variables", {"X": "1"}, "variable_not_allowed"),
        ("context", "internal", "context_not_allowed"), ("priority", 2, "invalid"), ("timeout", 0, "bad_timeout"),
    ):  # fmt: skip
        assert reason(ask(place, "/calls/originate", {**body, field: value})) == (422, why)
    full = {**body, "context": "dialer-outbound", "priority": 1, "timeout": 5}
    status, placed = ask(place, "/calls/originate", {**full, "variables": {"CUSTOMER_ID": "456", "PRIORITY": "high"}})
    assert status == 200, placed
    place.wait(lambda: place.calls().get("ringing") == 1, 10, "a ringing line")
    (name,) = [line.split("!")[0] for line in place.site.lab.pbx.cli("core show channels concise").splitlines()
               if placed["call_id"] in line]  # fmt: skip
    dumped = place.site.lab.pbx.cli(f"core show channel {name}")
    for pair in (f"CAMPAIGN_ID={campaign}", f"CONTACT_ID={row['contact_id']}", "CUSTOMER_ID=456", "PRIORITY=high"):
        assert pair in dumped
    await place.until_outcomes(no_answer=1)
    assert [invite.number for invite in place.invites()] == [row["e164"]]


async def test_the_first_request_makes_the_campaign_and_what_a_gate_refuses_is_named_and_never_leaves(
    place: Place,
) -> None:
    place.start()
    e164 = number(Behaviour.PERSON, 3)
    await place.pool.execute("UPDATE tenants SET enabled = false")
    assert reason(ask(place, "/api/v2/calls", {"phone_number": e164})) == (409, "disabled")
    campaign = await place.pool.fetchval("SELECT id FROM campaigns WHERE single_calls")
    await place.pool.execute("UPDATE tenants SET enabled = true")
    await place.pool.execute("UPDATE campaigns SET caller_id = $1, skip_holidays = false", SHOWN)
    await place.pool.execute("DELETE FROM campaign_windows")
    await until_refused(place, e164, "no_window")
    await place.pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", campaign
    )
    await place.pool.execute(
        "WITH l AS (INSERT INTO dnc_lists (name, kind) VALUES ('own', 'own') RETURNING id)"
        " INSERT INTO dnc_numbers (number, list_id) SELECT $1, id FROM l", int(e164[1:]),
    )  # fmt: skip
    await until_refused(place, e164, "dnc")
    assert await place.pool.fetchval("SELECT count(*) FROM attempts") == 0
    assert await place.pool.fetchval("SELECT count(*) FROM contacts") == 0
    for rule in ("disabled", "no_window", "dnc"):
        await place.until(
            "SELECT least(count(*), 1) FROM call_events WHERE kind = 'not_dialed' AND detail->>'rule' = $1", 1, rule
        )
    assert not place.all_invites()


async def until_refused(place: Place, e164: str, rule: str) -> None:
    """The daemon learns of a change of settings by a notification: until then it says that they are being changed."""
    found: list[str] = []

    def refused() -> bool:
        found.append(reason(ask(place, "/api/v2/calls", {"phone_number": e164}))[1])
        return found[-1] == rule

    await asyncio.to_thread(place.wait, refused, 10, f"{rule}, not {found}")
    assert set(found) <= {rule, "judgement_too_old"}


async def test_the_same_key_is_one_invite_however_many_ask(place: Place) -> None:
    await opened(place)
    place.start()
    path, body = "/api/v2/calls", {"phone_number": number(Behaviour.BUSY, 1)}
    found = await asyncio.gather(*(asyncio.to_thread(ask, place, path, body, "order-1") for _ in range(4)))
    await place.until_outcomes(busy=1)
    late = ask(place, path, body, "order-1")
    assert {(status, reply["call_id"]) for status, reply in [*found, late]} == {(201, late[1]["call_id"])}
    assert late[1]["status"] == "busy"
    other = ask(place, path, {"phone_number": number(Behaviour.BUSY, 2)}, "order-1")
    assert reason(other) == (422, "key_reused")
    assert len(place.invites()) == 1


async def test_a_daemon_killed_between_commit_and_dial_does_not_dial_when_it_is_back(place: Place) -> None:
    """The Originate must first ask Redis for a caller ID; there it is held up, and then comes kill -9."""
    await opened(place)
    await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, '+358401108888')")
    with Proxy(place.site.lab.ports.redis) as proxy:
        place.configure(redis={"url": f"redis://127.0.0.1:{proxy.port}/1", "timeout_seconds": 30.0})
        place.start()
        body = {"phone_number": number(Behaviour.PERSON, 1)}
        proxy.silence()
        asking = asyncio.create_task(asyncio.to_thread(_lost, place, body))
        await place.until("SELECT count(*) FROM attempts WHERE state = 'claimed'", 1)
        place.daemon.kill9()
        await asking
        proxy.heal()
        assert place.invites() == []
        place.start()
        status, again = ask(place, "/api/v2/calls", body, "order-1")
        assert status == 201
        await place.until("SELECT count(*) FROM attempts WHERE ended_at IS NULL", 0)
        assert str(await place.pool.fetchval("SELECT id FROM attempts")) == again["call_id"]
        assert await place.pool.fetchval("SELECT count(*) FROM attempts") == 1
        assert place.invites() == []
        await place.finish()


def _lost(place: Place, body: Mapping[str, Any]) -> None:
    with pytest.raises(OSError):
        ask(place, "/api/v2/calls", body, "order-1")


@pytest.mark.accepts("ORI-15")
async def test_a_dry_run_decides_everything_costs_nothing_and_no_invite_leaves(place: Place) -> None:
    place.daemon.environ["DIALER_DRY_RUN"] = "true"
    await opened(place)
    listed = await place.campaign(*[Behaviour.PERSON] * 3, queue_name="lists")
    await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164) VALUES (1, '+358401108888')")
    await place.pool.execute("UPDATE tenants SET balance = 100, price_attempt = 3, price_minute = 5")
    names = await place.agents(1, queue="lists")
    place.daemon.start()
    place.wait(lambda: (place.daemon.health() or {}).get("reason") == "dry_run", 30, "the dry run in /health")
    assert (place.daemon.health() or {})["dry_run"] is True
    place.connect(names)
    place.wait(lambda: _decision(place, listed).startswith("dry run"), 15, "its decision")
    status, placed = ask(place, f"/api/v2/interaction/{number(Behaviour.PERSON, 9)}")
    assert (status, placed["success"]) == (200, True), placed
    seen = place.daemon.get(f"/api/v2/calls/{placed['call_id']}")
    assert (seen["status"], seen["is_completed"], seen["outcome"]) == ("failed", True, "not_sent")
    assert place.daemon.status()["dialing_reason"] == "dry_run"
    assert place.daemon.stop() == 0
    for costs in ("attempts", "caller_id_requests", "call_events WHERE kind = 'claimed'"):
        assert await place.pool.fetchval(f"SELECT count(*) FROM {costs}") == 0  # noqa: S608 - our own names
    assert await place.pool.fetchval("SELECT balance FROM tenants") == 100
    assert place.all_invites() == []
    assert place.site.lab.quiet(10)
    place.finished = True


def _decision(place: Place, campaign: int) -> str:
    shown = next(c for c in place.daemon.status()["campaigns"] if c["id"] == campaign)
    return str((shown["decision"] or {}).get("reason", ""))
