"""`GET /api/why?number=…`: whether a number would be dialed now, and why not."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dialerd.clock import Clock
from dialerd.core.phone import NumberRefused
from dialerd.store import dnc, why
from dialerd.store.errors import NotFound
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem


def routes(surface: Surface, database: Database, clock: Clock) -> Sequence[BaseRoute]:
    """The one route."""

    async def answer(request: Request) -> Response:
        surface.visitor(request)
        number = request.query_params.get("number", "")
        if not number:
            raise Problem(400, "number_missing", "Which number?", "GET /api/why?number=%2B358401234567")
        pool, tenant = await database.tenant_of(request)
        try:
            e164 = dnc.key(number, tenant.default_region)
        except NumberRefused as error:
            raise Problem(400, "bad_number", str(error), "E.164, with the + written as %2B.") from None
        try:
            found = await why.why(pool, tenant.id, e164, clock.now(), request.query_params.get("campaign") or None)
        except NotFound as error:
            raise Problem(404, "no_such_campaign", str(error), "Its name or id.") from None
        body = json.dumps(asdict(found), default=_text, ensure_ascii=False)
        return Response(body, media_type="application/json")

    return [Route("/api/why", answer)]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
