"""A dialerd of one's own: its configuration files in a folder, and the process."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.processes import dying_with_us, spawn

_START_SECONDS = 30.0
_STOP_SECONDS = 90.0


class DaemonFailed(RuntimeError):
    """dialerd did not start, or did not stop; the text ends with the last lines of its log."""


class Daemon:
    """`settings` and `secrets` are tables of dialerd.toml; the second go into conf.d/secrets.toml (mode 0600)."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Mapping[str, Any]],
        secrets: Mapping[str, Mapping[str, Any]],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.config = folder / "dialerd.toml"
        self.log = folder / "dialerd.log"
        self.url = f"http://127.0.0.1:{settings['web']['port']}"
        self._token = str(secrets["web"]["token"])
        # For dialer-admin too. Whoever runs the lab may have settings of another dialerd, or of the lab, in theirs.
        outside = {key: value for key, value in os.environ.items() if not key.startswith("DIALERD_")}
        self.environ = {**outside, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "conf.d").mkdir(parents=True, exist_ok=True)
        self.config.write_text(_toml(settings))
        path = folder / "conf.d" / "secrets.toml"
        path.touch(mode=0o600)
        path.write_text(_toml(secrets))

    @property
    def pid(self) -> int:
        """Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("dialerd is not running")
        return self._process.pid

    def start(self, wait: bool = True) -> None:
        """Starts the process; waits until its web answers (healthy or not)."""
        with self.log.open("ab") as out:
            # when we die so does its Asterisk: a drain would wait for nothing
            argv = [*dying_with_us("KILL"), sys.executable, "-m", "dialerd.daemon", "--config", str(self.config)]
            self._process = spawn(argv, out, env=self.environ)
        if wait:
            self.until(lambda: self.health() is not None, _START_SECONDS, "answer")

    def stop(self, seconds: float = _STOP_SECONDS) -> int:
        """TERM, and waits for the drain; the exit status. Nothing happens when it does not run."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise DaemonFailed(f"no end within {seconds:g} s:\n{self.tail()}") from None
        finally:
            self._process = None

    def signal(self, name: str) -> None:
        """Sends a signal ("SIGTERM")."""
        os.kill(self.pid, signal.Signals[name])

    def wait(self, seconds: float) -> int:
        """Waits for it to end by itself; the exit status."""
        if self._process is None:
            raise RuntimeError("dialerd is not running")
        status = self._process.wait(seconds)
        self._process = None
        return status

    def kill9(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def health(self) -> dict[str, Any] | None:
        """`/health`, whatever its status; None when nobody answers."""
        try:
            return self.get("/health")
        except urllib.error.HTTPError as error:
            found: dict[str, Any] = json.load(error)
            return found
        except OSError:
            return None

    def status(self) -> dict[str, Any]:
        return self.get("/status")

    def get(self, path: str) -> dict[str, Any]:
        return self._request("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._request("POST", path, body or {})

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            text = reply.read()
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def until(self, condition: Any, seconds: float, what: str) -> None:
        """Waits for a condition; raises `DaemonFailed` with the log's end when it does not come or the process dies."""
        limit = time.monotonic() + seconds
        while not condition():
            if not self.running() or time.monotonic() > limit:
                raise DaemonFailed(f"dialerd did not {what} within {seconds:g} s:\n{self.tail()}")
            time.sleep(0.05)

    def until_dialing(self, seconds: float = 30.0) -> None:
        """Waits until it says that it may dial."""
        self.until(lambda: (self.health() or {}).get("dialing") == "ok", seconds, "get ready to dial")

    def tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def _toml(tables: Mapping[str, Any]) -> str:
    """TOML of nested tables with plain values (JSON's scalars are TOML's)."""
    lines: list[str] = []

    def write(name: str, table: Mapping[str, Any]) -> None:
        if name:
            lines.append(f"[{name}]")
        lines.extend(f"{key} = {json.dumps(v)}" for key, v in table.items() if not isinstance(v, Mapping))
        for key, inner in table.items():
            if isinstance(inner, Mapping):
                write(f"{name}.{key}" if name else key, inner)

    write("", tables)
    return "\n".join(lines) + "\n"
