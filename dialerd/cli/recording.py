"""`dialer-admin recording`: the recordings of calls."""

import asyncio
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import click

from dialerd.archive.place import ArchiveFailed
from dialerd.archive.places import Places
from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.clock import Clock
from dialerd.store import campaigns, recordings
from dialerd.store.errors import Refused


@click.group("recording")
def group() -> None:
    """Recordings of calls. WHICH is a recording's name, or the id of its call."""


@command(group, "list")
@click.option("--campaign", "campaign_name", help="Of this campaign: name or id.")
@click.option("--contact", "contact_id", type=int, help="Of this contact: id.")
@click.option("--attempt", help="Of this call: id.")
@click.option("--most", type=click.IntRange(1, recordings.MOST_LISTED), default=100, show_default=True)
async def list_command(
    session: Session, as_json: bool, campaign_name: str | None, contact_id: int | None, attempt: str | None, most: int
) -> None:
    """The tenant's recordings, newest first."""
    async with session.tenant() as (pool, tenant):
        campaign = (await campaigns.find(pool, tenant.id, campaign_name)).id if campaign_name else None
        call = recordings.attempt(attempt) if attempt else None
        found = await recordings.found(pool, tenant.id, campaign, contact_id, call, most=most)
    if as_json:
        show_json({"recordings": found})
        return
    columns = ("NAME", "BEGUN", "SECONDS", "STATE", "WHY", "CAMPAIGN", "CONTACT")
    show_table(
        columns, [(r.name, r.begun_at, _round(r.seconds), r.state, r.why, r.campaign_id, r.contact_id) for r in found]
    )


@command(group, "fetch")
@click.argument("which")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.  [default: NAME.wav]")
async def fetch(session: Session, as_json: bool, which: str, out: Path | None) -> None:
    """Write a recording into a file that is not there yet, and hold it against its checksum."""
    async with session.tenant() as (pool, tenant):
        found = await recordings.of_call(pool, tenant.id, which)
        if found.state != "stored" or found.place is None or found.key is None or found.bytes is None:
            raise Refused(f"recording {found.name} is {found.state}: there is no sound to fetch")
        async with pool.acquire() as connection:
            detail = {"by": session.by, "from": 0, "to": found.bytes}
            await recordings.note(connection, tenant.id, found, "recording.played", detail)
    path = out or Path(f"{found.name}.wav")
    places, digest = Places(session.config.recordings), sha256()
    try:
        with await asyncio.to_thread(path.open, "xb") as file:
            async for chunk in await places.get(found.place).read(found.key, 0, found.bytes):
                digest.update(chunk)
                file.write(chunk)
    except ArchiveFailed as error:
        path.unlink(missing_ok=True)
        raise Refused(f"the storage does not give it: {error}") from None
    except FileExistsError:
        raise Refused(f"{path} is there already") from None
    finally:
        await places.close()
    if digest.hexdigest() != found.sha256:
        raise Refused(f"{path} is not what was stored: its checksum is {digest.hexdigest()}, not {found.sha256}")
    if as_json:
        show_json({"recording": found, "file": str(path)})
    say(f"{path}: {found.bytes} bytes, {_round(found.seconds)} s, checksum right")


@command(group, "delete")
@click.argument("which")
@click.option("--despite-profile", is_flag=True, help="Also where the legal profile wants it kept longer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
async def delete(session: Session, as_json: bool, which: str, despite_profile: bool, yes: bool) -> None:
    """Erase what is to be heard of a recording. There is no way back; that it was there stays on record."""
    places = Places(session.config.recordings)
    try:
        async with session.tenant() as (pool, tenant):
            found = await recordings.of_call(pool, tenant.id, which)
            if not yes:
                click.confirm(f"Erase {found.name} of {found.begun_at:%Y-%m-%d %H:%M}?", abort=True, err=True)
            now = Clock().now()
            await recordings.erase(pool, tenant.id, found.name, session.by, now, despite_profile, places.erase)
    except ArchiveFailed as error:
        raise Refused(f"the storage did not erase it: {error}") from None
    finally:
        await places.close()
    if as_json:
        show_json({"recording": replace(found, state="erased")})
    say(f"{found.name} is erased")


@command(group, "keep")
@click.argument("days", metavar="[DAYS|record]", required=False)
async def keep(session: Session, as_json: bool, days: str | None) -> None:
    """Show or set for how many DAYS the tenant keeps recordings; 'record': as long as its record ('retention').

    A campaign may say another number. What its legal profile wants kept longer is kept longer.
    """
    if days is not None and days != "record" and not (days.isascii() and days.isdigit() and len(days) < 6):
        raise click.BadParameter("a number of days, or 'record'", param_hint="DAYS")
    async with session.tenant() as (pool, tenant):
        if days is None:
            kept = await recordings.kept(pool, tenant.id)
        else:
            kept = await recordings.set_days(pool, tenant.id, None if days == "record" else int(days), session.by)
    if as_json:
        show_json(asdict(kept) | {"holds": kept.holds})
    else:
        show_fields({"kept": "for ever" if kept.holds is None else f"{kept.holds} days"})


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
