"""The carrier: subscribers that behave by their number, and the SIP phones of the robot agents.

A subscriber's number is +358 40 1BB NNNN: valid Finnish mobiles, BB says how it behaves (`Behaviour`), NNNN is free.
Whatever is drawn by lot (which one of the mix, how long it rings and talks) depends on the seed and the number only.
Every INVITE leaves one line in a file before anything else happens to it: the second witness.
"""

from dataclasses import dataclass
from pathlib import Path

from lab import modules
from lab.asterisk import Asterisk, until
from lab.dialplan import carrier_dialplan
from lab.pbx import INDICATIONS
from lab.ports import Ports
from lab.subscribers import Subscribers
from lab.tree import Program


@dataclass(frozen=True, slots=True)
class Invite:
    """One INVITE that reached the carrier. `at`: seconds since the epoch; `attempt`: its X-Dialer-Attempt."""

    at: float
    number: str
    caller_id: str
    attempt: str


class Carrier(Asterisk):
    """Asterisk with subscribers behind it, and one registered phone per agent."""

    def __init__(
        self,
        folder: Path,
        run: Path,
        program: Program,
        ports: Ports,
        agents: list[str],
        password: str,
        subscribers: Subscribers,
    ) -> None:
        super().__init__("carrier", folder, run, program)
        self._invites = self.log / "invites.tsv"
        self._invites.touch()
        self._agents = agents
        self.write_base(modules.CARRIER, {"transmit_silence": "yes", "maxfiles": "16000", "nocolor": "yes"})
        first, last = ports.carrier_rtp
        self.write("rtp.conf", f"[general]\nrtpstart = {first}\nrtpend = {last}\n")
        phones = "".join(PHONE.format(name=n, pbx=ports.pbx_sip, password=password) for n in agents)
        self.write("pjsip.conf", PJSIP.format(port=ports.carrier_sip) + phones)
        self.write("extensions.conf", carrier_dialplan(subscribers, self._invites))
        self.write("indications.conf", INDICATIONS)
        self.write("manager.conf", "[general]\nenabled = no\n")
        self.write("cdr.conf", "[general]\nenable = no\n")

    def invites(self) -> list[Invite]:
        """Every INVITE so far, oldest first."""
        rows = [line.split("\t") for line in self._invites.read_text().splitlines()]
        return [Invite(int(row[0]) / 1000, *row[1:4]) for row in rows]

    def listen(self, folder: Path | None) -> None:
        """From the next call on, what each person hears goes into a WAV file, `<number without plus>.wav`."""
        self.cli(f'dialplan set global HEARD "{folder or ""}"')

    def phones_registered(self) -> int:
        """How many phones the PBX has accepted."""
        return self.cli("pjsip show registrations").count(" Registered ")

    def wait_registered(self, seconds: float) -> None:
        """Until every phone is registered. Raises TimeoutError."""
        if not until(lambda: self.phones_registered() == len(self._agents), seconds):
            raise TimeoutError(f"phones did not register:\n{self.cli('pjsip show registrations')}")

    def dial(self, agent: str, e164: str) -> None:
        """An agent dials a number by hand: their phone calls it at the PBX."""
        self.cli(f"channel originate PJSIP/{e164}@{agent} extension talk@phone")

    def hang_up(self, agent: str) -> None:
        """The agent's phone hangs up whatever it has."""
        for name in self._channels_of(agent):
            self.cli(f"channel request hangup {name}")

    def press(self, agent: str, keys: str) -> None:
        """The agent presses keys of their phone."""
        for name in self._channels_of(agent):
            self.cli(f"channel redirect {name} press,{keys},1")

    def _channels_of(self, agent: str) -> list[str]:
        return [c.name for c in self.channels() if c.name.startswith(f"PJSIP/{agent}-") or c.exten == agent]


PJSIP = """\
[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{port}

[pbx]
type = endpoint
context = carrier
disallow = all
allow = alaw,ulaw
direct_media = no
[pbx]
type = identify
endpoint = pbx
match = 127.0.0.1
"""

PHONE = """
[{name}]
type = registration
transport = transport
outbound_auth = {name}
server_uri = sip:127.0.0.1:{pbx}
client_uri = sip:{name}@127.0.0.1:{pbx}
contact_user = {name}
expiration = 3600
retry_interval = 1
forbidden_retry_interval = 2
max_retries = 100000
max_random_initial_delay = 1
[{name}]
type = endpoint
context = phone
disallow = all
allow = alaw,ulaw
direct_media = no
from_user = {name}
outbound_auth = {name}
aors = {name}
[{name}]
type = aor
contact = sip:127.0.0.1:{pbx}
[{name}]
type = auth
auth_type = userpass
username = {name}
password = {password}
"""
