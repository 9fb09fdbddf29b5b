"""What flows tell other systems: posts of ids and keys that no call waits for.

Bounded in number, time and size. No redirect is followed, the answer is not read, and a name that leads to a private
address is refused at the moment of connecting, so that it cannot lead elsewhere in between.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from dialerd.config import Flows
from dialerd.core import weburl

log = structlog.get_logger(__name__)

_WAITING = 1_000  # beyond so many that wait a new one is dropped, and goes on record as that
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Post:
    """One thing to tell. `done` gets the status of the answer, or why there is none."""

    url: str
    body: Mapping[str, Any]
    done: Callable[[int | str], None]


class _Public(AbstractResolver):
    """Names to addresses, without the private ones; hosts that may have them keep theirs."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host not in self._allowed and any(weburl.is_private(each["host"]) for each in found):
            says = f"{host} leads to a private address: refused unless it is in webhook_private_hosts of [flows]"
            raise OSError(errno.EACCES, says)
        return found

    async def close(self) -> None:
        await self._inner.close()


class Webhooks:
    """The queue, and `run`, which sends."""

    def __init__(self, config: Flows) -> None:
        self._config = config
        self._queue: asyncio.Queue[Post] = asyncio.Queue(_WAITING)

    def put(self, post: Post) -> None:
        """Hands a post over; never waits."""
        try:
            self._queue.put_nowait(post)
        except asyncio.QueueFull:
            post.done("dropped: too many wait")

    async def run(self) -> None:
        """Sends; ends only by cancellation."""
        connector = aiohttp.TCPConnector(resolver=_Public(self._config.webhook_private_hosts), use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=self._config.webhook_seconds)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(_AT_ONCE):
                group.create_task(self._send_all(session))

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            post = await self._queue.get()
            post.done(await self._send(session, post))

    async def _send(self, session: aiohttp.ClientSession, post: Post) -> int | str:
        config = self._config
        if (problem := weburl.problem(post.url, config.webhook_hosts, config.webhook_private_hosts)) is not None:
            return problem
        try:
            async with session.post(post.url, json=post.body, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            says = str(error) or type(error).__name__
            log.warning("webhook.failed", error=says[:200])
            return says[:200]
