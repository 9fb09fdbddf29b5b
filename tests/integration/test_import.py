"""The import of contact files into a real database."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from dialerd.core.campaign import Draft
from dialerd.core.contactfile import Contact, Remark, contacts
from dialerd.core.textrows import FileRefused
from dialerd.store import campaigns, dnc
from dialerd.store.contacts import Report, import_contacts
from dialerd.store.errors import NotFound, Refused
from dialerd.store.listfile import read_text

TENANT = 1


async def campaign(pool: asyncpg.Pool, name: str = "c") -> int:
    draft = Draft(name=name, dial_mode="progressive", queue_name="q", trunk="t")
    return (await campaigns.create(pool, TENANT, draft, "test")).id


async def take(
    pool: asyncpg.Pool, campaign_id: int, text: str, skip_known_anywhere: bool = False
) -> tuple[Report, list[tuple[int, str, str]]]:
    remarks: list[Remark] = []
    entries = contacts([text], "FI")
    report = await import_contacts(pool, TENANT, campaign_id, entries, "test", remarks.append, skip_known_anywhere)
    return report, [(r.row, r.reason, r.effect) for r in remarks]


async def stored(pool: asyncpg.Pool, campaign_id: int) -> list[tuple[object, ...]]:
    rows = await pool.fetch(
        """SELECT c.name, c.priority, c.external_id, c.custom, n.position, n.e164, z.zones
           FROM contacts c JOIN numbers n ON n.contact_id = c.id JOIN zone_sets z ON z.id = n.zone_set
           WHERE c.campaign_id = $1 ORDER BY c.id, n.position""",
        campaign_id,
    )
    return [tuple(row) for row in rows]


@pytest.mark.accepts("NUM-18", "NUM-19")
async def test_good_rows_are_stored_with_all_that_they_hold(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    text = "phone,phone2,name,priority,external_id,zone,city\n0401234567,+1 212 456 7890,Aino,5,x1,,Espoo\n"
    report, remarks = await take(pool, id_, text)
    assert (report.rows, report.imported, report.contacts, report.numbers) == (1, 1, 1, 2)
    assert remarks == []
    custom = {"city": "Espoo"}
    assert await stored(pool, id_) == [
        ("Aino", 5, "x1", custom, 0, "+358401234567", ["Europe/Helsinki", "Europe/Mariehamn"]),
        ("Aino", 5, "x1", custom, 1, "+12124567890", ["America/New_York"]),
    ]


@pytest.mark.accepts("NUM-01")
async def test_bad_rows_are_told_one_by_one_and_the_good_ones_kept(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await dnc.add(pool, 1, dnc.Scope(1), ["+358401111111"], "FI", "test", "test")
    await dnc.add(pool, 1, dnc.Scope(None), ["+358402222222"], "FI", "test", "all")
    await take(pool, id_, "0409999999\n")
    text = (
        "phone,phone2,zone\n"
        "0401111111,,\n"  # 2: on the tenant's list
        "0402222222,,\n"  # 3: on the installation's list
        "500&PJSIP/itsp/1,,\n"  # 4
        "040 111 1111,,\n"  # 5: the same number, spelled otherwise
        "0403333333,0409999999,\n"  # 6: its second number is in the campaign
        "0403333333,,\n"  # 7: kept, for row 6 was not
        "0404444444,12,\n"  # 8: one number good, one bad
        "0405555555,,Mars/X\n"  # 9
        "+800 1234 5678,,\n"  # 10: valid, of no zone
        "+800 1234 5679,,Europe/Paris\n"  # 11: of the zone that the row gives
    )
    report, remarks = await take(pool, id_, text)
    assert remarks == [
        (2, "dnc", "kept"),
        (3, "dnc", "kept"),
        (4, "characters", "row_refused"),
        (5, "duplicate_in_file", "row_refused"),
        (6, "duplicate_in_campaign", "row_refused"),
        (8, "short", "number_refused"),
        (9, "zone", "row_refused"),
        (10, "unknown_zone", "kept"),
    ]
    assert report.refused == {
        "characters": 1,
        "duplicate_in_file": 1,
        "duplicate_in_campaign": 1,
        "short": 1,
        "zone": 1,
    }
    assert (report.rows, report.imported, report.contacts, report.dnc, report.unknown_zone) == (10, 6, 7, 2, 1)
    zones = {row[5]: row[6] for row in await stored(pool, id_)}
    assert zones["+80012345678"] == [] and zones["+80012345679"] == ["Europe/Paris"]


async def test_the_same_file_twice_changes_nothing(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    text = "phone,name\n" + "".join(f"04012{n:05},n{n}\n" for n in range(4500))
    first, _ = await take(pool, id_, text)
    before = await stored(pool, id_)
    again, _ = await take(pool, id_, text)
    assert first.imported == 4500
    assert (again.imported, again.contacts, again.refused) == (0, 4500, {"duplicate_in_campaign": 4500})
    assert await stored(pool, id_) == before
    other = await campaign(pool, "other")
    assert (await take(pool, other, text))[0].imported == 4500


async def test_numbers_of_the_tenants_other_campaigns_are_skipped_when_that_is_wanted(pool: asyncpg.Pool) -> None:
    first, second = await campaign(pool), await campaign(pool, "second")
    await take(pool, first, "0401111111\n")
    text = "0401111111\n0402222222\n040 2222222\n"
    report, remarks = await take(pool, second, text, skip_known_anywhere=True)
    assert remarks == [(1, "duplicate_in_tenant", "row_refused"), (3, "duplicate_in_file", "row_refused")]
    assert report.imported == 1


async def test_a_duplicate_far_behind_in_the_file_is_told_from_one_of_the_campaign(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await take(pool, id_, "0409999999\n")
    text = "".join(f"04012{n:05}\n" for n in range(11_000)) + "0401200000\n0409999999\n"
    _, remarks = await take(pool, id_, text)
    assert [(row, reason) for row, reason, _ in remarks] == [
        (11_001, "duplicate_in_file"),
        (11_002, "duplicate_in_campaign"),
    ]


async def test_text_arrives_as_it_was_written(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    odd = 'a\tb\nc\\N \\. {"x": 1} ä😀'
    quoted = '"' + odd.replace('"', '""') + '"'
    await take(pool, id_, f"phone,name,external_id,note\n0401234567,{quoted},{quoted},{quoted}\n")
    (row,) = await stored(pool, id_)
    assert (row[0], row[2], row[3]) == (odd, odd, {"note": odd})


async def test_a_file_that_fails_at_its_end_leaves_nothing(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialerd.store.contacts.MAX_CONTACTS", 4000)
    id_ = await campaign(pool)
    with pytest.raises(FileRefused, match="more than 4000"):
        await take(pool, id_, "".join(f"04012{n:05}\n" for n in range(4500)))
    assert await stored(pool, id_) == []
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'contacts.imported'") == 0


async def test_two_imports_at_once_into_one_campaign_do_not_mix(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    text = "".join(f"04012{n:05}\n" for n in range(3000))
    reading, go_on = threading.Event(), threading.Event()

    def held() -> Iterator[Contact | Remark]:
        reading.set()
        go_on.wait(30)
        yield from contacts([text], "FI")

    first = asyncio.create_task(import_contacts(pool, TENANT, id_, held(), "test"))
    try:
        assert await asyncio.to_thread(reading.wait, 30)
        with pytest.raises(Refused, match="another import"):
            await take(pool, id_, text)
    finally:
        go_on.set()
    assert (await first).imported == 3000
    assert len(await stored(pool, id_)) == 3000


async def test_an_import_leaves_its_audit_row_and_tells_the_daemon(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    told: asyncio.Queue[str] = asyncio.Queue()
    async with pool.acquire() as listener:

        def hear(*event: object) -> None:
            told.put_nowait(str(event[3]))

        await listener.add_listener("dialerd", hear)
        await take(pool, id_, "0401234567\n")
        assert await asyncio.wait_for(told.get(), 10) == f"campaigns:{id_}"
        await listener.remove_listener("dialerd", hear)
    row = await pool.fetchrow("SELECT campaign_id, detail FROM call_events WHERE kind = 'contacts.imported'")
    assert row is not None
    assert tuple(row) == (id_, {"imported": 1, "numbers": 1, "list": "import", "by": "test"})


async def test_another_tenants_campaign_is_not_found(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    with pytest.raises(NotFound):
        await import_contacts(pool, 2, id_, contacts(["0401234567\n"], "FI"), "test")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_encodings_and_line_ends_read_the_same(tmp_path: Path, encoding: str, end: str) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(end.join(["phone;name", "0401234567;Ämmä", "0401234568;b", ""]).encode(encoding))
    assert "".join(read_text(file)) == "phone;name\n0401234567;Ämmä\n0401234568;b\n"


async def test_numbers_go_with_their_contact_and_with_their_campaign(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await take(pool, id_, "phone,phone2\n0401234567,0401234568\n0401234569,\n")
    await pool.execute("DELETE FROM contacts WHERE id = (SELECT min(id) FROM contacts)")
    assert [row["e164"] for row in await pool.fetch("SELECT e164 FROM numbers")] == ["+358401234569"]
    await pool.execute("DELETE FROM campaigns WHERE id = $1", id_)
    assert await pool.fetchval("SELECT count(*) FROM numbers") == 0
