"""Recordings at rest: in a folder and in a bucket, listed, played, erased by hand and by their days."""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from dialerd import config
from dialerd.archive.bucket import Bucket
from dialerd.archive.folder import Folder, failure
from dialerd.archive.place import ArchiveFailed, Place, digest, key_of
from dialerd.archive.places import Places
from dialerd.core import recording
from dialerd.engine.mover import Mover, _write, forget
from dialerd.store import recordings as store
from dialerd.store import retention, tenants
from dialerd.store.errors import NotFound, Refused
from dialerd.web.api import routes
from dialerd.web.app import create_app
from dialerd.web.database import Database
from lab.bucket import BucketServer
from lab.services import scratch
from tests.integration.test_admin import runner
from tests.integration.test_why import NUMBER, make
from tests.web.engine import TOKEN, FakeEngine

SOUND = bytes(range(256)) * 40
SHA = hashlib.sha256(SOUND).hexdigest()
NAME = recording.name("0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "00112233aabbccdd")
KEY = key_of(1, datetime(2026, 11, 25, tzinfo=UTC), NAME)
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def bucket_server() -> Iterator[BucketServer]:
    with BucketServer(scratch("bucket")) as server:
        yield server


def bucket_at(url: str) -> Bucket:
    return Bucket(url, "eu-north-1", "key", "secret")


@pytest.fixture(params=["folder", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Either kind of place."""
    if request.param == "folder":
        yield Folder(tmp_path / "kept")
        return
    found = bucket_at(request.getfixturevalue("bucket_server").url)
    yield found
    await found.close()


def source(folder: Path, content: bytes = SOUND) -> Path:
    path = folder / "kept" / "incoming" / f"{NAME}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def body(place: Place, start: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in await place.read(KEY, start, length)])


async def test_what_is_put_in_is_read_back_whole_or_in_part_until_it_is_erased(place: Place, tmp_path: Path) -> None:
    await place.put(KEY, source(tmp_path), SHA)
    assert await digest(place, KEY, len(SOUND)) == SHA
    assert await body(place, 0, len(SOUND)) == SOUND
    assert await body(place, 1000, 24) == SOUND[1000:1024]
    await place.put(KEY, source(tmp_path, b"another"), "0" * 64)
    assert await digest(place, KEY, 7) != SHA, "the last one counts"
    await place.erase(KEY)
    await place.erase(KEY)
    with pytest.raises(ArchiveFailed) as failed:
        await place.read(KEY, 0, 10)
    assert failed.value.reason == "missing"


HOSTILE = ("../canary", "1/2026/11/25/../../../../../canary", "{canary}", "", KEY + "\n", "1//" + KEY)


@pytest.mark.parametrize("key", HOSTILE)
async def test_a_key_that_we_did_not_make_is_refused(place: Place, tmp_path: Path, key: str) -> None:
    """Harmless also where the check is broken: what these keys lead to is this test's own."""
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    key = key.format(canary=canary)
    for work in (place.put(key, source(tmp_path), SHA), place.read(key, 0, 1), place.erase(key)):
        with pytest.raises(ArchiveFailed, match="not the key of a recording"):
            await work
    assert canary.read_text() == "untouched"


@pytest.mark.parametrize("key", ["../canary", "1/2026/11/25/../../../../../canary", "{canary}", ""])
async def test_a_folder_does_not_leave_itself_even_for_a_key_that_passed_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    monkeypatch.setattr("dialerd.archive.folder.checked", lambda key: key)
    folder = Folder(tmp_path / "kept")
    key = key.format(canary=canary)
    for work in (folder.put(key, source(tmp_path), SHA), folder.read(key, 0, 1), folder.erase(key)):
        with pytest.raises(ArchiveFailed, match="not below the folder"):
            await work
    assert canary.read_text() == "untouched"


async def test_a_bucket_that_is_away_or_not_there_says_which(tmp_path: Path, bucket_server: BucketServer) -> None:
    for url, reason in (("http://127.0.0.1:9/recordings", "unreachable"), (bucket_server.url + "-not", "missing")):
        found = bucket_at(url)
        with pytest.raises(ArchiveFailed) as failed:
            await found.put(KEY, source(tmp_path), SHA)
        assert failed.value.reason == reason
        assert "secret" not in str(failed.value)
        await found.close()


async def test_a_link_in_the_place_of_a_recording_is_not_followed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "elsewhere").write_text("not a recording")
    path = tmp_path / KEY
    path.parent.mkdir(parents=True)
    (tmp_path / "other").write_text("a secret")
    path.symlink_to(tmp_path / "other")
    with pytest.raises(ArchiveFailed):
        await folder.read(KEY, 0, 10)


def test_a_disk_that_is_full_is_told_by_the_kernels_own_word() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError) as error:
            _write(full, bytes(1 << 20))
    finally:
        os.close(full)
    assert failure(error.value, Path("/dev/full")).reason == "disk_full"


# -- on record --------------------------------------------------------------------------------------------------------


class Shelf:
    """Calls whose recordings are kept in a folder."""

    def __init__(self, pool: asyncpg.Pool, folder: Path) -> None:
        self.pool = pool
        self.folder = folder
        self.places = Places(config.Recordings(folder=str(folder)))

    async def add(self, days: int = 0, campaign: str = "c", sound: bytes = SOUND, count: int = 1) -> str:
        """A call of so many days ago, with a stored recording; the name of the last one."""
        at = datetime.now(UTC) - timedelta(days=days)
        call = await self.pool.fetchval(
            "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state,"
            " outcome, claimed_at, ended_at) SELECT uuid7(), c.tenant_id, c.id, q.id, 0, $1, 'n', 't', 'ended',"
            " 'connected', $2, $2 FROM campaigns c, contacts q WHERE c.name = $3 LIMIT 1 RETURNING id",
            NUMBER, at, campaign,
        )  # fmt: skip
        name = ""
        for n in range(count):
            name = recording.name(str(call), f"{n:016x}")
            await store.begin(self.pool, name, "n", "always", at + timedelta(seconds=n), False)
            tenant = await self.pool.fetchval("SELECT tenant_id FROM recordings WHERE name = $1", name)
            key = key_of(tenant, at, name)
            path = self.places.incoming / "x.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sound)
            await self.places.get("folder").put(key, path, SHA)
            await store.stored(self.pool, name, "folder", key, len(sound), 1.5, SHA)
        return name

    async def states(self) -> list[str]:
        rows = await self.pool.fetch("SELECT state FROM recordings ORDER BY begun_at")
        return [row["state"] for row in rows]

    def files(self) -> int:
        return len([path for path in self.folder.rglob("*.wav") if path.parent.name != "incoming"])

    async def forget(self, node: str = "n") -> None:
        await forget(self.pool, node, self.places, datetime.now(UTC))

    async def events(self, kind: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT detail FROM call_events WHERE kind = $1 ORDER BY id", kind)
        return [row["detail"] for row in rows]


@pytest.fixture
async def shelf(pool: asyncpg.Pool, tmp_path: Path) -> Shelf:
    async with pool.acquire() as connection:
        await make(connection)
    return Shelf(pool, tmp_path / "kept")


@pytest.fixture
async def http(shelf: Shelf) -> AsyncIterator[httpx.AsyncClient]:
    settings = config.Config(
        ami=config.Ami(secret=SecretStr("x")), ari=config.Ari(password=SecretStr("x")),
        web=config.Web(token=SecretStr(TOKEN)),
    )  # fmt: skip
    redis: Any = None
    api = routes(settings, Database(lambda: shelf.pool), redis, places=shelf.places)
    app = create_app(FakeEngine(), TOKEN, api=api)
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 4000))
    async with httpx.AsyncClient(transport=transport, base_url="http://dialer.test:8000", headers=BEARER) as client:
        yield client


async def test_recordings_go_when_their_campaigns_tenants_or_records_days_are_over(shelf: Shelf) -> None:
    for days in (40, 20, 5):
        await shelf.add(days)
    await shelf.forget()
    assert await shelf.states() == ["stored"] * 3, "kept for ever unless somebody said otherwise"
    await retention.set_days(shelf.pool, 1, 30, "test")
    await shelf.forget("another node")
    assert await shelf.states() == ["stored"] * 3, "each node has its own folder"
    await shelf.forget()
    assert await shelf.states() == ["erased", "stored", "stored"], "as long as the record"
    await store.set_days(shelf.pool, 1, 10, "test")
    await shelf.pool.execute("UPDATE campaigns SET recording_days = 25")
    await shelf.forget()
    assert await shelf.states() == ["erased", "stored", "stored"], "the campaign's word holds"
    await shelf.pool.execute("UPDATE campaigns SET recording_days = NULL")
    await shelf.forget()
    assert (await shelf.states(), shelf.files()) == (["erased", "erased", "stored"], 1)
    assert [event["by"] for event in await shelf.events("recording.erased")] == ["dialerd"] * 2


async def test_what_the_legal_profile_wants_longer_is_kept_longer(shelf: Shelf) -> None:
    await shelf.pool.execute("UPDATE campaigns SET legal_profile = 'US-DEBT', recording_days = 10")
    name = await shelf.add(1000)
    await shelf.add(1100)
    await shelf.forget()
    assert await shelf.states() == ["erased", "stored"]
    now = datetime.now(UTC)
    with pytest.raises(Refused, match="US-DEBT wants recordings kept for 1096 days"):
        await store.erase(shelf.pool, 1, name, "test", now, False, shelf.places.erase)
    await store.erase(shelf.pool, 1, name, "test", now, True, shelf.places.erase)
    assert (await shelf.events("recording.erased"))[-1]["despite_profile"] is True


async def test_a_place_that_does_not_erase_leaves_the_recording_on_record_as_it_is(shelf: Shelf) -> None:
    name = await shelf.add()

    async def broken(place: str, key: str) -> None:
        raise ArchiveFailed("unreachable", "the bucket is away")

    with pytest.raises(ArchiveFailed):
        await store.erase(shelf.pool, 1, name, "test", datetime.now(UTC), False, broken)
    assert await shelf.states() == ["stored"]


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        (None, 200, 0, 10239), ("bytes=0-", 200, 0, 10239), ("bytes=10-19", 206, 10, 19),
        ("bytes=10000-", 206, 10000, 10239), ("bytes=-100", 206, 10140, 10239), ("bytes=0-999999", 200, 0, 10239),
        ("bytes=5-4", 200, 0, 10239), ("bytes=0-1,5-6", 200, 0, 10239), ("lines=1-2", 200, 0, 10239),
        ("bytes=-", 200, 0, 10239), ("bytes=-99999", 200, 0, 10239), ("bytes=١-٢", 200, 0, 10239),
    ],
)  # fmt: skip
async def test_a_range_is_that_part_and_what_is_none_is_everything(
    shelf: Shelf, http: httpx.AsyncClient, asked: str | None, status: int, first: int, last: int
) -> None:
    name = await shelf.add()
    headers = [(b"range", asked.encode())] if asked else []
    reply = await http.get(
        f"/recordings/{name}", headers=[*headers, *((k.encode(), v.encode()) for k, v in BEARER.items())]
    )
    assert (reply.status_code, reply.content) == (status, SOUND[first : last + 1])
    assert reply.headers.get("content-range") == (f"bytes {first}-{last}/10240" if status == 206 else None)
    assert await shelf.events("recording.played") == [
        {"name": name, "by": "api", "address": "198.51.100.7", "from": first, "to": last + 1}
    ]


async def test_a_range_outside_is_refused_and_nothing_is_said_to_have_been_played(
    shelf: Shelf, http: httpx.AsyncClient
) -> None:
    name = await shelf.add()
    for asked in ("bytes=10240-", "bytes=-0"):
        reply = await http.get(f"/recordings/{name}", headers={**BEARER, "range": asked})
        assert (reply.status_code, reply.headers["content-range"]) == (416, "bytes */10240")
    assert await shelf.events("recording.played") == []


async def test_a_call_is_played_by_its_id_and_listed_by_campaign_contact_and_call(
    shelf: Shelf, http: httpx.AsyncClient
) -> None:
    name = await shelf.add(count=2)
    other = await shelf.add(1, "d")
    call = recording.attempt_of(name) or ""
    assert (await http.get(f"/recordings/{call}")).content == SOUND
    info = (await http.get(f"/recordings/{name}?info=1")).json()
    assert (info["attempt"], info["sha256"], info["state"]) == (call, SHA, "stored")
    assert not {"key", "place"} & set(info)
    found = (await http.get("/recordings", params={"campaign": "c"})).json()["recordings"]
    assert [each["attempt"] for each in found] == [call, call]
    contact = str(found[0]["contact_id"])
    assert len((await http.get("/recordings", params={"contact": contact})).json()["recordings"]) == 3
    assert len((await http.get("/recordings", params={"attempt": call, "limit": "1"})).json()["recordings"]) == 1
    assert (await http.get("/recordings", params={"campaign": "d"})).json()["recordings"][0]["name"] == other
    for params, status in (({"campaign": "x"}, 404), ({"contact": "x"}, 422), ({"attempt": "' OR 1=1"}, 404)):
        assert (await http.get("/recordings", params=params)).status_code == status


@pytest.mark.parametrize("which", ["x", "..%2f..%2fetc%2fpasswd", "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", NAME, "%00"])
async def test_what_is_no_recording_is_not_found(shelf: Shelf, http: httpx.AsyncClient, which: str) -> None:
    assert (await http.get(f"/recordings/{which}")).status_code == 404


async def test_another_tenant_sees_plays_and_erases_nothing_of_it(shelf: Shelf, http: httpx.AsyncClient) -> None:
    await tenants.add(shelf.pool, "acme", "FI", "test")
    name = await shelf.add()
    acme = {**BEARER, "x-tenant": "acme"}
    assert (await http.get("/recordings", headers=acme)).json() == {"recordings": []}
    assert (await http.get(f"/recordings/{name}", headers=acme)).status_code == 404
    assert (await http.delete(f"/recordings/{name}", headers=acme)).status_code == 404
    assert (await shelf.states(), shelf.files()) == (["stored"], 1)
    with pytest.raises(NotFound):
        await store.erase(shelf.pool, 2, name, "test", datetime.now(UTC), False, shelf.places.erase)


async def test_nobody_hears_a_recording_who_is_not_signed_in(shelf: Shelf, http: httpx.AsyncClient) -> None:
    name = await shelf.add()
    for method, path in (("GET", "/recordings"), ("GET", f"/recordings/{name}"), ("DELETE", f"/recordings/{name}")):
        reply = await http.request(method, path, headers={"authorization": "Bearer wrong"})
        assert reply.status_code == 401
    assert await shelf.states() == ["stored"]


async def test_without_its_audit_row_nothing_is_played(shelf: Shelf, http: httpx.AsyncClient) -> None:
    name = await shelf.add()
    await shelf.pool.execute(
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'x'"
        " USING ERRCODE = 'query_canceled'; END $$"
    )
    await shelf.pool.execute("CREATE TRIGGER away BEFORE INSERT ON call_events EXECUTE FUNCTION away()")
    reply = await http.get(f"/recordings/{name}")
    assert reply.status_code == 503 and SOUND[:100] not in reply.content


async def test_what_was_erased_or_is_gone_says_so(shelf: Shelf, http: httpx.AsyncClient) -> None:
    name = await shelf.add()
    assert (await http.delete(f"/recordings/{name}")).json() == {"erased": name}
    assert shelf.files() == 0
    reply = await http.get(f"/recordings/{name}")
    assert (reply.status_code, reply.json()["error"]["reason"]) == (410, "recording_is_erased")
    assert (await http.delete(f"/recordings/{name}")).status_code == 409
    other = await shelf.add()
    for path in shelf.folder.rglob("*.wav"):
        path.unlink()
    reply = await http.get(f"/recordings/{other}")
    assert (reply.status_code, reply.json()["error"]["reason"]) == (502, "storage_missing")


async def test_the_terminal_lists_fetches_holds_against_the_checksum_and_deletes(
    shelf: Shelf, tmp_path: Path, database: config.Postgres
) -> None:
    admin = runner(tmp_path / "etc", database)
    with (tmp_path / "etc" / "dialerd.toml").open("a") as file:
        file.write(f"[recordings]\nfolder = '{shelf.folder}'\n")
    name = await shelf.add()
    damaged = await shelf.add(sound=b"x" * 100)
    listed = (await admin("recording", "list", "--campaign", "c", "--json")).json["recordings"]
    assert {each["name"] for each in listed} == {name, damaged}
    out = tmp_path / "out.wav"
    call = recording.attempt_of(name) or ""
    assert (await admin("recording", "fetch", call, "--out", str(out), "--json")).json["file"] == str(out)
    assert out.read_bytes() == SOUND
    again = await admin("recording", "fetch", call, "--out", str(out))
    assert (again.status, "is there already" in again.err) == (1, True)
    wrong = await admin("recording", "fetch", damaged, "--out", str(tmp_path / "d.wav"))
    assert (wrong.status, "is not what was stored" in wrong.err) == (1, True)
    assert (await admin("recording", "keep", "30", "--json")).json == {"days": 30, "record_days": None, "holds": 30}
    assert (await admin("recording", "keep", "record", "--json")).json["holds"] is None
    assert (await admin("recording", "delete", name, "--yes")).status == 0
    assert (await admin("recording", "fetch", name)).status == 1
    assert (await admin("recording", "delete", "nonsense", "--yes")).status == 3
    played = await shelf.events("recording.played")
    assert all(event["by"].startswith("dialer-admin:") for event in played)
    warned = await admin("campaign", "update", "c", "--recording", "always", "--profile", "FI")
    assert "no call will be recorded" in warned.err


class _Ari:
    """Asterisk's folder with one file in it."""

    async def read_recording(self, name: str) -> AsyncIterator[bytes]:
        for start in range(0, len(SOUND), 1000):
            yield SOUND[start : start + 1000]


class _Damaging(Folder):
    """A disk that changes what is written to it."""

    async def put(self, key: str, source: Path, sha256: str) -> None:
        source.write_bytes(source.read_bytes()[:-1] + b"?")
        await super().put(key, source, sha256)


@pytest.mark.parametrize(("kind", "damaged"), [(Folder, False), (_Damaging, True)])
async def test_what_is_read_back_otherwise_than_it_was_written_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Folder], damaged: bool
) -> None:
    recordings = config.Recordings(folder=str(tmp_path / "kept"))
    node: Any = SimpleNamespace(config=SimpleNamespace(recordings=recordings))
    ari: Any = _Ari()
    mover = Mover(node, ari)
    monkeypatch.setattr(mover.places, "get", lambda name: kind(tmp_path / "kept"))
    if damaged:
        with pytest.raises(ArchiveFailed) as failed:
            await mover._keep(NAME, KEY)
        assert failed.value.reason == "damaged"
    else:
        assert await mover._keep(NAME, KEY) == (len(SOUND), 0.0, SHA)
    assert list((tmp_path / "kept" / "incoming").iterdir()) == []
