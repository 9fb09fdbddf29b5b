"""The container side of `services`: the same servers where a Docker engine is what the machine has."""

import contextlib
import socket
from collections.abc import Mapping

from testcontainers.core.container import DockerContainer

from lab.processes import redis_ready

POSTGRES_IMAGE = "postgres:16-alpine"
REDIS_IMAGE = "redis:7-alpine"


class Container:
    """A container with one port on the host; its data survives `kill9` and `start`, until we end."""

    def __init__(self, container: DockerContainer) -> None:
        self._container = container
        self._made = False

    def start(self) -> None:
        """Make it the first time (the engine's reaper removes it after us), start it again later."""
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True

    def running(self) -> bool:
        """Whether the engine says so."""
        if not self._made:
            return False
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return bool(wrapped.status in ("created", "running", "restarting"))

    def stop(self, seconds: float) -> None:
        """Stop in good order; the engine kills it after `seconds`."""
        if self._made:
            self._container.get_wrapped_container().stop(timeout=int(seconds))

    def kill9(self) -> None:
        """SIGKILL."""
        if self.running():
            self._container.get_wrapped_container().kill()

    def log_tail(self) -> str:
        """Its last 20 lines."""
        if not self._made:
            return ""
        return str(self._container.get_wrapped_container().logs(tail=20).decode(errors="replace"))


class PostgresContainer(Container):
    """The official image; `settings` become `-c key=value`."""

    def __init__(self, port: int, user: str, password: str, settings: Mapping[str, str]) -> None:
        command = ["postgres", "-c", "max_connections=200"]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        container = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_USER", user)
            .with_env("POSTGRES_PASSWORD", password)
            .with_env("POSTGRES_DB", "postgres")
            .with_env("POSTGRES_INITDB_ARGS", "--auth-host=scram-sha-256 --auth-local=scram-sha-256")
            .with_bind_ports(5432, port)
            .with_command(command)
        )
        super().__init__(container)
        self._port = port

    def ready(self) -> bool:
        """Over TCP inside the container: while the image sets itself up, only its unix socket answers."""
        done = self._container.get_wrapped_container().exec_run(["pg_isready", "-q", "-h", "127.0.0.1"])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return bool(done.exit_code == 0)
        return False


class RedisContainer(Container):
    """The official image, its password in a file inside the container and not in a command line."""

    def __init__(self, port: int, password: str) -> None:
        settings = f'requirepass {password}\nsave ""\nappendonly no\ndatabases 16\n'
        container = (
            DockerContainer(REDIS_IMAGE)
            .with_copy_into_container(settings.encode(), "/etc/dialerd-redis.conf")
            .with_bind_ports(6379, port)
            .with_command(["redis-server", "/etc/dialerd-redis.conf"])
        )
        super().__init__(container)
        self._port = port

    def ready(self) -> bool:
        """Whether it answers a ping."""
        return redis_ready(self._port)
