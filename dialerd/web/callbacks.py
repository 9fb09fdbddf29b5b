"""/api/callbacks: calls at a time that was agreed with the person."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dialerd.clock import Clock
from dialerd.core import phone
from dialerd.core.callbacks import CallbackRefused
from dialerd.core.status import to_json
from dialerd.store import callbacks, campaigns
from dialerd.store.errors import NotFound, Refused
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.requests import read_fields

_FIELDS = ("number", "campaign", "at", "zone", "agent", "note")
_BIGINT = 2**63
_BY = "api"


def routes(surface: Surface, database: Database, clock: Clock) -> Sequence[BaseRoute]:
    """GET lists, POST agrees on one, DELETE /api/callbacks/{contact_id} takes it back."""
    api = _Callbacks(surface, database, clock)
    return [
        Route("/api/callbacks", api.agreed, methods=["GET"]),
        Route("/api/callbacks", api.add, methods=["POST"]),
        Route("/api/callbacks/{contact_id:int}", api.cancel, methods=["DELETE"]),
    ]


class _Callbacks:
    def __init__(self, surface: Surface, database: Database, clock: Clock) -> None:
        self._surface = surface
        self._database = database
        self._clock = clock

    async def agreed(self, request: Request) -> Response:
        """The callbacks of `?campaign=` (name or id) or of all, the next one first."""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        name = request.query_params.get("campaign")
        try:
            campaign = await campaigns.find(pool, tenant.id, name) if name else None
        except NotFound as error:
            raise _not_found(error) from None
        found = await callbacks.agreed(pool, tenant.id, campaign.id if campaign else None)
        return JSONResponse({"callbacks": [to_json(asdict(each)) for each in found]})

    async def add(self, request: Request) -> Response:
        """Body: number, campaign, at; perhaps zone, agent, note. 201, or why not."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        texts = _texts(fields)
        pool, tenant = await self._database.tenant_of(request)
        try:
            campaign = await campaigns.find(pool, tenant.id, texts["campaign"])
            e164 = phone.parse(texts["number"], tenant.default_region).e164
            wanted = callbacks.Wanted(e164, texts["at"], texts.get("zone"), texts.get("agent"), texts.get("note"))
            contact = await callbacks.add(pool, tenant.id, campaign.id, wanted, _BY, self._clock.now())
        except NotFound as error:
            raise _not_found(error) from None
        except phone.NumberRefused as error:
            raise Problem(422, error.reason, f"The number is refused: {error}") from None
        except CallbackRefused as error:
            raise Problem(409, error.reason, str(error), "Agree on another time, or look at the contact.") from None
        except Refused as error:
            raise Problem(422, "bad_field", str(error)) from None
        return JSONResponse({"contact_id": contact}, status_code=201)

    async def cancel(self, request: Request) -> Response:
        """Take back the callback of a contact."""
        self._surface.visitor(request, await read_fields(request))
        contact_id = request.path_params["contact_id"]
        pool, tenant = await self._database.tenant_of(request)
        try:
            if contact_id >= _BIGINT:
                raise NotFound(f"there is no contact {contact_id}")
            state = await callbacks.cancel(pool, tenant.id, contact_id, _BY)
        except NotFound as error:
            raise _not_found(error) from None
        return JSONResponse({"contact_id": contact_id, "state": state})


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields that were given, all of them texts; an id of a campaign may be a number."""
    given = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    if isinstance(given.get("campaign"), int):
        given["campaign"] = str(given["campaign"])
    for name in ("number", "campaign", "at"):
        if name not in given:
            raise Problem(422, "missing_field", f"{name!r} is missing.", f"Fields: {', '.join(_FIELDS)}.")
    for name, value in given.items():
        if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
            raise Problem(422, "bad_field", f"{name!r} is a text of at most 200 printable characters.")
    return given


def _not_found(error: NotFound) -> Problem:
    return Problem(404, "not_found", str(error))
