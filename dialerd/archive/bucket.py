"""Recordings in a bucket that speaks S3's protocol: Amazon's, or anybody's.

The request is signed over the file's SHA-256, so that a bucket that checks it (Amazon's does) refuses what was damaged
on the way. aiohttp-s3-client is an optional part: pip install 'dialerd[s3]'.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp

from dialerd.archive.place import CHUNK, ArchiveFailed, checked

_TIMES = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0)
_LOST = (aiohttp.ClientError, TimeoutError, OSError)


class Bucket:
    """See `place.Place`. `url`: with the bucket, without a slash at the end."""

    def __init__(self, url: str, region: str, access_key: str, secret_key: str) -> None:
        self._url = url
        self._keys = region, access_key, secret_key
        self._session: aiohttp.ClientSession | None = None
        self._client: Any = None

    async def put(self, key: str, source: Path, sha256: str) -> None:
        """One request; a bucket takes in a whole object or none."""
        size = (await asyncio.to_thread(source.stat)).st_size
        await self._done(
            lambda client: client.put(
                checked(key),
                _read(source),
                data_length=size,
                content_sha256=sha256,
                headers={"content-type": "audio/wav"},
            ),
            key,
        )

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """A range that the bucket answers as a whole is refused: it would be other bytes."""
        headers = {"range": f"bytes={start}-{start + length - 1}"}
        context = self._reach().get(checked(key), headers=headers)
        try:
            response = await context.__aenter__()
        except _LOST as error:
            raise ArchiveFailed("unreachable", f"{self._url}: {str(error) or type(error).__name__}") from error
        if response.status != 206:
            await context.__aexit__(None, None, None)
            raise _refused(response.status, key)
        return _body(context, response, self._url)

    async def erase(self, key: str) -> None:
        """Versions that a bucket keeps of what is erased are its operator's business."""
        await self._done(lambda client: client.delete(checked(key)), key, gone_is_fine=True)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = self._client = None

    async def _done(
        self, request: Callable[[Any], AbstractAsyncContextManager[Any]], key: str, *, gone_is_fine: bool = False
    ) -> None:
        try:
            async with request(self._reach()) as response:
                await response.read()
        except _LOST as error:
            raise ArchiveFailed("unreachable", f"{self._url}: {str(error) or type(error).__name__}") from error
        if response.status >= 300 and not (gone_is_fine and response.status == 404):
            raise _refused(response.status, key)

    def _reach(self) -> Any:
        """The client, made when it is first wanted: it belongs to a running loop."""
        if self._client is None:
            try:
                from aiohttp_s3_client import S3Client
                from aiohttp_s3_client.credentials import StaticCredentials
            except ImportError:
                raise ArchiveFailed("refused", "storage = 's3' wants: pip install 'dialerd[s3]'") from None
            region, access_key, secret_key = self._keys
            keys = StaticCredentials(access_key_id=access_key, secret_access_key=secret_key, region=region)
            self._session = aiohttp.ClientSession(timeout=_TIMES, trust_env=False)
            self._client = S3Client(self._session, self._url, credentials=keys)
        return self._client


def _refused(status: int, key: str) -> ArchiveFailed:
    return ArchiveFailed("missing" if status in (404, 416) else "refused", f"{key}: the bucket answered {status}")


async def _read(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    finally:
        file.close()


async def _body(context: AbstractAsyncContextManager[Any], response: Any, url: str) -> AsyncIterator[bytes]:
    ended: Awaitable[Any]
    try:
        async for chunk in response.content.iter_chunked(CHUNK):
            yield chunk
    except _LOST as error:
        raise ArchiveFailed("unreachable", f"{url}: {str(error) or type(error).__name__}") from error
    finally:
        ended = context.__aexit__(None, None, None)
        await ended
