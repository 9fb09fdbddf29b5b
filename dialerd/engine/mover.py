"""Recordings on their way from Asterisk's folder to where they are kept, and out of there when their days are over.

What waits is in Asterisk's folder and nowhere else: there is no queue that a restart could lose. One file at a time:
fetched, its lengths put right, its SHA-256 taken, put in place, read back and compared, put on record; then, and only
then, deleted in Asterisk. Each step can be done again. A place that is full or away is tried again, ever more rarely.
Calls never wait for any of this.
"""

import asyncio
import os
import random
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from dialerd.archive.folder import failure
from dialerd.archive.place import CHUNK, ArchiveFailed, digest, key_of
from dialerd.archive.places import Places
from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import recording, wavehead
from dialerd.engine import record
from dialerd.engine.node import Node
from dialerd.store import recordings as store
from dialerd.store.errors import DB_ERRORS, NotFound, Refused

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 600.0  # for days that are over, and for space
_SPACE_SECONDS = 5.0  # how long a look at the free space is good for
_LOST_AFTER = timedelta(seconds=60)
_AGAIN_MOST_SECONDS = 300.0
_OF_ALL = ("disk_full", "unreachable")  # reasons that the next file would meet as well
_MOST_TROUBLES = 3  # of one round
_TROUBLES = (AriError, AriUnreachable, ArchiveFailed, *DB_ERRORS)


class Mover:
    """`word` says how it stands, for /health: ok, waiting (Asterisk or PostgreSQL is away), disk_full, unreachable,
    refused, damaged."""

    def __init__(self, node: Node, ari: AriLink) -> None:
        self._node = node
        self._ari = ari
        self._config = node.config.recordings
        self.places = Places(self._config)
        self._wake = asyncio.Event()
        self._word = "ok"
        self._failures = 0
        self._strangers: set[str] = set()
        self._space: tuple[float, str] = (float("-inf"), "")

    @property
    def word(self) -> str:
        """One word for /health."""
        return "disk_full" if self.full else self._word

    @property
    def full(self) -> str:
        """Which disk has too little space for recordings, in words; empty: none."""
        seen_at, words = self._space
        now = self._node.clock.monotonic()
        if now - seen_at > _SPACE_SECONDS:
            words = self._look_at_space()
            self._space = now, words
        return words

    def wake(self) -> None:
        """There may be something to move."""
        self._wake.set()

    async def run(self) -> None:
        """Moves what there is; ends only by cancellation."""
        wait = 0.0
        try:
            while True:
                if wait:  # what wakes us is no reason to ask a place again that has just failed
                    await asyncio.sleep(wait)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_SECONDS):
                            await self._wake.wait()
                self._wake.clear()
                wait = await self._round()
        finally:
            await self.places.close()

    async def _round(self) -> float:
        """Everything once; the seconds until it is to be tried again, 0: when something is new."""
        pool = self._node.pool()
        if pool is None or not self._ari.up:
            return 1.0 if pool is None else 0.0  # ARI wakes us when it comes
        try:
            await self._sweep(pool)
            await forget(pool, self._node.config.node, self.places, self._node.clock.now())
        except _TROUBLES as error:
            self._failures += 1
            word = error.reason if isinstance(error, ArchiveFailed) else "waiting"
            if word != self._word or self._failures == 1:
                log.error("recordings.not_moved", why=word, error=str(error) or type(error).__name__)
            self._word = word
            wait = min(_AGAIN_MOST_SECONDS, 0.5 * 2.0 ** min(self._failures, 12))
            return wait * (0.5 + random.random())  # noqa: S311 - jitter
        if self._word != "ok":
            log.info("recordings.moved_again")
        self._word, self._failures = "ok", 0
        return 0.0

    # -- from Asterisk into the place -----------------------------------------------------------------------------

    async def _sweep(self, pool: Any) -> None:
        begun = await store.open_before(pool, self._node.config.node, self._node.clock.now() - _LOST_AFTER)
        try:
            names = [name for name in await self._ari.recordings() if recording.attempt_of(name) is not None]
        except AriError:
            if not begun:  # where nothing was ever recorded Asterisk may have no folder for it
                return
            raise
        troubles: list[Exception] = []
        for name in names:
            try:
                if not await self._ari.is_recording(name):
                    await self._move(pool, name)
            except (AriError, ArchiveFailed) as error:  # perhaps of this file alone: the others come first
                troubles.append(error)
                if (isinstance(error, ArchiveFailed) and error.reason in _OF_ALL) or len(troubles) == _MOST_TROUBLES:
                    break
        if troubles:
            raise troubles[0]
        there = set(names)
        for row in begun:
            if row.name not in there and not await self._ari.is_recording(row.name):
                await self._lost(pool, row)

    async def _move(self, pool: Any, name: str) -> None:
        about = await store.about(pool, name)
        if about is None:
            if name not in self._strangers and len(self._strangers) < 1_000:
                self._strangers.add(name)
                log.warning("recording.strange", recording=name, does="leaves it where it is")
            return
        if about.state is None:  # it began while PostgreSQL was away
            await store.begin(pool, name, self._node.config.node, about.why, about.begun_at, False)
        if about.state not in ("stored", "erased"):
            key = key_of(about.tenant_id, about.claimed_at, name)
            size, seconds, digest_ = await self._keep(name, key)
            await store.stored(pool, name, self.places.chosen, key, size, seconds, digest_)
            kept = {"name": name, "place": self.places.chosen, "seconds": round(seconds, 2), "sha256": digest_}
            self._note(about.tenant_id, about.campaign_id, name, "recording.stored", kept)
            log.info("recording.stored", recording=name, bytes=size, place=self.places.chosen)
        await self._ari.delete_recording(name)

    async def _keep(self, name: str, key: str) -> tuple[int, float, str]:
        """Fetches a file and puts it in place; its bytes, seconds and SHA-256. Raises `ArchiveFailed`."""
        source = self.places.incoming / f"{name}.wav"
        try:
            await self._fetch(name, source)
            size, seconds, digest_ = await asyncio.to_thread(_finish, source)
            place = self.places.get(self.places.chosen)
            await place.put(key, source, digest_)
        except OSError as error:
            raise failure(error, source) from error
        finally:
            with suppress(OSError):
                await asyncio.to_thread(source.unlink, missing_ok=True)
        if await digest(place, key, size) != digest_:
            raise ArchiveFailed("damaged", f"{key}: what was read back is not what was written")
        return size, seconds, digest_

    async def _fetch(self, name: str, to: Path) -> None:
        file = await asyncio.to_thread(_create, to)
        try:
            async for chunk in self._ari.read_recording(name):
                await asyncio.to_thread(_write, file, chunk)
        finally:
            os.close(file)

    async def _lost(self, pool: Any, row: store.Open) -> None:
        if await store.lost(pool, row.name):
            self._note(row.tenant_id, row.campaign_id, row.name, "recording.lost", {"name": row.name})
            log.error("recording.lost", recording=row.name, why="Asterisk neither records nor holds it")

    # -- small things ---------------------------------------------------------------------------------------------

    def _look_at_space(self) -> str:
        for folder in (Path(self._config.spool), Path(self._config.folder)):
            free = free_bytes(folder)
            if free is not None and free < self._config.min_free_mb << 20:
                return f"{folder} has {free >> 20} MB free, [recordings] min_free_mb is {self._config.min_free_mb}"
        return ""

    def _note(self, tenant: int, campaign: int, name: str, kind: str, detail: dict[str, Any]) -> None:
        attempt = recording.attempt_of(name)
        self._node.ledger.put(record.of_attempt(tenant, campaign, attempt or "", self._node.clock.now(), kind, detail))


async def forget(pool: Any, node: str, places: Places, now: datetime) -> None:
    """Erases this node's recordings whose days are over. Raises `ArchiveFailed`, and what is about PostgreSQL."""
    for tenant, name in await store.due(pool, node, now):
        try:
            await store.erase(pool, tenant, name, "dialerd", now, False, places.erase)
            log.info("recording.erased", recording=name)
        except (NotFound, Refused) as error:  # somebody was faster
            log.info("recording.not_erased", recording=name, why=str(error))


def free_bytes(folder: Path) -> int | None:
    """The free space of the disk that a folder lies on, or will lie on; None: it cannot be known."""
    for place in (folder, *folder.parents):
        try:
            found = os.statvfs(place)
        except OSError:  # not there yet, or closed to us: its parent lies, as a rule, on the same disk
            continue
        return found.f_bavail * found.f_frsize
    return None


def _create(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write(file: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(file, view) :]


def _finish(path: Path) -> tuple[int, float, str]:
    """Puts the lengths in a file's head right, has it on disk, and takes its SHA-256."""
    with path.open("r+b") as file:
        size = path.stat().st_size
        head = file.read(wavehead.SIZE)
        try:
            right, seconds = wavehead.read(head, size)
        except wavehead.NoWav:  # kept as it is: somebody may still make something of it
            right, seconds = head, 0.0
        if right != head:
            file.seek(0)
            file.write(right)
            file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        found = sha256()
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return size, seconds, found.hexdigest()
