"""`dialer-admin dnc`: the do-not-call lists."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
from rich.console import Console
from rich.progress import Progress

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.store import campaigns, dnc, dnc_import, scrub


@click.group("dnc")
def group() -> None:
    """Do-not-call lists: of the installation (--system), of the tenant, or of one campaign (--campaign).

    A number on a list is not called from the moment on at which the command has ended; a call to it that is ringing or
    talking by then goes on.
    """


def _scoped(run: Callable[..., Any]) -> Callable[..., Any]:
    run = click.option("--campaign", "campaign_name", help="The campaign's list: name or id.  [default: the tenant's]")(
        run
    )
    return click.option("--system", is_flag=True, help="The installation's list: it bars for every tenant.")(run)


_list = click.option("--list", "list_name", default=dnc.OWN, show_default=True, help="The list's name.")
_prefix = click.option("--prefix", "prefixes", multiple=True, help="All numbers that begin so, as +358600; repeatable.")
_max_age = click.option(
    "--max-age-days", type=int, help="Older than this, the list stops dialing in its scope.  [default: as before; none]"
)


@command(group, "add")
@click.argument("numbers", metavar="[NUMBER]...", nargs=-1)
@_prefix
@_list
@click.option("--source", default="operator", show_default=True, help="Where it comes from; kept with the entry.")
@_scoped
async def add(
    session: Session, as_json: bool, numbers: tuple[str, ...], prefixes: tuple[str, ...], list_name: str, source: str,
    system: bool, campaign_name: str | None,
) -> None:  # fmt: skip
    """Put numbers and prefixes on a list that is kept by hand: all of them, or none."""
    _some(numbers, prefixes)
    async with _scope(session, system, campaign_name) as (pool, tenant, scope):
        new = await dnc.add(
            pool, tenant.id, scope, numbers, tenant.default_region, session.by, source, list_name, prefixes
        )
    _tell(as_json, "added", list_name, new)


@command(group, "remove")
@click.argument("numbers", metavar="[NUMBER]...", nargs=-1)
@_prefix
@_list
@click.option("--reason", required=True, help="Goes on record with the entry.")
@_scoped
async def remove(
    session: Session, as_json: bool, numbers: tuple[str, ...], prefixes: tuple[str, ...], list_name: str, reason: str,
    system: bool, campaign_name: str | None,
) -> None:  # fmt: skip
    """Take entries off a list that is kept by hand. They may be called again; the record keeps them."""
    _some(numbers, prefixes)
    async with _scope(session, system, campaign_name) as (pool, tenant, scope):
        gone = await dnc.remove(
            pool, tenant.id, scope, numbers, tenant.default_region, session.by, reason, list_name, prefixes
        )
    _tell(as_json, "removed", list_name, gone)


@command(group, "check")
@click.argument("number")
async def check(session: Session, as_json: bool, number: str) -> None:
    """Every list that bars a number from any campaign of the tenant, with source and date."""
    async with session.tenant() as (pool, tenant):
        e164 = dnc.key(number, tenant.default_region)
        found = await dnc.check(pool, tenant.id, e164)
    if as_json:
        show_json({"number": e164, "bars": found})
        return
    if not found:
        say(f"{e164} is on no list")
        return
    columns = ("LIST", "KIND", "SCOPE", "CAMPAIGN", "ENTRY", "SOURCE", "SINCE", "DATA OF")
    show_table(
        columns, [(b.list, b.kind, b.scope, b.campaign, b.matched, b.source, b.added_at, b.as_of) for b in found]
    )


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The lists, how much is on them, and how old they are."""
    async with session.tenant() as (pool, tenant):
        found = await dnc.lists(pool, tenant.id)
    if as_json:
        show_json({"lists": found})
        return
    columns = ("LIST", "KIND", "SCOPE", "CAMPAIGN", "NUMBERS", "PREFIXES", "SOURCE", "DATA OF", "MAX AGE", "TOO OLD")
    show_table(
        columns,
        [
            (i.name, i.kind, i.scope, i.campaign, i.numbers, i.prefixes, i.source, i.as_of, i.max_age_days, i.stale)
            for i in found
        ],
    )


@command(group, "import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--list", "list_name", required=True, help="The register's name.")
@click.option("--source", help="Who publishes it.  [default: the file's name]")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="The data's date, UTC.  [default: now]"
)
@_max_age
@click.option("--region", help="ISO country for numbers without a country code.  [default: the tenant's]")
@click.option("--bare-e164", is_flag=True, help="Numbers without '+' begin with their country code.")
@click.option("--may-shrink", is_flag=True, help="Even when more than half of the list would go.")
@_scoped
async def import_command(
    session: Session, as_json: bool, file: Path, list_name: str, source: str | None, as_of: datetime | None,
    max_age_days: int | None, region: str | None, bare_e164: bool, may_shrink: bool, system: bool,
    campaign_name: str | None,
) -> None:  # fmt: skip
    """Make a register's contents those of a file: one number a line, or CSV, plain or gzip, tens of millions of lines;
    or a JSON list of texts or of objects with a number.

    The list changes at once or not at all, while dialing goes on. The same file twice changes nothing.
    """
    report = dnc_import.Report()
    size = _size(file)
    async with _scope(session, system, campaign_name) as (pool, tenant, scope):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("reading", total=size)

            def read(done: int) -> None:
                progress.update(bar, completed=done, description="reading" if done < size else "updating the list")

            numbers = dnc_import.read_numbers(
                file, (region or tenant.default_region).upper(), report, bare_e164=bare_e164, progress=read
            )
            await dnc_import.import_register(
                pool, tenant.id, scope, list_name, numbers, report, session.by, source or file.name,
                as_of.replace(tzinfo=UTC) if as_of else None, max_age_days, may_shrink,
            )  # fmt: skip
    if as_json:
        show_json(report)
        return
    _show(report)
    for line, reason, text in report.examples:
        say(f"line {line}: {reason} {text!r} (bars nobody)")


@command(group, "scrub")
@click.option("--campaign", "campaign_name", required=True, help="Name or id.")
@click.option("--with", "spec", required=True, metavar="NAME:ARGUMENT", help="Who is asked: file:PATH, or a plug-in.")
@click.option("--list", "list_name", help="Where the hits go.  [default: 'scrub NAME']")
@_max_age
async def scrub_command(
    session: Session, as_json: bool, campaign_name: str, spec: str, list_name: str | None, max_age_days: int | None
) -> None:
    """Have a campaign's numbers checked by somebody else; the hits become a list of that campaign, dated now."""
    by_whom = scrub.find(spec)
    name = list_name or f"scrub {spec.partition(':')[0]}"
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("checking", total=campaign.contacts or None)
            report = await scrub.scrub(
                pool, tenant.id, campaign.id, name, by_whom, session.by, max_age_days,
                lambda done: progress.update(bar, completed=done),
            )  # fmt: skip
    if as_json:
        show_json({"list": name, "source": by_whom.source, **asdict(report)})
        return
    _show(report)


@asynccontextmanager
async def _scope(
    session: Session, system: bool, campaign_name: str | None
) -> AsyncIterator[tuple[asyncpg.Pool, campaigns.Tenant, dnc.Scope]]:
    if system and campaign_name:
        raise click.UsageError("--system or --campaign, not both")
    if system:  # no tenant's session may change what binds them all
        async with session.pool() as everything:
            yield everything, await campaigns.tenant(everything, session.tenant_name), dnc.Scope(None)
        return
    async with session.tenant() as (pool, tenant):
        campaign = await campaigns.find(pool, tenant.id, campaign_name) if campaign_name else None
        yield pool, tenant, dnc.Scope(tenant.id, campaign.id if campaign else None)


def _some(numbers: tuple[str, ...], prefixes: tuple[str, ...]) -> None:
    if not numbers and not prefixes:
        raise click.UsageError("give a NUMBER or a --prefix")


def _tell(as_json: bool, what: str, list_name: str, entries: list[str]) -> None:
    if as_json:
        show_json({"list": list_name, what: entries})
    for entry in entries:
        say(f"{what} {entry} ({list_name})")
    if not entries:
        say("nothing has changed")


def _show(report: dnc_import.Report) -> None:
    refused = ", ".join(f"{reason} {n}" for reason, n in sorted(report.refused.items())) or "none"
    fields = {name: value for name, value in asdict(report).items() if name != "examples"}
    show_fields({**fields, "refused": refused})


def _size(file: Path) -> int:
    return file.stat().st_size


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
