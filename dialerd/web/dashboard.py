"""`/dashboard`, the page of caller IDs: every number and its state, its uses against its limits, who asks for it, live.

A page for people behind the login (or the bearer token), and the same as JSON for programs. It works without
JavaScript: then it is loaded again every ten seconds.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dialerd.clock import Clock
from dialerd.core import phone
from dialerd.core.status import to_json
from dialerd.live.callerids import CallerIds
from dialerd.store import callerid_admin
from dialerd.store.callerid_admin import Asked, CampaignUse, PoolEntry
from dialerd.store.pool import TenantPool
from dialerd.web.app import CALLER_IDS, Surface
from dialerd.web.callerid_board import SORTS, STATES, Board, Look, Number, Page, Wanted, reserved_until
from dialerd.web.database import DEFAULT_TENANT, Database
from dialerd.web.errors import Problem
from dialerd.web.forms import refusals
from dialerd.web.requests import read_fields, wants_page, whole_number

_BY = "panel"
_MAX_PAGE, _MAX_SIZE, _MAX_SEARCH = 100_000, 1000, 64
_BOARDS = 32  # tenants whose last look is kept while nobody watches
_VERBS: Mapping[str, Mapping[str, Any]] = {
    "activate": {"active": True},
    "deactivate": {"active": False},
    "wake": {"resting_until": None},
}


class Dashboard:
    """The handlers. `reservation_seconds`: how long a number stays reserved at most."""

    def __init__(
        self, surface: Surface, database: Database, caller_ids: CallerIds, reservation_seconds: int, clock: Clock
    ) -> None:
        self._surface = surface
        self._database = database
        self._caller_ids = caller_ids
        self._reservation_seconds = reservation_seconds
        self._clock = clock
        self._boards: OrderedDict[int, Board] = OrderedDict()

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route(CALLER_IDS, self.page, methods=["GET"]),
            Route(f"{CALLER_IDS}/events", self.events, methods=["GET"]),
            Route(f"{CALLER_IDS}/numbers/{{id}}", self.switch, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """The page; with ?part=board only what changes; with ?format=json the data."""
        visitor = self._surface.visitor(request)
        query = request.query_params
        wanted = _wanted(query)
        async with refusals():
            _, board = await self._board(request)
            look = await board.look()
            page = await board.page(look, wanted)
        accept = request.headers.get("accept", "")
        if query.get("format") == "json" or ("application/json" in accept and not wants_page(request)):
            return JSONResponse(self._as_json(look, page))
        csrf = visitor.session.csrf if visitor.session else ""
        view = self._view(look, page, _kept(query))
        return self._surface.pages.caller_ids(view, csrf, part=query.get("part") == "board")

    async def events(self, request: Request) -> ASGIApp:
        """The live stream: says when there is something new to fetch."""
        visitor = self._surface.visitor(request)
        async with refusals():
            _, board = await self._board(request)
            await board.look()
        return self._surface.stream(visitor, board, board)

    async def switch(self, request: Request) -> Response:
        """activate, deactivate, wake or delete a number: `verb` of the form; back to where it was sent from."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        id_ = whole_number(request.path_params["id"], "id")
        verb = str(fields.get("verb", ""))
        if verb not in (*_VERBS, "delete"):
            raise Problem(404, "no_such_verb", f"A caller ID has no {verb[:40]!r}.", f"{', '.join(_VERBS)}, delete")
        back = _kept(dict(parse_qsl(str(fields.get("back", ""))[:1000], max_num_fields=10)))
        async with refusals():
            tenant_id, board = await self._board(request, str(back.get("tenant", "")))
            pool = TenantPool(self._database.everything(), tenant_id)
            if verb == "delete":
                await callerid_admin.delete(pool, tenant_id, id_, _BY)
            else:
                await callerid_admin.change(pool, tenant_id, id_, _VERBS[verb], _BY)
            board.changed()
        if wants_page(request):
            return RedirectResponse(_address(back), status_code=303)
        return JSONResponse({"id": id_, "verb": verb, "ok": True})

    async def _board(self, request: Request, tenant_name: str = "") -> tuple[int, Board]:
        """The tenant's, its id first. Raises `Problem` 404 or 503."""
        found = self._database.tenant(tenant_name) if tenant_name else self._database.tenant_of(request)
        _, tenant = await found
        board = self._boards.get(tenant.id)
        if board is None:
            idle = [id_ for id_, each in self._boards.items() if not each.watched]
            for id_ in idle[: max(0, len(self._boards) + 1 - _BOARDS)]:
                del self._boards[id_]
            board = Board(
                tenant.id,
                lambda: TenantPool(self._database.everything(), tenant.id),
                self._caller_ids,
                self._clock,
            )
            self._boards[tenant.id] = board
        self._boards.move_to_end(tenant.id)
        return tenant.id, board

    # -- what is shown

    def _view(self, look: Look, page: Page, query: Mapping[str, str]) -> dict[str, Any]:
        """What the templates get."""
        wanted, number = page.wanted, min(page.wanted.page, page.pages)
        states = [
            {"state": state, "count": look.tally[state], "href": _address(query, state=state, page=""),
             "on": wanted.state == state}
            for state in map(str, STATES)
        ]  # fmt: skip
        pools = [{"id": id_, "name": name or "tenant's own pool"} for id_, name in look.pools.items()]
        return {
            "at": to_json(look.at),
            "uses_known": look.uses_known,
            "wanted": wanted,
            "total": len(look.numbers),
            "found": page.found,
            "states": states,
            "everything": _address(query, state="", page=""),
            "pools": pools,
            "sorts": SORTS,
            "numbers": [self._number(each, page.more[each.row.id], look) for each in page.numbers],
            "page": number,
            "pages": page.pages,
            "before": _address(query, page=str(number - 1)) if number > 1 else "",
            "behind": _address(query, page=str(number + 1)) if number < page.pages else "",
            "campaigns": look.campaigns,
            "recent": [_asked(asked) for asked in look.recent],
            "tenant": query.get("tenant", ""),
            "here": urlencode(query),
            "part": _address(query, part="board"),
            "stream": f"{CALLER_IDS}/events"
            + (f"?{urlencode({'tenant': query['tenant']})}" if "tenant" in query else ""),
        }

    def _number(self, number: Number, entry: PoolEntry, look: Look) -> dict[str, Any]:
        row = number.row
        until = reserved_until(number, self._reservation_seconds) if number.state == "reserved" else None
        return {
            "id": row.id,
            "caller_id": row.e164,
            "carrier": entry.carrier,
            "area_code": entry.area_code or phone.area_code(row.e164),
            "meta": dict(entry.meta),
            "campaign": look.pools.get(row.campaign_id or 0) or None,
            "state": number.state,
            "reserved_by": number.holder if number.state == "reserved" else None,
            "reserved_until": to_json(until),
            "resting_until": to_json(row.resting_until) if number.state == "resting" else None,
            "used_this_hour": number.used_this_hour,
            "hourly_limit": row.hourly_limit,
            "used_today": number.used_today,
            "daily_limit": row.daily_limit,
            "last_used": to_json(number.last_used),
            "active": row.active,
            "rests": entry.rests,
            "health": dict(entry.health),
        }

    def _as_json(self, look: Look, page: Page) -> dict[str, Any]:
        return {
            "at": to_json(look.at),
            "uses_known": look.uses_known,
            "states": dict(look.tally),
            "total": len(look.numbers),
            "found": page.found,
            "page": min(page.wanted.page, page.pages),
            "pages": page.pages,
            "caller_ids": [self._number(number, page.more[number.row.id], look) for number in page.numbers],
            "campaigns": [_campaign(use) for use in look.campaigns],
            "recent": [_asked(asked) for asked in look.recent],
        }


def _campaign(use: CampaignUse) -> dict[str, Any]:
    return {
        "campaign": use.campaign, "requests": use.requests, "ok": use.ok, "fallback": use.fallback, "none": use.none,
        "answered": use.answered, "ended": use.ended,
    }  # fmt: skip


def _asked(asked: Asked) -> dict[str, Any]:
    return {
        "at": to_json(asked.at),
        "door": asked.door,
        "peer": asked.peer,
        "campaign": asked.campaign,
        "agent": asked.agent,
        "to": phone.masked(asked.to_e164) if asked.to_e164 else "",
        "status": asked.status,
        "caller_id": asked.caller_id,
        "reasons": dict(asked.reasons),
        "released_at": to_json(asked.released_at),
        "result": asked.result,
    }


def _wanted(query: Mapping[str, str]) -> Wanted:
    """Which page of the numbers. Raises `Problem` 422."""
    state, sort, pool = query.get("state", ""), query.get("sort") or "number", query.get("pool") or ""
    search = query.get("q", "").strip()
    if state and state not in STATES:
        raise Problem(422, "invalid", f"state: one of {', '.join(STATES)}.")
    if sort not in SORTS:
        raise Problem(422, "invalid", f"sort: one of {', '.join(SORTS)}.")
    if len(search) > _MAX_SEARCH:
        raise Problem(422, "invalid", f"q: at most {_MAX_SEARCH} characters.")
    return Wanted(
        search,
        state,
        whole_number(pool, "pool") if pool else None,
        sort,
        max(1, whole_number(query.get("page") or "1", "page", _MAX_PAGE)),
        max(1, whole_number(query.get("size") or "50", "size", _MAX_SIZE)),
    )


def _kept(query: Mapping[str, str]) -> dict[str, str]:
    """What of a query the page's own links go on with."""
    names = ("q", "state", "pool", "sort", "page", "size", "tenant")
    return {
        name: query[name][:_MAX_SEARCH]
        for name in names
        if query.get(name) and (name, query[name]) != ("tenant", DEFAULT_TENANT)
    }


def _address(query: Mapping[str, str], **changed: str) -> str:
    told = {name: value for name, value in {**query, **changed}.items() if value}
    return f"{CALLER_IDS}?{urlencode(told)}" if told else CALLER_IDS
