"""The least that a program can do to join answered calls to waiting phones, over ARI: what the machine itself takes.

One WebSocket, one HTTP session, a dictionary; no record, no agents' states, no rules. `make bench-calls` holds dialerd
against it, in the same run and on the same Asterisk.
"""

import asyncio
import itertools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import aiohttp

APP = "bench"
_CONNECT_SECONDS = 20.0


class BareClient:
    """`async with BareClient(url, password) as client:`"""

    def __init__(self, url: str, password: str, trunk: str) -> None:
        self._url = url
        self._auth = aiohttp.BasicAuth("dialerd", password)
        self._trunk = trunk
        self._free: list[str] = []  # bridges in which a phone waits
        self._busy: dict[str, str] = {}  # call → bridge
        self._began: dict[str, datetime] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.join_ms: list[float] = []
        self.legs = 0

    async def __aenter__(self) -> "BareClient":
        self._http = aiohttp.ClientSession(auth=self._auth)
        self._socket = await self._http.ws_connect(f"{self._url}/events", params={"app": APP})
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in await self._get("channels"):
            await self._delete(f"channels/{channel['id']}")
        for bridge in await self._get("bridges"):
            await self._delete(f"bridges/{bridge['id']}")
        self._reader.cancel()
        await self._http.close()

    async def call_phones(self, phones: Sequence[str]) -> None:
        """Each into a bridge of its own, where it waits. Raises TimeoutError."""
        for phone in phones:
            await self._post("channels", endpoint=f"PJSIP/{phone}", app=APP, appArgs="phone", timeout=30)
        async with asyncio.timeout(_CONNECT_SECONDS):
            while self.legs < len(phones):
                self._changed.clear()
                await self._changed.wait()

    async def call(self, numbers: Sequence[str], per_second: float) -> None:
        """Calls people at that rate and joins each who answers; returns when all have been joined and are gone."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for n in itertools.count():
            if n >= len(numbers):
                break
            await asyncio.sleep(max(0.0, begun + n / per_second - loop.time()))
            endpoint = f"PJSIP/{numbers[n]}@{self._trunk}"
            await self._post("channels", endpoint=endpoint, app=APP, appArgs="person", timeout=30, callerId="bench")
        async with asyncio.timeout(_CONNECT_SECONDS):
            while len(self.join_ms) < len(numbers) or self._busy:
                self._changed.clear()
                await self._changed.wait()

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            channel = event.get("channel", {}).get("id", "")
            if event["type"] == "StasisStart":
                self._arrived(channel, event)
            elif event["type"] == "ChannelEnteredBridge" and channel in self._began:
                took = datetime.fromisoformat(event["timestamp"]) - self._began.pop(channel)
                self.join_ms.append(took.total_seconds() * 1000)
            elif event["type"] == "StasisEnd" and channel in self._busy:
                self._free.append(self._busy.pop(channel))
            self._changed.set()

    def _arrived(self, channel: str, event: dict[str, Any]) -> None:
        if event["args"] == ["phone"]:
            self._spawn(self._stand(channel))
        else:
            bridge = self._free.pop(0)
            self._busy[channel] = bridge
            self._began[channel] = datetime.fromisoformat(event["timestamp"])
            self._spawn(self._post(f"bridges/{bridge}/addChannel", channel=channel))

    async def _stand(self, channel: str) -> None:
        bridge = f"bench-{channel}"
        await self._post(f"bridges/{bridge}", type="mixing")
        await self._post(f"bridges/{bridge}/addChannel", channel=channel)
        self._free.append(bridge)
        self.legs += 1
        self._changed.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, path: str, **query: Any) -> None:
        async with self._http.post(f"{self._url}/{path}", params=query) as reply:
            reply.raise_for_status()

    async def _get(self, path: str) -> list[dict[str, Any]]:
        async with self._http.get(f"{self._url}/{path}") as reply:
            found: list[dict[str, Any]] = await reply.json()
            return found

    async def _delete(self, path: str) -> None:
        async with self._http.delete(f"{self._url}/{path}") as reply:
            await reply.read()
