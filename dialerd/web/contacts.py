"""The older campaign API's doors for contacts: one, many, and a list of them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dialerd.core.contactfile import CONTROL, MAX_CELL, Contact, Remark
from dialerd.core.phone import NumberRefused, parse
from dialerd.core.status import to_json
from dialerd.store import contact_pages
from dialerd.store.contacts import Report, import_contacts
from dialerd.store.errors import Refused
from dialerd.web.app import Surface
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.forms import Form, Id, Text, read, refusals
from dialerd.web.requests import read_fields, whole_number

MAX_BULK = 5_000
MAX_PAGE = 500
_MAX_FIELDS = 50
_LIST = "API"  # where contacts of requests come from
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000, strict=True)]


class ContactForm(Form):
    """A contact. Higher `priority` first. `custom_data`: texts, numbers and booleans by name; kept as texts."""

    phone_number: Annotated[str, Field(max_length=64)]
    name: Text = ""
    priority: Priority = 0
    external_id: Text | None = None
    custom_data: dict[str, str | int | float | bool | None] = Field(default_factory=dict)

    @field_validator("name", "external_id")
    @classmethod
    def _printable(cls, text: str | None) -> str | None:
        if text and CONTROL.search(text):
            raise ValueError("no control characters")
        return text

    @field_validator("custom_data")
    @classmethod
    def _small(cls, data: dict[str, Any]) -> dict[str, Any]:
        texts = {name: _text(value) for name, value in data.items() if value is not None}
        if len(texts) > _MAX_FIELDS:
            raise ValueError(f"at most {_MAX_FIELDS} fields")
        for name, text in texts.items():
            (name + text).encode()  # half a surrogate pair is a ValueError
            if not 0 < len(name) <= 64 or len(text) > MAX_CELL or CONTROL.search(name + text):
                raise ValueError(f"names of 1 to 64 characters, texts up to {MAX_CELL}, no control characters")
        return texts

    def contact(self, row: int, region: str) -> Contact | Remark:
        """As the import takes it."""
        try:
            number = parse(self.phone_number, region)
        except NumberRefused as refused:
            return Remark(row, "phone_number", self.phone_number, refused.reason)
        custom = {name: str(value) for name, value in self.custom_data.items()}
        return Contact(row, (number,), self.name, self.priority, self.external_id, custom)


class OneForm(ContactForm):
    """The body of POST /contacts."""

    campaign_id: Id


class BulkForm(Form):
    """The body of POST /contacts/bulk; each contact is judged by itself."""

    campaign_id: Id
    contacts: Annotated[list[Any], Field(min_length=1, max_length=MAX_BULK)]


def routes(surface: Surface, database: Database) -> Sequence[BaseRoute]:
    """These doors."""
    doors = _Doors(surface, database)
    return (
        Route("/contacts", doors.page, methods=["GET"]),
        Route("/contacts", doors.add, methods=["POST"]),
        Route("/contacts/bulk", doors.add_many, methods=["POST"]),
    )


class _Doors:
    def __init__(self, surface: Surface, database: Database) -> None:
        self._surface = surface
        self._database = database

    async def add(self, request: Request) -> Response:
        """201 with the contact, and as `warnings` why it will not be dialled; 409 where its number is known already."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        pool, tenant = await self._database.tenant_of(request)
        form = read(OneForm, fields)
        entry = form.contact(1, tenant.default_region)
        _, remarks = await _import(pool, tenant.id, form.campaign_id, [entry])
        for remark in remarks:
            if remark.effect != "kept":
                raise _refusal(remark)
        assert isinstance(entry, Contact)  # noqa: S101 -- for mypy: else there was a remark
        e164 = entry.numbers[0].e164
        async with refusals():
            found = await contact_pages.by_number(pool, tenant.id, form.campaign_id, [e164])
        if e164 not in found:
            raise Problem(409, "gone", "The contact was deleted at once by somebody else.")
        body = _shown(found[e164]) | {"warnings": [remark.reason for remark in remarks]}
        return JSONResponse(body, status_code=201)

    async def add_many(self, request: Request) -> Response:
        """The good ones are taken, and `results` says of each, in the order of the request, what became of it."""
        fields = await read_fields(request)
        self._surface.visitor(request, fields)
        pool, tenant = await self._database.tenant_of(request)
        form = read(BulkForm, fields)
        entries = [_entry(row, item, tenant.default_region) for row, item in enumerate(form.contacts, 1)]
        report, remarks = await _import(pool, tenant.id, form.campaign_id, entries)
        refused = {remark.row: remark for remark in remarks if remark.effect != "kept"}
        warnings: dict[int, list[str]] = {}
        for remark in remarks:
            if remark.effect == "kept":
                warnings.setdefault(remark.row, []).append(remark.reason)
        numbers = {entry.row: entry.numbers[0].e164 for entry in entries if isinstance(entry, Contact)}
        async with refusals():
            taken = [e164 for row, e164 in numbers.items() if row not in refused]
            found = await contact_pages.by_number(pool, tenant.id, form.campaign_id, taken)
        results: list[dict[str, Any]] = []
        for row in range(1, len(entries) + 1):
            number, no = numbers.get(row), refused.get(row)
            contact = found.get(number or "") if no is None else None
            results.append(
                {
                    "row": row,
                    "contact_id": contact.id if contact else None,
                    "phone_number": number,
                    "reason": no.reason if no else None,
                    "field": (no.column or None) if no else None,
                    "warnings": warnings.get(row, []),
                }
            )
        counts = {key: value for key, value in asdict(report).items() if key in ("imported", "refused")}
        return JSONResponse({"campaign_id": form.campaign_id, "received": len(entries), **counts, "results": results})

    async def page(self, request: Request) -> Response:
        """GET /contacts?campaign_id=1&limit=100&after=ID: `next` is the `after` of the next page, null at the end."""
        self._surface.visitor(request)
        pool, tenant = await self._database.tenant_of(request)
        query = request.query_params
        campaign_id = whole_number(query.get("campaign_id", ""), "campaign_id")
        limit = max(1, whole_number(query.get("limit", "100"), "limit", MAX_PAGE))
        after = whole_number(query.get("after", "0"), "after")
        async with refusals():
            rows = await contact_pages.page(pool, tenant.id, campaign_id, after, limit)
        following = rows[-1].id if len(rows) == limit else None
        return JSONResponse({"campaign_id": campaign_id, "contacts": [_shown(row) for row in rows], "next": following})


async def _import(
    pool: Any, tenant_id: int, campaign_id: int, entries: Sequence[Contact | Remark]
) -> tuple[Report, list[Remark]]:
    async with refusals():
        try:
            return await _imported(pool, tenant_id, campaign_id, entries)
        except Refused:  # another request brought one of these numbers meanwhile: now it is a duplicate
            return await _imported(pool, tenant_id, campaign_id, entries)


async def _imported(
    pool: Any, tenant_id: int, campaign_id: int, entries: Sequence[Contact | Remark]
) -> tuple[Report, list[Remark]]:
    remarks: list[Remark] = []
    report = await import_contacts(
        pool, tenant_id, campaign_id, entries, "api", remarks.append, list_name=_LIST, of_request=True
    )
    return report, remarks


def _entry(row: int, item: object, region: str) -> Contact | Remark:
    try:
        return ContactForm.model_validate(item).contact(row, region)
    except ValidationError as error:
        where = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
        return Remark(row, str(where[0]) if where else "", "", "invalid")


def _refusal(remark: Remark) -> Problem:
    if remark.reason.startswith("duplicate"):
        hint = "A number stands in a campaign once; GET /contacts lists them."
        return Problem(409, remark.reason, f"{remark.value} is in this campaign already.", hint)
    return Problem(422, remark.reason, f"phone_number {remark.value[:40]!r} is refused: {remark.reason}.")


def _shown(row: contact_pages.ContactRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "campaign_id": row.campaign_id,
        "phone_number": row.numbers[0] if row.numbers else None,
        "phone_numbers": list(row.numbers),
        "name": row.name,
        "priority": row.priority,
        "custom_data": row.custom,
        "external_id": row.external_id,
        "status": row.state,
        "attempts": row.attempts,
        "last_outcome": row.last_outcome,
        "next_at": to_json(row.next_at),
        "created_at": to_json(row.created_at),
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
