"""`dialer-admin cid health`, `rest` and `wake`: which numbers are probably labelled as spam, why, and what follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

from dialerd.cli import callerid
from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.cli.pacing import period
from dialerd.clock import Clock
from dialerd.core.callerid_health import State
from dialerd.store import callerid_admin, callerid_health
from dialerd.store.callerid_admin import PoolEntry

_ORDER = (*(state.value for state in (State.RESTING, State.SUSPECT, State.UNKNOWN, State.HEALTHY)), "")
_COLUMNS = ("NUMBER", "POOL", "CALLS", "ANSWERED", "SHORT", "REJECTED", "STATE", "UNTIL", "WHY")


@dataclass(frozen=True, slots=True)
class _Line:
    """A number as it is shown. `state`: empty while it has not been judged. `health`: as it was kept."""

    id: int
    caller_id: str
    campaign: str | None
    active: bool
    state: str
    resting_until: datetime | None
    rests: int
    health: Mapping[str, Any]


@command(callerid.group, "health")
@click.option("--state", type=click.Choice(_ORDER[:-1]), help="Only those.")
async def health(session: Session, as_json: bool, state: str | None) -> None:
    """What the calls of the last seven days say of each number; the worst first.

    In brackets: what the other numbers of its pool would have had at the same destinations and hours. Counted are calls
    where others called too. A number that is worse than luck explains rests by itself for a day, then 3, 7, 14, unless
    [callerids] rest_labelled is off. The daemon judges every few minutes.
    """
    now = Clock().now()
    async with session.tenant() as (pool, tenant):
        found = await callerid_admin.all_of(pool, tenant.id)
    lines = [line for line in (_line(entry, now) for entry in found) if state in (None, line.state)]
    lines.sort(key=lambda line: (_ORDER.index(line.state), line.health.get("chance", 1.0), line.id))
    if as_json:
        show_json({"caller_ids": lines})
    elif lines:
        show_table(_COLUMNS, map(_cells, lines))
    if not session.config.callerids.rest_labelled:
        say("[callerids] rest_labelled is off: nobody is sent to rest")


@command(callerid.group, "rest")
@click.argument("which", metavar="ID_OR_NUMBER")
@click.option(
    "--for", "span", callback=period, default="1d", show_default=True, metavar="PERIOD", help="As in 12h or 3d."
)
async def rest(session: Session, as_json: bool, which: str, span: timedelta) -> None:
    """Let a number rest, whatever its calls say; it comes back by itself. A call that shows it goes on."""
    now = Clock().now()
    async with session.tenant() as (pool, tenant):
        found = await callerid_admin.find(pool, tenant.id, which, tenant.default_region)
        await callerid_health.rest(pool, tenant.id, found.id, now, now + span, session.by)
        await _tell(pool, tenant.id, found.id, as_json, now)


@command(callerid.group, "wake")
@click.argument("which", metavar="ID_OR_NUMBER")
async def wake(session: Session, as_json: bool, which: str) -> None:
    """End a number's rest now. Only its calls from now on count, so that it is not sent back for the old ones."""
    now = Clock().now()
    async with session.tenant() as (pool, tenant):
        found = await callerid_admin.find(pool, tenant.id, which, tenant.default_region)
        await callerid_health.wake(pool, tenant.id, found.id, now, session.by)
        await _tell(pool, tenant.id, found.id, as_json, now)


async def _tell(pool: Any, tenant_id: int, id_: int, as_json: bool, now: datetime) -> None:
    for entry in await callerid_admin.of_ids(pool, tenant_id, [id_]):
        line = _line(entry, now)
        if as_json:
            show_json(line)
        until = line.resting_until.astimezone().strftime("%Y-%m-%d %H:%M") if line.resting_until else None
        say(f"caller ID {line.caller_id} " + (f"rests until {until}" if until else "may be used again"))


def _line(entry: PoolEntry, now: datetime) -> _Line:
    until = entry.resting_until if entry.resting_until is not None and entry.resting_until > now else None
    state = State.RESTING.value if until else str(entry.health.get("state", ""))
    if state not in _ORDER or (state == State.RESTING.value and not until):
        state = State.UNKNOWN.value  # its rest has just ended
    return _Line(entry.id, entry.e164, entry.campaign, entry.active, state, until, entry.rests, entry.health)


def _cells(line: _Line) -> tuple[object, ...]:
    kept = line.health
    counts = [_count(kept.get(name)) for name in ("answered", "short", "rejected")]
    why = kept.get("why", "") if line.state != State.HEALTHY.value else ""
    state = line.state or ("not judged yet" if line.active else "inactive")
    until = line.resting_until.astimezone().strftime("%m-%d %H:%M") if line.resting_until else ""
    return (line.caller_id, line.campaign or "the tenant", kept.get("calls"), *counts, state, until, why)


def _count(share: Mapping[str, Any] | None) -> str:
    """How many of how many, and how many would be normal."""
    return f"{share['seen']} of {share['of']} ({share['expected']:.0f})" if share and share["of"] else ""


def register(cli: click.Group) -> None:
    """The commands belong to the group of `callerid`."""
