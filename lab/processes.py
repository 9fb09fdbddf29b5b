"""The local side of `services`: PostgreSQL and Redis as child processes, not as the machine's services.

A child gets a signal when its parent dies (PR_SET_PDEATHSIG through setpriv); else it is ended by its pid.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

_SOCKET_PATH_LIMIT = 107  # bytes, sun_path
_TOOL_SECONDS = 60.0
# The death signal comes when the *thread* that started the child ends: this one lives as long as the process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-starter")


def postgres_binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL's programs (Debian keeps them off the PATH), or None."""
    folders = [f for f in Path("/usr/lib/postgresql").glob("*/bin") if (f / "initdb").exists()]
    if folders:
        return max(folders, key=lambda f: int(f.parent.name) if f.parent.name.isdigit() else 0)
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def dying_with_us(end: str) -> list[str]:
    """Put before a program's argv, for `spawn`: it gets the signal SIG`end` when this process dies."""
    return ["setpriv", "--pdeathsig", end, "--"]


def spawn(
    argv: Sequence[str], log: IO[bytes], cwd: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that writes to `log`. Its session is its own: Ctrl+C is for us, who end it in good order."""
    return _starter.submit(
        subprocess.Popen, argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd, env=env,
        start_new_session=True,
    ).result()  # fmt: skip


class Process:
    """One program with a log, started anew on every `start`."""

    def __init__(self, argv: Sequence[str], log: Path, user: str | None = None, end: str = "TERM") -> None:
        self._argv = [*_as_user(user), *dying_with_us(end), *argv]
        self._log = log
        self._end = signal.Signals[f"SIG{end}"]
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The program's own pid (setpriv execs). Raises RuntimeError when it does not run."""
        if self._child is None:
            raise RuntimeError("not started")
        return self._child.pid

    def start(self) -> None:
        """Start; the log is begun anew."""
        with self._log.open("wb") as log:
            self._child = spawn(self._argv, log, cwd="/")

    def running(self) -> bool:
        """Whether it is there."""
        return self._child is not None and self._child.poll() is None

    def stop(self, seconds: float) -> None:
        """Ask it to end, kill it when it does not."""
        if self._child is None:
            return
        if self.running():
            self._child.send_signal(self._end)
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()

    def kill9(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def log_tail(self) -> str:
        """The last 20 lines of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
        return ""


class PostgresProcess(Process):
    """`initdb` once, then `postgres` itself in the foreground: no pg_ctl, no pid file to trust."""

    def __init__(self, folder: Path, port: int, user: str, password: str, settings: Mapping[str, str]) -> None:
        binaries = postgres_binaries()
        if binaries is None:
            raise FileNotFoundError("no PostgreSQL programs found")
        self._binaries = binaries
        self._system_user = "postgres" if os.geteuid() == 0 else None
        self._folder = folder
        self._port = port
        self._user = user
        self._password = password
        self.socket_folder = folder
        if len(os.fsencode(folder / f".s.PGSQL.{port}.lock")) > _SOCKET_PATH_LIMIT:
            raise ValueError(f"{folder}: the path is too long for a unix socket")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            "max_connections": "200",
            "shared_buffers": "64MB",
            **settings,
        }
        argv = [str(binaries / "postgres"), "-D", str(folder / "data")]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        # SIGINT is PostgreSQL's fast shutdown; on TERM it would wait for its clients.
        super().__init__(argv, folder / "log", self._system_user, end="INT")

    def start(self) -> None:
        """Make the cluster when there is none, then start it."""
        if not (self._folder / "data" / "PG_VERSION").exists():
            self._make_cluster()
        else:
            self._wait_for_orphans()
        super().start()

    def ready(self) -> bool:
        """Whether it takes connections."""
        argv = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(argv, timeout=_TOOL_SECONDS, check=False).returncode == 0

    def _make_cluster(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._system_user:
            account = pwd.getpwnam(self._system_user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            _check_reachable(self._folder, self._system_user)
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        try:
            secret.write_text(self._password)
            if self._system_user:
                shutil.chown(secret, self._system_user)
            self._initdb(secret)
        finally:
            secret.unlink()

    def _initdb(self, secret: Path) -> None:
        argv = [
            *(*_as_user(self._system_user), str(self._binaries / "initdb"), "-D", str(self._folder / "data")),
            *("-U", self._user, "--auth=scram-sha-256", f"--pwfile={secret}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, cwd="/", timeout=_TOOL_SECONDS, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _wait_for_orphans(self) -> None:
        """After a kill -9 the backends live on for a moment, and a new postmaster would refuse to start."""
        socket_lock = self._folder / "data" / "postmaster.pid"
        limit = time.monotonic() + 10
        while socket_lock.exists() and _attached(socket_lock) and time.monotonic() < limit:
            time.sleep(0.05)


class RedisProcess(Process):
    """`redis-server` with its settings, the password among them, in a file that only its owner reads."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\nrequirepass {password}\ndir {folder}\n"
            'save ""\nappendonly no\ndaemonize no\ndatabases 16\n'
        )
        self._port = port
        super().__init__(["redis-server", str(settings)], folder / "log")

    def ready(self) -> bool:
        """Whether it answers a ping."""
        return redis_ready(self._port)


def redis_ready(port: int) -> bool:
    """Whether a Redis answers there; that it wants a password is an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith((b"-NOAUTH", b"+PONG"))
    except OSError:
        return False


def _as_user(user: str | None) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []


def _check_reachable(folder: Path, user: str) -> None:
    done = subprocess.run([*_as_user(user), "test", "-w", str(folder)], timeout=_TOOL_SECONDS, check=False)
    if done.returncode != 0:
        raise PermissionError(f"user {user} cannot reach {folder}: use one below the system's temporary folder")


def _attached(pid_file: Path) -> bool:
    """Whether a process still holds the shared memory that the pid file names (7th line: key, id)."""
    lines = pid_file.read_text(errors="replace").splitlines()
    if len(lines) < 7 or len(lines[6].split()) != 2:
        return False
    segment = lines[6].split()[1]
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == segment:
            return int(fields[6]) > 0
    return False
