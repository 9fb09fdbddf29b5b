"""Plays many Asterisks: one TCP connection per request, as FastAGI has it. A process of its own.

`python -m bench.agi_load PORT '{"seconds": 10, "rate": 1000, …}'` prints one object: what it offered and what it saw.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

_LIMIT_SECONDS = 10.0  # a conversation that takes longer has failed
_HEADERS = """\
agi_network: yes
agi_network_script: {verb}
agi_request: agi://127.0.0.1/{verb}
agi_channel: PJSIP/trunk-out-00000000
agi_language: en
agi_type: PJSIP
agi_uniqueid: {call}
agi_version: 22.10.1
agi_callerid: unknown
agi_calleridname: unknown
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: unknown
agi_rdnis: unknown
agi_context: vicidial
agi_extension: {to}
agi_priority: 2
agi_enhanced: 0.0
agi_accountcode:{space}
agi_threadid: 139872871483968
"""


@dataclass
class Load:
    """What is offered. `rate`: requests a second, whatever becomes of them; 0: each of `clients` asks again as soon as
    it is answered. `release`: each call is released before the next one. Either `seconds` or `requests` bounds it."""

    seconds: float = 0.0
    requests: int = 0
    rate: float = 0.0
    clients: int = 32
    release: bool = False
    campaigns: Sequence[str] = ("1",)
    destinations: Sequence[str] = ("+12125550100",)
    seed: int = 1


@dataclass
class Seen:
    """Milliseconds of each request that was answered, from the moment when it was due; by CID_STATUS; failures."""

    taken_ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    late: int = 0  # requests that this client itself began more than 20 ms late


class _Conversation(asyncio.Protocol):
    """One request: headers out, `200 result=1` to each command, until the server closes."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._heard = b""
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        self._transport.write(b"200 result=1\n" * data.count(b"\n"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(self._heard)


def head(verb: str, call: str, to: str, *arguments: str) -> bytes:
    """The bytes of a request."""
    text = _HEADERS.format(verb=verb, call=call, to=to, space=" ")
    text += "".join(f"agi_arg_{n}: {argument}\n" for n, argument in enumerate(arguments, 1))
    return text.encode() + b"\n"


class Callers:
    """The load on one port."""

    def __init__(self, port: int, load: Load) -> None:
        self._port, self._load = port, load
        self._lots, self._calls = Random(load.seed), 0
        self.seen = Seen()

    async def run(self) -> float:
        """Seconds that it took."""
        begun = time.perf_counter()
        if self._load.rate:
            await self._at_a_rate(begun)
        else:
            await asyncio.gather(*(self._one_after_the_other(begun) for _ in range(self._load.clients)))
        return time.perf_counter() - begun

    async def _at_a_rate(self, begun: float) -> None:
        tasks = set()
        for n in range(int(self._load.rate * self._load.seconds)):
            due = begun + n / self._load.rate
            if (wait := due - time.perf_counter()) > 0.0005:
                await asyncio.sleep(wait)
            self.seen.late += time.perf_counter() - due > 0.02
            task = asyncio.create_task(self._call(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _one_after_the_other(self, begun: float) -> None:
        load = self._load
        while (self._calls < load.requests) if load.requests else (time.perf_counter() - begun < load.seconds):
            await self._call(time.perf_counter())

    async def _call(self, due: float) -> None:
        self._calls += 1
        call = f"{self._load.seed}.{self._calls}"
        to, campaign = self._lots.choice(self._load.destinations), self._lots.choice(self._load.campaigns)
        heard = await self._ask(head("next-cid", call, to, to, campaign, "agent"))
        if heard is not None:
            self.seen.taken_ms.append((time.perf_counter() - due) * 1000)
            status = heard.rpartition(b"CID_STATUS")[2].strip(b'=" \n').decode("ascii", "replace")
            self.seen.statuses[status] = self.seen.statuses.get(status, 0) + 1
        if self._load.release:
            await self._ask(head("release-cid", call, to, call, "ANSWER", "30"))

    async def _ask(self, request: bytes) -> bytes | None:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                loop = asyncio.get_running_loop()
                _, talk = await loop.create_connection(lambda: _Conversation(request), "127.0.0.1", self._port)
                return await talk.done
        except (OSError, TimeoutError):
            self.seen.errors += 1
            return None


def percentile(ordered: list[float], share: float) -> float | None:
    """Of numbers in order; None of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def main() -> None:
    """See the module."""
    given: dict[str, Any] = json.loads(sys.argv[2])
    callers = Callers(int(sys.argv[1]), Load(**given))
    gc.freeze()
    seconds = asyncio.run(callers.run())
    seen, ordered = callers.seen, sorted(callers.seen.taken_ms)
    found = {
        "seconds": seconds, "answered": len(ordered), "per_s": len(ordered) / seconds, "errors": seen.errors,
        "p50_ms": percentile(ordered, 0.5), "p99_ms": percentile(ordered, 0.99), "late": seen.late,
        "statuses": seen.statuses,
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
