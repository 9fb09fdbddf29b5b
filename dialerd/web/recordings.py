"""/recordings: the recordings of calls, to list, to play and to erase. Whoever plays one leaves an audit row before the
first byte goes out; where that cannot be written nothing is played.
"""

import re
from collections.abc import AsyncIterator, Sequence

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dialerd.archive.place import ArchiveFailed
from dialerd.archive.places import Places
from dialerd.clock import Clock
from dialerd.core.status import to_json
from dialerd.store import campaigns, recordings
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.forms import refusals
from dialerd.web.requests import address_of, read_fields, whole_number

log = structlog.get_logger(__name__)

_BY = "api"
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})\Z", re.ASCII)
_LISTED = 100
_PRIVATE = {"cache-control": "private, no-store", "accept-ranges": "bytes"}


class RecordingDoors:
    """GET /recordings?campaign=&contact=&attempt=&limit= lists. GET /recordings/{attempt or name} plays; with ?info=1
    it tells about it. DELETE erases. Always those of one tenant: header X-Tenant, or ?tenant=."""

    def __init__(self, surface: Surface, database: Database, places: Places, clock: Clock) -> None:
        self._surface = surface
        self._database = database
        self._places = places
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """Where they are."""
        return [
            Route("/recordings", self.listed, methods=["GET"]),
            Route("/recordings/{which}", self.play, methods=["GET"]),
            Route("/recordings/{which}", self.erase, methods=["DELETE"]),
        ]

    async def listed(self, request: Request) -> Response:
        """Newest first."""
        self._surface.visitor(request)
        asked = request.query_params
        contact = whole_number(asked["contact"], "contact") if "contact" in asked else None
        most = whole_number(asked.get("limit", str(_LISTED)), "limit", recordings.MOST_LISTED)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            campaign = (await campaigns.find(pool, tenant.id, asked["campaign"])).id if "campaign" in asked else None
            attempt = recordings.attempt(asked["attempt"]) if "attempt" in asked else None
            found = await recordings.found(pool, tenant.id, campaign, contact, attempt, most=most)
        return JSONResponse({"recordings": [_shown(recording) for recording in found]})

    async def play(self, request: Request) -> Response:
        """A WAV file, or the one range of it that is asked for (as browsers' players do)."""
        self._surface.visitor(request)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            found = await recordings.of_call(pool, tenant.id, request.path_params["which"][:80])
        if request.query_params.get("info"):
            return JSONResponse(_shown(found))
        if found.state != "stored" or found.place is None or found.key is None or found.bytes is None:
            raise _not_there(found)
        size = found.bytes
        start, end = _range(request.headers.get("range"), size)
        detail = {"by": _BY, "address": address_of(request), "from": start, "to": end}
        async with refusals(), pool.acquire() as connection:
            await recordings.note(connection, tenant.id, found, "recording.played", detail)
        try:
            sound = await self._places.get(found.place).read(found.key, start, end - start)
        except ArchiveFailed as error:
            log.error("recording.not_played", recording=found.name, why=error.reason, error=str(error))
            raise Problem(502, f"storage_{error.reason}", "The storage does not give it.", "See the log.") from None
        headers = {
            **_PRIVATE, "content-length": str(end - start), "etag": f'"{found.sha256}"',
            "content-disposition": f'inline; filename="{found.name}.wav"',
        }  # fmt: skip
        part = end - start != size
        if part:
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        return StreamingResponse(_told(sound, found.name), 206 if part else 200, headers, "audio/wav")

    async def erase(self, request: Request) -> Response:
        """The sound goes for good; that it was there, and who erased it, stays on record."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        async with refusals():
            pool, tenant = await self._database.tenant_of(request)
            found = await recordings.of_call(pool, tenant.id, request.path_params["which"][:80])
            try:
                await recordings.erase(pool, tenant.id, found.name, _BY, self._clock.now(), False, self._places.erase)
            except ArchiveFailed as error:
                raise Problem(502, f"storage_{error.reason}", "The storage did not erase it.", "Try again.") from None
        return JSONResponse({"erased": found.name})


def _shown(recording: recordings.Recording) -> dict[str, object]:
    """Without where it is kept: that is nobody's business outside."""
    shown: dict[str, object] = to_json(recording)
    return {name: value for name, value in shown.items() if name not in ("key", "place")}


def _not_there(recording: recordings.Recording) -> Problem:
    words = {
        "recording": (409, "It is being recorded, or on its way into storage.", "Try again when its state is stored."),
        "lost": (410, "It was begun, and nothing of it was found.", ""),
        "erased": (410, "It has been erased.", ""),
    }
    status, message, hint = words.get(recording.state, (410, "There is no sound of it.", ""))
    return Problem(status, f"recording_is_{recording.state}", message, hint)


def _range(header: str | None, size: int) -> tuple[int, int]:
    """From where to where, the end not included. What is no single range of bytes means everything. Raises `Problem`
    416 for one that lies outside."""
    match = _RANGE.match(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if first:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return 0, size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise Problem(416, "range_outside", f"It has {size} bytes.", "", {"content-range": f"bytes */{size}"})
    return start, end


async def _told(sound: AsyncIterator[bytes], name: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in sound:
            yield chunk
    except ArchiveFailed as error:  # the head is out: the connection ends short of the length that it promised
        log.error("recording.not_played", recording=name, why=error.reason, error=str(error))
        raise
