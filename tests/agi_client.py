"""Plays Asterisk's side of FastAGI: sends the request's headers, carries out commands, keeps the variables set."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Self

_SET = re.compile(r'SET VARIABLE (\S+) "([^"]*)"\n\Z')
_MSET = re.compile(r'EXEC MSet "([^"]*)"\n\Z')
Answer = Callable[[str], bytes]


def ok(command: str) -> bytes:
    """What Asterisk says to every SET VARIABLE; to MSet it says result=0."""
    return b"200 result=1\n"


def headers(verb: str = "next-cid", args: Iterable[str] = (), **more: str) -> dict[str, str]:
    """The headers that Asterisk 22 sends, in its order."""
    all_of_them = {
        "agi_network": "yes",
        "agi_network_script": verb,
        "agi_request": f"agi://127.0.0.1/{verb}",
        "agi_channel": "Local/+14155559999@dialerd-out-00000000;2",
        "agi_language": "en",
        "agi_type": "Local",
        "agi_uniqueid": "1772442000.7",
        "agi_version": "22.10.1",
        "agi_callerid": "unknown",
        "agi_calleridname": "unknown",
        "agi_callingpres": "0",
        "agi_callingani2": "0",
        "agi_callington": "0",
        "agi_callingtns": "0",
        "agi_dnid": "unknown",
        "agi_rdnis": "unknown",
        "agi_context": "dialerd-out",
        "agi_extension": "+14155559999",
        "agi_priority": "2",
        "agi_enhanced": "0.0",
        "agi_accountcode": "",
        "agi_threadid": "139872871483968",
    }
    all_of_them.update({f"agi_{name}": value for name, value in more.items()})
    all_of_them.update({f"agi_arg_{i}": arg for i, arg in enumerate(args, 1)})
    return all_of_them


def encoded(fields: Mapping[str, str]) -> bytes:
    """Headers as bytes, with the blank line."""
    return "".join(f"{name}: {value}\n" for name, value in fields.items()).encode("latin-1") + b"\n"


class AgiClient:
    """One connection. `variables` holds what the server has set so far, `commands` what it said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.variables: dict[str, str] = {}
        self.commands: list[str] = []

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect to 127.0.0.1."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        """Send bytes; a server that has closed already is no error here."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def serve(self, answer: Answer = ok, limit_seconds: float = 20.0) -> dict[str, str]:
        """Answer commands until the server closes; the variables that it set."""
        async with asyncio.timeout(limit_seconds):
            while line := await self._line():
                self.commands.append(line)
                if match := _SET.match(line):
                    self.variables[match[1]] = match[2]
                elif match := _MSET.match(line):
                    pairs = (pair.partition("=") for pair in match[1].split(","))
                    self.variables.update((name, value) for name, _, value in pairs)
                await self.send(answer(line))
        self.close()
        return self.variables

    async def closed(self, limit_seconds: float) -> bool:
        """Wait until the server closes, having said nothing. False: it said something, or the time is over."""
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._line() == ""
        except TimeoutError:
            return False
        finally:
            self.close()

    async def rest(self, limit_seconds: float = 5.0) -> bytes:
        """What the server still says until it closes."""
        said = b""
        async with asyncio.timeout(limit_seconds):
            try:
                while data := await self.reader.read(65536):
                    said += data
            except ConnectionError:
                pass
        return said

    def close(self) -> None:
        """Hang up."""
        self.writer.transport.abort()

    async def _line(self) -> str:
        try:
            return (await self.reader.readline()).decode()
        except ConnectionError:
            return ""


async def ask(port: int, fields: Mapping[str, str], answer: Answer = ok) -> dict[str, str]:
    """A whole, well-behaved conversation."""
    client = await AgiClient.connect(port)
    await client.send(encoded(fields))
    return await client.serve(answer)


async def until(condition: Callable[[], bool], limit_seconds: float = 5.0) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(limit_seconds):
        while not condition():
            await asyncio.sleep(0.01)
