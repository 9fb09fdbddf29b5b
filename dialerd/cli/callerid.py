"""`dialer-admin cid`, also called `callerid`: the pools; the choice itself is tried in `callerid_simulate`."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.core.callerid_file import entries_of
from dialerd.store import callerid_admin, campaigns
from dialerd.store.export import inert
from dialerd.store.listfile import read_rows

_SHOWN = 20  # refused rows on the terminal
_KEPT = 10_000  # rows in the JSON document


@click.group("cid")
def group() -> None:
    """Caller IDs: the pools of numbers that are shown to those who are called."""


@command(group, "add")
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True)
@click.option("--campaign", "campaign_name", help="Name or id.  [default: the tenant's own pool]")
@click.option("--carrier", default="")
@click.option("--area-code", default="", help="As a note; what is near is read from the number itself.")
@click.option("--daily-limit", type=int, default=1000, show_default=True, help="Calls a day.")
@click.option("--hourly-limit", type=int, default=100, show_default=True, help="Calls an hour.")
@click.option("--meta", "meta_text", default="{}", help='Notes, as in {"state": "CA", "type": "mobile"}.')
async def add(
    session: Session,
    as_json: bool,
    numbers: tuple[str, ...],
    campaign_name: str | None,
    carrier: str,
    area_code: str,
    daily_limit: int,
    hourly_limit: int,
    meta_text: str,
) -> None:
    """Put numbers into a pool: all of them, or none."""
    try:
        meta = json.loads(meta_text)
    except (ValueError, RecursionError):
        raise click.BadParameter("no JSON", param_hint="--meta") from None
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        added = await callerid_admin.add(
            pool,
            tenant.id,
            numbers,
            tenant.default_region,
            session.by,
            campaign.id if campaign else None,
            carrier,
            area_code,
            daily_limit,
            hourly_limit,
            meta,
        )
    if as_json:
        show_json({"caller_ids": added})
    for entry in added:
        say(f"caller ID {entry.e164} is in the pool of {entry.campaign or 'the tenant'}")


@command(group, "list")
@click.option("--campaign", "campaign_name", help="Only this pool: a campaign's name or id.")
@click.option("--search", default="", help="Part of a number, carrier, area code or campaign's name.")
@click.option("--active/--inactive", "active", default=None, help="Only those that are, or are not.")
async def list_command(
    session: Session, as_json: bool, campaign_name: str | None, search: str, active: bool | None
) -> None:
    """The caller IDs of all pools."""
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        only = callerid_admin.Filter(search, campaign.id if campaign else None, active)
        found = await callerid_admin.all_of(pool, tenant.id, only)
    if as_json:
        show_json({"caller_ids": found})
        return
    columns = ("ID", "NUMBER", "CAMPAIGN", "CARRIER", "AREA", "PER DAY", "PER HOUR", "ACTIVE", "RESTS UNTIL")
    show_table(
        columns,
        [
            (i.id, i.e164, i.campaign, i.carrier, i.area_code, i.daily_limit, i.hourly_limit, i.active, i.resting_until)
            for i in found
        ],
    )


@command(group, "activate")
@click.argument("which", metavar="ID_OR_NUMBER...", nargs=-1, required=True)
async def activate(session: Session, as_json: bool, which: tuple[str, ...]) -> None:
    """Let numbers be shown again."""
    await _switch(session, as_json, which, True)


@command(group, "deactivate")
@click.argument("which", metavar="ID_OR_NUMBER...", nargs=-1, required=True)
async def deactivate(session: Session, as_json: bool, which: tuple[str, ...]) -> None:
    """Show numbers to nobody until they are activated; calls that show them go on."""
    await _switch(session, as_json, which, False)


@command(group, "delete")
@click.argument("which", metavar="ID_OR_NUMBER...", nargs=-1, required=True)
async def delete(session: Session, as_json: bool, which: tuple[str, ...]) -> None:
    """Take numbers out of their pools; calls that show them go on, the log of requests stays."""
    async with session.tenant() as (pool, tenant):
        found = [await callerid_admin.find(pool, tenant.id, text, tenant.default_region) for text in which]
        for entry in found:
            await callerid_admin.delete(pool, tenant.id, entry.id, session.by)
            say(f"caller ID {entry.e164} is deleted from the pool of {entry.campaign or 'the tenant'}")
    if as_json:
        show_json({"deleted": found})


async def _switch(session: Session, as_json: bool, which: tuple[str, ...], active: bool) -> None:
    async with session.tenant() as (pool, tenant):
        found = [await callerid_admin.find(pool, tenant.id, text, tenant.default_region) for text in which]
        changed = [
            await callerid_admin.change(pool, tenant.id, entry.id, {"active": active}, session.by) for entry in found
        ]
    for entry in changed:
        say(f"caller ID {entry.e164} is {'active' if entry.active else 'inactive'}")
    if as_json:
        show_json({"caller_ids": changed})


@command(group, "import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--campaign", "campaign_name", help="Name or id.  [default: the tenant's own pool]")
@click.option("--region", help="ISO country for numbers without a country code.  [default: the tenant's]")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write what became of each row here.")
async def import_command(
    session: Session, as_json: bool, file: Path, campaign_name: str | None, region: str | None, report: Path | None
) -> None:
    """Import caller IDs from a CSV, XLSX or JSON file: good rows are taken, bad ones reported.

    Columns, by their names in the first line: caller_id, carrier, area_code, daily_limit, hourly_limit, meta_json. Only
    the number must be there. A number that the pool has gets the new values; what a row leaves empty stays. The same
    file twice changes nothing. All is one transaction: when the import fails midway nothing is changed.
    """
    told = _Told(as_json)
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        with ExitStack() as stack:
            if report is not None:
                stack.enter_context(told.writing_to(report))
            progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
            bar = progress.add_task("importing", total=_size(file))
            rows = read_rows(file, lambda done: progress.update(bar, completed=done))
            entries = entries_of(rows, (region or tenant.default_region).upper())
            done = await callerid_admin.put_file(
                pool, tenant.id, campaign.id if campaign else None, entries, session.by, told, file.name
            )
    if as_json:
        show_json({**asdict(done), "report": told.kept, "report_left_out": told.count - len(told.kept)})
        return
    refused = ", ".join(f"{reason} {n}" for reason, n in sorted(done.refused.items())) or "none"
    show_fields({**asdict(done), "refused": refused})
    if told.refused > _SHOWN:
        say(f"… and {told.refused - _SHOWN} more refused rows" + ("" if report else "; --report FILE keeps them all"))


def _size(file: Path) -> int:
    return file.stat().st_size


class _Told:
    """Takes what became of each row: refused ones are shown, all are kept for JSON and written to a file."""

    def __init__(self, as_json: bool) -> None:
        self.count = self.refused = 0
        self.kept: list[dict[str, Any]] = []
        self._as_json = as_json
        self._write: Callable[[list[str]], object] | None = None

    @contextmanager
    def writing_to(self, path: Path) -> Iterator[None]:
        with path.open("w", newline="", encoding="utf-8") as out:
            self._write = csv.writer(out).writerow
            self._write(["row", "caller_id", "result", "reason"])
            yield

    def __call__(self, row: int, number: str, what: str) -> None:
        good = what in callerid_admin.RESULTS
        self.count += 1
        self.refused += not good
        result, reason = (what, "") if good else ("refused", what)
        if self._as_json and len(self.kept) < _KEPT:
            self.kept.append({"row": row, "caller_id": number, "result": result, "reason": reason})
        if not self._as_json and not good and self.refused <= _SHOWN:
            say(f"row {row}: {what} {number[:60]!r} (refused)")
        if self._write is not None:
            self._write([str(row), inert(number), result, reason])


def register(cli: click.Group) -> None:
    """Add this file's commands, under their older name as well."""
    cli.add_command(group)
    cli.add_command(group, "callerid")
