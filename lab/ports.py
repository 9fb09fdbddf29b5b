"""Blocks of ports, so that several labs run on one machine and none has a fixed address.

A slot is a block of 3200 ports and a folder. While the process that took them lives, the folder is held by a lock on a
file in it, and the block by a bound port, which labs of other users see too. It is checked to be free besides.
"""

import fcntl
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FIRST = 10000
SIZE = 3200
SLOTS = 16  # the last ends at 61199; from slot 8 on they lie in Linux's ephemeral range and are tried last
_RTP = 100  # the first of them


class NoFreePorts(RuntimeError):
    """Every block is held by another lab or has ports in use."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one lab. An RTP range is inclusive: 500 calls, half with agents, two ports each."""

    base: int

    @property
    def pbx_sip(self) -> int:
        """SIP of the PBX (UDP)."""
        return self.base

    @property
    def carrier_sip(self) -> int:
        """SIP of the carrier (UDP)."""
        return self.base + 1

    @property
    def ami(self) -> int:
        """The PBX's manager interface."""
        return self.base + 2

    @property
    def ari(self) -> int:
        """The PBX's HTTP server."""
        return self.base + 3

    @property
    def fastagi(self) -> int:
        """For dialerd's FastAGI server."""
        return self.base + 4

    @property
    def web(self) -> int:
        """For dialerd's web server."""
        return self.base + 5

    @property
    def postgres(self) -> int:
        """For a private PostgreSQL."""
        return self.base + 6

    @property
    def redis(self) -> int:
        """For a private Redis."""
        return self.base + 7

    @property
    def guard(self) -> int:
        """Bound by whoever holds the block; nobody listens there."""
        return self.base + 8

    @property
    def pbx_rtp(self) -> tuple[int, int]:
        """The PBX's media ports."""
        return self.base + _RTP, self.base + 1649

    @property
    def carrier_rtp(self) -> tuple[int, int]:
        """The carrier's media ports."""
        return self.base + 1650, self.base + SIZE - 1


class Slot:
    """One block, and a short folder of its own for unix sockets (their paths may have 107 bytes only)."""

    def __init__(self, ports: Ports, folder: Path, lock: IO[str]) -> None:
        self.folder = folder
        self.ports = ports
        self._lock = lock
        self._guard = socket.socket()

    def guard(self) -> bool:
        """Whether the block is ours now: nobody holds its guard, and its ports are free."""
        try:
            self._guard.bind(("127.0.0.1", self.ports.guard))
        except OSError:
            return False
        return all(_bindable(port) for port in range(self.ports.base, self.ports.guard))

    def release(self) -> None:
        """Give the block back. Twice is once."""
        self._guard.close()
        self._lock.close()


def take() -> Slot:
    """The first block that nobody holds and whose ports are free. Raises `NoFreePorts`."""
    top = Path(tempfile.gettempdir()) / f"dialerd-lab-{os.getuid()}"
    top.mkdir(mode=0o700, exist_ok=True)
    for number in range(SLOTS):
        folder = top / str(number)
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = (folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        slot = Slot(Ports(FIRST + number * SIZE), folder, lock)
        if slot.guard():
            return slot
        slot.release()
    raise NoFreePorts(f"no free block of {SIZE} ports between {FIRST} and {FIRST + SLOTS * SIZE - 1}")


def _bindable(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # a port whose last connection is in TIME_WAIT is free for a server
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
