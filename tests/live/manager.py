"""A manager client of the tests' own, a few lines long: what dialerd's does is checked against what this one sees."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import uuid4

from lab.lab import Lab

Message = dict[str, str]


class Manager:
    """`async with Manager(lab) as manager`: logged in; `events` has every event since."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.events: list[Message] = []
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._lab.ami_host, self._lab.ami_port)
        await self._reader.readline()
        self._task = asyncio.create_task(self._read())
        await self.send(Action="Login", Username=self._lab.ami_username, Secret=self._lab.ami_secret)
        await self.wait(lambda e: e.get("Event") == "FullyBooted")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        self._writer.close()

    async def send(self, *lines: tuple[str, str], **fields: str) -> None:
        """Send one action; `lines` are for keys that come more than once."""
        text = "".join(f"{key}: {value}\r\n" for key, value in (*fields.items(), *lines))
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()

    async def originate(self, channel: str, *variables: str, timeout_seconds: float = 30.0, ours: bool = False) -> str:
        """Place a call as dialerd does; returns the attempt's id. `ours`: [dialerd-out] takes it for dialerd's."""
        attempt = str(uuid4())
        if ours:
            variables = (*variables, f"DIALERD_ATTEMPT={attempt}")
        await self.send(
            *((("Variable", f"PJSIP_HEADER(add,X-Dialer-Attempt)={attempt}"),) if channel.startswith("PJSIP/") else ()),
            *(("Variable", v) for v in variables),
            Action="Originate",
            ActionID=attempt,
            ChannelId=attempt,
            Channel=channel,
            Context="dialerd-answered",
            Exten="s",
            Priority="1",
            Async="true",
            Timeout=str(round(timeout_seconds * 1000)),
            CallerID='"+358401109999" <+358401109999>',
            Account="dialerd",
        )
        return attempt

    async def wait(self, wanted: Callable[[Message], bool], seconds: float = 20.0) -> Message:
        """The first message, past or to come, that is wanted. Raises TimeoutError, with what came."""
        seen = 0
        try:
            async with asyncio.timeout(seconds), self._news:
                while True:
                    for message in self.events[seen:]:
                        if wanted(message):
                            return message
                    seen = len(self.events)
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"not among {self.events[-20:]}") from None

    async def hangup(self, attempt: str, seconds: float = 40.0) -> Message:
        """The Hangup event of an attempt."""
        return await self.wait(lambda e: e.get("Event") == "Hangup" and e["Uniqueid"] == attempt, seconds)

    async def originated(self, attempt: str, seconds: float = 40.0) -> Message:
        """The OriginateResponse event of an attempt."""
        return await self.wait(lambda e: e.get("Event") == "OriginateResponse" and e["ActionID"] == attempt, seconds)

    def dial_status(self, attempt: str) -> list[str]:
        """DialStatus of every DialEnd whose far end is the attempt."""
        return [e["DialStatus"] for e in self.events if e.get("Event") == "DialEnd" and e["DestUniqueid"] == attempt]

    async def _read(self) -> None:
        while True:
            block = await self._reader.readuntil(b"\r\n\r\n")
            lines = block.decode(errors="replace").split("\r\n")
            message = dict(line.split(": ", 1) for line in lines if ": " in line)
            message["@"] = f"{time.time():.3f}"
            async with self._news:
                self.events.append(message)
                self._news.notify_all()
