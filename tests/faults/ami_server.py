"""An Asterisk manager interface that misbehaves on request: what the real one cannot be made to do at will."""

import asyncio
import socket
from types import TracebackType
from typing import Self

Action = dict[str, str]


class AmiServer:
    """`async with AmiServer() as server:`. Its attributes say how it behaves from now on; `actions` has all it got."""

    def __init__(self) -> None:
        self.port = 0
        self.actions: list[Action] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.secret = "right"
        self.greets = True
        self.boots = True
        self.hangs_up_at_once = False
        self.answers_pings = True
        self.on_originate = "queue"  # queue, fail, drop, drop_after_response, ignore, or the Message of an error

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # connections inherit it
        self._server = await asyncio.start_server(self._serve, sock=listening)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.drop()

    def of(self, action: str) -> list[Action]:
        """What came of one kind, over all connections."""
        return [a for a in self.actions if a["Action"] == action]

    def send(self, *lines: str) -> None:
        """One message to whoever is connected."""
        for writer in self.writers:
            _write(writer, *lines)

    def pause(self) -> None:
        """Stops reading from whoever is connected now."""
        self._paused = [writer.transport for writer in self.writers]
        for transport in self._paused:
            transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        for transport in self._paused:
            transport.resume_reading()  # type: ignore[attr-defined]

    def drop(self) -> None:
        """Resets every connection."""
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.hangs_up_at_once:
            writer.close()
            return
        self.writers.append(writer)
        if self.greets:
            writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                block = (await reader.readuntil(b"\r\n\r\n")).decode()
                action = dict(line.split(": ", 1) for line in block.split("\r\n") if line)
                self.actions.append(action)
                self._answer(action, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.remove(writer)
            writer.close()

    def _answer(self, action: Action, writer: asyncio.StreamWriter) -> None:
        id_ = f"ActionID: {action['ActionID']}"
        if action["Action"] == "Login":
            if action["Secret"] != self.secret:
                _write(writer, "Response: Error", id_, "Message: Authentication failed")
                writer.close()
                return
            _write(writer, "Response: Success", id_, "Message: Authentication accepted")
            if self.boots:
                _write(writer, "Event: FullyBooted", "Status: Fully Booted")
        elif action["Action"] == "Ping" and self.answers_pings:
            _write(writer, "Response: Success", id_, "Ping: Pong", "Timestamp: 1795171009.241")
        elif action["Action"] == "Originate":
            self._originate(id_, writer)

    def _originate(self, id_: str, writer: asyncio.StreamWriter) -> None:
        if self.on_originate == "ignore":
            return
        if self.on_originate == "drop":
            writer.transport.abort()
        elif self.on_originate in ("queue", "fail", "drop_after_response"):
            _write(writer, "Response: Success", id_, "Message: Originate successfully queued")
            if self.on_originate == "fail":
                _write(writer, "Event: OriginateResponse", id_, "Response: Failure", "Reason: 0")
            elif self.on_originate == "drop_after_response":
                writer.close()
        else:
            _write(writer, "Response: Error", id_, f"Message: {self.on_originate}")


def _write(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
