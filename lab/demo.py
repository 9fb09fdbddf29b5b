"""`make demo`: a campaign on a telephone network of its own, watched live, checked against the carrier's own record.

Exit status 0: people talked to agents, and nothing was lost or leaked; 1: something was, or could not be set up;
130: ended before the first call. Nothing is left running whatever happens; `.run/demo/` keeps summary and logs.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dialerd import __version__
from lab import contactlist
from lab.asterisk import AsteriskFailed, until
from lab.daemon import DaemonFailed
from lab.display import Board, say, show_summary
from lab.ports import NoFreePorts
from lab.robots import Habits, Robots
from lab.services import ServiceFailed
from lab.site import Site
from lab.subscribers import Subscribers
from lab.summary import faults, read, summarise
from lab.tree import NoAsterisk

CAMPAIGN = "Spring renewals"
QUEUE = "sales"
CALLER_IDS = [f"+3584011090{n:02d}" for n in range(10)]
FALLBACK = "+358401109099"
RING_SECONDS, TALK_SECONDS, WRAP_UP_SECONDS = 3.0, 12.0, 4
RING_TIMEOUT_SECONDS = 10
DRAIN_SECONDS = 15.0
_ADMIN_SECONDS = 60.0
_HANG_UP_SECONDS = 5.0  # for the last channels to go, once dialerd has


class CommandFailed(RuntimeError):
    """A dialer-admin command failed; the text is what it said."""


def main() -> int:
    """The exit status."""
    options = _options()
    # One way to end early, whoever asks and wherever we are: as Ctrl+C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return Demo(options).run()
    except KeyboardInterrupt:
        say("ended before there was anything to sum up")
        return 130
    except (AsteriskFailed, NoAsterisk, NoFreePorts, ServiceFailed, DaemonFailed, CommandFailed, TimeoutError) as error:
        say(f"failed: {error}")
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description="A campaign on a network of its own.")
    parser.add_argument("--duration", type=float, default=90.0, help="seconds of dialing (default 90)")
    parser.add_argument("--agents", type=int, default=6, help="how many robot agents (default 6)")
    parser.add_argument("--seed", type=int, default=1, help="decides every lot (default 1)")
    parser.add_argument("--folder", type=Path, default=Path(".run/demo"), help="for summary and logs (.run/demo)")
    options = parser.parse_args()
    if not 1 <= options.duration <= 3600 or not 1 <= options.agents <= 100:
        parser.error("duration is 1 to 3600 seconds, agents are 1 to 100")
    return options


class Demo:
    """One run, from the first folder to the last."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._duration: float = options.duration
        self._seed: int = options.seed
        self._agents: int = options.agents
        self._folder: Path = options.folder.absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "summary.json").unlink(missing_ok=True)  # an old one must not pass for ours
        self._since: datetime | None = None  # dialing
        self._until: datetime | None = None
        self._interrupted = False

    def run(self) -> int:
        """Everything, in order; the exit status."""
        say("starting PostgreSQL, Redis and two Asterisks")
        subscribers = Subscribers(seed=self._seed, ring_seconds=RING_SECONDS, talk_seconds=TALK_SECONDS)
        site = Site(self._agents, subscribers, settings={"dialing": {"drain_seconds": DRAIN_SECONDS}})
        try:
            site.start()
            site.daemon.start()
            return asyncio.run(self._conduct(site))
        finally:
            for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(ending, signal.SIG_IGN)  # the rest takes a few seconds, and must not be cut short
            self._keep_logs(site)
            site.stop()
            say(f"nothing is left running; summary and logs are in {self._folder}")

    async def _conduct(self, site: Site) -> int:
        link = site.daemon.url + site.daemon.post("/login-links")["path"]
        print(f"Status page: {link}", flush=True)
        await self._prepare(site)
        board = Board(site.daemon.url, site.token, link)
        async with _running(board.run()):
            async with _running(self._robots(site)):
                await self._dial(site, board)
            board.note = "The time is up: live calls may end, no new ones are made."
            status = await _drained(site)
        return await self._sum_up(site, status)

    # -- setting up, as an operator does --------------------------------------------------------------------------

    async def _prepare(self, site: Site) -> None:
        """Campaign, contacts, agents and caller IDs, all through dialer-admin."""
        people = contactlist.write(self._folder / "contacts.csv", _list_length(self._duration), self._seed)
        await _admin(site, "dnc", "add", people.barred, "--system", "--source", "demo")
        create = ["campaign", "create", CAMPAIGN, "--queue", QUEUE, "--trunk", "trunk-out"]
        create += ["--window", "always", "--no-skip-holidays"]
        create += ["--caller-id", FALLBACK, "--machine-detection", "drop", "--wrap-up", str(WRAP_UP_SECONDS)]
        await _admin(site, *create, "--ring-timeout", str(RING_TIMEOUT_SECONDS))
        names = site.lab.agents
        imported, *_ = await asyncio.gather(
            _admin(site, "contacts", "import", str(people.path), "--campaign", CAMPAIGN),
            *(_admin(site, "agent", "add", name, "--queue", QUEUE) for name in names),
            _admin(site, "callerid", "add", *CALLER_IDS, "--campaign", CAMPAIGN),
            asyncio.to_thread(site.lab.wait_registered),
        )
        refused = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in sorted(imported["refused"].items()))
        say(f"contacts.csv: {imported['rows']} rows, {imported['imported']} imported; refused: {refused}; "
            f"{imported['dnc']} on the do-not-call list")  # fmt: skip
        if (imported["imported"], imported["rows"] - imported["imported"]) != (people.good, people.bad):
            raise CommandFailed(f"contacts.csv has {people.good} good rows and {people.bad} bad ones")
        say(f"{len(names)} agents, {len(CALLER_IDS)} caller IDs")

    async def _robots(self, site: Site) -> None:
        habits = Habits(wrap_up_seconds=WRAP_UP_SECONDS * 0.75, seed=self._seed)
        await Robots(site.daemon.url, site.token, site.lab.agents, habits).run(asyncio.Event())

    # -- dialing --------------------------------------------------------------------------------------------------

    async def _dial(self, site: Site, board: Board) -> None:
        """From the campaign's start to its pause, after the duration or at Ctrl+C."""
        await _admin(site, "campaign", "start", CAMPAIGN)
        self._since = datetime.now(UTC)
        board.note = f"Dialing for {self._duration:g} seconds; Ctrl+C ends it early."
        try:
            async with asyncio.timeout(self._duration):
                await _ended(site)
            raise DaemonFailed(f"dialerd ended by itself:\n{site.daemon.tail()}")
        except TimeoutError:
            pass
        except asyncio.CancelledError:  # Ctrl+C; asyncio turns the second one into KeyboardInterrupt
            self._interrupted = True
        self._until = datetime.now(UTC)
        await _admin(site, "campaign", "pause", CAMPAIGN)

    # -- the end --------------------------------------------------------------------------------------------------

    async def _sum_up(self, site: Site, status: int) -> int:
        assert self._since is not None and self._until is not None  # noqa: S101 - for mypy
        lab = site.lab
        until(lambda: not lab.pbx.channels() and not lab.pbx.bridges(), _HANG_UP_SECONDS)
        invites = lab.invites()
        pool = await site.pool()
        try:
            record = await read(pool)
            postgres = await pool.fetchval("SHOW server_version")
        finally:
            await pool.close()
        # nobody but dialerd uses this PBX: whatever is in it now is leaked
        leaked = len(lab.pbx.channels()), len(lab.pbx.bridges())
        summary = summarise(record, invites, self._since, self._until, *leaked)
        summary["run"] = {
            "duration_seconds": round((self._until - self._since).total_seconds(), 1),
            "interrupted": self._interrupted,
            "seed": self._seed,
            "agents": self._agents,
            "seconds_to_first_call": round(invites[0].at - _process_began(), 1) if invites else None,
            "dialerd_exit_status": status,
            "machine": _machine(),
            "versions": {
                "dialerd": __version__,
                "asterisk": lab.pbx.cli("core show version").split(" built")[0].removeprefix("Asterisk ").strip(),
                "postgresql": postgres,
                "python": platform.python_version(),
            },
        }
        (self._folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        wrong = faults(summary) + ([f"dialerd ended with exit status {status}"] if status else [])
        show_summary(summary, wrong)
        return 1 if wrong else 0

    def _keep_logs(self, site: Site) -> None:
        sources = {
            "dialerd.log": site.daemon.log,
            "invites.tsv": site.lab.carrier.log / "invites.tsv",
            "carrier.log": site.lab.carrier.log / "messages",
            "pbx.log": site.lab.pbx.log / "messages",
        }
        for name, source in sources.items():
            with contextlib.suppress(OSError):
                shutil.copyfile(source, self._folder / name)


@contextlib.asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:
    """Runs `work` beside the body, and ends it with the body. If it breaks, so does the body."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()


async def _drained(site: Site) -> int:
    """TERM, and waits until dialerd is gone (a bit longer than it may take); its exit status."""
    os.kill(site.daemon.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS + 20):
            await _ended(site)
    return site.daemon.stop(0.1)


async def _ended(site: Site) -> None:
    """Until dialerd is gone."""
    while site.daemon.running():  # noqa: ASYNC110 - a process that ends sets no event
        await asyncio.sleep(0.1)


async def _admin(site: Site, *arguments: str) -> Any:
    """What `dialer-admin ARGUMENTS --json` says. Secrets are in the configuration's folder, never in the arguments."""
    argv = [sys.executable, "-m", "dialerd.cli.main", "--config", str(site.daemon.config), *arguments, "--json"]
    # in a thread, which a Ctrl+C waits for: the command is done when PostgreSQL goes
    done = await asyncio.to_thread(
        subprocess.run, argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ADMIN_SECONDS,
        start_new_session=True, env=site.daemon.environ,
    )  # fmt: skip
    if done.returncode != 0:
        raise CommandFailed(f"dialer-admin {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def _list_length(duration: float) -> int:
    """Contacts enough for that long: six agents take about one a second."""
    return min(9000, max(300, round(duration * 3)))


def _process_began() -> float:
    """When this process was started, in seconds since the epoch: the imports count too."""
    after_boot = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + after_boot


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory_mb": memory // 2**20, "system": platform.platform(terse=True)}


if __name__ == "__main__":
    sys.exit(main())
