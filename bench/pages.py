"""Plays agents' pages: when the bytes that name a call arrived at each. A process of its own, so that nothing else of a
bench is in its way.

`python -m bench.pages PORT NAME…` takes the token from standard input, prints `ready`, listens until standard input
ends, then prints one object: call → Unix time at which its agent's page had it.
"""

import json
import os
import re
import selectors
import socket
import sys
import time
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field

_ATTEMPT = re.compile(rb'"attempt":"([0-9a-f-]{36})"')


@dataclass(slots=True)
class Page:
    """One stream: its bytes, and where in them each arrival ended."""

    data: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def arrived(self, some: bytes, at: float) -> None:
        self.data += some
        self.ends.append(len(self.data))
        self.times.append(at)

    def shown(self) -> dict[str, float]:
        """Each call, and when its name was complete."""
        found: dict[str, float] = {}
        for match in _ATTEMPT.finditer(bytes(self.data)):
            found.setdefault(match.group(1).decode(), self.times[bisect_left(self.ends, match.end())])
        return found


def listen(port: int, token: str, names: list[str]) -> dict[str, float]:
    """Until standard input ends."""
    chosen, pages = selectors.DefaultSelector(), []
    for name in names:
        stream, page = socket.create_connection(("127.0.0.1", port)), Page()
        request = f"GET /agent/events?agent={name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        stream.sendall(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())
        chosen.register(stream, selectors.EVENT_READ, page)
        pages.append(page)
    chosen.register(sys.stdin, selectors.EVENT_READ, None)
    print("ready", flush=True)
    while True:
        for key, _ in chosen.select():
            now = time.time()
            if key.data is None:
                return {call: at for page in pages for call, at in page.shown().items()}
            some = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
            if not some:
                raise ConnectionError("a page's stream ended")
            key.data.arrived(some, now)


if __name__ == "__main__":
    secret = sys.stdin.readline().strip()
    with suppress(PermissionError):  # a page is on a machine of its own, where nobody else is in its way
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print(json.dumps(listen(int(sys.argv[1]), secret, sys.argv[2:])))
