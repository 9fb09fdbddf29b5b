"""The private servers that every other test stands on."""

import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
import redis

from lab.services import Postgres, Redis


async def test_postgres_survives_a_kill_and_starts_again_at_once(public_folder: Path) -> None:
    with Postgres(public_folder, fsync=False) as server:
        dsn = await server.create_database("kept")
        link = await asyncpg.connect(dsn, password=server.password)
        await link.execute("CREATE TABLE t AS SELECT 1 AS one")
        server.kill9()
        server.start()
        again = await asyncpg.connect(dsn, password=server.password)
        assert await again.fetchval("SELECT one FROM t") == 1
        await again.close()
        link.terminate()


def test_a_restarted_redis_has_forgotten_everything(tmp_path: Path) -> None:
    with Redis(tmp_path) as server:
        redis.Redis.from_url(server.url_with_password()).set("a", 1)
        server.restart()
        assert redis.Redis.from_url(server.url_with_password()).get("a") is None


@pytest.mark.parametrize("kind", ["Redis", "Postgres"])
def test_the_servers_die_with_the_process_that_started_them(public_folder: Path, kind: str) -> None:
    code = (
        f"import os, pathlib, signal, sys; from lab.services import {kind};"
        f"server = {kind}(pathlib.Path(sys.argv[1])).start();"
        "print(server._server.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, public_folder], capture_output=True, text=True, check=False)
    limit = time.monotonic() + 10
    while _alive(int(done.stdout)):
        assert time.monotonic() < limit, "the server outlived its parent"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
