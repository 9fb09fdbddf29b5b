"""Where recordings are kept: what a folder and a bucket have in common.

Keys are made by us alone: `<tenant id>/<year>/<month>/<day>/<recording>.wav`. Any other one is refused before it
becomes a path or an address.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

Reason = Literal["disk_full", "unreachable", "refused", "missing", "damaged"]
_KEY = re.compile(r"[0-9]{1,10}/[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9a-f-]{53}\.wav\Z", re.ASCII)
CHUNK = 1 << 18  # bytes


class ArchiveFailed(Exception):
    """The place did not do what was asked; `reason` is one word for /health and programs."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class Place(Protocol):
    """All may raise `ArchiveFailed`."""

    async def put(self, key: str, source: Path, sha256: str) -> None:
        """Takes a file in, whole or not at all, in place of one that is there already. `source` may be gone then."""

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """So many bytes from there; what is missing is told before the first one."""

    async def erase(self, key: str) -> None:
        """Erases; what is gone already is fine."""

    async def close(self) -> None:
        """Lets go of connections."""


def key_of(tenant_id: int, day: datetime, name: str) -> str:
    """The key of a recording: the same one however often it is asked for."""
    return checked(f"{tenant_id}/{day.astimezone(UTC):%Y/%m/%d}/{name}.wav")


def checked(key: str) -> str:
    """The key, if it is one of ours. Raises `ArchiveFailed`."""
    if not _KEY.match(key):
        raise ArchiveFailed("refused", f"not the key of a recording: {key[:80]!r}")
    return key


async def digest(place: Place, key: str, size: int) -> str:
    """The SHA-256 of what the place holds under this key, read back from it."""
    found = hashlib.sha256()
    async for chunk in await place.read(key, 0, size + 1):  # one more: what is longer is another file
        await asyncio.to_thread(found.update, chunk)
    return found.hexdigest()
