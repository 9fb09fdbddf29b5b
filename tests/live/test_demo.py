"""`make demo` itself, as a newcomer runs it, only shorter."""

import contextlib
import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.subscribers import Behaviour, number
from lab.summary import MUST_BE_ZERO

ROOT = Path(__file__).parents[2]
_KEYS = {
    *("attempts", "live_answers", "machines", "busy", "no_answer", "failed", "connected", "abandoned"),
    *("abandonment_rate", "occupancy", "connect_ms", "caller_ids_used", "invites_seen_by_carrier"),
    *(*MUST_BE_ZERO, "attempts_without_invite_causes", "run"),
}

pytestmark = pytest.mark.live


class Run:
    """A demo, and the folder of its installation, by which its processes are known from those of others."""

    def __init__(self, folder: Path, duration: float) -> None:
        self.folder = folder
        self._site: Path | None = None
        argv = [sys.executable, "-m", "lab.demo", "--duration", str(duration), "--folder", str(folder)]
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def end(self) -> int:
        return self.process.wait(120)

    def said(self) -> str:
        return (self.folder / "stdout").read_text() + (self.folder / "stderr").read_text()

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found

    def until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < limit and self.process.poll() is None, self.said()
            time.sleep(0.05)

    def started(self) -> bool:
        """Whether its first server runs."""
        for argv in _processes(self.process.pid):
            if found := re.search(r"\S*/dialerd-site-[^/]+", argv):
                self._site = Path(found.group())
        return self._site is not None

    def talking(self) -> bool:
        """Whether a person talked to an agent already."""
        assert self._site is not None
        log = self._site / "dialerd-1/dialerd.log"
        return log.exists() and "[joined]-> connected" in log.read_text()

    def left(self) -> list[str]:
        """What is still there of it: its folder, and processes that name it."""
        assert self._site is not None
        return [argv for argv in _processes() if str(self._site) in argv] + [str(self._site)] * self._site.exists()


def _processes(parent: int | None = None) -> list[str]:
    """The command lines of all processes, or of a parent's children."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if parent in (None, int((folder / "stat").read_text().rpartition(")")[2].split()[1])):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_the_demo_dials_and_leaves_a_summary_and_nothing_else(tmp_path: Path) -> None:
    run = Run(tmp_path, duration=12)
    run.until(run.started)
    assert run.end() == 0, run.said()
    summary = run.summary()
    assert set(summary) == _KEYS
    assert {name: summary[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0)
    assert summary["connected"] >= 1
    assert summary["attempts"] == summary["invites_seen_by_carrier"] > summary["connected"]
    assert summary["caller_ids_used"] > 1
    assert run.said().startswith("Status page: http://127.0.0.1:")
    assert run.left() == []
    with (tmp_path / "invites.tsv").open(newline="") as lines:
        called = {row[1] for row in csv.reader(lines, delimiter="\t")}
    assert len(called) == summary["attempts"]
    assert number(Behaviour.MIX, 300) not in called  # first in the queue, but for the do-not-call list


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_early_sums_up_and_leaves_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    run = Run(tmp_path, duration=600)
    run.until(run.started)
    run.until(run.talking)
    run.process.send_signal(ending)
    assert run.end() == 0, run.said()
    assert run.summary()["run"]["interrupted"] is True
    assert run.left() == []


def test_a_demo_that_is_ended_while_it_sets_up_leaves_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, duration=600)
    run.until(run.started)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130, run.said()
    assert run.left() == []
    assert not (tmp_path / "summary.json").exists()
