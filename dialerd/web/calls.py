"""Doors to single calls: place one, look at one, follow one. Shapes as of the older APIs.

The `timeout` of /api/v2 is in milliseconds, that of /calls/originate in seconds.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import ceil
from typing import Any
from uuid import UUID

from pydantic import Field
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.core import phone, singlecall
from dialerd.core.attempt import State
from dialerd.core.callstatus import Seen
from dialerd.core.causes import Outcome
from dialerd.core.singlecall import CallRefused, Kind, Options, Placed, Wanted
from dialerd.core.status import to_json
from dialerd.store import calls, single
from dialerd.store.errors import NotFound
from dialerd.web.app import Surface
from dialerd.web.calls_live import CallSocket, Changes
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.forms import Form, Id, Text, read, refusals
from dialerd.web.livestream import LiveStream
from dialerd.web.port import CallDesk
from dialerd.web.requests import read_fields

_STATUS: Mapping[Kind, int] = {"invalid": 422, "refused": 409, "unavailable": 503}
_HINTS: Mapping[Kind, str] = {
    "invalid": "Nothing was done.",
    "refused": "dialer-admin why NUMBER says more.",
    "unavailable": "Ask again; with an Idempotency-Key it is one call.",
}
_DONE, _DRY_RUN = "Call originated successfully", "dry run: nothing was dialed"
_MORE = ("campaign_id", "contact_id", "campaign", "outcome", "cause", "detail", "caller_id", "agent", "trunk")
_TIMES = ("dialed_at", "ringing_at", "connected_at", "ended_at")


class _Call(Form):
    """The body of /api/v2."""

    context: Text | None = None
    extension: Text | None = None
    timeout: float | None = None
    caller_id: Text | None = None
    variables: dict[str, Any] = Field(default_factory=dict)


class _NewCall(_Call):
    phone_number: Text


class _Originate(Form):
    """The body of /calls/originate. `priority`: the step of the context where the call begins."""

    campaign_id: Id
    contact_id: Id
    phone_number: Text
    context: Text = "dialer-outbound"
    priority: int = Field(1, ge=1, le=1)
    timeout: float | None = None
    variables: dict[str, Any] = Field(default_factory=dict)


class CallDoors:
    """The handlers. Without a `desk` calls are only looked at."""

    def __init__(
        self, surface: Surface, config: Config, database: Database, clock: Clock, desk: CallDesk | None
    ) -> None:  # fmt: skip
        self._surface = surface
        self._settings = config.calls
        self._node = config.node
        self._database = database
        self._clock = clock
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        """Where they are."""
        look: list[BaseRoute] = [
            Route("/api/v2/calls/{call_id}", self.details, methods=["GET"]),
            Route("/api/v2/status/{call_id}", self.status, methods=["GET"]),
        ]
        if self._desk is None:
            return look
        return [
            *look,
            Route("/api/v2/interaction/{number}", self.interaction, methods=["POST"]),
            Route("/api/v2/calls", self.create, methods=["POST"]),
            Route("/calls/originate", self.originate, methods=["POST"]),
            Route("/api/v2/calls/{call_id}/events", self.events, methods=["GET"]),
            WebSocketRoute("/api/v2/calls/{call_id}/ws", self.socket),
        ]

    # -- placing one ----------------------------------------------------------------------------------------------

    async def interaction(self, request: Request) -> Response:
        """POST /api/v2/interaction/{number}: the number is in the path, with or without a plus."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        return await self._single(request, request.path_params["number"], read(_Call, fields), 200)

    async def create(self, request: Request) -> Response:
        """POST /api/v2/calls: the number is in the body."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        form = read(_NewCall, fields)
        return await self._single(request, form.phone_number, form, 201)

    async def originate(self, request: Request) -> Response:
        """POST /calls/originate: a contact of a campaign, by that campaign's rules."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        form = read(_Originate, fields)
        async with self._refused():
            options = self._options(form.context, "s", form.timeout, None, form.variables)
        return await self._place(request, form.phone_number, options, (form.campaign_id, form.contact_id), 200)

    async def _single(self, request: Request, number: str, form: _Call, status: int) -> Response:
        settings = self._settings
        seconds = settings.timeout_seconds if form.timeout is None else form.timeout / 1000
        shown = settings.caller_id if form.caller_id is None else form.caller_id
        async with self._refused():
            options = self._options(
                form.context or settings.context, form.extension or settings.extension, seconds, shown, form.variables
            )
        return await self._place(request, number, options, (None, None), status)

    def _options(
        self, context: str, extension: str, seconds: float | None, shown: str | None, variables: Mapping[str, Any]
    ) -> Options:
        settings = self._settings
        singlecall.check_place(context, extension, settings.contexts)
        name, number = singlecall.shown(shown) if shown is not None else (None, None)
        most = settings.max_timeout_seconds
        ring_seconds = None if seconds is None else singlecall.ring_seconds(seconds, most)
        return Options(ring_seconds, name, number, singlecall.variables(variables, settings.variables))

    async def _place(
        self, request: Request, number: str, options: Options, about: tuple[int | None, int | None], status: int
    ) -> Response:
        key = request.headers.get("idempotency-key")
        assert self._desk is not None  # noqa: S101 - for mypy; without it there is no such route
        async with refusals(), self._refused():
            _, tenant = await self._database.tenant_of(request)
            found = phone.parse(number, tenant.default_region)
            wanted = Wanted(found, options, *about, None if key is None else singlecall.check_key(key))
            placed = await self._desk.place(tenant.id, wanted)
        word = (await self._look(request, placed.call_id))[0].status if placed.again else "dialing"
        body = {
            "success": True,
            "call_id": placed.call_id,
            "phone_number": placed.e164,
            "message": f"{_DONE} ({_DRY_RUN})" if placed.dry_run else _DONE,
            "channel": placed.call_id,
            "status": word,
            "created_at": to_json(placed.at),
        }
        return JSONResponse(body, status, {"idempotent-replayed": "true"} if placed.again else None)

    @asynccontextmanager
    async def _refused(self) -> AsyncIterator[None]:
        """A call that is refused, as a Problem."""
        try:
            yield
        except phone.NumberRefused as error:
            raise Problem(422, error.reason, f"phone_number: {error}.", "Nothing was done.") from None
        except CallRefused as error:
            hint, headers = _HINTS[error.kind], {}
            if error.until is not None:
                hint = f"May be called again from {to_json(error.until)}."
                headers["retry-after"] = str(max(1, ceil((error.until - self._clock.now()).total_seconds())))
            raise Problem(_STATUS[error.kind], error.reason, f"{error}.", hint, headers) from None

    # -- looking at one -------------------------------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        """GET /api/v2/status/{call_id}."""
        self._surface.visitor(request)
        seen, _ = await self._look(request, request.path_params["call_id"])
        return JSONResponse(seen.view(self._clock.now()))

    async def details(self, request: Request) -> Response:
        """GET /api/v2/calls/{call_id}: the same, and what is known beside it."""
        self._surface.visitor(request)
        seen, more = await self._look(request, request.path_params["call_id"])
        shown = {name: to_json(more.get(name)) for name in (*_MORE, *_TIMES)}
        return JSONResponse({**seen.view(self._clock.now()), **shown})

    async def events(self, request: Request) -> ASGIApp:
        """GET /api/v2/calls/{call_id}/events: its status now, each change, and the end."""
        visitor = self._surface.visitor(request)
        changes = await self._changes(request)
        streams, surface = self._surface.streams, self._surface
        return LiveStream(changes.subscribe, lambda event: event.data, streams, lambda: surface.still(visitor))

    async def socket(self, websocket: WebSocket) -> None:
        """The same over a WebSocket."""
        await CallSocket(self._surface, lambda: self._changes(websocket)).run(websocket)

    async def _changes(self, request: HTTPConnection) -> Changes:
        """Raises `Problem`: there is no such call, or another node has it, which alone hears of it at once."""
        seen, more = await self._look(request, request.path_params["call_id"])
        if seen.ended_at is None and more["node"] != self._node:
            says = f"This call is on node {more['node']}, which alone hears of it."
            raise Problem(409, "other_node", says, "Ask that node, or GET /api/v2/status/{call_id} here.")

        async def again() -> Seen:
            return (await self._look(request, seen.call_id))[0]

        assert self._desk is not None  # noqa: S101 - as in _place
        return Changes(self._desk, self._clock, seen, again)

    async def _look(self, request: HTTPConnection, text: str) -> tuple[Seen, Mapping[str, Any]]:
        """A call of the tenant's, and its other columns. Raises `Problem`."""
        try:
            call_id = UUID(text)
        except ValueError:
            raise Problem(404, "not_found", "There is no such call.") from None
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            try:
                row = (await calls.get(pool, tenant.id, call_id)).attempt
            except NotFound:
                return _of_dry_run(await single.dry_call(pool, tenant.id, call_id))
        outcome = Outcome(row["outcome"]) if row["outcome"] else None
        times = row["claimed_at"], row["answered_at"], row["ended_at"]
        return Seen(row["id"], row["e164"], State(row["state"]), outcome, *times), row


def _of_dry_run(placed: Placed) -> tuple[Seen, Mapping[str, Any]]:
    outcome = Outcome.NOT_SENT
    seen = Seen(placed.call_id, placed.e164, State.ENDED, outcome, placed.at, None, placed.at)
    return seen, {"outcome": outcome.value, "detail": _DRY_RUN, "ended_at": placed.at}
