"""The older panel's doors to a campaign's numbers: list, change, reset, delete, bulk, export.

They belong to the campaign of the batch API unless ?campaign= says another one, and to whoever is signed in.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.config import Batch as Settings
from dialerd.core import phone
from dialerd.core.numberstatus import NumberStatus
from dialerd.core.selection import MAX_IDS, MAX_SEARCH, Selection
from dialerd.store import numbers
from dialerd.store.pool import TenantPool
from dialerd.web.app import Surface
from dialerd.web.batch import campaign_of, panel_campaign
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.files import download
from dialerd.web.forms import MAX_ID, Form, Id, Text, boundary, read, refusals
from dialerd.web.requests import read_fields

_MAX_SKIP = 10_000_000
_BY = "panel"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Ids = Annotated[list[Id], Field(max_length=MAX_IDS)]
Date = Annotated[str, Field(max_length=40)]


class Filters(Form):
    """What a list is narrowed to. Days are whole days of the batch API's zone; both ends belong to it."""

    status: NumberStatus | list[NumberStatus] | None = None
    search: Annotated[Text, Field(max_length=MAX_SEARCH)] = ""
    start_date: Date | None = None
    end_date: Date | None = None


class Page(Filters):
    """A page of the list."""

    skip: Annotated[int, Field(ge=0, le=_MAX_SKIP)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Chosen(Form):
    """Some numbers by id, or all that the filters find but some."""

    ids: Ids = Field(default_factory=list)
    select_all: bool = False
    filters: Filters = Filters()
    excluded_ids: Ids = Field(
        default_factory=list, validation_alias=AliasChoices("excluded_ids", "exclude_ids", "excluded")
    )


class Bulk(Chosen):
    """What to do with them."""

    action: Literal["update_status", "reset", "delete"]
    status: NumberStatus | None = None


class NewStatus(Form):
    """The status that a number shall have."""

    status: NumberStatus


class NumberDoors:
    """The handlers."""

    def __init__(self, surface: Surface, settings: Settings, database: Database) -> None:
        self._surface = surface
        self._settings = settings
        self._database = database
        self._exporting = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/numbers", self.page, methods=["GET"]),
            Route("/api/numbers/stats", self.stats, methods=["GET"]),
            Route("/api/numbers/bulk", self.bulk, methods=["POST"]),
            Route("/api/numbers/export", self.export, methods=["POST"]),
            Route("/api/numbers/{id}/status", self.set_status, methods=["PUT"]),
            Route("/api/numbers/{id}/reset", self.reset, methods=["POST"]),
            Route("/api/numbers/{id}", self.delete, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        """A page of the list."""
        self._surface.visitor(request)
        asked = read(Page, _query(request))
        async with refusals():
            pool, tenant_id, campaign_id = await self._where(request)
            selection = self._filtered(asked)
            found = await numbers.page(pool, tenant_id, campaign_id, selection, asked.skip, asked.limit)
        return JSONResponse([as_json(number) for number in found])

    async def stats(self, request: Request) -> Response:
        """How many numbers the same filter finds."""
        self._surface.visitor(request)
        asked = read(Filters, _query(request))
        async with refusals():
            pool, tenant_id, campaign_id = await self._where(request)
            count = await numbers.total(pool, tenant_id, campaign_id, self._filtered(asked))
        return JSONResponse({"total": count})

    async def set_status(self, request: Request) -> Response:
        """PUT …/status. IN_QUEUE is a reset."""
        fields = await self._fields(request)
        return await self._one(request, numbers.Change(read(NewStatus, fields).status))

    async def reset(self, request: Request) -> Response:
        """Back into the queue, as if it were new."""
        await self._fields(request)
        return await self._one(request, numbers.Change(NumberStatus.IN_QUEUE))

    async def delete(self, request: Request) -> Response:
        """Out of the list; the record of its calls stays."""
        await self._fields(request)
        return await self._one(request, numbers.Change(None))

    async def bulk(self, request: Request) -> Response:
        """The same with many."""
        asked = read(Bulk, await self._fields(request))
        if (asked.action == "update_status") != (asked.status is not None):
            raise Problem(422, "invalid", "status: belongs to update_status, which needs it.", "Nothing was done.")
        wanted = {"reset": NumberStatus.IN_QUEUE, "delete": None}.get(asked.action, asked.status)
        async with refusals():
            pool, tenant_id, campaign_id = await self._where(request)
            done = await numbers.change(
                pool, tenant_id, campaign_id, self._chosen(asked), numbers.Change(wanted), _BY
            )  # fmt: skip
        return JSONResponse({"selected": done.selected, "changed": done.changed, "protected": done.protected})

    async def export(self, request: Request) -> Response:
        """A spreadsheet of them."""
        asked = read(Chosen, await self._fields(request))
        if self._exporting.locked():
            raise Problem(503, "busy", "Another export is at work.", "Try again.", {"retry-after": "10"})
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with its last reader
        try:
            async with refusals(), self._exporting:
                pool, tenant_id, campaign_id = await self._where(request)
                await numbers.export(pool, tenant_id, campaign_id, self._chosen(asked), file)
        except BaseException:
            file.close()
            raise
        return download(file, "numbers.xlsx", _XLSX)

    async def _one(self, request: Request, wanted: numbers.Change) -> Response:
        text = request.path_params["id"]
        id_ = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
        lost = Problem(404, "number_unknown", "There is no such number in this campaign.", "GET /api/numbers")
        if not 1 <= id_ <= MAX_ID:
            raise lost
        chosen = Selection(ids=[id_])
        async with refusals():
            pool, tenant_id, campaign_id = await self._where(request)
            done = await numbers.change(pool, tenant_id, campaign_id, chosen, wanted, _BY)
            now = await numbers.page(pool, tenant_id, campaign_id, chosen)
        if not done.selected:
            raise lost
        if not done.changed:
            status = now[0].status if now else "gone"
            if status == NumberStatus.IN_QUEUE:
                raise Problem(409, "locked", "This number is being called.", "Wait for its result.")
            raise Problem(409, "protected", f"A number that is {status} cannot be changed or deleted.")
        return JSONResponse(as_json(now[0]) if now else {"id": id_, "deleted": True})

    async def _fields(self, request: Request) -> dict[str, Any]:
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        return fields

    async def _where(self, request: Request) -> tuple[TenantPool, int, int]:
        pool, tenant = await self._database.tenant_of(request)
        campaign = await campaign_of(pool, tenant.id, panel_campaign(self._settings, request, tenant))
        return pool, tenant.id, campaign.id

    def _filtered(self, filters: Filters) -> Selection:
        return Selection(select_all=True, **self._narrowed(filters))

    def _chosen(self, chosen: Chosen) -> Selection:
        narrowed = self._narrowed(chosen.filters)
        return Selection(ids=chosen.ids, select_all=chosen.select_all, excluded=chosen.excluded_ids, **narrowed)

    def _narrowed(self, filters: Filters) -> dict[str, Any]:
        zone, status = self._settings.timezone, filters.status
        try:
            return {
                "statuses": status if isinstance(status, list) else [status] if status else [],
                "search": filters.search,
                "created_from": boundary(filters.start_date, zone, end=False) if filters.start_date else None,
                "created_to": boundary(filters.end_date, zone, end=True) if filters.end_date else None,
            }
        except (ValueError, OverflowError):
            raise Problem(422, "invalid", "start_date, end_date: ISO-8601 days or times.", "As 2026-01-31.") from None


def as_json(number: numbers.Number) -> dict[str, Any]:
    """A number as the older panel knows it."""
    agent = None
    if number.agent_id is not None:
        agent = {"id": number.agent_id, "full_name": number.agent_name, "phone_number": number.agent_phone}
    last = number.last_attempt_at
    return {
        "id": number.id,
        "phone_number": phone.familiar(number.e164),
        "status": number.status,
        "attempts": number.attempts,
        "created_at": number.created_at.isoformat(),
        "last_attempt_at": last.isoformat() if last else None,
        "assigned_agent": agent,
        "last_user_message": number.last_message,
    }


def _query(request: Request) -> Mapping[str, Any]:
    """The query's fields; a status may come several times, and an empty field is none."""
    fields: dict[str, Any] = {name: value for name, value in request.query_params.items() if value != ""}
    if len(statuses := [value for value in request.query_params.getlist("status") if value]) > 1:
        fields["status"] = statuses
    return fields
