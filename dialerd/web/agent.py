"""The agent's page and the verbs behind it: /agent for whoever signed in with name and PIN, /agents/{name}/… for
programs with the daemon's token.

An agent's session is another cookie than an operator's, and no other route knows it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from dialerd.clock import Clock
from dialerd.core.agentview import Identity
from dialerd.core.callbacks import CallbackRefused
from dialerd.core.disposition import DispositionRefused, check_message
from dialerd.core.featurekeys import VERBS
from dialerd.core.status import AgentRefused, AgentUnknown, LiveEvent, to_json
from dialerd.store import callbacks
from dialerd.store.errors import NotFound
from dialerd.store.pool import TenantPool
from dialerd.web.agentdoor import COOKIE, AgentDoor, AgentSession
from dialerd.web.agentpage import AgentPages
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem, too_many
from dialerd.web.events import Streams
from dialerd.web.livestream import LiveStream
from dialerd.web.port import AgentDesk
from dialerd.web.requests import address_of, own_page, pause_reason, read_fields, wants_page

_SECONDS = 12 * 3600.0  # of a session: a long working day
_ENGINE_SECONDS = 10.0
_STREAMS = 250
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,200}\Z")
Fields = Mapping[str, Any]


class AgentDoors:
    """`desk`: the engine's agents. `token`: the daemon's, from which the sessions' key is made."""

    def __init__(
        self, surface: Surface, desk: AgentDesk, database: Database, clock: Clock, token: str, *,
        heartbeat_seconds: float = 15.0, stall_seconds: float = 10.0,
    ) -> None:  # fmt: skip
        self._surface = surface
        self._desk = desk
        self._database = database
        self._clock = clock
        self._door = AgentDoor(token, clock, _SECONDS)
        self._pages = AgentPages()
        self._streams = Streams(_STREAMS, heartbeat_seconds, stall_seconds)
        self._streams.closing = surface.streams.closing  # the server ends all streams when it stops

    def routes(self) -> Sequence[BaseRoute]:
        """Where they are. The last two are programs': they come before the operator's page's own."""
        return [
            Route("/agent", self.page, methods=["GET"]),
            Route("/agent/login", self.login_page, methods=["GET"]),
            Route("/agent/login", self.login, methods=["POST"]),
            Route("/agent/logout", self.logout, methods=["POST"]),
            Route("/agent/view", self.own_view, methods=["GET"]),
            Route("/agent/events", self.events, methods=["GET"]),
            Route("/agent/{verb:path}", self.own_verb, methods=["POST"]),
            Route("/agents/{name}/view", self.view, methods=["GET"]),
            Route("/agents/{name}/{verb:path}", self.verb, methods=["POST"]),
        ]

    # -- the page -------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """The agent's page."""
        try:
            agent, session = self._agent(request)
        except Problem:
            return RedirectResponse("/agent/login", status_code=303)
        return self._pages.page(self._desk.view(agent.id), session.form.csrf)

    async def login_page(self, _: Request) -> Response:
        """The form."""
        return self._pages.login()

    async def login(self, request: Request) -> Response:
        """Name or login number, and PIN; from the form, or as JSON."""
        fields = await read_fields(request)
        try:
            own_page(request, None, fields)
            agent = await self._signed_in(request, fields)
        except Problem as problem:
            if not wants_page(request):
                raise
            return self._pages.login(problem)
        response: Response = self._pages.signed_in() if wants_page(request) else JSONResponse({"agent": agent.name})
        response.set_cookie(
            COOKIE, self._door.open(agent), max_age=int(_SECONDS), path="/agent", httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    async def logout(self, request: Request) -> Response:
        """End the session; the phone stays as it is."""
        _, session = self._agent(request)
        own_page(request, session.form, await read_fields(request))
        self._door.close(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/agent/login", status_code=303)
        response.delete_cookie(COOKIE, path="/agent", httponly=True, samesite="strict")
        return response

    async def own_view(self, request: Request) -> Response:
        """What the page shows, as JSON."""
        agent, _ = self._agent(request)
        return JSONResponse(to_json(self._desk.view(agent.id)))

    async def events(self, request: Request) -> ASGIApp:
        """The stream of whoever signed in; of `?agent=` for the bearer of the token. With `?as=page` each event brings
        the page's changing part: it needs no second request."""
        name = request.query_params.get("agent")
        if name is not None:
            self._surface.visitor(request)
            self._known(name)
            return self._stream(name, lambda event: event.data, lambda: True)
        agent, session = self._agent(request)

        def allowed() -> bool:
            now = self._desk.identity(agent.id)
            return now is not None and now.stamp == session.stamp

        def told(event: LiveEvent) -> Any:
            if event.kind == "view" and request.query_params.get("as") == "page":
                return {"html": self._pages.part(event.data, session.form.csrf), "at": event.data["at"]}
            return event.data

        return self._stream(agent.id, told, allowed)

    async def own_verb(self, request: Request) -> Response:
        """POST /agent/{verb}: JSON for the page's script, back to the page for a form."""
        agent, session = self._agent(request)
        fields = await read_fields(request)
        own_page(request, session.form, fields)
        await self._do(agent.id, request.path_params["verb"], fields, f"agent {agent.name}")
        return _done(request, agent.name, request.path_params["verb"], "/agent")

    # -- programs -------------------------------------------------------------------------------------------------

    async def view(self, request: Request) -> Response:
        """GET /agents/{name}/view."""
        self._surface.visitor(request)
        name = request.path_params["name"]
        self._known(name)
        return JSONResponse(to_json(self._desk.view(name)))

    async def verb(self, request: Request) -> Response:
        """POST /agents/{name}/{verb}."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        name = request.path_params["name"]
        await self._do(name, request.path_params["verb"], fields, "api")
        return _done(request, name, request.path_params["verb"], "/")

    # -- what both do ---------------------------------------------------------------------------------------------

    async def _do(self, who: str | int, verb: str, fields: Fields, by: str) -> None:
        desk = self._desk
        calls: dict[str, Callable[[], Awaitable[None]]] = {
            "connect": lambda: desk.connect(who),
            "disconnect": lambda: desk.disconnect(who),
            "pause": lambda: desk.pause(who, pause_reason(fields)),
            "ready": lambda: desk.ready(who),
            "hangup": lambda: desk.hangup(who),
            "hold": lambda: desk.hold(who),
            "unhold": lambda: desk.unhold(who),
            "mute": lambda: desk.mute(who),
            "unmute": lambda: desk.unmute(who),
            "dtmf": lambda: desk.dtmf(who, _text(fields, "digits")),
            **{f"record/{do}": partial(desk.record, who, do) for do in ("start", "stop", "pause", "resume")},
            "disposition": lambda: self._dispose(who, fields, by),
            **{name: partial(self._in_call, who, name, fields, by) for name in VERBS},
            "machine": lambda: desk.machine(who, by, _text(fields, "attempt") or None),
            "preview/next": lambda: desk.preview_next(who, _text(fields, "campaign") or None),
            "preview/skip": lambda: desk.preview_skip(who, _text(fields, "reason"), _seconds(fields)),
            "preview/call": lambda: desk.preview_call(who),
        }
        if verb not in calls:
            raise Problem(404, "no_such_verb", f"An agent has no {verb[:60]!r}.", f"One of: {', '.join(calls)}.")
        try:
            self._known(who)
            async with asyncio.timeout(_ENGINE_SECONDS):
                await calls[verb]()
        except AgentUnknown:
            raise _unknown(who) from None
        except AgentRefused as refused:
            raise Problem(409, refused.reason, f"{refused}.", "GET the agent's view for the state.") from None
        except TimeoutError:
            raise Problem(504, "timeout", "The engine did not answer in time.", "The agent's state tells.") from None

    async def _in_call(self, who: str | int, verb: str, fields: Fields, by: str) -> None:
        """`to`: whom, as core.target reads it; `attempt`: the parked call that is meant."""
        said = {name: _text(fields, name) for name in ("to", "attempt")}
        await self._desk.do_in_call(who, verb, said, by)

    async def _dispose(self, who: str | int, fields: Fields, by: str) -> None:
        """`disposition` (a code, or its key), perhaps `message`, `at` and `zone` of a callback, and `attempt`: the call
        that is meant, so that a late click does not meet the next one."""
        code, at = _text(fields, "disposition"), _text(fields, "at")
        try:
            message = check_message(str(fields.get("message") or "").replace("\r\n", "\n"))
        except DispositionRefused as error:
            raise Problem(422, "bad_message", f"{error}.") from None
        moment = await self._moment(who, at, _text(fields, "zone") or None) if at else None
        await self._desk.dispose(who, code, by, message, moment, _text(fields, "attempt") or None)

    async def _moment(self, who: str | int, at: str, zone: str | None) -> datetime:
        call = self._desk.view(who).call
        if call is None:
            raise AgentRefused("nothing_to_dispose", "there is no call of which nothing has been said")
        pool = TenantPool(self._database.everything(), self._desk.tenant_of(who))
        number, now = call.person.number, self._clock.now()
        try:
            return await callbacks.judged(pool, self._desk.tenant_of(who), call.campaign_id, number, at, zone, now)
        except CallbackRefused as error:
            raise Problem(409, error.reason, f"{error}.", "Agree on another time.") from None
        except NotFound as error:
            raise Problem(404, "not_found", f"{error}.") from None

    def _stream(self, who: str | int, told: Callable[[LiveEvent], Any], allowed: Callable[[], bool]) -> ASGIApp:
        return LiveStream(lambda: self._desk.subscribe(who), told, self._streams, allowed)

    def _known(self, who: str | int) -> None:
        """Raises `Problem` 404."""
        try:
            if isinstance(who, str) and not _NAME.match(who):
                raise AgentUnknown(who)
            self._desk.view(who)
        except AgentUnknown:
            raise _unknown(who) from None

    def _agent(self, request: Request) -> tuple[Identity, AgentSession]:
        """Who is signed in, as they are now; or 401."""
        session = self._door.read(request.cookies.get(COOKIE, ""))
        agent = self._desk.identity(session.agent_id) if session is not None else None
        if session is None or agent is None or agent.stamp != session.stamp:
            raise Problem(401, "not_signed_in", "Sign in with your name and PIN.", "At /agent/login.")
        return agent, session

    async def _signed_in(self, request: Request, fields: Fields) -> Identity:
        try:
            agent = await self._desk.sign_in(_text(fields, "agent"), _text(fields, "pin"), address_of(request))
        except AgentRefused:
            raise too_many() from None
        if agent is None:
            raise Problem(401, "wrong_pin", "That is not an agent's name and PIN.", "A supervisor can set a new PIN.")
        return agent


def _done(request: Request, name: str, verb: str, page: str) -> Response:
    if wants_page(request):
        return RedirectResponse(page, status_code=303)
    return JSONResponse({"agent": name, "verb": verb, "ok": True})


def _unknown(who: str | int) -> Problem:
    return Problem(404, "agent_unknown", f"There is no agent {who!r}.", "GET /agents lists them.")


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return ""
    if not isinstance(value, str) or not _TEXT.match(value):
        raise Problem(422, "bad_field", f"{name!r} is a line of at most 200 characters.")
    return value.strip()


def _seconds(fields: Fields) -> float:
    text = _text(fields, "after_seconds") or "3600"
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise Problem(422, "bad_field", "'after_seconds' is a whole number of seconds.")
    return float(text)
