"""The HTTP side of asyncari, over aiohttp.

asyncari's own client retries a request on a session that it has just closed (so this and every later request fails;
on an open one a POST would be sent twice), puts the credentials into the URL, and waits 600 s. This one sends each
request once, authenticates in the header, follows no redirect, and has a time limit.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from asyncswagger11.http_client import HttpClient
from wsproto.events import CloseConnection, TextMessage

_MAX_FRAME = 1 << 20  # bytes; Asterisk's largest event is a few kB
_CHUNK = 1 << 18  # bytes of a file that are read at once
_HEARTBEAT_SECONDS = 4.0  # a websocket whose peer answers no ping for half of this is dead


class AriError(Exception):
    """Asterisk answered with an error status. 404: the thing is gone. 409: not in a state for it."""

    def __init__(self, status: int, what: str, message: str) -> None:
        super().__init__(f"{what}: {status} {message[:200]}")
        self.status = status


class AriUnreachable(ConnectionError):
    """No answer from Asterisk: whether the request was carried out is not known."""


class Response:
    """What asyncari wants of a response: `json()`."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def json(self) -> Any:
        return json.loads(self._body) if self._body else None


class WebSocket:
    """An aiohttp websocket with the face that asyncari reads from. Ends with CloseConnection however it ended."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[TextMessage | CloseConnection]:
        try:
            async for message in self._ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    yield TextMessage(data=message.data)
        finally:
            self.closed.set()
        yield CloseConnection(code=self._ws.close_code or 1006)

    async def close(self) -> None:
        await self._ws.close()


class Transport(HttpClient):  # type: ignore[misc]  # asyncswagger11 is untyped
    """One aiohttp session to one Asterisk."""

    def __init__(self, username: str, password: str, timeout_seconds: float, connections: int = 32) -> None:
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Basic {credentials}"},
            cookie_jar=aiohttp.DummyCookieJar(),  # there are none, and to look for them takes a tenth of a request
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            connector=aiohttp.TCPConnector(limit=connections),
        )
        self.websocket: WebSocket | None = None

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        query = {key: str(value) for key, value in (params or {}).items()}
        try:
            async with self._session.request(
                method, url, params=query, data=data, headers=headers, allow_redirects=False
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AriUnreachable(f"{method} {url}: {str(error) or type(error).__name__}") from error
        if response.status >= 300:
            raise AriError(response.status, f"{method} {response.url.path}", body.decode("utf-8", "replace"))
        return Response(body)

    async def stream(self, url: str) -> AsyncIterator[bytes]:
        """The body of a GET, piece by piece, whole: a length that was promised and did not come is an error. Each
        piece has the time limit of a request."""
        silence = self._session.timeout.total
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status >= 300:
                    raise AriError(
                        response.status, f"GET {response.url.path}", (await response.content.read(200)).decode()
                    )
                async for chunk in response.content.iter_chunked(_CHUNK):
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AriUnreachable(f"GET {url}: {str(error) or type(error).__name__}") from error

    async def ws_connect(self, url: str, params: Mapping[str, str] | None = None, headers: object = None) -> WebSocket:
        try:
            ws = await self._session.ws_connect(
                url, params=params, max_msg_size=_MAX_FRAME, heartbeat=_HEARTBEAT_SECONDS
            )
        except aiohttp.ClientError as error:
            raise AriUnreachable(str(error)) from error
        self.websocket = WebSocket(ws)
        return self.websocket

    async def close(self) -> None:
        await self._session.close()
