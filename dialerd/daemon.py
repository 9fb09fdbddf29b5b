"""dialerd, the process: builds the parts, watches its tasks, drains on TERM.

Exit status: 0 after a drain, 78 for a configuration that is not usable, 3 when another daemon took our ARI app, 1 when
a part of ours broke (the service manager starts us again; reconcile does the rest).
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import structlog

from dialerd import __version__, logs, systemd
from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.config_file import ConfigError, load
from dialerd.engine.desk import FrontDesk
from dialerd.engine.engine import Engine
from dialerd.engine.lookups import Lookups
from dialerd.engine.requestlimits import LimitedDesk
from dialerd.fastagi.server import FastAgiServer
from dialerd.fastagi.verbs import BadVerb, Verb
from dialerd.fastagi.verbs import load as load_verbs
from dialerd.live import connection
from dialerd.paths import shipped
from dialerd.web.api import CallerIdService, routes
from dialerd.web.app import create_app
from dialerd.web.database import Database
from dialerd.web.server import BindFailed, serve

log = structlog.get_logger(__name__)

DEFAULT_CONFIG = Path("/etc/dialerd/dialerd.toml")
EX_CONFIG = 78  # sysexits.h; the unit does not start us again after it
_LAG_SECONDS = 0.5
_END_SECONDS = 5.0


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), default=DEFAULT_CONFIG, show_default=True)
@click.option("--check-config", is_flag=True, help="Say whether the configuration is usable, and stop.")
@click.version_option(__version__)
def main(path: Path, check_config: bool) -> None:
    """The dialer daemon: paces campaigns, places calls, joins people to agents."""
    try:
        config = load(path, os.environ)
        logs.configure(config.log)
        verbs = load_verbs(shipped("agi"), Path(config.fastagi.site_verbs))
    except (ConfigError, BadVerb) as error:
        click.echo(str(error), err=True)
        sys.exit(EX_CONFIG)
    if check_config:
        click.echo(f"{path}: the configuration is usable")
        return
    try:
        sys.exit(asyncio.run(run(config, verbs)))
    except BindFailed as error:
        log.error("daemon.cannot_listen", error=str(error))
        sys.exit(EX_CONFIG)


async def run(config: Config, verbs: Mapping[str, Verb]) -> int:
    """Runs until TERM or INT; the exit status."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        redis = connection.connect(config.redis)
        stack.push_async_callback(redis.aclose)
        engine = Engine(config, clock, redis)
        lookups = Lookups(lambda: engine.pool, config.callerids.foreign_tenant, engine.caller, clock)
        desk = FrontDesk(engine.desk, lookups)
        # What every door asks: the same answers within the same limits.
        limited = LimitedDesk(desk, config.callerids, engine.caller)
        agi = FastAgiServer(config.fastagi, verbs, limited)
        try:
            await agi.start()
        except OSError as error:
            raise BindFailed(config.fastagi.host, config.fastagi.port, str(error)) from error
        stack.push_async_callback(agi.stop)
        service = CallerIdService(limited, engine.caller_ids)
        agents, calls = engine.agency, engine.single_calls
        found = Database(lambda: engine.pool)
        api = routes(config, found, redis, clock, service, agents, calls, agents.mover.places)
        app = create_app(engine, config.web.token.get_secret_value(), clock, api=api)
        await stack.enter_async_context(serve(app, config.web.host, config.web.port))
        gc.freeze()  # what start-up has made stays: to look through it costs a full collection 15 ms
        gc.set_threshold(20_000, 20, 20)  # a request makes hundreds of objects and leaves none that need looking for
        where = f"{config.web.host}:{config.web.port}"
        log.info("daemon.started", version=__version__, node=config.node, web=where, dry_run=config.calls.dry_run)
        return await _supervise(config, engine)


async def _supervise(config: Config, engine: Engine) -> int:
    """Runs the engine's tasks until a signal; a task that ends by itself is a broken part."""
    stop = asyncio.Event()
    _on_signals(stop)
    tasks: set[asyncio.Task[Any]] = {asyncio.create_task(work, name=name) for name, work in engine.tasks().items()}
    tasks |= {asyncio.create_task(_watch_loop(engine), name="loop")}
    waits: dict[asyncio.Task[Any], int] = {
        asyncio.create_task(stop.wait()): 0,
        asyncio.create_task(engine.replaced.wait()): 3,
    }
    systemd.notify("READY=1")
    try:
        done, _ = await asyncio.wait([*tasks, *waits], return_when=asyncio.FIRST_COMPLETED)
        ended = next(iter(done))
        if ended not in waits:
            log.critical("daemon.part_broke", part=ended.get_name(), exc_info=ended.exception())
            return 1
        systemd.notify("STOPPING=1", "STATUS=draining: live calls may end, no new ones")
        if waits[ended] == 0:
            await engine.drain()
        else:
            await engine.leave()
        log.info("daemon.stopped")
        return waits[ended]
    finally:
        for task in [*tasks, *waits]:
            task.cancel()
        _, stuck = await asyncio.wait([*tasks, *waits], timeout=_END_SECONDS)
        for task in stuck:
            log.error("daemon.task_does_not_end", task=task.get_name())


def _on_signals(stop: asyncio.Event) -> None:
    def handle(name: str) -> None:
        if stop.is_set():  # the second one: whoever sends it does not want to wait
            log.warning("daemon.exits_at_once", signal=name)
            os._exit(1)
        log.info("daemon.signal", signal=name)
        stop.set()

    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, handle, sig.name)


async def _watch_loop(engine: Engine) -> None:
    """Measures how late the loop runs, and tells the watchdog that it does run."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_SECONDS
        await asyncio.sleep(_LAG_SECONDS)
        engine.loop_lag_ms = max(0.0, (loop.time() - due) * 1000)
        systemd.notify("WATCHDOG=1", f"STATUS=not dialling: {gate}" if (gate := engine.gate()) else "STATUS=dialling")


if __name__ == "__main__":
    main()
