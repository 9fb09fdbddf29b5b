"""The FastAGI wire: a request's headers in, commands out, replies in. Every read is bounded in time and in size.

Names in other encodings than UTF-8 are tolerated: no byte can make a read fail. Nothing read here is trusted: a
verb checks each value that it uses, and `quoted` refuses what could end a command or begin another.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_HEADERS = 100
MAX_HEADER_BYTES = 65536
MAX_LINE_BYTES = 16384  # Asterisk's own buffer is 8192
_MAX_REPLY_LINES = 64  # of a usage text
_MAX_TRYING = 10
_MAX_PAIRS = 20  # of MSet, which takes 24

_HEADER = re.compile(r"(agi_[a-z0-9_]{1,40}): ?(.*)\Z", re.ASCII | re.DOTALL)
_REPLY = re.compile(r"([0-9]{3})([ -])(.*)\Z", re.ASCII | re.DOTALL)
_RESULT = re.compile(r"result=(-?[0-9]{0,10})(?: \((.*)\))?(?: .*)?\Z", re.ASCII | re.DOTALL)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}(?:\([a-z]{1,20}\))?\Z", re.ASCII)
_VALUE = re.compile(r"[A-Za-z0-9+_.:=@ -]{0,200}\Z", re.ASCII)
_PAIR = r"[A-Z][A-Z0-9_]{0,63}(?:\([a-z]{1,20}\))?=[A-Za-z0-9+_.:=@ -]{0,200}"
_PAIRS = re.compile(rf"{_PAIR}(?:,{_PAIR})*\Z", re.ASCII)


class AgiError(Exception):
    """The conversation with this client cannot go on; the text says why."""


class BadRequest(AgiError):
    """The request's headers are not what Asterisk sends."""


class BadReply(AgiError):
    """The reply to a command is not what Asterisk sends."""


class CommandRefused(AgiError):
    """Asterisk does not carry out a command (510, 520, or result -1; -2: it has no such application)."""


class HungUp(AgiError):
    """The channel is gone: Asterisk said HANGUP, answered 511 (dead channel), or closed the connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`200 result=<result> (<data>)`."""

    result: str
    data: str


def parse_header(line: str) -> tuple[str, str]:
    """`agi_name: value` as name and value; the value may be empty. Raises `BadRequest`."""
    match = _HEADER.match(line)
    if match is None:
        raise BadRequest(f"not a header line: {line[:60]!r}")
    return match.group(1), match.group(2)


def parse_reply(line: str) -> tuple[int, bool, str]:
    """A reply line as its code, whether more lines follow, and its text. Raises `BadReply`."""
    match = _REPLY.match(line)
    if match is None:
        raise BadReply(f"not a reply: {line[:60]!r}")
    return int(match.group(1)), match.group(2) == "-", match.group(3)


async def read_line(reader: asyncio.StreamReader) -> str | None:
    """A line without its end, or None at the end of the stream. Raises `AgiError` for one without end."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise AgiError(f"a line of more than {MAX_LINE_BYTES} bytes") from None
    return line[:-1].decode("utf-8", "replace")


async def read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """The request's headers, up to the blank line. Raises `BadRequest`, or `AgiError` when the client is gone.

    A header twice is refused: which of them Asterisk meant cannot be known.
    """
    headers: dict[str, str] = {}
    size = 0
    while (line := await read_line(reader)) != "":
        if line is None:
            raise AgiError("closed before the blank line")
        size += len(line)
        name, value = parse_header(line)
        if name in headers:
            raise BadRequest(f"{name} twice")
        if size > MAX_HEADER_BYTES or len(headers) >= MAX_HEADERS:
            raise BadRequest(f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes")
        headers[name] = value
    return headers


class AgiCall:
    """A channel that waits in the dialplan for this conversation to end."""

    def __init__(
        self,
        headers: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout_seconds: float,
        peer: str = "",
    ) -> None:
        self.headers = headers
        self.peer = peer  # the address that asks
        self._reader = reader
        self._writer = writer
        self._timeout = timeout_seconds

    @property
    def uniqueid(self) -> str:
        """The channel's id as Asterisk gave it, unchecked; empty when it sent none."""
        return self.headers.get("agi_uniqueid", "")

    def argument(self, position: int) -> str:
        """The verb's argument, counted from 1, unchecked; empty when it is missing."""
        return self.headers.get(f"agi_arg_{position}", "")

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable, or a dialplan function such as CALLERID(num).

        Raises ValueError for a name or a value that has no business in a command, `AgiError` when Asterisk
        does not do it.
        """
        if not _VARIABLE.match(name):
            raise ValueError(f"not a variable's name: {name[:60]!r}")
        await self._command(f"SET VARIABLE {name} {quoted(value)}")

    async def set_variables(self, values: Mapping[str, str]) -> None:
        """The same for several at once, in this order, in one round trip (MSet).

        Not several commands written at once: Asterisk reads ahead and then waits for more, until the call ends.
        """
        if len(values) > _MAX_PAIRS:
            raise ValueError(f"{len(values)} variables at once, not more than {_MAX_PAIRS}")
        pairs = ",".join([f"{name}={value}" for name, value in values.items()])
        # A name has no '=' and a value no comma: the text is right only if each of them is.
        if not _PAIRS.match(pairs) or pairs.count(",") != len(values) - 1:
            wrong = next((n, v) for n, v in values.items() if not _VARIABLE.match(n) or not _VALUE.match(v))
            raise ValueError(f"not a variable, or not a value for a command: {wrong[0][:60]!r}, {wrong[1][:60]!r}")
        await self._command(f'EXEC MSet "{pairs}"')

    async def _command(self, command: str) -> Reply:
        # Not drained: the next command is written after the reply to this one, so that one at most is waiting.
        self._writer.write(command.encode("ascii") + b"\n")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._read_reply()
        except TimeoutError:
            raise BadReply(f"no reply within {self._timeout:g} s") from None

    async def _read_reply(self) -> Reply:
        hung_up = False
        for _ in range(_MAX_TRYING):
            line = await self._reply_line()
            if line == "HANGUP":  # in-band, before, between or after replies; the command's own reply still comes
                hung_up = True
                continue
            code, more, text = parse_reply(line)
            if more:
                await self._skip_usage(code)
            if hung_up or code == 511:
                raise HungUp("the channel is gone")
            if code == 100:
                continue
            result = _RESULT.match(text) if code == 200 else None
            if code == 200 and result is None:
                raise BadReply(f"not a result: {text[:60]!r}")
            if result is None or result.group(1) in ("-1", "-2"):
                raise CommandRefused(f"{code} {text[:60]!r}")
            return Reply(result.group(1), result.group(2) or "")
        raise BadReply("lines without end, none of them a reply")

    async def _skip_usage(self, code: int) -> None:
        """The rest of `520-Invalid command syntax …`, up to `520 End of proper usage.`."""
        for _ in range(_MAX_REPLY_LINES):
            if (await self._reply_line()).startswith(f"{code} "):
                return
        raise BadReply(f"more than {_MAX_REPLY_LINES} lines in one reply")

    async def _reply_line(self) -> str:
        line = await read_line(self._reader)
        if line is None:
            raise HungUp("closed by Asterisk")
        return line


def quoted(value: str) -> str:
    """A value as a command's argument. Raises ValueError: what would need escaping is refused."""
    if not _VALUE.match(value):
        raise ValueError(f"not a value for a command: {value[:60]!r}")
    return f'"{value}"'
