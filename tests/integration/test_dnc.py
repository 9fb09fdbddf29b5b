"""Do-not-call lists against a real PostgreSQL: whom they bar, and that no interleaving gets past them (I2, F29)."""

import asyncio
import contextlib
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dialerd.core.phone import NumberRefused
from dialerd.store import consents, dnc
from dialerd.store.claim import claim
from dialerd.store.dnc import Scope
from dialerd.store.dnc_import import Report, import_register, read_numbers
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries
from dialerd.store.scrub import FileScrub, find, scrub
from tests.terms import add_contacts, open_in

SYSTEM, TENANT = Scope(None), Scope(1)
NUMBERS = [f"+35840100000{n}" for n in range(5)]
LIMIT = 5.0
HELSINKI = ["Europe/Helsinki"]
CLAIM = queries("engine").claim
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def campaign(pool: asyncpg.Pool, numbers: list[str] = NUMBERS, tenant: int = 1) -> int:
    """An active campaign with one queued contact per number."""
    await pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 1000) ON CONFLICT DO NOTHING")
    id_: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk, max_concurrent_calls)"
        " VALUES ($1, 'c' || clock_timestamp(), 'active', 'progressive', 'q', 't', 1000) RETURNING id", tenant,
    )  # fmt: skip
    await add_contacts(pool, id_, numbers, HELSINKI)
    return id_


async def take(pool: asyncpg.Pool, id_: int) -> set[str]:
    """The numbers that a claim of everything takes."""
    result = await claim(pool, id_, 100, "n", await open_in(pool, id_, HELSINKI))
    return {taken.e164 for taken in result.taken}


async def claim_in(connection: Any, id_: int) -> set[str]:
    """The same in a transaction of the caller's."""
    terms = (await open_in(connection, id_, HELSINKI)).parameters()
    rows = await connection.fetch(CLAIM, id_, 100, "n", terms, [], None, None, None)
    return {row["e164"] for row in rows if row["refusal"] is None}


async def bar(pool: asyncpg.Pool, scope: Scope, *numbers: str, **more: Any) -> list[str]:
    return await dnc.add(pool, 1, scope, numbers, "FI", "test", "source", **more)


async def until_waiting(pool: asyncpg.Pool, sql: str = WAITING) -> None:
    async with asyncio.timeout(LIMIT):
        while not await pool.fetchval(sql):
            await asyncio.sleep(0.01)


# -- whom a list bars ---------------------------------------------------------------------------------------------


async def test_a_list_bars_in_its_scope_and_nowhere_else(pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO tenants (name) VALUES ('other')")
    one, two, foreign = await campaign(pool), await campaign(pool), await campaign(pool, tenant=2)
    await bar(pool, SYSTEM, NUMBERS[0])
    await bar(pool, TENANT, NUMBERS[1])
    await bar(pool, Scope(1, one), NUMBERS[2])
    judged = {
        id_: set(await dnc.bars(pool, tenant, id_, NUMBERS)) for id_, tenant in ((one, 1), (two, 1), (foreign, 2))
    }
    assert judged == {one: set(NUMBERS[:3]), two: set(NUMBERS[:2]), foreign: set(NUMBERS[:1])}
    assert await take(pool, one) == set(NUMBERS[3:])
    assert await take(pool, foreign) == set(NUMBERS[1:])


async def test_a_prefix_bars_everything_that_begins_with_it_and_a_number_only_itself(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool, ["+358600123456", "+35860112345", "+3586001234"])
    await bar(pool, TENANT, "+3586001234")
    assert set(await dnc.bars(pool, 1, id_, ["+3586001234", "+358600123456"])) == {"+3586001234"}
    await bar(pool, TENANT, prefixes=["+358600"])
    assert await take(pool, id_) == {"+35860112345"}
    found = await dnc.check(pool, 1, "+3586001234")
    assert [(b.matched, b.source, b.scope) for b in found] == [
        ("+3586001234", "source", "tenant"), ("+358600…", "source", "tenant"),
    ]  # fmt: skip


async def test_adding_is_idempotent_and_removing_leaves_what_was_there_on_record(pool: asyncpg.Pool) -> None:
    assert await bar(pool, TENANT, "040 100 0001", prefixes=["+999"]) == ["+358401000001", "+999…"]
    assert await bar(pool, TENANT, "+358401000001") == []
    gone = await dnc.remove(pool, 1, TENANT, ["0401000001"], "FI", "me", "typed wrongly", prefixes=["+999"])
    assert gone == ["+358401000001", "+999…"]
    assert await dnc.remove(pool, 1, TENANT, ["0401000001"], "FI", "me", "again") == []
    assert await dnc.check(pool, 1, "+358401000001") == []
    events = await pool.fetch("SELECT kind, detail FROM call_events ORDER BY id")
    assert [e["kind"] for e in events] == ["dnc.added", "dnc.removed", "dnc.removed"]
    removed = events[1]["detail"]
    assert (removed["entry"], removed["source"], removed["reason"]) == ("+358401000001", "source", "typed wrongly")
    assert datetime.fromisoformat(removed["added_at"]) < datetime.now(UTC)


async def test_what_would_bar_nobody_is_refused_whole(pool: asyncpg.Pool) -> None:
    with pytest.raises(NumberRefused):
        await bar(pool, TENANT, NUMBERS[0], "call me")
    for prefix in ("358600", "+0600", "+", "+358 600"):
        with pytest.raises(Refused):
            await bar(pool, TENANT, NUMBERS[0], prefixes=[prefix])
    with pytest.raises(NotFound):
        await dnc.remove(pool, 1, SYSTEM, [NUMBERS[0]], "FI", "me", "why", "nobody's")
    assert await dnc.lists(pool, 1) == []
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute("INSERT INTO dnc_numbers (number, list_id) VALUES (1234, 1)")
    await bar(pool, TENANT, NUMBERS[0])  # with nothing on any list, nothing is compared
    for spelling in ("358401234567", "+358 40 1234567", "0401234567", ""):
        with pytest.raises(asyncpg.DataError):
            await pool.fetchval("SELECT dnc_bars(1, 1, $1)", spelling)


# -- I2: a row that is committed before the claim's commit ---------------------------------------------------------


async def test_an_addition_that_is_open_when_the_claim_comes_holds_it_until_the_commit(pool: asyncpg.Pool) -> None:
    """Before the claim's statement, and between its locks and its select: the claim waits, then sees the row."""
    id_ = await campaign(pool)
    async with pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        list_id = await dnc.open_own(writer, TENANT, "own")
        await dnc.put(writer, list_id, [dnc.digits(NUMBERS[0])], (), "test")
        claiming = asyncio.create_task(take(pool, id_))
        await until_waiting(pool)
        assert not claiming.done()
        await transaction.commit()
        assert await asyncio.wait_for(claiming, LIMIT) == set(NUMBERS[1:])


async def test_an_addition_that_is_taken_back_bars_nobody(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    async with pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        await dnc.put(writer, await dnc.open_own(writer, TENANT, "own"), [dnc.digits(NUMBERS[0])], (), "test")
        claiming = asyncio.create_task(take(pool, id_))
        await until_waiting(pool)
        await transaction.rollback()
        assert await asyncio.wait_for(claiming, LIMIT) == set(NUMBERS)


@pytest.mark.parametrize("way", ["add", "prefix", "plain SQL", "register", "opt-out"])
async def test_no_addition_is_committed_between_a_claims_select_and_its_commit(
    pool: asyncpg.Pool, way: str, database: Any
) -> None:
    """Whoever adds, and however: it waits for the claim, and flags the attempt that was made meanwhile."""
    id_ = await campaign(pool)
    await bar(pool, TENANT, "+358409999999")

    async def addition() -> None:
        match way:
            case "add":
                await bar(pool, TENANT, NUMBERS[0])
            case "prefix":
                await bar(pool, TENANT, prefixes=[NUMBERS[0]])
            case "plain SQL":
                await pool.execute("INSERT INTO dnc_numbers (number, list_id) VALUES ($1, 1)", dnc.digits(NUMBERS[0]))
            case "register":
                await import_register(pool, 1, SYSTEM, "r", [dnc.digits(NUMBERS[0])], Report(), "me", "test")
            case "opt-out":
                async with pool.acquire() as connection:
                    await consents.opt_out(connection, 1, NUMBERS[0], "test")

    async with pool.acquire() as claimer:
        transaction = claimer.transaction()
        await transaction.start()
        assert await claim_in(claimer, id_) == set(NUMBERS)
        adding = asyncio.create_task(addition())
        await until_waiting(pool)
        assert not await dnc.bars(pool, 1, id_, NUMBERS)  # not committed, so not seen by anybody
        await transaction.commit()
        await asyncio.wait_for(adding, LIMIT)
    assert set(await dnc.bars(pool, 1, id_, NUMBERS)) == {NUMBERS[0]}
    flagged = await pool.fetch(
        "SELECT a.e164 FROM call_events e JOIN attempts a ON a.id = e.attempt_id WHERE e.kind = 'dnc.during_call'"
    )
    assert [row["e164"] for row in flagged] == ([] if way == "plain SQL" else [NUMBERS[0]])


async def test_claims_and_additions_at_full_speed_never_let_a_barred_number_through(pool: asyncpg.Pool) -> None:
    """Once an addition has been committed, the number of attempts on its number never changes again."""
    numbers = [f"+3584020{n:05}" for n in range(400)]
    id_ = await campaign(pool, numbers)

    terms = (await open_in(pool, id_, HELSINKI)).parameters()

    async def claims() -> None:
        for _ in range(100):
            await pool.fetch(CLAIM, id_, 2, "n", terms, [], None, None, None)

    async def additions(mine: list[str]) -> None:
        for number in mine:
            await bar(pool, TENANT, number)
            seen[number] = await pool.fetchval("SELECT count(*) FROM attempts WHERE e164 = $1", number)

    seen: dict[str, int] = {}
    barred = numbers[::2]
    await asyncio.gather(claims(), claims(), additions(barred[::2]), additions(barred[1::2]))
    while await take(pool, id_):
        pass
    after = {n: await pool.fetchval("SELECT count(*) FROM attempts WHERE e164 = $1", n) for n in barred}
    assert after == seen
    assert 0 < sum(after.values()) < len(barred)  # both kinds of interleaving came up
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 400 - len(barred) + sum(after.values())
    flags = await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'dnc.during_call'")
    assert flags == sum(after.values())


# -- opt-outs ------------------------------------------------------------------------------------------------------


async def test_an_opt_out_writes_consent_and_list_together_or_not_at_all(pool: asyncpg.Pool) -> None:
    one, two = await campaign(pool, NUMBERS[:2]), await campaign(pool, NUMBERS[:2])
    async with pool.acquire() as connection:
        with pytest.raises(RuntimeError):
            async with connection.transaction():
                await consents.opt_out(connection, 1, NUMBERS[0], "ivr")
                raise RuntimeError
        assert await pool.fetchval("SELECT count(*) FROM consents") == 0
        assert not await dnc.bars(pool, 1, one, NUMBERS)
        wrote = [await consents.opt_out(connection, 1, NUMBERS[0], "ivr") for _ in range(3)]
    assert wrote == [True, False, False]
    assert [tuple(r) for r in await pool.fetch("SELECT e164, kind, source FROM consents")] == [
        (NUMBERS[0], "opt_out", "ivr")
    ]
    assert await take(pool, one) == {NUMBERS[1]}
    assert await take(pool, two) == set()  # the number of the other contact is being called
    states = await pool.fetch("SELECT q.state FROM contacts q JOIN numbers n ON n.contact_id = q.id WHERE n.e164 = $1",
                              NUMBERS[0])  # fmt: skip
    assert [row["state"] for row in states] == ["suppressed", "suppressed"]


async def test_eight_opt_outs_of_one_number_at_a_time_are_one(pool: asyncpg.Pool) -> None:
    async def out() -> bool:
        async with pool.acquire() as connection:
            return await consents.opt_out(connection, 1, NUMBERS[0], "api")

    assert sum(await asyncio.gather(*(out() for _ in range(8)))) == 1
    assert await pool.fetchval("SELECT count(*) FROM consents") == 1


async def test_an_opt_in_lifts_opt_outs_but_no_other_list(pool: asyncpg.Pool) -> None:
    id_ = await campaign(pool)
    await bar(pool, SYSTEM, NUMBERS[1])
    async with pool.acquire() as connection:
        for number in NUMBERS[:2]:
            await consents.opt_out(connection, 1, number, "agent")
            await consents.opt_out(connection, 1, number, "agent", campaign_id=id_)
            assert await consents.opt_in(connection, 1, number, "form")
            assert not await consents.opt_in(connection, 1, number, "form")
    assert set(await dnc.bars(pool, 1, id_, NUMBERS)) == {NUMBERS[1]}
    assert await pool.fetchval("SELECT count(*) FROM call_events WHERE kind = 'dnc.removed'") == 4


# -- registers -----------------------------------------------------------------------------------------------------


def read(path: Path, **options: Any) -> tuple[list[int], Report]:
    report = Report()
    return list(read_numbers(path, "FI", report, **options)), report


async def test_a_register_may_be_lines_or_csv_plain_or_packed(tmp_path: Path) -> None:
    texts = {
        "plain.txt": "\ufeff+358401000000\r\n040 100 0001\n\n+358401000002",
        "one.csv": "+358401000000,x\n0401000001,y\n+358401000002,z\n",
        "named.csv": 'Name;Phone\n"A; B";+358401000000\nC;040-1000001\nD;+358401000002\n',
    }
    for name, text in texts.items():
        for path in (tmp_path / name, tmp_path / f"{name}.gz"):
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
            assert read(path)[0] == [358401000000, 358401000001, 358401000002], path


async def test_lines_that_bar_nobody_are_counted_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("+358401000000\ncall me\n12\n3584010000\n")
    numbers, report = read(path)
    assert numbers[0] == 358401000000
    assert (report.rows, report.refused["characters"], report.refused["short"]) == (4, 1, 1)
    assert report.examples[0] == (2, "characters", "call me")
    assert read(path, bare_e164=True)[0] == [358401000000, 3584010000]
    path.write_bytes("+358401000000".encode("utf-16"))
    with pytest.raises(Refused, match="UTF-16"):
        read(path)


async def put(pool: asyncpg.Pool, numbers: list[int], **more: Any) -> Report:
    return await import_register(pool, 1, SYSTEM, "national", numbers, Report(), "me", "the office", **more)


async def test_a_register_is_replaced_whole_and_the_same_file_twice_changes_nothing(pool: asyncpg.Pool) -> None:
    first = await put(pool, [358401000000, 358401000001, 358401000001, 358401000002])
    assert (first.numbers, first.added, first.removed) == (3, 3, 0)
    again = await put(pool, [358401000000, 358401000001, 358401000002])
    assert (again.numbers, again.added, again.removed) == (3, 0, 0)
    newer = await put(pool, [358401000001, 358401000002, 358401000003])
    assert (newer.numbers, newer.added, newer.removed) == (3, 1, 1)
    assert set(await dnc.bars(pool, 1, 1, NUMBERS)) == set(NUMBERS[1:4])
    (found,) = await dnc.lists(pool, 1)
    assert (found.numbers, found.kind, found.scope, found.source) == (3, "register", "system", "the office")
    with pytest.raises(Refused, match="register list"):
        await dnc.remove(pool, 1, SYSTEM, [NUMBERS[1]], "FI", "me", "why", "national")
    with pytest.raises(Refused, match="one by one"):
        await bar(pool, SYSTEM, NUMBERS[4], list_name="national")


async def test_a_register_that_breaks_off_or_is_too_small_or_too_old_changes_nothing(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    await put(pool, [358401000000, 358401000001, 358401000002])
    packed = tmp_path / "r.gz"
    packed.write_bytes(gzip.compress(b"".join(b"+3584%08d\n" % n for n in range(0, 10**6, 7)))[:-2000])
    with pytest.raises(EOFError):
        await import_register(pool, 1, SYSTEM, "national", read_numbers(packed, "FI", Report()), Report(), "me", "s")
    with pytest.raises(Refused, match="complete"):
        await put(pool, [358401000001])
    with pytest.raises(Refused, match="no number"):
        await put(pool, [], may_shrink=True)
    with pytest.raises(Refused, match="older"):
        await put(pool, [358401000001], may_shrink=True, as_of=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(Refused, match="future"):
        await put(pool, [358401000001], may_shrink=True, as_of=datetime.now(UTC) + timedelta(days=1))
    assert set(await dnc.bars(pool, 1, 1, NUMBERS)) == set(NUMBERS[:3])
    assert (await put(pool, [358401000001], may_shrink=True)).removed == 2


async def test_a_register_older_than_its_limit_shuts_the_gate_of_its_scope_only(pool: asyncpg.Pool) -> None:
    """I10: then nothing at all is dialled, on the list or not."""
    one, two = await campaign(pool), await campaign(pool, ["+358409999999"])
    stale = datetime.now(UTC) - timedelta(days=31)
    await import_register(
        pool, 1, Scope(1, one), "r", [358401000000], Report(), "me", "s", as_of=stale, max_age_days=30
    )
    result = await claim(pool, one, 5, "n", await open_in(pool, one, HELSINKI))
    assert (result.taken, result.refusal) == ((), "dnc_stale")
    assert len(await take(pool, two)) == 1
    assert [found.stale for found in await dnc.lists(pool, 1)] == [True]
    await import_register(pool, 1, Scope(1, one), "r", [358401000000], Report(), "me", "s")
    assert await take(pool, one) == set(NUMBERS[1:])


async def test_a_staging_table_and_a_time_limit_do_not_outlive_an_import(pool: asyncpg.Pool) -> None:
    for numbers in ([358401000000], []):
        with contextlib.suppress(Refused):
            await put(pool, numbers, may_shrink=True)
    assert await pool.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'dnc_staging'") == 0
    limits = [await pool.fetchval("SHOW statement_timeout") for _ in range(3)]
    assert set(limits) == {"5s"}


# -- scrubs --------------------------------------------------------------------------------------------------------


async def test_a_file_scrub_bars_its_hits_in_that_campaign(pool: asyncpg.Pool, tmp_path: Path) -> None:
    one, two = await campaign(pool), await campaign(pool)
    path = tmp_path / "robinson.txt"
    path.write_text("+358409999999\n358401000001\n")
    report = await scrub(pool, 1, one, "robinson", find(f"file:{path}"), "me", max_age_days=31)
    assert (report.rows, report.numbers) == (5, 1)
    assert set(await dnc.bars(pool, 1, one, NUMBERS)) == {NUMBERS[1]}
    assert not await dnc.bars(pool, 1, two, NUMBERS)
    (found,) = await dnc.lists(pool, 1)
    assert (found.kind, found.scope, found.source, found.max_age_days) == ("scrub", "campaign", "file robinson.txt", 31)
    path.write_text("+358401000002\n")
    assert (await scrub(pool, 1, one, "robinson", FileScrub(str(path)), "me")).removed == 1
    assert set(await dnc.bars(pool, 1, one, NUMBERS)) == {NUMBERS[2]}


async def test_a_scrub_that_fails_or_makes_things_up_leaves_the_list_as_it_was(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    id_ = await campaign(pool)
    path = tmp_path / "list.txt"
    path.write_text("+358401000001\n")
    await scrub(pool, 1, id_, "s", FileScrub(str(path)), "me")

    class Liar:
        source = "liar"

        async def check(self, numbers: Any) -> frozenset[str]:
            return frozenset(["+358409999999"])

    with pytest.raises(Refused, match="not asked"):
        await scrub(pool, 1, id_, "s", Liar(), "me")
    path.write_text("040 call me\n")
    with pytest.raises(Refused, match=r"no E\.164"):
        await scrub(pool, 1, id_, "s", FileScrub(str(path)), "me")
    path.unlink()
    with pytest.raises(OSError):
        await scrub(pool, 1, id_, "s", FileScrub(str(path)), "me")
    with pytest.raises(Refused, match="known: file"):
        find("nobody:x")
    assert set(await dnc.bars(pool, 1, id_, NUMBERS)) == {NUMBERS[1]}


async def test_additions_to_a_list_that_is_not_there_yet_do_not_lock_each_other_out(pool: asyncpg.Pool) -> None:
    for round_ in range(10):
        name = f"list {round_}"
        await asyncio.gather(
            *(bar(pool, TENANT, *NUMBERS, list_name=name) for _ in range(4)),
            *(bar(pool, TENANT, *reversed(NUMBERS), list_name=name, prefixes=["+999"]) for _ in range(4)),
        )
    assert [found.numbers for found in await dnc.lists(pool, 1)] == [len(NUMBERS)] * 10
