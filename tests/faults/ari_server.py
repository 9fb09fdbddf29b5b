"""An Asterisk REST interface that misbehaves on request."""

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

# What asyncari reads of Asterisk's own description of its interface, cut to what the link calls.
_OPERATIONS = {
    "channels": [
        ("list", "GET", "/channels", []),
        ("hangup", "DELETE", "/channels/{channelId}", [("channelId", "path")]),
        ("continueInDialplan", "POST", "/channels/{channelId}/continue", [("channelId", "path")]),
    ],
    "bridges": [
        ("addChannel", "POST", "/bridges/{bridgeId}/addChannel", [("bridgeId", "path"), ("channel", "query")]),
    ],
    "events": [("eventWebsocket", "GET", "/events", [("app", "query")])],
}


class AriServer:
    """`async with AriServer() as server:`. `answers` says what a method and path get; `requests` has all it got."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []  # method, path with query, headers
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = 0
        self.answers: dict[str, tuple[int, Any]] = {"GET /ari/channels": (200, [])}
        self.slow = asyncio.Event()
        self.slow.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ari"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.slow.set()
        await self._runner.cleanup()

    async def send(self, event: Mapping[str, Any] | str) -> None:
        """One event to whoever is connected."""
        for ws in list(self.sockets):
            await ws.send_str(event if isinstance(event, str) else json.dumps(event))

    def drop(self) -> None:
        """Cuts every websocket."""
        for ws in self.sockets:
            assert ws._req is not None
            assert ws._req.transport is not None
            ws._req.transport.abort()

    async def close(self) -> None:
        """Closes every websocket cleanly, code 1000."""
        for ws in list(self.sockets):
            await ws.close(code=1000)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs, request.headers))
        if request.path.startswith("/ari/api-docs/") and f"GET {request.path}" not in self.answers:
            name = request.path.removeprefix("/ari/api-docs/").removesuffix(".json")
            return web.json_response(_docs(name, f"http://{request.host}/ari"))  # Asterisk does it by the header too
        if request.path == "/ari/events":
            return await self._events(request)
        await self.slow.wait()
        status, body = self.answers.get(f"{request.method} {request.path}", (404, {"message": "Not found"}))
        return web.json_response(body, status=status)

    async def _events(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.append(ws)
        self.opened += 1
        try:
            async for message in ws:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self.sockets.remove(ws)
        return ws


def _docs(name: str, base: str) -> dict[str, Any]:
    common = {"swaggerVersion": "1.1", "apiVersion": "8.0.0", "basePath": base}
    if name == "resources":
        apis = [{"path": f"/api-docs/{n}.{{format}}", "description": n} for n in _OPERATIONS]
        return {**common, "apis": apis}
    return {
        **common,
        "resourcePath": f"/api-docs/{name}.{{format}}",
        "apis": [_api(*operation) for operation in _OPERATIONS[name]],
        "models": {},
    }


def _api(nickname: str, method: str, path: str, parameters: list[tuple[str, str]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "httpMethod": method,
        "nickname": nickname,
        "summary": "",
        "responseClass": "void",
        "parameters": [
            {"name": n, "paramType": where, "description": "", "required": True, "allowMultiple": False,
             "dataType": "string"}
            for n, where in parameters
        ],
    }  # fmt: skip
    if nickname == "eventWebsocket":
        operation["upgrade"] = "websocket"
        operation["websocketProtocol"] = "ari"
    return {"path": path, "description": "", "operations": [operation]}
