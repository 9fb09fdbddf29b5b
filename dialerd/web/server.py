"""uvicorn inside the daemon's own event loop: no signal handlers, no logging set-up, no waiting at the end.

Connections are bounded in number and in patience: one that sends no complete request head within HEAD_SECONDS
is closed, and so is one that acknowledges nothing of what we send (the kernel's TCP_USER_TIMEOUT).
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
HEAD_BYTES = 16 * 1024
MAX_CONNECTIONS = 256
SOCKET_BYTES = 4 * 1024  # of a message that a WebSocket brings
UNACKNOWLEDGED_SECONDS = 20
STOP_SECONDS = 3


class BindFailed(OSError):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {why}; see [web] host and port in dialerd.toml")


class _Protocol(H11Protocol):
    """uvicorn's protocol with a deadline for the head of every request."""

    _deadline: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_SECONDS * 1000)
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._upgraded or (self.cycle is not None and not self.cycle.response_complete):
            self._disarm()
        elif self._deadline is None:
            self._arm()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the connection is another protocol's, which has its own patience."""
        if len(self.connections) >= MAX_CONNECTIONS:  # uvicorn does not ask for these
            self.transport.abort()
            return
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._expired)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class _Server(uvicorn.Server):
    """Signals belong to the daemon, and being up is an event."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextlib.asynccontextmanager
async def serve(app: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the block runs; gives the port (useful with port 0). Raises `BindFailed`."""
    listener = await _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="wsproto",
        ws_max_size=SOCKET_BYTES,
        ws_ping_interval=20.0,  # finds out who is gone
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,  # a few bytes must not become many
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=STOP_SECONDS,
        forwarded_allow_ips="127.0.0.1,::1",  # a reverse proxy on this machine may say who is asking
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait([running, up], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running  # its exception, if it has one
            raise RuntimeError("the web server ended while it started")
        yield listener.getsockname()[1]
    finally:
        up.cancel()
        app.state.streams.close()
        server.should_exit = True
        await running
        listener.close()


async def _listen(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise BindFailed(host, port, error.strerror or "unknown host") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BindFailed(host, port, error.strerror or str(error)) from error
    return listener
