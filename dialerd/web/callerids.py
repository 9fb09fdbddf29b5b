"""The HTTP door to caller IDs: `GET /next-cid` before a call, `POST /release-cid` after it.

The same desk as behind FastAGI, so the same answers, limits and log. Who asks has the bearer token, or sits on this
machine. A cookie is no way in: asking reserves a number, and a browser can be made to ask.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.core import callerid as rule
from dialerd.core import phone
from dialerd.core.callerid import CallEnd, CallerId, Rule, Selection, Status
from dialerd.core.ids import attempt_of
from dialerd.fastagi.desk import Desk
from dialerd.web.app import Surface
from dialerd.web.errors import Problem, unauthenticated
from dialerd.web.forms import Form, read
from dialerd.web.requests import address_of, read_fields

RATE_LIMITED = "rate_limited"  # the desk's reason for whoever asks too often
_RETRY_SECONDS = "1"
_CALL = re.compile(r"[A-Za-z0-9_.:;-]{1,150}\Z", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,100}\Z")
_LOST_PLUS = re.compile(r" [0-9]", re.ASCII)  # `?to=+1415…` without %2B
# Whoever sends one of these is a proxy, or a page in a browser on this machine: it may speak for anybody.
_SENT_FOR_OTHERS = ("x-forwarded-for", "forwarded", "x-real-ip", "via", "origin", "sec-fetch-site")


class End(Form):
    """The end of a call. `result` and `talk_seconds` say how it went, for the health of its caller ID."""

    call: Annotated[str, Field(max_length=150)]
    result: Literal["answered", "no_answer", "busy", "rejected", "failed", "unknown"] | None = None
    talk_seconds: Annotated[float, Field(ge=0, le=7 * 86400, allow_inf_nan=False)] | None = None


class CallerIdDoors:
    """The two handlers. `row_of` gives a number of the pool by its id."""

    def __init__(self, surface: Surface, desk: Desk, row_of: Callable[[int], CallerId | None]) -> None:
        self._surface = surface
        self._desk = desk
        self._row_of = row_of

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/next-cid", self.next_cid, methods=["GET"]),
            Route("/release-cid", self.release_cid, methods=["POST"]),
        ]

    async def next_cid(self, request: Request) -> Response:
        """A caller ID for a call. `call` in the reply is what `POST /release-cid` wants at the call's end."""
        self._let_in(request)
        query = request.query_params
        missing = [name for name in ("to", "campaign", "agent") if name not in query]
        if missing:
            raise Problem(422, "missing", f"{missing[0]}: missing.", "GET /next-cid?to=&campaign=&agent=")
        to, campaign, agent = (query[name] for name in ("to", "campaign", "agent"))
        if not _NAME.match(campaign) or not _NAME.match(agent) or not (campaign.strip() or agent.strip()):
            raise Problem(
                422, "bad_name", "campaign and agent: at most 100 printable characters each, not both empty.",
                "A hand-dialled call may leave the campaign empty.",
            )  # fmt: skip
        call = query.get("call") or f"http-{secrets.token_hex(8)}"
        if not _CALL.match(call):
            raise Problem(422, "bad_call", "call: 1 to 150 of A-Z a-z 0-9 _ . : ; -", "Leave it out to be given one.")
        to = to.strip() if not _LOST_PLUS.match(to) else "+" + to[1:]
        asked = rule.Request(to[:200], campaign, agent, attempt_of(call), "http", address_of(request))
        return self._reply(await self._desk.next_cid(asked), call)

    async def release_cid(self, request: Request) -> Response:
        """The call ended: its number is free for others. `released` is false when it had none."""
        self._let_in(request)
        told = read(End, await read_fields(request))
        if not _CALL.match(told.call):
            raise Problem(422, "bad_call", "call: 1 to 150 of A-Z a-z 0-9 _ . : ; -", "As next-cid gave it.")
        end = CallEnd(told.result, told.talk_seconds) if told.result else None
        released = await self._desk.release_cid(attempt_of(told.call), end)
        return JSONResponse({"call": told.call, "released": released})

    def _let_in(self, request: Request) -> None:
        if "authorization" in request.headers:
            self._surface.visitor(request)
        elif not _on_this_machine(request):
            raise unauthenticated()

    def _reply(self, selection: Selection, call: str) -> Response:
        number = selection.caller_id
        if RATE_LIMITED in selection.reasons:
            problem = Problem(
                429, RATE_LIMITED, "Too many requests of this agent or address.", "Ask less often.",
                {"retry-after": _RETRY_SECONDS},
            )  # fmt: skip
            return _problem(problem, {"caller_id": number})
        if number is None:
            return _refusal(selection)
        row = self._row_of(selection.cid_id) if selection.cid_id is not None else None
        e164 = number if phone.E164.match(number) else None
        return JSONResponse(
            {
                "caller_id": number,
                "carrier": row.carrier if row else "",
                "area_code": (row.area_code if row else "") or (phone.area_code(e164) if e164 else ""),
                "meta": dict(row.meta) if row else {},
                "cid_id": selection.cid_id,
                "status": str(selection.status),
                "fallback": selection.status is Status.FALLBACK,
                "national": phone.significant(number),
                "call": call,
            }
        )


def _refusal(selection: Selection) -> Response:
    """What keeps a call from having a caller ID: the pool's numbers counted by rule, or the one thing that is wrong."""
    reasons = selection.reasons
    bad = next((reason for reason in reasons if reason.startswith("bad_number")), None)
    if bad is not None:
        why = bad.removeprefix("bad_number").lstrip("_") or "not a number"
        return _problem(Problem(422, bad, f"to: not a number that may be called ({why}).", "As in +14155550123."))
    if "unknown_campaign" in reasons:
        return _problem(
            Problem(404, "unknown_campaign", "No campaign and no agent are known by these names.",
                    "dialer-admin campaign list")
        )  # fmt: skip
    if "unavailable" in reasons:
        problem = Problem(503, "unavailable", "Redis or PostgreSQL does not answer.", "Look at /health.")
    else:
        problem = Problem(
            503, "no_caller_id", "No caller ID is free, and the campaign has no fallback.",
            "dialer-admin cid simulate says why each number is not.",
        )  # fmt: skip
    counts = {str(each): 0 for each in Rule} | {str(name): count for name, count in reasons.items()}
    problem.headers["retry-after"] = _RETRY_SECONDS
    return _problem(problem, {"status": str(selection.status), "reasons": counts})


def _problem(problem: Problem, more: Mapping[str, Any] | None = None) -> Response:
    error = {"reason": problem.reason, "message": problem.message, "hint": problem.hint}
    return JSONResponse({"error": error, **(more or {})}, problem.status, problem.headers)


def _on_this_machine(request: Request) -> bool:
    """Whether a program on this machine asks, for itself."""
    if any(name in request.headers for name in _SENT_FOR_OTHERS):
        return False
    try:
        address = ip_address(address_of(request))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
