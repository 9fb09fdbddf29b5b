"""Recordings in a folder of this machine. Nothing below it can be read by others, and no link is followed."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path

from dialerd.archive.place import CHUNK, ArchiveFailed, checked

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """See `place.Place`. Files come in from `incoming`, which lies in the same folder, by a rename."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.incoming = root / "incoming"

    async def put(self, key: str, source: Path, sha256: str) -> None:
        """The rename and the folder's entry are on disk when this returns."""
        await asyncio.to_thread(self._put, self._path(key), source)

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Opens before it returns: a file that is deleted meanwhile is read to its end."""
        path = self._path(key)
        try:
            file = await asyncio.to_thread(_open, path)
        except OSError as error:
            raise failure(error, path) from error
        return _chunks(file, start, length)

    async def erase(self, key: str) -> None:
        """Its folders stay."""
        path = self._path(key)
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as error:
            raise failure(error, path) from error

    async def close(self) -> None:
        """Nothing is kept open."""

    def _path(self, key: str) -> Path:
        """Below the root, whatever the key's check lets through: what is put there replaces what is there."""
        path = self._root / checked(key)
        if not Path(os.path.normpath(path)).is_relative_to(self._root) or path == self._root:
            raise ArchiveFailed("refused", f"not below the folder of recordings: {key[:80]!r}")
        return path

    def _put(self, path: Path, source: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.rename(path)
            descriptor = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure(error, path) from error


def failure(error: OSError, path: Path) -> ArchiveFailed:
    """What an error of the file system means."""
    words = f"{path}: {error.strerror or type(error).__name__}"
    if error.errno in _FULL:
        return ArchiveFailed("disk_full", words)
    return ArchiveFailed("missing" if error.errno == errno.ENOENT else "refused", words)


def _open(path: Path) -> FileIO:
    return FileIO(path, opener=lambda name, _: os.open(name, _READ))


async def _chunks(file: FileIO, start: int, length: int) -> AsyncIterator[bytes]:
    with file:  # a file object and no descriptor: one that nobody begins to read is closed with it
        while length > 0 and (chunk := await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, length), start)):
            start, length = start + len(chunk), length - len(chunk)
            yield chunk
