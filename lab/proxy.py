"""A TCP proxy that does harm on request: put it between dialerd and one of the servers that dialerd needs.

It lives in a thread with an event loop of its own, so that a test may be of either kind and may block. A control has
taken effect when it returns. Memory is bounded: a slow reader slows the writer down, as the network would.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

Direction = Literal["up", "down"]  # up: from the client to the server

_CHUNK = 65536
_LIMIT_SECONDS = 10.0  # for a control to take effect
_PATTERN_LIMIT = 1024
_THROUGH_LIMIT = 1 << 20
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, which is a RST on the wire


@dataclass(frozen=True, slots=True)
class _Trap:
    """Cut when `pattern` goes by in `direction`."""

    pattern: bytes
    direction: Direction
    pass_it: bool
    through: bytes
    sprung: threading.Event


@dataclass(frozen=True, slots=True)
class _Harm:
    """What is done to the bytes now."""

    silent: frozenset[Direction] = frozenset()
    delay: float = 0.0
    slice: int = 0
    trap: _Trap | None = None


class Proxy:
    """`with Proxy(5432) as proxy:` — a client of `proxy.port` talks to the server on `target_port`.

    `port` is known, and kept for us, from the construction on; while refused, connecting to it fails at once.
    """

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self._target = (target_host, target_port)
        self._keeper = _bound(0)  # never listens: so nobody else gets the port while we refuse
        self.port: int = self._keeper.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._healed = asyncio.Event()
        self.harm = _Harm()
        self.accepted = 0  # connections so far

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()
        self._do(self._listen())

    def stop(self) -> None:
        """Resets what is open and gives the port back. Twice is once."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self.cut()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_LIMIT_SECONDS)
        self._loop.close()
        self._keeper.close()

    def cut(self, refuse: bool = True) -> None:
        """Resets every connection (RST both ways); new ones are refused until `heal`, unless `refuse` is False."""
        self._do(self._end_all(_Connection.reset, refuse))

    def close(self, refuse: bool = True) -> None:
        """Ends every connection politely (FIN both ways); new ones are refused as with `cut`."""
        self._do(self._end_all(_Connection.close, refuse))

    def heal(self) -> None:
        """Undoes everything that was asked for. Connections that lost bytes stay silent; new ones are whole."""
        self._do(self._heal())

    def silence(self, up: bool = True, down: bool = True) -> None:
        """A black hole: sockets stay open, new ones too, and bytes of these directions are swallowed."""
        which: dict[Direction, bool] = {"up": up, "down": down}
        self._do(self._change(silent=frozenset(d for d, on in which.items() if on)))

    def delay(self, seconds: float) -> None:
        """Whatever is read from now on is passed on so much later (twice that, at worst: chunks wait in turn)."""
        self._do(self._change(delay=seconds))

    def slice(self, n: int) -> None:
        """Whatever is read from now on is written in pieces of `n` bytes."""
        self._do(self._change(slice=n))

    def cut_after(
        self, pattern: bytes, direction: Direction = "up", pass_it: bool = True, through: bytes = b""
    ) -> threading.Event:
        """Cuts the first connection on which `pattern` goes by, once; new connections are welcome.

        `pass_it`: the pattern, and what follows up to the end of `through` (b"\\r\\n\\r\\n": the rest of an AMI
        action), still reaches its reader, who then sees a FIN; nothing more goes the other way, where there is a RST.
        Not `pass_it`: at most what came before the pattern's last byte has passed, and both see a RST.
        The event is set when it has happened.
        """
        if not 0 < len(pattern) <= _PATTERN_LIMIT:
            raise ValueError(f"a pattern has 1 to {_PATTERN_LIMIT} bytes")
        trap = _Trap(pattern, direction, pass_it, through, threading.Event())
        self._do(self._change(trap=trap))
        return trap.sprung

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_SECONDS)

    async def _change(self, **what: Any) -> None:
        self.harm = replace(self.harm, **what)

    async def wait_out_the_delay(self) -> None:
        if self.harm.delay:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._healed.wait(), self.harm.delay)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_bound(self.port), limit=_CHUNK)

    async def _heal(self) -> None:
        self.harm = _Harm()
        self._healed.set()
        self._healed = asyncio.Event()
        await self._listen()

    async def _end_all(self, end: Callable[["_Connection"], None], refuse: bool) -> None:
        if refuse and self._server is not None:
            self._server.close()
            self._server = None
        ending = list(self._connections)
        for connection in ending:
            end(connection)
        await asyncio.gather(*(c.ended.wait() for c in ending))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(self._target)
        finally:
            self._connections.discard(connection)
            connection.ended.set()


class _Connection:
    """A client's connection and the one to the server that goes with it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._writers: dict[Direction, asyncio.StreamWriter] = {"down": writer}
        self._pumps: list[asyncio.Task[None]] = []
        self._holed: set[Direction] = set()
        self.ended = asyncio.Event()

    async def run(self, target: tuple[str, int]) -> None:
        """Until both directions are over; nothing is open afterwards."""
        down = self._client[1]
        try:
            async with asyncio.timeout(_LIMIT_SECONDS / 2):
                reader, up = await asyncio.open_connection(*target, limit=_CHUNK)
        except OSError:
            _reset(down)
            return
        self._writers["up"] = up
        self._pumps = [
            asyncio.create_task(self._pump(self._client[0], "up")),
            asyncio.create_task(self._pump(reader, "down")),
        ]
        await asyncio.wait(self._pumps)
        for writer in self._writers.values():
            writer.close()

    def reset(self) -> None:
        self._end(_reset)

    def close(self) -> None:
        self._end(asyncio.StreamWriter.close)

    def _end(self, end: Callable[[asyncio.StreamWriter], None]) -> None:
        for pump in self._pumps:
            pump.cancel()
        for writer in self._writers.values():
            end(writer)

    async def _pump(self, reader: asyncio.StreamReader, direction: Direction) -> None:
        tail = b""
        try:
            while chunk := await reader.read(_CHUNK):
                await self._proxy.wait_out_the_delay()
                if self._swallowed(direction):
                    continue
                if found := self._caught(tail + chunk, len(tail), direction):
                    await self._spring(*found, tail + chunk, len(tail), reader)
                    return
                tail = (tail + chunk)[-_PATTERN_LIMIT:]
                await self._pass(chunk, direction)
            if not self._swallowed(direction):
                self._writers[direction].write_eof()
                return
        except OSError:
            self.reset()
            return
        await asyncio.Event().wait()  # a black hole swallows the end as well; cancelled when we are cut

    def _swallowed(self, direction: Direction) -> bool:
        """Whether what is at hand is to be lost. A stream with a hole is never continued."""
        if direction in self._proxy.harm.silent:
            self._holed.add(direction)
        return direction in self._holed

    def _caught(self, seen: bytes, passed: int, direction: Direction) -> tuple[_Trap, int] | None:
        """The trap and where its pattern begins, when `seen`, whose first `passed` bytes went by before, has it."""
        trap = self._proxy.harm.trap
        if trap is None or trap.direction != direction:
            return None
        at = seen.find(trap.pattern, max(0, passed - len(trap.pattern) + 1))
        if at < 0:
            return None
        self._proxy.harm = replace(self._proxy.harm, trap=None)
        return trap, at

    async def _spring(self, trap: _Trap, at: int, seen: bytes, passed: int, reader: asyncio.StreamReader) -> None:
        """Passes on what the trap lets through, and cuts."""
        for pump in self._pumps:  # nothing comes back while the rest goes by
            if pump is not asyncio.current_task():
                pump.cancel()
        end = at
        if trap.pass_it:
            while (found := seen.find(trap.through, at)) < 0 and len(seen) < _THROUGH_LIMIT:
                if not (more := await reader.read(_CHUNK)):
                    break
                seen += more
            end = len(seen) if found < 0 else max(at + len(trap.pattern), found + len(trap.through))
        await self._pass(seen[passed:end], trap.direction)
        for direction, writer in self._writers.items():
            if trap.pass_it and direction == trap.direction:
                writer.close()
            else:
                _reset(writer)
        trap.sprung.set()

    async def _pass(self, data: bytes, direction: Direction) -> None:
        writer, step = self._writers[direction], self._proxy.harm.slice or len(data) or 1
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)


def _bound(port: int) -> socket.socket:
    """A socket on a local port. Several may be bound to one, as long as one of them listens."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it may be closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
