"""A telephone network on one machine: a PBX that dialerd drives, and a carrier with people and phones behind it."""

import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from dialerd.core.ids import ACCOUNT, is_attempt
from lab import ports, tree
from lab.asterisk import until
from lab.carrier import Carrier, Invite
from lab.pbx import TRUNK, Pbx, Secrets
from lab.subscribers import Subscribers

REGISTER_SECONDS = 10.0
_OURS = "dialerd-"  # how the ids of our bridges and agent legs begin


class Lab:
    """`with Lab(folder, agents=2) as lab:` — everything is up inside, and nothing is left afterwards.

    Agents are called agent-1, agent-2, …; their phones register by themselves.
    """

    def __init__(self, folder: Path, agents: int = 2, subscribers: Subscribers | None = None) -> None:
        self.folder = folder.absolute()
        self.agents = [f"agent-{n}" for n in range(1, agents + 1)]
        self.subscribers = subscribers or Subscribers()
        self.trunk = TRUNK
        self.ami_host = "127.0.0.1"
        self.ami_username = "dialerd"
        self.ari_username = "dialerd"
        self._keys = Secrets()
        program = tree.find()
        self._slot = ports.take()
        try:
            self._build(program)
        except BaseException:
            self._slot.release()
            raise

    def _build(self, program: tree.Program) -> None:
        self.ports = self._slot.ports
        run = self._slot.folder
        self.pbx = Pbx(self.folder / "pbx", run / "pbx", program, self.ports, self.agents, self._keys)
        self.carrier = Carrier(
            self.folder / "carrier",
            run / "carrier",
            program,
            self.ports,
            self.agents,
            self._keys.phones,
            self.subscribers,
        )

    @property
    def ami_port(self) -> int:
        """The PBX's manager interface."""
        return self.ports.ami

    @property
    def ami_secret(self) -> str:
        """Of the AMI user `dialerd`."""
        return self._keys.ami

    @property
    def ari_url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.ports.ari}/ari"

    @property
    def ari_password(self) -> str:
        """Of the ARI user `dialerd`."""
        return self._keys.ari

    @property
    def fastagi_port(self) -> int:
        """Where the PBX's dialplan looks for dialerd's FastAGI server."""
        return self.ports.fastagi

    @property
    def web_port(self) -> int:
        """Kept free for dialerd's web server."""
        return self.ports.web

    def start(self) -> None:
        """Start both Asterisks. Raises `AsteriskFailed`, with nothing left running."""
        _warn_of_slow_names()
        try:
            self.pbx.begin()
            self.carrier.begin()
            self.pbx.wait_booted()
            self.carrier.wait_booted()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End both, calls and all. Twice is once."""
        try:
            self.carrier.stop()
        finally:
            try:
                self.pbx.stop()
            finally:
                self._slot.release()

    def wait_registered(self, seconds: float = REGISTER_SECONDS) -> None:
        """Until the PBX can reach every agent's phone. Raises TimeoutError."""
        self.carrier.wait_registered(seconds)

    def phone_dial(self, agent: str, e164: str) -> None:
        """An agent dials a number by hand."""
        self.carrier.dial(agent, e164)

    def phone_hang_up(self, agent: str) -> None:
        """An agent's phone hangs up."""
        self.carrier.hang_up(agent)

    def invites(self) -> list[Invite]:
        """Every INVITE that reached the carrier."""
        return self.carrier.invites()

    def cdrs(self) -> set[str]:
        """The uniqueid of every call detail record of the PBX (`pbx.records()` has the rest)."""
        return {record.uniqueid for record in self.pbx.records()}

    def leftovers(self) -> list[str]:
        """Channels and bridges of dialerd's that are in the PBX: none, once everything is quiet."""
        channels = [
            c.name
            for c in self.pbx.channels()
            if c.account == ACCOUNT or c.uniqueid.startswith(_OURS) or is_attempt(c.uniqueid.removesuffix(";2"))
        ]
        bridges = [b for b in self.pbx.bridges() if b.startswith(_OURS)]
        return channels + bridges

    def quiet(self, seconds: float) -> bool:
        """Whether the PBX has no channel at all within that time."""
        return until(lambda: not self.pbx.channels(), seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _warn_of_slow_names() -> None:
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        print(
            "lab: this machine's own name does not resolve: every SIP call will wait for it. "
            f"Add '127.0.0.1 {socket.gethostname()}' to /etc/hosts.",
            file=sys.stderr,
        )
