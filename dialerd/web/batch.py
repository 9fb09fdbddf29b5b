"""The batch API for an outside dialer: `GET /api/dialer/next-batch` and `POST /api/dialer/report-result`.

It has a token of its own ([batch] token), good for these two doors and no other. Names, reasons and retry hints are
those of an older panel, whose dialers work unchanged.
"""

import hashlib
import hmac
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.clock import Clock
from dialerd.config import Batch as Settings
from dialerd.core import phone
from dialerd.core.numberstatus import NumberStatus
from dialerd.store import batch, campaigns, reports
from dialerd.store.errors import NotFound
from dialerd.web.auth import Attempts
from dialerd.web.database import Database
from dialerd.web.errors import Problem, too_many
from dialerd.web.forms import Form, Id, LongText, Text, moment, read, refusals
from dialerd.web.requests import address_of, read_fields

_SHORT = frozenset({"insufficient_funds", "disabled"})  # reasons that may be gone soon


def _reportable(status: NumberStatus) -> NumberStatus:
    if status is NumberStatus.IN_QUEUE:
        raise ValueError("IN_QUEUE is no result; POST /api/numbers/{id}/reset puts a number back")
    return status


class Result(Form):
    """A reported result. `attempted_at` is ISO-8601; without an offset it is in the batch API's zone."""

    number_id: Id
    phone_number: Text
    status: Annotated[NumberStatus, AfterValidator(_reportable)]
    reason: LongText | None = None
    attempted_at: Annotated[str, Field(max_length=40)] | None = None
    call_allowed: bool | None = None
    agent_id: Id | None = None
    agent_phone: Text | None = None
    user_message: LongText | None = None


class BatchDoors:
    """The two handlers."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._zone = ZoneInfo(settings.timezone)
        self._failures = Attempts(clock)
        self._token = hashlib.sha256(settings.token.get_secret_value().encode()).digest() if settings.token else None

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/dialer/next-batch", self.next_batch, methods=["GET"]),
            Route("/api/dialer/report-result", self.report_result, methods=["POST"]),
        ]

    async def next_batch(self, request: Request) -> Response:
        """Numbers to call, each of them locked for this dialer; or why there are none, and for how long."""
        self._check_token(request)
        size = self._size(request)
        pool, tenant = await self._database.tenant(self._settings.tenant)
        wanted = request.query_params.get("campaign") or self._settings.campaign
        now = self._clock.now()
        async with refusals(), pool.acquire() as connection:
            campaign = await campaign_of(connection, tenant.id, wanted)
            found = await batch.next_batch(
                connection,
                tenant.id,
                campaign.id,
                min(size, self._settings.max_size),
                self._settings.assignment_timeout_minutes * 60,
                self._settings.timezone,
                now,
            )
        return JSONResponse(self._reply(found, size, now))

    async def report_result(self, request: Request) -> Response:
        """What became of a number."""
        self._check_token(request)
        told = read(Result, await read_fields(request))
        try:
            attempted_at = moment(told.attempted_at, self._settings.timezone) if told.attempted_at else None
        except (ValueError, OverflowError):
            raise Problem(422, "invalid", "attempted_at: an ISO-8601 time.", "As 2026-01-31T09:30:00+03:30.") from None
        pool, tenant = await self._database.tenant(self._settings.tenant)
        report = reports.Report(
            **{**told.model_dump(), "attempted_at": attempted_at, "agent_phone": told.agent_phone or None}
        )
        async with refusals(), pool.acquire() as connection:
            try:
                done = await reports.report(connection, tenant.id, tenant.default_region, report, self._clock.now())
            except NotFound as error:
                raise Problem(404, "number_unknown", f"{error}.", "It may have been deleted.") from None
            except reports.WrongNumber as error:
                raise Problem(409, "wrong_number", f"{error}.", "Nothing was done.") from None
            except reports.UnknownAgent as error:
                raise Problem(422, "agent_unknown", f"{error}.", "Nothing was done; see active_agents.") from None
            except reports.Conflicting as error:
                raise Problem(409, "already_reported", f"{error}.", "Nothing was done.") from None
        return JSONResponse(
            {
                "success": True, "number_id": told.number_id, "status": told.status.value, "attempts": done.attempts,
                "repeated": done.repeated,
            }
        )  # fmt: skip

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            raise Problem(404, "batch_api_off", "The batch API is off.", "Set [batch] token or DIALER_TOKEN.")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "surrogatepass")).digest()
        if hmac.compare_digest(given, self._token) and scheme.lower() == "bearer":
            return
        address = address_of(request)
        self._failures.failed(address)
        if self._failures.blocked(address):  # after the comparison: who has the token is not locked out
            raise too_many()
        raise Problem(
            401, "wrong_token", "This needs the dialer's token.", "Send 'Authorization: Bearer <DIALER_TOKEN>'.",
            {"www-authenticate": 'Bearer realm="dialerd"'},
        )  # fmt: skip

    def _size(self, request: Request) -> int:
        text = request.query_params.get("size") or str(self._settings.default_size)
        if not (text.isascii() and text.isdigit() and int(text[:10]) >= 1 and len(text) < 10):
            raise Problem(422, "invalid", "size: a whole number from 1.", f"At most {self._settings.max_size} come.")
        return int(text)

    def _reply(self, found: batch.Batch, size: int, now: datetime) -> dict[str, Any]:
        settings = self._settings
        reply: dict[str, Any] = {
            "call_allowed": found.refusal is None,
            "timezone": settings.timezone,
            "server_time": now.astimezone(self._zone).isoformat(timespec="seconds"),
            "schedule_version": found.schedule_version,
        }
        if found.refusal is not None:
            short = found.refusal.reason in _SHORT
            reply["reason"] = found.refusal.reason
            reply["retry_after_seconds"] = settings.short_retry_seconds if short else settings.long_retry_seconds
            if found.refusal.detail is not None:
                reply["detail"] = found.refusal.detail
            return reply
        reply["active_agents"] = [
            {"id": agent.id, "full_name": agent.full_name, "phone_number": agent.phone} for agent in found.agents
        ]
        reply["batch"] = {
            "batch_id": str(found.id),
            "size_requested": size,
            "size_returned": len(found.numbers),
            "numbers": [{"id": taken.number_id, "phone_number": phone.familiar(taken.e164)} for taken in found.numbers],
        }
        return reply


async def campaign_of(pool: Any, tenant_id: int, wanted: str | None) -> batch.Campaign:
    """Which campaign a request is about. Raises `Problem` 404 or 409."""
    if wanted is not None and "\0" in wanted:
        raise Problem(404, "no_such_campaign", "No campaign has such a name.")
    try:
        return await batch.campaign_of(pool, tenant_id, wanted)
    except NotFound as error:
        raise Problem(404, "no_such_campaign", f"{error}.", "dialer-admin campaign list") from None
    except batch.Ambiguous as error:
        raise Problem(
            409, "which_campaign", f"{error}.", "Say ?campaign=<name or id>, or [batch] campaign in dialerd.toml."
        ) from None


def panel_campaign(settings: Settings, request: Request, tenant: campaigns.Tenant) -> str | None:
    """The campaign that a request of the panel names, else that of the batch API."""
    named = request.query_params.get("campaign")
    return named or (settings.campaign if tenant.name == settings.tenant else None)
