"""The FastAGI server: whatever a client does, it costs one bounded slot for a bounded time, and nobody else notices.

A conversation that goes wrong is closed without a word; Asterisk then goes on in its dialplan with no CID_STATUS set,
and the shipped dialplan takes its fallback.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

import structlog

from dialerd import config
from dialerd.fastagi.desk import Desk
from dialerd.fastagi.verbs import Verb
from dialerd.fastagi.wire import MAX_LINE_BYTES, AgiCall, AgiError, BadRequest, HungUp, read_headers

log = structlog.get_logger(__name__)

_CONVERSATION_SECONDS = 30.0  # a verb with its commands, whatever it does
_BACKLOG = 1024  # how many connections may wait in the kernel
_ACCEPTED_AT_ONCE = 50  # and how many of them one turn of the event loop takes: some milliseconds
_LINES_A_SECOND = 10  # of the log, about clients that are turned away
_RECEIVE_BUFFER = 32768  # what one client can put into our memory at once


class FastAgiServer:
    """Listens, reads each request, runs its verb. `verbs` come from `fastagi.verbs.load`."""

    def __init__(self, settings: config.FastAgi, verbs: Mapping[str, Verb], desk: Desk) -> None:
        self._settings = settings
        self._verbs = verbs
        self._desk = desk
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._full = False
        self._second = 0  # of the loop's clock; how many lines of the log it has had, and how many it was spared
        self._lines = self._spared = 0

    @property
    def port(self) -> int:
        """The port in fact listened on."""
        if self._server is None:
            raise RuntimeError("the FastAGI server is not running")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many clients are being served."""
        return len(self._conversations)

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        self._server = await asyncio.start_server(
            self._accept,
            self._settings.host,
            self._settings.port,
            limit=MAX_LINE_BYTES,
            backlog=_ACCEPTED_AT_ONCE,
            start_serving=False,
        )
        for listener in self._server.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        await self._server.start_serving()
        for listener in self._server.sockets:
            with socket.socket(fileno=os.dup(listener.fileno())) as same:
                same.listen(_BACKLOG)

    async def stop(self, seconds: float = 1.0) -> None:
        """Stop listening; conversations in progress have `seconds` to end."""
        if self._server is None:
            return
        self._server.close()
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=seconds)
        for task in self._conversations:
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._conversations) >= self._settings.max_connections:
            if not self._full:
                log.error("FastAGI is full, closing new connections", connections=len(self._conversations))
            self._full = True
            writer.transport.abort()
            return
        self._full = False
        task = asyncio.create_task(self._serve(reader, writer), name="fastagi")
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        peer = peer[0] if peer else "gone"
        try:
            await self._converse(reader, writer, peer)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._settings.timeout_seconds):
                    await writer.drain()
        except HungUp as error:
            self._note("FastAGI call ended early", peer, str(error))
        except TimeoutError:
            self._note("FastAGI client refused", peer, "out of time")
        except (AgiError, OSError) as error:
            self._note("FastAGI client refused", peer, str(error) or type(error).__name__)
        except Exception:  # a site's own verb may raise anything: its call gets no answer, the server goes on
            log.exception("FastAGI verb failed", peer=peer)
        finally:
            # abort, not close: a client that does not read would keep a polite close waiting.
            writer.transport.abort()

    def _note(self, event: str, peer: str, error: str) -> None:
        """A line of the log for each of the first; a flood of clients must be none of the log, nor of the loop."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= _LINES_A_SECOND:
            log.warning(event, peer=peer, error=error, others_before=self._spared)
            self._spared = 0
        else:
            self._spared += 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        async with asyncio.timeout(self._settings.timeout_seconds):
            headers = await read_headers(reader)
        name = headers.get("agi_network_script", "")
        verb = self._verbs.get(name)
        if verb is None:
            raise BadRequest(f"unknown verb: {name[:60]!r}")
        async with asyncio.timeout(_CONVERSATION_SECONDS):
            await verb(AgiCall(headers, reader, writer, self._settings.timeout_seconds, peer), self._desk)
