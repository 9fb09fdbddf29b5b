"""The HTTP API beside the board: each module of `web/` that has routes of its own is named here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from starlette.routing import BaseRoute

from dialerd.archive.places import Places
from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.fastagi.desk import Desk
from dialerd.live.callerids import CallerIds
from dialerd.web import callbacks, contacts, stats, why
from dialerd.web.agent import AgentDoors
from dialerd.web.app import Surface
from dialerd.web.batch import BatchDoors
from dialerd.web.callerid_pools import CallerIdPoolDoors
from dialerd.web.callerids import CallerIdDoors
from dialerd.web.calls import CallDoors
from dialerd.web.dashboard import Dashboard
from dialerd.web.database import Database
from dialerd.web.dispositions import DispositionDoors
from dialerd.web.lines import LineDoors
from dialerd.web.lists import ListDoors
from dialerd.web.numbers import NumberDoors
from dialerd.web.port import AgentDesk, CallDesk
from dialerd.web.recordings import RecordingDoors
from dialerd.web.rules import RuleDoors


@dataclass(frozen=True, slots=True)
class CallerIdService:
    """The desk that every door asks, and the pool behind it."""

    desk: Desk
    pool: CallerIds


def routes(
    config: Config,
    database: Database,
    redis: Redis,
    clock: Clock | None = None,
    caller_ids: CallerIdService | None = None,
    desk: AgentDesk | None = None,
    calls: CallDesk | None = None,
    places: Places | None = None,
) -> Callable[[Surface], Sequence[BaseRoute]]:
    """What `app.create_app` wants as its `api`. Handlers begin with `surface.visitor(request, …)`, which refuses
    whoever is not signed in, unless they have a token of their own. Without `caller_ids` nobody is given one. `desk`:
    the engine's agents; None: no doors of theirs. `calls`: its single calls; None: none is placed or followed.
    `places`: where recordings are kept."""
    clock = clock or Clock()
    kept = places or Places(config.recordings)
    batch = config.batch

    def _caller_ids(surface: Surface, service: CallerIdService) -> list[BaseRoute]:
        seconds = config.dialing.reservation_seconds
        return [
            *CallerIdDoors(surface, service.desk, service.pool.row).routes(),
            *Dashboard(surface, database, service.pool, seconds, clock).routes(),
        ]

    def all_of(surface: Surface) -> list[BaseRoute]:
        token = config.web.token.get_secret_value()
        return [
            *(AgentDoors(surface, desk, database, clock, token).routes() if desk is not None else ()),
            *RecordingDoors(surface, database, kept, clock).routes(),
            *DispositionDoors(surface, database).routes(),
            *BatchDoors(batch, database, clock).routes(),
            *ListDoors(surface, batch, database).routes(),
            *NumberDoors(surface, batch, database).routes(),
            *RuleDoors(surface, batch, database, clock).routes(),
            *LineDoors(surface, database).routes(),
            *CallDoors(surface, config, database, clock, calls).routes(),
            *stats.routes(surface, database, redis),
            *contacts.routes(surface, database),
            *callbacks.routes(surface, database, clock),
            *why.routes(surface, database, clock),
            *CallerIdPoolDoors(surface, database).routes(),
            *(_caller_ids(surface, caller_ids) if caller_ids else []),
        ]

    return all_of
