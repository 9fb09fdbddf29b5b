"""Keeping the pools of caller IDs over HTTP: `POST /add-number` as the older service had it, and /api/caller-ids."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.core.callerid_file import MAX_LIMIT, Entry, entries_of
from dialerd.core.contactfile import Remark
from dialerd.core.status import to_json
from dialerd.store import callerid_admin, campaigns
from dialerd.store.callerid_admin import DAILY_LIMIT, HOURLY_LIMIT, Filter, PoolEntry
from dialerd.store.listfile import read_rows
from dialerd.store.pool import TenantPool
from dialerd.web.app import CALLER_IDS_FILE, Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.files import received_file
from dialerd.web.forms import Form, Text, read, refusals
from dialerd.web.requests import read_fields, whole_number

_BY = "api"
_KEPT = 10_000  # rows of an import's report in the reply
_PAGE = 100
Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT, strict=True)]


class NewNumber(Form):
    """A number for a pool; `campaign`: name or id, none for the tenant's own pool."""

    caller_id: Text
    carrier: Text = ""
    area_code: Text = ""
    daily_limit: Limit = DAILY_LIMIT
    hourly_limit: Limit = HOURLY_LIMIT
    meta: dict[str, Any] = Field(default_factory=dict)
    campaign: Text | Annotated[int, Field(ge=1)] | None = None


class Changes(Form):
    """New values; what is not sent stays. `campaign` null: the tenant's pool; `resting_until` null: no more rest."""

    active: Annotated[bool, Field(strict=True)] = True
    carrier: Text = ""
    area_code: Text = ""
    daily_limit: Limit = DAILY_LIMIT
    hourly_limit: Limit = HOURLY_LIMIT
    meta: dict[str, Any] = Field(default_factory=dict)
    campaign: Text | Annotated[int, Field(ge=1)] | None = None
    resting_until: None = None


class CallerIdPoolDoors:
    """The handlers."""

    def __init__(self, surface: Surface, database: Database) -> None:
        self._surface = surface
        self._database = database

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/add-number", self.add, methods=["POST"]),
            Route("/api/caller-ids", self.page, methods=["GET"]),
            Route(CALLER_IDS_FILE, self.put_file, methods=["POST"]),
            Route("/api/caller-ids/{id}", self.change, methods=["PATCH"]),
            Route("/api/caller-ids/{id}", self.delete, methods=["DELETE"]),
        ]

    async def add(self, request: Request) -> Response:
        """A new number; 409 when the pool has it."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        new = read(NewNumber, fields)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            campaign_id = await _campaign(pool, tenant, new.campaign)
            (added,) = await callerid_admin.add(
                pool, tenant.id, [new.caller_id], tenant.default_region, _BY, campaign_id, new.carrier, new.area_code,
                new.daily_limit, new.hourly_limit, new.meta,
            )  # fmt: skip
        return JSONResponse({"status": "success", **as_json(added)}, status_code=201)

    async def page(self, request: Request) -> Response:
        """A page of the pools: ?search=&campaign=&active=&skip=&limit="""
        self._surface.visitor(request)
        query = request.query_params
        active = query.get("active") or None
        if active not in (None, "true", "false"):
            raise Problem(422, "invalid", "active: true or false.")
        skip = whole_number(query.get("skip") or "0", "skip", 10_000_000)
        size = whole_number(query.get("limit") or str(_PAGE), "limit", 1000)
        search = query.get("search", "")
        if len(search) > 100 or "\0" in search:
            raise Problem(422, "invalid", "search: at most 100 characters.")
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            campaign_id = await _campaign(pool, tenant, query.get("campaign") or None)
            only = Filter(search, campaign_id, None if active is None else active == "true")
            total, found = await callerid_admin.page(pool, tenant.id, only, skip, size)
        return JSONResponse({"total": total, "caller_ids": [as_json(entry) for entry in found]})

    async def change(self, request: Request) -> Response:
        """New values for a number."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        id_ = whole_number(request.path_params["id"], "id")
        changes = read(Changes, fields)
        values = changes.model_dump(include=changes.model_fields_set)
        if not values:
            raise Problem(422, "invalid", "Nothing to change.", f"Send one of: {', '.join(Changes.model_fields)}.")
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            if "campaign" in values:
                values["campaign_id"] = await _campaign(pool, tenant, values.pop("campaign"))
            changed = await callerid_admin.change(pool, tenant.id, id_, values, _BY)
        return JSONResponse(as_json(changed))

    async def delete(self, request: Request) -> Response:
        """Takes a number out of its pool."""
        self._surface.visitor(request, await read_fields(request))
        id_ = whole_number(request.path_params["id"], "id")
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            number = await callerid_admin.delete(pool, tenant.id, id_, _BY)
        return JSONResponse({"id": id_, "caller_id": number, "deleted": True})

    async def put_file(self, request: Request) -> Response:
        """A CSV file (or XLSX, JSON), as the body or as a form's field `file`; ?campaign= says whose pool."""
        self._surface.visitor(request)  # before the body is read
        report: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "list.xlsx"  # openpyxl wants the name; what it is, its contents say
            name = await received_file(request, path, lambda fields: self._surface.visitor(request, fields))
            async with refusals():
                pool, tenant = await self._database.tenant_of(request)
                campaign_id = await _campaign(pool, tenant, request.query_params.get("campaign") or None)
                entries = await asyncio.to_thread(_entries, path, tenant.default_region)

                def tell(row: int, number: str, what: str) -> None:
                    good = what in callerid_admin.RESULTS
                    if len(report) < _KEPT or not good:  # all refused ones; core.callerid_file bounds the file
                        result, reason = (what, "") if good else ("refused", what)
                        report.append({"row": row, "caller_id": number, "result": result, "reason": reason})

                done = await callerid_admin.put_file(pool, tenant.id, campaign_id, entries, _BY, tell, name)
        return JSONResponse(
            {
                "status": "success", "rows": done.rows, "added": done.added, "updated": done.updated,
                "unchanged": done.unchanged, "refused": sum(done.refused.values()), "by_reason": done.refused,
                "report": report, "report_left_out": done.rows - len(report),
            }
        )  # fmt: skip


def _entries(path: Path, region: str) -> list[Entry | Remark]:
    return list(entries_of(read_rows(path), region))


async def _campaign(pool: TenantPool, tenant: campaigns.Tenant, wanted: str | int | None) -> int | None:
    """The id of a campaign by its name or id. Raises `NotFound`."""
    if wanted is None or wanted == "":
        return None
    return (await campaigns.find(pool, tenant.id, str(wanted))).id


def as_json(entry: PoolEntry) -> dict[str, Any]:
    """A number as the API shows it."""
    return {
        "id": entry.id,
        "caller_id": entry.e164,
        "carrier": entry.carrier,
        "area_code": entry.area_code,
        "daily_limit": entry.daily_limit,
        "hourly_limit": entry.hourly_limit,
        "active": entry.active,
        "campaign_id": entry.campaign_id,
        "campaign": entry.campaign,
        "meta": dict(entry.meta),
        "created_at": to_json(entry.created_at),
        "resting_until": to_json(entry.resting_until),
        "rests": entry.rests,
        "health": dict(entry.health),
    }
