"""The older panel's doors for new numbers: typed by hand, or as a file.

Both are an import: a number is in a campaign once, and whatever is refused is reported with its reason.
"""

import asyncio
import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialerd.config import Batch as Settings
from dialerd.core import phone
from dialerd.core.contactfile import Contact, Remark, contacts_of
from dialerd.store import campaigns
from dialerd.store.contacts import Report, import_contacts
from dialerd.store.export import inert
from dialerd.store.listfile import read_rows
from dialerd.web.app import UPLOAD, Surface
from dialerd.web.batch import campaign_of, panel_campaign
from dialerd.web.database import Database
from dialerd.web.errors import Problem
from dialerd.web.files import download, received_form
from dialerd.web.forms import Form, LongText, read, refusals
from dialerd.web.requests import read_fields

MAX_TYPED = 10_000
_SHOWN = 1_000  # remarks in a reply; ?report=csv gives all
_DUPLICATE = "duplicate_"
_BY = "panel"


class Typed(Form):
    """Numbers by hand: a list, or one text with a number a line."""

    phone_numbers: Annotated[list[LongText], Field(max_length=MAX_TYPED)] | str


class ListDoors:
    """The two handlers."""

    def __init__(self, surface: Surface, settings: Settings, database: Database) -> None:
        self._surface = surface
        self._settings = settings
        self._database = database

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/numbers", self.add, methods=["POST"]),
            Route(UPLOAD, self.upload, methods=["POST"]),
        ]

    async def add(self, request: Request) -> Response:
        """Numbers by hand: which were added, which are here already, which are none and why."""
        plain = request.headers.get("content-type", "").startswith("text/plain")
        fields = {"phone_numbers": (await request.body()).decode(errors="replace")} if plain else None
        fields = fields or await read_fields(request)
        self._surface.visitor(request, fields)
        typed = read(Typed, fields).phone_numbers
        texts = [text for text in (typed.splitlines() if isinstance(typed, str) else typed) if text.strip()]
        if not 1 <= len(texts) <= MAX_TYPED:
            raise Problem(422, "invalid", f"phone_numbers: 1 to {MAX_TYPED}.", "Upload a file for more.")
        remarks: list[Remark] = []
        async with refusals():
            pool, tenant, campaign_id = await self._where(request)
            entries = await asyncio.to_thread(lambda: list(_typed(texts, tenant.default_region)))
            await import_contacts(pool, tenant.id, campaign_id, entries, _BY, remarks.append, list_name="by hand")
        refused = {remark.row: remark for remark in remarks if remark.effect == "row_refused"}
        added = [e for e in entries if isinstance(e, Contact) and e.row not in refused]
        twice = [r for r in refused.values() if r.reason.startswith(_DUPLICATE)]
        wrong = [r for r in refused.values() if not r.reason.startswith(_DUPLICATE)]
        return JSONResponse(
            {
                "added": len(added),
                "duplicates": len(twice),
                "invalid": len(wrong),
                "added_numbers": [phone.familiar(entry.numbers[0].e164) for entry in added],
                "duplicate_numbers": [texts[remark.row - 1] for remark in twice],
                "invalid_numbers": [{"phone_number": texts[r.row - 1][:100], "reason": r.reason} for r in wrong],
                "warnings": [
                    {"phone_number": phone.familiar(r.value), "reason": r.reason} for r in remarks if r.effect == "kept"
                ],
            },
            status_code=201 if added else 200,
        )

    async def upload(self, request: Request) -> Response:
        """A CSV or XLSX file, field `file`; with ?report=csv the refused rows come back as a file."""
        self._surface.visitor(request)  # before the body is read
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "list.xlsx"  # openpyxl wants the name; what it is, its contents say
            name = await received_form(request, path, lambda fields: self._surface.visitor(request, fields))
            report_file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with its last reader
            remarks = _Remarks(report_file)
            try:
                async with refusals():
                    pool, tenant, campaign_id = await self._where(request)
                    entries = contacts_of(read_rows(path), tenant.default_region)
                    report = await import_contacts(
                        pool, tenant.id, campaign_id, entries, _BY, remarks, list_name=name
                    )  # fmt: skip
            except BaseException:
                report_file.close()
                raise
        if request.query_params.get("report") == "csv":
            remarks.end()
            return download(report_file, "refused.csv", "text/csv; charset=utf-8")
        report_file.close()
        return JSONResponse(_summary(report, remarks), status_code=201 if report.imported else 200)

    async def _where(self, request: Request) -> tuple[Any, campaigns.Tenant, int]:
        pool, tenant = await self._database.tenant_of(request)
        campaign = await campaign_of(pool, tenant.id, panel_campaign(self._settings, request, tenant))
        return pool, tenant, campaign.id


class _Remarks:
    """Takes what the import has to say: the first ones for the reply, all of them into a file."""

    def __init__(self, out: IO[bytes]) -> None:
        self.kept: list[Remark] = []
        self.count = 0
        self._text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
        self._write = csv.writer(self._text).writerow
        self._write(["row", "column", "value", "reason", "effect"])

    def __call__(self, remark: Remark) -> None:
        self.count += 1
        if len(self.kept) < _SHOWN:
            self.kept.append(remark)
        self._write([str(remark.row), *map(inert, (remark.column, remark.value)), remark.reason, remark.effect])

    def end(self) -> None:
        """Everything is in the file."""
        self._text.flush()
        self._text.detach()


def _typed(texts: Iterable[str], region: str) -> Iterator[Contact | Remark]:
    for row, text in enumerate(texts, 1):
        try:
            yield Contact(row, (phone.parse(text, region),))
        except phone.NumberRefused as refused:
            yield Remark(row, "", text[:100], refused.reason)


def _summary(report: Report, remarks: _Remarks) -> dict[str, Any]:
    duplicates = sum(n for reason, n in report.refused.items() if reason.startswith(_DUPLICATE))
    return {
        "added": report.numbers,
        "duplicates": duplicates,
        "invalid": sum(report.refused.values()) - duplicates,
        "rows": report.rows,
        "contacts": report.imported,
        "by_reason": report.refused,
        "unknown_zone": report.unknown_zone,
        "dnc": report.dnc,
        "remarks": [
            {"row": r.row, "column": r.column, "value": r.value, "reason": r.reason, "effect": r.effect}
            for r in remarks.kept
        ],
        "more_remarks": remarks.count - len(remarks.kept),
    }
