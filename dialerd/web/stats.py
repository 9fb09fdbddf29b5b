"""Statistics: the older campaign API's figures, the older panel's, and a campaign's attempts by hour, list, agent …"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dialerd.core.contactfile import is_zone
from dialerd.core.status import to_json
from dialerd.live.stats_cache import cached
from dialerd.store import stats
from dialerd.store.errors import NotFound, Refused
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.requests import whole_number

_DAYS = 14


def routes(surface: Surface, database: Database, redis: Redis) -> Sequence[BaseRoute]:
    """These doors."""
    doors = _Doors(surface, database, redis)
    return (
        Route("/campaigns/{id}/stats", doors.campaign),
        Route("/api/stats/campaigns/{id}", doors.grouped),
        Route("/api/stats/campaigns/{id}/machines", doors.machines),
        Route("/api/stats/numbers-summary", doors.numbers),
        Route("/api/stats/attempts-by-day", doors.by_day),
    )


class _Doors:
    def __init__(self, surface: Surface, database: Database, redis: Redis) -> None:
        self._surface = surface
        self._database = database
        self._redis = redis

    async def campaign(self, request: Request) -> Response:
        """GET /campaigns/{id}/stats: `store.stats.CampaignStats`, at most two seconds old."""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        id_ = whole_number(request.path_params["id"], "id")

        async def compute() -> dict[str, Any]:
            return asdict(await stats.campaign(pool, tenant.id, id_))

        try:
            return JSONResponse(await cached(self._redis, tenant.id, id_, compute))
        except NotFound as error:
            raise _not_found(error) from None

    async def grouped(self, request: Request) -> Response:
        """GET /api/stats/campaigns/{id}?by=day&since=2026-03-01&zone=Europe/Helsinki"""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        id_, query = whole_number(request.path_params["id"], "id"), request.query_params
        try:
            zone = query.get("zone") or await stats.zone_of(pool, tenant.id)
            since = _since(query.get("since"), zone)
            table = await stats.grouped(pool, tenant.id, id_, query.get("by", "day"), since, zone)
        except NotFound as error:
            raise _not_found(error) from None
        except Refused as error:
            raise _refused(error) from None
        return JSONResponse({"campaign_id": id_, **table.as_dict()})

    async def machines(self, request: Request) -> Response:
        """GET /api/stats/campaigns/{id}/machines?since=2026-03-01&zone=Europe/Helsinki: `store.stats.Machines`."""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        id_, query = whole_number(request.path_params["id"], "id"), request.query_params
        zone = query.get("zone") or await stats.zone_of(pool, tenant.id)
        try:
            return JSONResponse(asdict(await stats.machines(pool, tenant.id, id_, _since(query.get("since"), zone))))
        except NotFound as error:
            raise _not_found(error) from None

    async def numbers(self, request: Request) -> Response:
        """GET /api/stats/numbers-summary, of one campaign with ?campaign_id="""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        wanted = request.query_params.get("campaign_id")
        total, shares = await stats.numbers(
            pool, tenant.id, None if wanted is None else whole_number(wanted, "campaign_id")
        )
        return JSONResponse({"total": total, "statuses": [asdict(share) for share in shares]})

    async def by_day(self, request: Request) -> Response:
        """GET /api/stats/attempts-by-day?days=14&zone="""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        query = request.query_params
        try:
            zone = query.get("zone") or await stats.zone_of(pool, tenant.id)
            found = await stats.by_day(pool, tenant.id, whole_number(query.get("days", str(_DAYS)), "days"), zone)
        except Refused as error:
            raise _refused(error) from None
        days = [{"date": day.date.isoformat(), "total": day.total, "statuses": to_json(day.statuses)} for day in found]
        return JSONResponse({"zone": zone, "days": days})


def _since(text: str | None, zone: str) -> datetime | None:
    """A date or a time, in `zone` where it names none."""
    if text is None:
        return None
    try:
        since = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(422, "bad_since", f"since {text[:40]!r} is no date or time.", "As in 2026-03-01.") from None
    return since if since.tzinfo else since.replace(tzinfo=ZoneInfo(zone if is_zone(zone) else "UTC"))


def _not_found(error: NotFound) -> Problem:
    return Problem(404, "not_found", str(error), "GET /campaigns lists them; header X-Tenant says whose.")


def _refused(error: Refused) -> Problem:
    return Problem(422, "refused", str(error))
