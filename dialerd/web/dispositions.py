"""/api/dispositions: what agents may say of a call."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dialerd.core.disposition import DEFAULTS, Disposition, DispositionRefused, meaning_of
from dialerd.core.status import to_json
from dialerd.store import campaigns, dispositions
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.forms import Form, Text, read, refusals
from dialerd.web.requests import read_fields

_BY = "api"


class Wanted(Form):
    """A disposition; without a campaign the tenant's."""

    code: Text
    label: Text
    meaning: Text
    key: int | None = Field(default=None, ge=1, le=9)
    active: bool = True


class DispositionDoors:
    """GET lists, PUT makes or changes one, DELETE /api/dispositions/{code} takes it away; `?campaign=` name or id."""

    def __init__(self, surface: Surface, database: Database) -> None:
        self._surface = surface
        self._database = database

    def routes(self) -> Sequence[BaseRoute]:
        """Where they are."""
        return [
            Route("/api/dispositions", self.listed, methods=["GET"]),
            Route("/api/dispositions", self.put, methods=["PUT"]),
            Route("/api/dispositions/{code}", self.remove, methods=["DELETE"]),
        ]

    async def listed(self, request: Request) -> Response:
        """All that were made; `defaults` are those of a tenant without any."""
        self._surface.visitor(request)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            found = await dispositions.listed(pool, tenant.id, every=True)
        return JSONResponse(
            {"dispositions": [to_json(asdict(d)) for d in found], "defaults": [to_json(asdict(d)) for d in DEFAULTS]}
        )

    async def put(self, request: Request) -> Response:
        """Make or change one."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        wanted = read(Wanted, fields)
        async with refusals():
            pool, tenant, campaign_id = await self._place(request)
            try:
                made = Disposition(
                    wanted.code, wanted.label, meaning_of(wanted.meaning), wanted.key, wanted.active
                )  # fmt: skip
                await dispositions.put(pool, tenant, campaign_id, made, _BY)
            except DispositionRefused as error:
                raise Problem(422, "bad_disposition", f"{error}.", "Nothing was done.") from None
        return JSONResponse(to_json(asdict(made)))

    async def remove(self, request: Request) -> Response:
        """Take one away."""
        self._surface.visitor(request, await read_fields(request))
        async with refusals():
            pool, tenant, campaign_id = await self._place(request)
            await dispositions.remove(pool, tenant, campaign_id, request.path_params["code"][:64], _BY)
        return JSONResponse({"removed": request.path_params["code"][:64]})

    async def _place(self, request: Request) -> tuple[Any, int, int | None]:
        """Pool, tenant and campaign that a request is about."""
        pool, tenant = await self._database.tenant_of(request)
        name = request.query_params.get("campaign")
        campaign: Any = await campaigns.find(pool, tenant.id, name) if name else None
        return pool, tenant.id, campaign.id if campaign else None
