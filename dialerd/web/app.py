"""The HTTP surface: health, status, the live stream, the agents' doors, the status page.

`/health`, the login and the static files are open; everything else wants the bearer token or a session.
A request that changes something and comes with the cookie must come from our own pages (`own_page`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dialerd.clock import Clock
from dialerd.core.status import AgentRefused, AgentUnknown, Link, to_json
from dialerd.web.auth import COOKIE, Door, Session
from dialerd.web.errors import SAFE_HEADERS, Problem, too_many, unauthenticated
from dialerd.web.events import EventStream, Figures, Snapshots, Source, Streams
from dialerd.web.limits import Limits
from dialerd.web.pages import Pages
from dialerd.web.port import Engine
from dialerd.web.requests import address_of, own_page, pause_reason, read_fields, wants_page

LISTS = ("/contacts/bulk",)  # paths that take long bodies
UPLOAD = "/api/numbers/upload"  # takes a whole list
CALLER_IDS_FILE = "/api/caller-ids/import"  # so does this
START, CALLER_IDS = "/", "/dashboard"
PAGES = (START, CALLER_IDS)  # where a visitor who is not signed in is sent to the login and back
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every limit of the surface; the defaults are for real use, tests make them small."""

    body_bytes: int = 64 * 1024
    list_bytes: int = 1024 * 1024  # of a request that brings contacts
    body_seconds: float = 10.0
    upload_bytes: int = 20 * 1024 * 1024  # of a list
    upload_seconds: float = 120.0
    streams: int = 32
    figures_seconds: float = 0.5  # figures are pushed at most this often
    heartbeat_seconds: float = 15.0
    stall_seconds: float = 10.0  # a reader that takes nothing for this long is dropped
    engine_seconds: float = 10.0  # for an agent verb
    session_seconds: float = 12 * 3600.0
    link_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever is signed in: with a session and its cookie, or with the token (both None)."""

    session_id: str | None = None
    session: Session | None = None


def create_app(
    engine: Engine,
    token: str,
    clock: Clock | None = None,
    bounds: Bounds | None = None,
    api: Callable[["Surface"], Sequence[BaseRoute]] = lambda surface: (),
) -> Starlette:
    """The ASGI app; `server.serve` runs it. `token` is [web] token, at least 16 characters. `api`: more routes."""
    bounds = bounds or Bounds()
    surface = Surface(engine, token, clock or Clock(), bounds)
    app = Starlette(
        routes=[
            Route("/", surface.page),
            Route("/health", surface.health),
            Route("/status", surface.status),
            Route("/events", surface.events),
            Route("/agents", surface.agents),
            *api(surface),
            Route("/agents/{name}", surface.agent_verb, methods=["POST"]),  # the page's form: verb=…
            Route("/agents/{name}/{verb}", surface.agent_verb, methods=["POST"]),
            Route("/login", surface.login_page, methods=["GET"]),
            Route("/login", surface.login, methods=["POST"]),
            Route("/login-links", surface.login_links, methods=["POST"]),
            Route("/logout", surface.logout, methods=["POST"]),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[
            Middleware(
                Limits,
                body_bytes=bounds.body_bytes,
                body_seconds=bounds.body_seconds,
                larger=dict.fromkeys(LISTS, bounds.list_bytes),
                streamed=dict.fromkeys((UPLOAD, CALLER_IDS_FILE), (bounds.upload_bytes, bounds.upload_seconds)),
            )
        ],
        exception_handlers={
            Problem: surface.refused,
            HTTPException: surface.not_ours,
            Exception: _broken,
        },
    )
    app.router.redirect_slashes = False  # it builds its Location from the Host header
    app.state.streams = surface.streams
    return app


class Surface:
    """The handlers and what they share."""

    def __init__(self, engine: Engine, token: str, clock: Clock, bounds: Bounds) -> None:
        self._engine = engine
        self._clock = clock
        self._bounds = bounds
        self._door = Door(token, clock, bounds.session_seconds, bounds.link_seconds)
        self.pages = Pages()
        self._figures = Figures(engine, clock, bounds.figures_seconds)
        self.streams = Streams(bounds.streams, bounds.heartbeat_seconds, bounds.stall_seconds)

    # -- what is to be seen

    async def health(self, _: Request) -> Response:
        """200 or 503, for load balancers and `dialer-admin`; no details, because it is open to everybody."""
        health = self._engine.health()
        body: dict[str, Any] = {"status": "healthy" if health.ok else "degraded"}
        body.update({link.name: _health_word(link) for link in health.links})
        body.update(
            dialing="ok" if health.dialing else "stopped",
            reason=health.reason,
            schema_version=health.schema_version,
            loop_lag_ms=to_json(health.loop_lag_ms),
            recordings=health.recordings,
            timestamp=to_json(self._clock.now()),
            dry_run=health.dry_run,
            tasks=health.tasks,
        )
        return JSONResponse(body, status_code=200 if health.ok else 503)

    async def status(self, request: Request) -> Response:
        """Everything, as JSON."""
        self.visitor(request)
        return JSONResponse(self._figures.fresh().status)

    async def agents(self, request: Request) -> Response:
        """The agents' part of the status."""
        self.visitor(request)
        return JSONResponse({"agents": self._figures.fresh().status["agents"]})

    async def events(self, request: Request) -> ASGIApp:
        """The live stream; it ends when its session does."""
        return self.stream(self.visitor(request), self._engine, self._figures)

    def stream(self, visitor: Visitor, source: Source, figures: Snapshots) -> EventStream:
        """A live stream for this visitor, one of the bounded number; it ends when the session does."""
        return EventStream(source, figures, self.streams, self._clock, lambda: self.still(visitor))

    def still(self, visitor: Visitor) -> bool:
        """Whether a visitor is still signed in."""
        return visitor.session_id is None or self._door.session(visitor.session_id) is not None

    async def page(self, request: Request) -> Response:
        """The status page; with ?part=board only what changes."""
        visitor = self.visitor(request)
        csrf = visitor.session.csrf if visitor.session else ""
        part = request.query_params.get("part") == "board"
        return self.pages.status(self._figures.fresh(), csrf, part=part)

    # -- what changes something

    async def agent_verb(self, request: Request) -> Response:
        """POST /agents/{name}/{verb}: JSON for programs, back to the page for a form (which text browsers can
        only steer by the button's name and value, so there the verb is a field)."""
        fields = await read_fields(request)
        self.visitor(request, fields)
        name = request.path_params["name"]
        verb = str(request.path_params.get("verb", fields.get("verb", "")))
        engine = self._engine
        calls: dict[str, Callable[[], Awaitable[None]]] = {
            "connect": lambda: engine.agent_connect(name),
            "disconnect": lambda: engine.agent_disconnect(name),
            "pause": lambda: engine.agent_pause(name, pause_reason(fields)),
            "ready": lambda: engine.agent_ready(name),
            "hangup": lambda: engine.agent_hangup(name),
        }
        if verb not in calls:
            raise Problem(404, "no_such_verb", f"An agent has no {verb!r}.", f"One of: {', '.join(calls)}.")
        try:
            if not _NAME.match(name):
                raise AgentUnknown(name)
            async with asyncio.timeout(self._bounds.engine_seconds):
                await calls[verb]()
        except AgentUnknown:
            raise Problem(
                404,
                "agent_unknown",
                f"There is no agent {name!r}.",
                "GET /agents lists them; dialer-admin agent add.",
            ) from None
        except AgentRefused as refused:
            raise Problem(409, refused.reason, str(refused), "The agent's state is in GET /agents.") from None
        except TimeoutError:
            raise Problem(
                504,
                "timeout",
                "The engine did not answer in time.",
                "Look at /health; the agent's state tells.",
            ) from None
        if wants_page(request):
            return RedirectResponse("/", status_code=303)
        return JSONResponse({"agent": name, "verb": verb, "ok": True})

    async def login_page(self, request: Request) -> Response:
        """The form, or the way in through a one-time link (a HEAD request does not use it up)."""
        code = request.query_params.get("once")
        if code is None or request.method == "HEAD":
            return self.pages.login(where=_page_of(request.query_params.get("next")))
        if not self._door.use_link(code):
            return self.pages.login(
                Problem(401, "link_used", "This link was used before or is too old.", "Ask for a new one.")
            )
        return self._let_in(request)

    async def login(self, request: Request) -> Response:
        """The token, typed into the form (or sent as JSON)."""
        fields = await read_fields(request)
        address = address_of(request)
        try:
            own_page(request, None, fields)
            if self._door.attempts.blocked(address):
                raise too_many()
            if not self._door.knows(str(fields.get("token", "")).strip()):
                self._door.attempts.failed(address)
                raise Problem(401, "wrong_token", "That is not the token.", "It is in dialerd.toml under [web].")
        except Problem as problem:
            if not wants_page(request):
                raise
            return self.pages.login(problem, _page_of(fields.get("next")))
        return self._let_in(request, _page_of(fields.get("next")))

    async def login_links(self, request: Request) -> Response:
        """A link that signs in once; only for the bearer of the token: sessions do not breed sessions."""
        visitor = self.visitor(request, await read_fields(request))
        if visitor.session is not None:
            raise Problem(403, "token_needed", "Links are made with the token.", "Send the Authorization header.")
        path = f"/login?once={self._door.new_link()}"
        return JSONResponse({"path": path, "expires_seconds": self._bounds.link_seconds}, status_code=201)

    async def logout(self, request: Request) -> Response:
        """End the session."""
        visitor = self.visitor(request, await read_fields(request))
        if visitor.session_id is not None:
            self._door.close_session(visitor.session_id)
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    # -- who asks, and refusals

    def visitor(self, request: HTTPConnection, fields: Mapping[str, Any] | None = None) -> Visitor:
        """Who this is, or 401. Handlers that change something give `fields`: a cookie alone is not enough."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() == "bearer" and self._door.knows(token.strip()):
                return Visitor()
            address = address_of(request)
            self._door.attempts.failed(address)
            # Counted after the comparison: one stale script must not lock out everybody behind its address.
            raise too_many() if self._door.attempts.blocked(address) else unauthenticated()
        id_ = request.cookies.get(COOKIE, "")
        session = self._door.session(id_) if id_ else None
        if session is None:
            raise unauthenticated()
        if fields is not None:
            own_page(request, session, fields)
        return Visitor(id_, session)

    def _let_in(self, request: Request, where: str = START) -> Response:
        old = request.cookies.get(COOKIE)
        if old:
            self._door.close_session(old)  # never go on with an id that was there before
        response: Response
        response = self.pages.signed_in(where) if wants_page(request) else JSONResponse({"ok": True})
        response.set_cookie(
            COOKIE,
            self._door.open_session(),
            max_age=int(self._bounds.session_seconds),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def refused(self, request: Request, problem: Exception) -> Response:
        """A Problem as JSON; as a page for a browser, whose way in is the login form."""
        assert isinstance(problem, Problem)  # noqa: S101 — for mypy; Starlette looks handlers up by class
        if not wants_page(request):
            return problem.as_json()
        if problem.status == 401 and request.method == "GET" and request.url.path in PAGES:
            where = request.url.path
            return RedirectResponse("/login" if where == START else f"/login?next={where}", status_code=303)
        return self.pages.error(problem)

    async def not_ours(self, request: Request, error: Exception) -> Response:
        """Starlette's own 404 and 405 in our form."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(getattr(error, "headers", None) or {})
        if status == 405:
            problem = Problem(405, "method_not_allowed", "Not with this method.", "", headers)
        elif status == 404:
            problem = Problem(404, "not_found", "There is nothing at this address.", "The start page is /.", headers)
        else:
            problem = Problem(status, "refused", "The request was refused.", "", headers)
        return await self.refused(request, problem)


async def _broken(_: Request, __: Exception) -> Response:
    """500: the traceback goes to the log (the server writes it), never to the visitor."""
    return Problem(
        500, "internal_error", "Something went wrong in dialerd.", "The log says what.", SAFE_HEADERS
    ).as_json()


def _page_of(wanted: object) -> str:
    """Where a visitor goes who has signed in: one of our pages, whatever the request says."""
    return wanted if isinstance(wanted, str) and wanted in PAGES else START


def _health_word(link: Link) -> str:
    return "ok" if link.state == "up" else link.state
