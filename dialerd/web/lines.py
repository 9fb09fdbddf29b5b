"""Doors to lines: the panel switches them and never makes one."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.store import lines
from dialerd.web.app import Surface
from dialerd.web.database import DEFAULT_TENANT, Database
from dialerd.web.errors import Problem
from dialerd.web.forms import refusals
from dialerd.web.requests import read_fields

_BY = "panel"


class LineDoors:
    """The handlers. The default tenant is the installation's owner: it may switch lines that belong to nobody else."""

    def __init__(self, surface: Surface, database: Database) -> None:
        self._surface = surface
        self._database = database

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/lines", self.lines, methods=["GET"]),
            Route("/api/lines/{name}/{verb}", self.switch, methods=["POST"]),
            Route("/api/lines/{name}", self.delete, methods=["DELETE"]),
        ]

    async def lines(self, request: Request) -> Response:
        """All that the tenant may call over."""
        self._surface.visitor(request)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            found = await lines.all_of(pool, tenant.id)
        return JSONResponse([_as_json(line) for line in found])

    async def switch(self, request: Request) -> Response:
        """activate or deactivate."""
        self._surface.visitor(request, await read_fields(request))
        verb = request.path_params["verb"]
        if verb not in ("activate", "deactivate"):
            raise Problem(404, "no_such_verb", f"A line has no {verb[:40]!r}.", "activate or deactivate")
        async with refusals():
            pool, tenant_id, owner = await self._owned(request)
            name = request.path_params["name"]
            line = await lines.set_active(pool, tenant_id, name, verb == "activate", owner, _BY)
        return JSONResponse(_as_json(line))

    async def delete(self, request: Request) -> Response:
        """A line that is no more in use."""
        self._surface.visitor(request, await read_fields(request))
        async with refusals():
            pool, tenant_id, owner = await self._owned(request)
            name = request.path_params["name"]
            await lines.delete(pool, tenant_id, name, owner, _BY)
        return JSONResponse({"name": name, "deleted": True})

    async def _owned(self, request: Request) -> tuple[Any, int, bool]:
        pool, tenant = await self._database.tenant_of(request)
        owner = tenant.name == DEFAULT_TENANT
        return (self._database.everything() if owner else pool), tenant.id, owner


def _as_json(line: lines.Line) -> dict[str, Any]:
    return {
        "name": line.name, "node": line.node, "max_calls": line.max_calls, "active": line.active,
        "shared": line.shared, "live_calls": line.live,
    }  # fmt: skip
