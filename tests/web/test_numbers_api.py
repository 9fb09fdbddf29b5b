"""The older panel's number endpoints: adding, listing, changing, bulk actions, export, and what is protected."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import openpyxl
import pytest

from dialerd.core import phone
from dialerd.core.numberstatus import REPORTABLE, NumberStatus, contact_as
from dialerd.store import dnc
from tests.terms import add_contacts
from tests.web.place import DIALER, IRAN, PANEL, add_agent, app_client, iranian_campaign, reason
from tests.web.test_batch_api import batch, tell

NUMBERS = "/api/numbers"


@pytest.fixture
async def http(pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(pool) as client:
        client.headers.update(PANEL)
        yield client


async def listed(http: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    reply = await http.get(NUMBERS, params=params)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()
    return found


async def make(pool: asyncpg.Pool, e164: str, status: NumberStatus) -> None:
    """Give the contact of a number a status."""
    state, outcome, disposition = contact_as(status) if status != "IN_QUEUE" else ("queued", None, None)
    await pool.execute(
        "UPDATE contacts SET state = $2, last_outcome = $3, last_disposition = $4"
        " WHERE id = (SELECT contact_id FROM numbers WHERE e164 = $1)",
        e164, state, outcome, disposition,
    )  # fmt: skip


@pytest.mark.accepts("NUM-02", "NUM-03", "NUM-04")
async def test_numbers_by_hand_in_every_iranian_spelling_are_one_number(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool)
    spellings = ["09123456789", "+989123456789", "00989123456789", "9123456789"]
    reply = await http.post(NUMBERS, json={"phone_numbers": [*spellings, "0912", "09351112222", "abc", "١٢٣", ""]})
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert (body["added"], body["duplicates"], body["invalid"]) == (2, 3, 3)
    assert body["added_numbers"] == ["09123456789", "09351112222"]
    assert body["duplicate_numbers"] == spellings[1:]
    assert [(i["phone_number"], i["reason"]) for i in body["invalid_numbers"]] == [
        ("0912", "short"), ("abc", "characters"), ("١٢٣", "characters"),
    ]  # fmt: skip
    again = await http.post(NUMBERS, content="0912 345 6789\r\n0935-111-2222\n", headers={"content-type": "text/plain"})
    assert (again.status_code, again.json()["added"], again.json()["duplicates"]) == (200, 0, 2)
    assert [n["phone_number"] for n in await listed(http)] == ["09123456789", "09351112222"]
    numbers = [n["phone_number"] for n in await batch(http)]
    assert numbers == ["09123456789", "09351112222"]


@pytest.mark.parametrize("number", ["+989123456789", "+982188776655", "+989351112222"])
def test_the_familiar_view_is_the_national_one(number: str) -> None:
    assert phone.familiar(number) == phone.national(number)
    assert phone.familiar("+358401234567") == "+358401234567"


@pytest.mark.parametrize("numbers", [None, [], ["1"] * 10_001, [None], 5, "", " \n "])
async def test_a_hand_made_list_that_is_none_is_refused(
    pool: asyncpg.Pool, http: httpx.AsyncClient, numbers: Any
) -> None:
    await iranian_campaign(pool)
    reply = await http.post(NUMBERS, json={"phone_numbers": numbers})
    assert reply.status_code in (413, 422)


@pytest.mark.accepts("NUM-03", "NUM-05")
async def test_a_file_of_one_column_is_taken_and_bad_rows_named(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool)
    text = "\ufeffphone\r\n09123456789\r\n=cmd|'/C calc'!A0\r\n9123456789\r\n09351112222\r\n"
    reply = await http.post(f"{NUMBERS}/upload", files={"file": ("list.csv", text.encode("utf-16"), "text/csv")})
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert (body["added"], body["duplicates"], body["invalid"], body["rows"]) == (2, 1, 1, 4)
    assert [(r["row"], r["reason"]) for r in body["remarks"]] == [(3, "characters"), (4, "duplicate_in_file")]
    book = openpyxl.Workbook()
    for value in ("09361112222", 9371112222, "112"):
        book.worksheets[0].append([value])
    out = io.BytesIO()
    book.save(out)
    reply = await http.post(f"{NUMBERS}/upload", files={"file": ("list.xlsx", out.getvalue())})
    assert reply.status_code == 201, reply.text
    assert (reply.json()["added"], reply.json()["by_reason"]) == (2, {"emergency": 1})
    assert await pool.fetchval("SELECT count(*) FROM numbers") == 4
    as_csv = await http.post(f"{NUMBERS}/upload", params={"report": "csv"}, files={"file": ("l.csv", text.encode())})
    assert as_csv.headers["content-type"].startswith("text/csv")
    lines = as_csv.text.splitlines()
    assert lines[0] == "row,column,value,reason,effect"
    assert len(lines) == 5
    assert "'=cmd" in lines[2]


async def test_uploads_are_bounded_and_want_to_know_who_sends_them(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
        for _ in range(30):
            sent += 1
            yield b"0" * (1 << 20)

    form = {"content-type": "multipart/form-data; boundary=x"}
    reply = await http.post(f"{NUMBERS}/upload", content=endless(), headers=form)
    assert (reply.status_code, reason(reply)) == (413, "body_too_large")
    assert sent <= 21
    nobody = await http.post(f"{NUMBERS}/upload", content=b"x" * 5000, headers={**form, "authorization": "Bearer no"})
    assert nobody.status_code == 401
    big = await http.post(f"{NUMBERS}/upload", content=b"x", headers={**form, "content-length": str(1 << 30)})
    assert big.status_code == 413


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"hello", "multipart/form-data", 400),
        (b"hello", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n" + b"a" * 100_000, "multipart/form-data; boundary=x", 400),
        (b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n' * 50_000 + b"--x--\r\n",
         "multipart/form-data; boundary=x", 400),
        (b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nb\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 422),
        (b"{}", "application/json", 415),
        (b'--x\r\ncontent-disposition: form-data; name="file"; filename="../../etc/passwd"\r\n\r\n\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 422),
        (b'--x\r\ncontent-disposition: form-data; name="file"; filename="f.gz"\r\n\r\n\x1f\x8bzip\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 422),
    ],
    ids=["no boundary", "no parts", "huge header", "many parts", "no file", "json", "empty", "archive"],
)  # fmt: skip
async def test_a_form_that_is_no_list_is_refused_by_name(
    pool: asyncpg.Pool, http: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    await iranian_campaign(pool)
    reply = await http.post(f"{NUMBERS}/upload", content=content, headers={"content-type": kind})
    assert reply.status_code == status, reply.text
    assert reason(reply)
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 0


@pytest.mark.accepts("NUM-06", "NUM-08", "STA-07")
async def test_the_list_has_the_older_names_pages_and_a_total(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 5)
    sara = await add_agent(pool, "sara", "Sara Ahmadi", "09121111111")
    (one,) = await batch(http, 1)
    await tell(http, one, "MISSED", agent_id=sara, user_message="call later", attempted_at="2026-01-31T09:30:00Z")
    found = await listed(http)
    assert len(found) == 5
    assert list(found[0]) == [
        "id", "phone_number", "status", "attempts", "created_at", "last_attempt_at", "assigned_agent",
        "last_user_message",
    ]  # fmt: skip
    first = found[0]
    assert (first["id"], first["phone_number"], first["status"], first["attempts"]) == (
        one["id"], "09120000000", "MISSED", 1,
    )  # fmt: skip
    assert first["assigned_agent"] == {"id": sara, "full_name": "Sara Ahmadi", "phone_number": "09121111111"}
    assert first["last_user_message"] == "call later"
    assert datetime.fromisoformat(first["created_at"]).tzinfo is not None
    assert datetime.fromisoformat(first["last_attempt_at"]).tzinfo is not None
    assert (found[1]["status"], found[1]["assigned_agent"], found[1]["last_attempt_at"]) == ("IN_QUEUE", None, None)
    assert [n["id"] for n in await listed(http, skip=1, limit=2)] == [n["id"] for n in found[1:3]]
    assert [n["id"] for n in await listed(http, status="MISSED")] == [one["id"]]
    assert len(await listed(http, status=["MISSED", "IN_QUEUE"])) == 5
    for params, total in (({}, 5), ({"status": "IN_QUEUE"}, 4), ({"status": "BUSY"}, 0), ({"search": "sara"}, 1)):
        assert (await http.get(f"{NUMBERS}/stats", params=params)).json() == {"total": total}


@pytest.mark.accepts("NUM-07")
async def test_a_search_finds_phone_and_agents_name_username_and_phone_and_days(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 3)
    sara = await add_agent(pool, "s.ahmadi", "Sara 100%_", "09351234567")
    await pool.execute("UPDATE contacts SET agent_id = $1 WHERE id = (SELECT min(id) FROM contacts)", sara)
    await pool.execute(
        "UPDATE contacts SET created_at = '2026-01-30 20:31Z' WHERE id = (SELECT max(id) FROM contacts)"
    )  # 31 January, 00:01 in Tehran
    ids = [n["id"] for n in await listed(http)]

    async def found(**params: str) -> list[int]:
        return [ids.index(n["id"]) for n in await listed(http, **params)]

    assert await found(search="09120000001") == [1]
    assert await found(search="+98 912 000 0002") == [2]
    for text in ("sara", "S.AHMADI", "0935123", "100%_"):
        assert await found(search=text) == [0]
    for text in ("' OR 1=1--", "%", "sara' --", "_" * 3, "');DROP TABLE contacts;--"):
        assert await found(search=text) == ([0] if text == "%" else [])
    assert await found(start_date="2026-01-31", end_date="2026-01-31") == [2]
    assert await found(end_date="2026-01-30") == []
    assert await found(start_date="2026-01-31T00:01:00", end_date="2026-01-31T00:02:00") == [2]


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "501"}, {"limit": "-1"}, {"limit": "0"}, {"skip": "-1"}, {"skip": "1e9"}, {"skip": "9" * 30},
        {"status": "queued"}, {"status": "' OR 1=1--"}, {"search": "x" * 101}, {"search": "a\0b"},
        {"start_date": "31/01/2026"}, {"end_date": "9999-12-31"}, {"end_date": "0001-01-01T00:00:00+14:00"},
    ],
)  # fmt: skip
async def test_a_filter_that_cannot_be_is_refused(
    pool: asyncpg.Pool, http: httpx.AsyncClient, params: dict[str, str]
) -> None:
    await iranian_campaign(pool, 1)
    reply = await http.get(NUMBERS, params=params)
    assert (reply.status_code, reason(reply)) == (422, "invalid")


@pytest.mark.accepts("NUM-09", "NUM-10", "NUM-11", "NUM-13", "STA-05", "STA-06")
@pytest.mark.parametrize("status", sorted(NumberStatus))
async def test_only_five_statuses_may_be_changed_reset_or_deleted(
    pool: asyncpg.Pool, http: httpx.AsyncClient, status: NumberStatus
) -> None:
    await iranian_campaign(pool, 1)
    (number,) = await listed(http)
    path = f"{NUMBERS}/{number['id']}"
    may = status in ("IN_QUEUE", "MISSED", "BUSY", "POWER_OFF", "BANNED")
    for method, address, body, after in (
        ("PUT", f"{path}/status", {"status": "BUSY"}, "BUSY"),
        ("POST", f"{path}/reset", None, "IN_QUEUE"),
        ("DELETE", path, None, None),
    ):
        await make(pool, "+989120000000", status)
        reply = await http.request(method, address, json=body)
        if may:
            assert reply.status_code == 200, reply.text
            assert reply.json().get("status") == after
        else:
            assert (reply.status_code, reason(reply)) == (409, "protected")
            assert [n["status"] for n in await listed(http)] == [status]
    assert (await listed(http) == []) == may
    kinds = [row["kind"] for row in await pool.fetch("SELECT kind FROM call_events ORDER BY id")]
    assert kinds == (["number.status_changed", "number.reset", "number.deleted"] if may else [])


@pytest.mark.accepts("NUM-09")
@pytest.mark.parametrize("status", sorted(REPORTABLE))
async def test_a_status_that_is_set_is_the_one_that_is_listed(
    pool: asyncpg.Pool, http: httpx.AsyncClient, status: str
) -> None:
    campaign = await iranian_campaign(pool, 1)
    (number,) = await listed(http)
    reply = await http.put(f"{NUMBERS}/{number['id']}/status", json={"status": status})
    assert reply.json()["status"] == status
    assert await batch(http) == []
    event = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'number.status_changed'")
    assert (event["from"], event["to"], event["number_id"]) == ("IN_QUEUE", status, number["id"])
    barred = await dnc.bars(pool, 1, campaign, ["+989120000000"])
    assert bool(barred) == (status == "BANNED")


@pytest.mark.accepts("NUM-10", "DNC-03", "BAT-07")
async def test_a_reset_makes_a_number_new_again_even_a_banned_one(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    campaign = await iranian_campaign(pool, 1)
    (number,) = await batch(http)
    locked = await http.post(f"{NUMBERS}/{number['id']}/reset")
    assert (locked.status_code, reason(locked)) == (409, "locked")
    await tell(http, number, "BANNED", attempted_at="2026-01-31T09:30:00Z")
    assert [n["status"] for n in await listed(http)] == ["BANNED"]
    assert await dnc.bars(pool, 1, campaign, ["+989120000000"])
    await pool.execute("UPDATE numbers SET dead = 'limit'")
    reply = await http.post(f"{NUMBERS}/{number['id']}/reset")
    assert (reply.json()["status"], reply.json()["attempts"]) == ("IN_QUEUE", 0)
    assert await dnc.bars(pool, 1, campaign, ["+989120000000"]) == {}
    assert tuple(await pool.fetchrow("SELECT tries, attempts FROM contacts")) == ({}, 0)
    assert await pool.fetchval("SELECT dead FROM numbers") is None
    removed = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'dnc.removed'")
    assert removed["entry"] == "+989120000000"
    assert await batch(http) == [number]


async def test_a_number_that_a_list_of_others_bars_is_not_called_after_its_reset(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    await dnc.add(pool, 1, dnc.Scope(1), ["+989120000000"], "IR", "t", "t")
    assert await batch(http) == []
    (number,) = await listed(http)
    assert number["status"] == "BANNED"
    await http.post(f"{NUMBERS}/{number['id']}/reset")
    assert await batch(http) == []
    assert [n["status"] for n in await listed(http)] == ["BANNED"]


async def test_a_deleted_number_leaves_the_contacts_others_and_its_record(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 1)
    await pool.execute(
        "INSERT INTO numbers (tenant_id, campaign_id, contact_id, position, e164, zone_set)"
        " SELECT tenant_id, campaign_id, contact_id, 1, '+989121234567', zone_set FROM numbers"
    )
    (number,) = await batch(http)
    await tell(http, number, "MISSED")
    assert (await http.delete(f"{NUMBERS}/{number['id']}")).json() == {"id": number["id"], "deleted": True}
    (other,) = await listed(http)
    assert other["phone_number"] == "09121234567"
    assert (await http.delete(f"{NUMBERS}/{number['id']}")).status_code == 404
    await http.post(f"{NUMBERS}/{other['id']}/reset")
    assert [n["phone_number"] for n in await batch(http)] == ["09121234567"]
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 2


@pytest.mark.parametrize("id_", ["0", "-1", "x", "9" * 19, "9" * 40, "٣", "1;--", "..%2f1"])
async def test_an_id_that_is_none_is_404(pool: asyncpg.Pool, http: httpx.AsyncClient, id_: str) -> None:
    await iranian_campaign(pool, 1)
    assert (await http.delete(f"{NUMBERS}/{id_}")).status_code == 404
    assert len(await listed(http)) == 1


@pytest.mark.accepts("NUM-12", "NUM-13", "NUM-15")
async def test_a_bulk_action_takes_all_that_the_filter_finds_but_some_and_spares_what_is_protected(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 8)
    await make(pool, "+989120000000", NumberStatus.CONNECTED)
    await make(pool, "+989120000001", NumberStatus.UNKNOWN)
    await make(pool, "+989120000002", NumberStatus.BUSY)
    await make(pool, "+989120000003", NumberStatus.BUSY)
    ids = [n["id"] for n in await listed(http)]

    async def bulk(**body: Any) -> dict[str, Any]:
        reply = await http.post(f"{NUMBERS}/bulk", json=body)
        assert reply.status_code == 200, reply.text
        result: dict[str, Any] = reply.json()
        return result

    done = await bulk(action="update_status", status="MISSED", ids=ids[:4], excluded_ids=[ids[3]])
    assert done == {"selected": 3, "changed": 1, "protected": 2}
    done = await bulk(action="reset", select_all=True, filters={"status": "MISSED"})
    assert done == {"selected": 1, "changed": 1, "protected": 0}
    done = await bulk(action="update_status", status="BANNED", select_all=True, filters={"search": "000007"})
    assert done == {"selected": 1, "changed": 1, "protected": 0}
    done = await bulk(action="delete", select_all=True, excluded_ids=[ids[7]])
    assert done == {"selected": 7, "changed": 5, "protected": 2}
    assert [(n["id"], n["status"]) for n in await listed(http)] == [
        (ids[0], "CONNECTED"), (ids[1], "UNKNOWN"), (ids[7], "BANNED"),
    ]  # fmt: skip
    kinds = await pool.fetch("SELECT kind, count(*) FROM call_events GROUP BY kind ORDER BY kind")
    assert dict(map(tuple, kinds)) == {
        "dnc.added": 1, "number.deleted": 5, "number.reset": 1, "number.status_changed": 2,
    }  # fmt: skip


@pytest.mark.accepts("NUM-12")
async def test_a_bulk_action_goes_over_all_pages(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 12_000)
    reply = await http.post(f"{NUMBERS}/bulk", json={"action": "update_status", "status": "BUSY", "select_all": True})
    assert reply.json() == {"selected": 12_000, "changed": 12_000, "protected": 0}
    assert (await http.get(f"{NUMBERS}/stats", params={"status": "BUSY"})).json() == {"total": 12_000}


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode", "ids": [1]},
        {"action": "reset"},
        {"action": "reset", "ids": [1], "select_all": True},
        {"action": "reset", "ids": ["1 OR 1=1"]},
        {"action": "reset", "ids": [10**30]},
        {"action": "update_status", "ids": [1]},
        {"action": "delete", "ids": [1], "status": "BUSY"},
        {"action": "update_status", "status": "DONE", "ids": [1]},
        {"action": "delete", "select_all": True, "filters": {"status": "x"}},
        {"action": "delete", "select_all": True, "filters": [1]},
        {"action": "delete", "select_all": "perhaps"},
    ],
)
async def test_a_bulk_action_that_means_nothing_does_nothing(
    pool: asyncpg.Pool, http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    await iranian_campaign(pool, 1)
    reply = await http.post(f"{NUMBERS}/bulk", json=body)
    assert (reply.status_code, reason(reply)) == (422, "invalid")
    assert [n["status"] for n in await listed(http)] == ["IN_QUEUE"]


async def test_numbers_that_are_being_called_are_spared_by_bulk_actions(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 40)
    reset = {"action": "reset", "select_all": True}
    held = len(await batch(http, 5))
    assert (await http.post(f"{NUMBERS}/bulk", json=reset)).json() == {"selected": 40, "changed": 35, "protected": 5}
    done = await asyncio.gather(
        *(batch(http, 5) for _ in range(4)), *(http.post(f"{NUMBERS}/bulk", json=reset) for _ in range(2))
    )
    given = [n["id"] for numbers in done[:4] if isinstance(numbers, list) for n in numbers]
    assert len(set(given)) == len(given)
    given += [0] * held
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE state <> 'ended'") == len(given)
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE state = 'claimed'") == len(given)


@pytest.mark.accepts("NUM-14")
async def test_an_export_is_a_spreadsheet_of_the_selection_without_formulas(
    pool: asyncpg.Pool, http: httpx.AsyncClient
) -> None:
    await iranian_campaign(pool, 3)
    agent = await add_agent(pool, "x", "=HYPERLINK(1)", "1")
    one, two, three = await batch(http)
    await tell(http, one, "BUSY", agent_id=agent, user_message="=cmd|'/C calc'!A0\x0b")
    reply = await http.post(f"{NUMBERS}/export", json={"select_all": True, "excluded_ids": [three["id"]]})
    assert reply.status_code == 200, reply.text
    assert 'filename="numbers.xlsx"' in reply.headers["content-disposition"]
    rows = list(openpyxl.load_workbook(io.BytesIO(reply.content)).worksheets[0].iter_rows())
    assert [cell.value for cell in rows[0]] == [
        "phone", "status", "attempts", "created_at", "last_attempt_at", "assigned_agent", "last_user_message",
    ]  # fmt: skip
    first = [cell.value for cell in rows[1]]
    assert first[:3] == ["09120000000", "BUSY", 1]
    assert first[5:] == ["=HYPERLINK(1)", "=cmd|'/C calc'!A0"]
    assert {cell.data_type for row in rows for cell in row} <= {"s", "n"}
    assert [row[0].value for row in rows[1:]] == ["09120000000", "09120000001"]
    only = await http.post(f"{NUMBERS}/export", json={"ids": [two["id"]]})
    assert len(list(openpyxl.load_workbook(io.BytesIO(only.content)).worksheets[0].iter_rows())) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", NUMBERS), ("POST", NUMBERS), ("GET", f"{NUMBERS}/stats"), ("POST", f"{NUMBERS}/bulk"),
        ("POST", f"{NUMBERS}/export"), ("POST", f"{NUMBERS}/upload"), ("PUT", f"{NUMBERS}/1/status"),
        ("POST", f"{NUMBERS}/1/reset"), ("DELETE", f"{NUMBERS}/1"),
    ],
)  # fmt: skip
async def test_every_door_wants_the_panels_token(
    pool: asyncpg.Pool, http: httpx.AsyncClient, method: str, path: str
) -> None:
    await iranian_campaign(pool, 1)
    for headers in (DIALER, {"authorization": ""}, {"authorization": "Bearer"}):
        assert (await http.request(method, path, headers=headers)).status_code == 401


@pytest.mark.accepts("NUM-06")
async def test_another_tenants_numbers_are_not_there(pool: asyncpg.Pool, http: httpx.AsyncClient) -> None:
    await iranian_campaign(pool, 1)
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    theirs = await iranian_campaign(pool, 0, tenant_id=other, name="theirs")
    await add_contacts(pool, theirs, ["+989130000000"], IRAN)
    foreign = await pool.fetchval("SELECT id FROM numbers WHERE campaign_id = $1", theirs)
    assert (await http.delete(f"{NUMBERS}/{foreign}")).status_code == 404
    assert (await http.get(NUMBERS, params={"campaign": "theirs"})).status_code == 404
    assert (await http.get(NUMBERS, params={"campaign": str(theirs)})).status_code == 404
    done = await http.post(f"{NUMBERS}/bulk", content=json.dumps({"action": "delete", "ids": [foreign]}),
                           headers={"content-type": "application/json"})  # fmt: skip
    assert done.json() == {"selected": 0, "changed": 0, "protected": 0}
    seen = await http.get(NUMBERS, headers={"x-tenant": "other"})
    assert [n["id"] for n in seen.json()] == [foreign]
    assert (await http.get(NUMBERS, headers={"x-tenant": "none"})).status_code == 404
