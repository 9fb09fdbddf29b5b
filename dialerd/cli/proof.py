"""`dialer-admin proof`: everything on record about one number, as a document."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import click

from dialerd.cli.common import Session, command, say, show_json, show_table
from dialerd.clock import Clock
from dialerd.store import dnc, proof_pdf
from dialerd.store.proof import Event, Proof
from dialerd.store.proof import proof as gather


def register(cli: click.Group) -> None:
    """Add this file's command."""

    @command(cli, "proof")
    @click.argument("number")
    @click.option("--pdf", type=click.Path(path_type=Path, dir_okay=False), help="Write the document to this file.")
    async def proof(session: Session, as_json: bool, number: str, pdf: Path | None) -> None:
        """One document on NUMBER, for whoever complains and whoever asks: every call, why it was allowed at that moment
        in the number's own zone, the caller ID, do-not-call entries, consents, and the seals of it all.
        """
        async with session.tenant() as (pool, tenant):
            e164 = dnc.key(number, tenant.default_region)
            found = await gather(pool, tenant.id, tenant.name, e164, Clock().now())
        if pdf is not None:
            await asyncio.to_thread(proof_pdf.write, found, pdf)
            say(f"written to {pdf}")
        if as_json:
            show_json(found)
        elif pdf is None:
            _show(found)


def _show(found: Proof) -> None:
    names = ("claimed_at", "campaign", "outcome", "cause", "caller_id", "agent")
    rows = [[*(a.facts[n] for n in names), "; ".join(a.local.values()), _seals(a.events)] for a in found.attempts]
    show_table([*(n.upper().replace("_", " ") for n in names), "IN ITS ZONE", "SEALS"], rows)
    say(f"{len(found.attempts)} calls, {len(found.not_called)} decisions not to call, {len(found.dnc)} do-not-call "
        f"entries, {len(found.consents)} consents; --pdf FILE or --json has it all")  # fmt: skip


def _seals(events: Iterable[Event]) -> str:
    states = {event.seal for event in events}
    return "CHANGED" if "changed" in states else "ok"
