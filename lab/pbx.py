"""The PBX that dialerd drives: the shipped drop-ins, copied as a sysadmin would, around base files of the lab's own."""

import csv
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from dialerd.paths import shipped
from lab import modules
from lab.asterisk import Asterisk
from lab.ports import Ports
from lab.tree import Program

TRUNK = "trunk-out"
LOGIN_EXTENSION = "5000"  # where agents log in by phone
FALLBACK_CID = "+358401100000"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made anew for each lab."""

    ami: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    ari: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    phones: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One line of Asterisk's own record of calls. `disposition` is ANSWERED, NO ANSWER, BUSY, FAILED or CONGESTION;
    `note` is the userfield."""

    uniqueid: str
    account: str
    destination: str
    channel: str
    disposition: str
    billed_seconds: int
    note: str = ""


class Pbx(Asterisk):
    """Asterisk with dialerd's files, one trunk to the carrier, and one endpoint per agent."""

    def __init__(
        self, folder: Path, run: Path, program: Program, ports: Ports, agents: list[str], keys: Secrets
    ) -> None:
        super().__init__("pbx", folder, run, program)
        # maxfiles: 600 calls need some 3000 descriptors
        self.write_base(modules.PBX, {"transmit_silence": "yes", "maxfiles": "16000", "nocolor": "yes"})
        self._write_interfaces(ports, keys)
        self._write_sip(ports, agents, keys)
        self._write_dialplan(ports)
        self._write_records()

    def records(self) -> list[CallRecord]:
        """Every call detail record so far, oldest first. A call through [dialerd-out] leaves more than one."""
        path = self.log / "cdr-csv/Master.csv"
        if not path.exists():
            return []
        with path.open(newline="") as lines:
            rows = [row for row in csv.reader(lines) if len(row) > 16]
        return [CallRecord(row[16], row[0], row[2], row[5], row[14], int(row[13]), "".join(row[17:18])) for row in rows]

    def recordings(self) -> list[Path]:
        """The files of recordings that Asterisk still holds."""
        return sorted((self.spool / "recording").iterdir())

    def _write_interfaces(self, ports: Ports, keys: Secrets) -> None:
        self.write(
            "manager.conf",
            f"[general]\nenabled = yes\nport = {ports.ami}\nbindaddr = 127.0.0.1\n#include manager.d/*.conf\n",
        )
        self.write("ari.conf", "[general]\nenabled = yes\n#include ari.d/*.conf\n")
        self.write("http.conf", f"[general]\nbindport = {ports.ari}\n#include http.d/*.conf\n")
        for name in ("manager.d", "ari.d", "http.d"):
            self._ship(f"{name}/dialerd.conf")
        self.write("dialerd-secrets/manager.conf", f"secret = {keys.ami}\n")
        self.write("dialerd-secrets/ari.conf", f"password = {keys.ari}\n")

    def _write_sip(self, ports: Ports, agents: list[str], keys: Secrets) -> None:
        first, last = ports.pbx_rtp
        self.write("rtp.conf", f"[general]\nrtpstart = {first}\nrtpend = {last}\n")
        sample = (shipped("asterisk-conf") / "pjsip.d/dialerd-trunk.conf.sample").read_text()
        carrier = f"127.0.0.1:{ports.carrier_sip}"
        trunk = sample.replace("sip.provider.example:5060", carrier).replace("sip.provider.example", "127.0.0.1")
        self.write("pjsip.d/dialerd-trunk.conf", trunk)
        head = PJSIP.format(port=ports.pbx_sip)
        self.write("pjsip.conf", head + "".join(AGENT.format(name=n, password=keys.phones) for n in agents))

    def _write_dialplan(self, ports: Ports) -> None:
        self.write(
            "extensions.conf",
            f"[general]\nstatic = yes\nwriteprotect = yes\n[globals]\nDIALERD_TRUNK = {TRUNK}\n"
            f"DIALERD_AGI = 127.0.0.1:{ports.fastagi}\nDIALERD_FALLBACK_CID = {FALLBACK_CID}\n"
            "#include extensions.d/*.conf\n"
            f"[phones]\nexten => {LOGIN_EXTENSION},1,Goto(dialerd-agents,s,1)\ninclude => dialerd-out\n"
            # The colleagues beyond: extension 10N is the phone of agent-N, 198 rings for ever, 199 is busy.
            "[desk]\nexten => _10X,1,Dial(PJSIP/agent-${EXTEN:2},30)\n same => n,Hangup(19)\n"
            "exten => 198,1,Wait(300)\nexten => 199,1,Hangup(17)\n",
        )
        self.write("musiconhold.conf", f"[default]\nmode = files\ndirectory = {self.data}/sounds/en/digits\n")
        self._ship("extensions.d/dialerd.conf")
        self._ship("amd.conf.sample", "amd.conf")
        self.write("indications.conf", INDICATIONS)

    def _write_records(self) -> None:
        self.write(
            "cdr.conf",
            "[general]\nenable = yes\nunanswered = yes\ncongestion = yes\n"
            "[csv]\nloguniqueid = yes\nloguserfield = yes\n",
        )

    def _ship(self, name: str, target: str | None = None) -> None:
        path = self.etc / (target or name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shipped("asterisk-conf") / name, path)


PJSIP = """\
[global]
type = global
; phones and carrier share one address: a name that is a phone's goes first
endpoint_identifier_order = username,ip
[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{port}
#include pjsip.d/*.conf
"""

AGENT = """\
[{name}]
type = endpoint
context = phones
disallow = all
allow = alaw,ulaw
direct_media = no
auth = {name}
aors = {name}
callerid = {name} <{name}>
set_var = DIALERD_AGENT={name}
[{name}]
type = auth
auth_type = userpass
username = {name}
password = {password}
[{name}]
type = aor
max_contacts = 1
remove_existing = yes
"""

INDICATIONS = """\
[general]
country = fi
[fi]
description = Finland
ringcadence = 1000,4000
dial = 425
busy = 425/300,0/300
ring = 425/1000,0/4000
congestion = 425/200,0/200
callwaiting = 425/150,0/150,425/150,0/8000
dialrecall = 425/650,0/25
record = 1400/500,0/15000
info = 950/650,0/325,950/325,0/30,1400/1300,0/2600
stutter = 425/650,0/25
"""
