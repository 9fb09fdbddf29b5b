"""The panel's doors to when and whom: schedule, switch, holidays, do-not-call lists, opt-outs."""

import asyncio
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.clock import Clock
from dialerd.config import Batch as Settings
from dialerd.core import jalali, phone
from dialerd.core.calendar import Window
from dialerd.core.windows import DAYS, parse
from dialerd.places import holidays as public
from dialerd.places.zones import country_of
from dialerd.store import calls, consents, dnc, permission, schedules
from dialerd.web.app import Surface
from dialerd.web.batch import campaign_of, panel_campaign
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.forms import Form, Text, read, refusals
from dialerd.web.requests import read_fields

_BY = "panel"
_HHMM = r"^[0-9]{1,2}:[0-9]{2}(:00)?$"


class Interval(Form):
    """Hours of a weekday, counted from Saturday as 0; 24:00 ends the day."""

    day: Annotated[int, Field(ge=0, le=6, validation_alias=AliasChoices("day", "day_of_week", "weekday"))]
    start: Annotated[str, Field(pattern=_HHMM, validation_alias=AliasChoices("start", "start_time"))]
    end: Annotated[str, Field(pattern=_HHMM, validation_alias=AliasChoices("end", "end_time"))]


class NewSchedule(Form):
    """What is to change; the rest stays."""

    enabled: bool | None = None
    skip_holidays: bool | None = None
    intervals: Annotated[list[Interval], Field(max_length=200)] | None = None


class NewHoliday(Form):
    """A day off."""

    date: date
    name: Text = ""


class Barred(Form):
    """Numbers for a do-not-call list."""

    number: Text | None = None
    numbers: Annotated[list[Text], Field(max_length=10_000)] = Field(default_factory=list)
    list: Text = dnc.OWN
    source: Text = _BY


class OptOut(Form):
    """Somebody who wants no calls."""

    number: Text
    source: Text
    call_id: UUID | None = None


class RuleDoors:
    """The handlers."""

    def __init__(self, surface: Surface, settings: Settings, database: Database, clock: Clock) -> None:
        self._surface = surface
        self._settings = settings
        self._database = database
        self._clock = clock
        self._zone = ZoneInfo(settings.timezone)

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/schedule", self.schedule, methods=["GET"]),
            Route("/api/schedule", self.set_schedule, methods=["PUT"]),
            Route("/api/schedule/is-call-allowed", self.is_call_allowed, methods=["GET"]),
            Route("/api/holidays", self.holidays, methods=["GET"]),
            Route("/api/holidays", self.add_holiday, methods=["POST"]),
            Route("/api/holidays/{day}", self.remove_holiday, methods=["DELETE"]),
            Route("/api/dnc", self.bar, methods=["POST"]),
            Route("/api/dnc/{number}", self.check, methods=["GET"]),
            Route("/api/dnc/{number}", self.unbar, methods=["DELETE"]),
            Route("/api/opt-out", self.opt_out, methods=["POST"]),
        ]

    # -- when

    async def schedule(self, request: Request) -> Response:
        """The weekly hours, the switch and the days off."""
        self._surface.visitor(request)
        return JSONResponse(await self._schedule(request))

    async def set_schedule(self, request: Request) -> Response:
        """Change some of it: all that is sent, or nothing."""
        wanted = read(NewSchedule, await self._fields(request))
        async with refusals():
            pool, tenant, campaign = await self._where(request)
            calling = None if wanted.intervals is None else _windows(wanted.intervals)
            await permission.set_schedule(
                pool, tenant.id, campaign.id, enabled=wanted.enabled, skip_holidays=wanted.skip_holidays,
                calling=calling, by=_BY,
            )  # fmt: skip
        return JSONResponse(await self._schedule(request))

    async def is_call_allowed(self, request: Request) -> Response:
        """Whether ?number= may be called now, and when next; without a number: in the batch API's zone."""
        self._surface.visitor(request)
        text = request.query_params.get("number")
        async with refusals():
            pool, tenant, campaign = await self._where(request)
            # '+' in a query is a space
            number = phone.parse("+" + text[1:] if text[:1] == " " else text, tenant.default_region) if text else None
            active = campaign.state == "active"
            answer = await permission.may_call(
                pool, tenant.id, campaign.id, active, number, self._settings.timezone, self._clock.now()
            )
        next_at = answer.next_at.astimezone(self._zone).isoformat() if answer.next_at else None
        return JSONResponse({"allowed": answer.allowed, "reason": answer.reason, "next_at": next_at})

    async def holidays(self, request: Request) -> Response:
        """The tenant's days off, and the public ones of the batch API's country."""
        self._surface.visitor(request)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            found = await schedules.holidays(pool, tenant.id)
        year = self._clock.now().astimezone(self._zone).year
        known = (await asyncio.to_thread(public.national, year)).get(country_of().get(self._settings.timezone, ""))
        return JSONResponse(
            {
                "holidays": [_day(holiday.day) | {"name": holiday.name} for holiday in found],
                "public": [_day(day) for day in sorted(known.days if known else ()) if day.year == year],
            }
        )

    async def add_holiday(self, request: Request) -> Response:
        """Nobody is called on that day."""
        wanted = read(NewHoliday, await self._fields(request))
        reply = _day(wanted.date) | {"name": wanted.name}
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            await schedules.add_holiday(pool, tenant.id, schedules.Holiday(wanted.date, wanted.name), _BY)
        return JSONResponse(reply, status_code=201)

    async def remove_holiday(self, request: Request) -> Response:
        """A day like the others again."""
        await self._fields(request)
        wanted = read(NewHoliday, {"date": request.path_params["day"]})
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            await schedules.remove_holiday(pool, tenant.id, wanted.date, _BY)
        return JSONResponse(_day(wanted.date) | {"deleted": True})

    # -- whom

    async def check(self, request: Request) -> Response:
        """Every list that bars a number."""
        self._surface.visitor(request)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            e164 = dnc.key(request.path_params["number"], tenant.default_region)
            bars = await dnc.check(pool, tenant.id, e164)
        shown = [
            {
                "list": bar.list, "kind": bar.kind, "scope": bar.scope, "campaign": bar.campaign, "entry": bar.matched,
                "source": bar.source, "added_at": bar.added_at.isoformat(), "as_of": bar.as_of.isoformat(),
            }
            for bar in bars
        ]  # fmt: skip
        return JSONResponse({"number": e164, "barred": bool(bars), "bars": shown})

    async def bar(self, request: Request) -> Response:
        """Put numbers on a list that is kept by hand: the tenant's, or with ?campaign= that campaign's."""
        wanted = read(Barred, await self._fields(request))
        numbers = [*wanted.numbers, *([wanted.number] if wanted.number is not None else [])]
        if not numbers:
            raise Problem(422, "invalid", "number, numbers: at least one.", "Nothing was done.")
        async with refusals():
            pool, tenant, scope = await self._scope(request)
            region = tenant.default_region
            new = await dnc.add(pool, tenant.id, scope, numbers, region, _BY, wanted.source, wanted.list)
        return JSONResponse({"list": wanted.list, "added": new}, status_code=201 if new else 200)

    async def unbar(self, request: Request) -> Response:
        """Take a number off; ?list= and ?reason=."""
        await self._fields(request)
        name = request.query_params.get("list") or dnc.OWN
        reason = request.query_params.get("reason") or "removed in the panel"
        async with refusals():
            pool, tenant, scope = await self._scope(request)
            dnc.check_text("list", name)
            number = request.path_params["number"]
            gone = await dnc.remove(pool, tenant.id, scope, [number], tenant.default_region, _BY, reason, name)
        if not gone:
            raise Problem(404, "not_found", f"This number is not on the list {name!r}.", "GET /api/dnc/{number}")
        return JSONResponse({"list": name, "removed": gone})

    async def opt_out(self, request: Request) -> Response:
        """Consent withdrawn: the consent's row and the do-not-call row, in one transaction."""
        wanted = read(OptOut, await self._fields(request))
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            e164 = dnc.key(wanted.number, tenant.default_region)
            if wanted.call_id is not None:
                await calls.get(pool, tenant.id, wanted.call_id)
            async with pool.acquire() as connection:
                written = await consents.opt_out(connection, tenant.id, e164, wanted.source, wanted.call_id)
        return JSONResponse({"number": e164, "opted_out": True, "changed": written})

    # -- shared

    async def _fields(self, request: Request) -> dict[str, Any]:
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        return fields

    async def _where(self, request: Request) -> tuple[Any, Any, Any]:
        pool, tenant = await self._database.tenant_of(request)
        return pool, tenant, await campaign_of(pool, tenant.id, panel_campaign(self._settings, request, tenant))

    async def _scope(self, request: Request) -> tuple[Any, Any, dnc.Scope]:
        """Of a campaign when one is named, else of the tenant."""
        if "campaign" in request.query_params:
            pool, tenant, campaign = await self._where(request)
            return pool, tenant, dnc.Scope(tenant.id, campaign.id)
        pool, tenant = await self._database.tenant_of(request)
        return pool, tenant, dnc.Scope(tenant.id)

    async def _schedule(self, request: Request) -> dict[str, Any]:
        async with refusals():
            pool, tenant, campaign = await self._where(request)
            switches = await permission.switches(pool, tenant.id)
            rows = await permission.windows(pool, campaign.id)
            days = await schedules.holidays(pool, tenant.id)
        now = self._clock.now().astimezone(self._zone)
        intervals = [
            {"day": jalali.saturday_weekday(weekday), "start": opens, "end": closes} for weekday, opens, closes in rows
        ]
        return {
            "enabled": switches.enabled and switches.installation_enabled,
            "skip_holidays": switches.skip_holidays,
            "timezone": self._settings.timezone,
            "schedule_version": switches.schedule_version,
            "server_time": now.isoformat(timespec="seconds"),
            "server_time_jalali": jalali.written(now),
            "intervals": sorted(intervals, key=lambda i: (i["day"], i["start"])),
            "holidays": [_day(holiday.day) | {"name": holiday.name} for holiday in days],
        }


def _windows(intervals: list[Interval]) -> list[Window]:
    """Raises `core.windows.WindowRefused`: hours that overlap, or end before they begin."""
    return parse(f"{DAYS[jalali.iso_weekday(i.day) - 1]} {_hhmm(i.start)}-{_hhmm(i.end)}" for i in intervals)


def _hhmm(text: str) -> str:
    return ":".join(text.split(":")[:2])


def _day(day: date | datetime) -> dict[str, str]:
    try:
        return {"date": day.isoformat(), "jalali": jalali.written(day)}
    except ValueError as error:
        raise Problem(422, "invalid", f"date: {error}.", "Nothing was done.") from None
