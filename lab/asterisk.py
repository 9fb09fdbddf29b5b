"""One private Asterisk: its folder, its start and end, its console.

It dies with this process, whatever happens here, and leaves nothing but its folder.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.processes import Process
from lab.tree import Program

START_SECONDS = 20.0
STOP_SECONDS = 5.0
CLI_SECONDS = 10.0
_POLL_SECONDS = 0.02
# Asterisk calls it an error when these are missing, and does without.
_EMPTY = ("acl", "ccss", "cel", "features", "pjproject", "stasis", "udptl", "websocket_client")


class AsteriskFailed(RuntimeError):
    """Asterisk did not start, ended early, or did not answer on its console; the text ends with its log."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One line of `core show channels concise`."""

    name: str
    context: str
    exten: str
    state: str
    application: str
    account: str
    bridge: str
    uniqueid: str


class Asterisk:
    """One instance below `folder`; `run` is a short folder for its console's socket, emptied at every start."""

    def __init__(self, name: str, folder: Path, run: Path, program: Program) -> None:
        self.name = name
        self.etc = folder / "etc"
        self.log = folder / "log"
        self.data = folder / "data"
        self.spool = folder / "spool"
        self._folder = folder
        self._run = run
        self._program = program
        for part in ("etc", "data", "db", "spool/recording", "log/cdr-csv"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._link_data()
        argv = [*program.argv, "-C", str(self.etc / "asterisk.conf"), "-f"]
        self._process = Process(argv, self.log / "console", end="TERM")

    def write(self, name: str, text: str) -> None:
        """Write a file below its etc folder, readable by its owner only."""
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)

    def write_base(self, modules: list[str], options: dict[str, str]) -> None:
        """asterisk.conf, modules.conf (those that this Asterisk has) and logger.conf."""
        places = {
            "astetcdir": self.etc,
            "astmoddir": self._program.modules,
            "astvarlibdir": self.data,
            "astdatadir": self.data,
            "astagidir": self.data,
            "astdbdir": self._folder / "db",
            "astkeydir": self._folder / "db",
            "astspooldir": self.spool,
            "astrundir": self._run,
            "astlogdir": self.log,
        }
        self.write("asterisk.conf", _section("directories", places) + _section("options", options))
        found = [m for m in modules if (self._program.modules / f"{m}.so").exists()]
        lines = "".join(f"load = {m}.so\n" for m in found)
        self.write("modules.conf", f"[modules]\nautoload = no\n{lines}")
        for name in _EMPTY:
            self.write(f"{name}.conf", "; defaults\n")
        self.write("logger.conf", "[general]\n[logfiles]\nmessages = notice,warning,error\n")

    def begin(self) -> None:
        """Start it without waiting; `wait_booted` waits."""
        if self.running():
            raise AsteriskFailed(f"{self.name} runs already")
        shutil.rmtree(self._run, ignore_errors=True)
        self._run.mkdir(mode=0o700, parents=True)
        self._process.start()

    def wait_booted(self) -> None:
        """Until it has fully booted. Raises `AsteriskFailed` after `START_SECONDS`, or when it ended."""
        socket = self._run / "asterisk.ctl"

        def booted() -> bool:
            if not self.running():
                raise AsteriskFailed(f"{self.name} ended while starting\n{self.log_tail()}")
            return socket.exists() and "fully booted" in self._ask("core waitfullybooted")

        if not until(booted, START_SECONDS):
            raise AsteriskFailed(f"{self.name} did not boot within {START_SECONDS:.0f} s\n{self.log_tail()}")

    def start(self) -> None:
        """Start it and wait until it has booted."""
        self.begin()
        self.wait_booted()

    def stop(self) -> None:
        """End it at once, calls and all; kill it when it does not. Not running: nothing happens."""
        self._process.stop(STOP_SECONDS)
        shutil.rmtree(self._run, ignore_errors=True)

    def kill9(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill9()

    def restart(self) -> None:
        """Stop it if it still runs, and start it again with the same files, database and ports."""
        self.stop()
        self.start()

    def running(self) -> bool:
        """Whether its process is there."""
        return self._process.running()

    @property
    def pid(self) -> int:
        """Its process. Raises RuntimeError when it was not started."""
        return self._process.pid

    def cli(self, command: str) -> str:
        """What the console answers. Raises `AsteriskFailed` when there is no console."""
        if not self.running():
            raise AsteriskFailed(f"{self.name} does not run")
        return self._ask(command)

    def channels(self) -> list[Channel]:
        """Every channel that is up or coming up."""
        rows = [line.split("!") for line in self.cli("core show channels concise").splitlines()]
        return [
            Channel(
                name=row[0],
                context=row[1],
                exten=row[2],
                state=row[4],
                application=row[5],
                account=row[8],
                bridge=row[12],
                uniqueid=row[13],
            )
            for row in rows
            if len(row) == 14
        ]

    def bridges(self) -> list[str]:
        """The ids of every bridge."""
        lines = self.cli("bridge show all").splitlines()
        return [line.split()[0] for line in lines[1:] if line.strip() and not line.startswith("Bridge-ID")]

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log and console."""
        said = []
        for name in ("console", "messages", "messages.log"):
            with contextlib.suppress(OSError):
                said += (self.log / name).read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(said)

    def _ask(self, command: str) -> str:
        argv = [*self._program.argv, "-C", str(self.etc / "asterisk.conf"), "-rx", command]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=CLI_SECONDS, check=False)
        except subprocess.TimeoutExpired as late:
            raise AsteriskFailed(f"{self.name} did not answer {command!r} in {CLI_SECONDS:.0f} s") from late
        return done.stdout.decode(errors="replace")

    def _link_data(self) -> None:
        """The program's own data beside sounds of our own choosing."""
        for entry in self._program.data.iterdir():
            link = self.data / entry.name
            if entry.name != "sounds" and not link.is_symlink():
                link.symlink_to(entry)
        english = self.data / "sounds/en"
        english.parent.mkdir(exist_ok=True)
        if not english.is_symlink():
            english.symlink_to(self._program.sounds)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true within that time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _section(name: str, settings: dict[str, Path] | dict[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()) + "\n"
