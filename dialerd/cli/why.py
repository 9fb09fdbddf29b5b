"""`dialer-admin why`: would a number be dialed now, and which rule stops it?"""

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.clock import Clock
from dialerd.store import dnc
from dialerd.store.why import Place, Why
from dialerd.store.why import why as judge


def register(cli: click.Group) -> None:
    """Add this file's command."""

    @command(cli, "why")
    @click.argument("number")
    @click.option("--campaign", "campaign_name", help="Name or id.  [default: every campaign that has the number]")
    async def why(session: Session, as_json: bool, number: str, campaign_name: str | None) -> None:
        """Would NUMBER be dialed now? Every rule in the order in which the claim asks it, and what happened before.

        A rule that says no also says when it would not any more, where that is known. Whether lines and agents are free
        is the pacing's matter: `dialer-admin status`.
        """
        async with session.tenant() as (pool, tenant):
            e164 = dnc.key(number, tenant.default_region)
            found = await judge(pool, tenant.id, e164, Clock().now(), campaign_name)
        if as_json:
            show_json(found)
        else:
            _show(found)


def _show(found: Why) -> None:
    for place in found.campaigns:
        _show_place(found.number, place)
    if not found.campaigns:
        say(f"no campaign has {found.number}")
    for bar in found.dnc:
        say(f"on the {bar.scope} list {bar.list!r} as {bar.matched}, since {bar.added_at:%Y-%m-%d} ({bar.source})")
    for consent in found.consents:
        say(f"{consent['kind']} on {consent['at']:%Y-%m-%d %H:%M} UTC ({consent['source']})")
    if found.attempts:
        names = ("claimed_at", "campaign", "state", "outcome", "cause", "caller_id", "agent")
        show_table([n.upper().replace("_", " ") for n in names], [[a[n] for n in names] for a in found.attempts])
    if found.events:
        rows = [(e["at"], e["kind"], e["attempt_id"], e["detail"]) for e in found.events]
        show_table(("AT", "EVENT", "ATTEMPT", "DETAIL"), rows)


def _show_place(number: str, place: Place) -> None:
    decision = place.decision
    answer = "yes" if decision.would_be_dialed else f"no: {decision.words}"
    next_at = None if decision.would_be_dialed else decision.next_at
    fields = {"number": number, "campaign": place.campaign, "would be dialed now": answer, "rule": decision.rule}
    show_fields({**fields, "next moment": next_at})
    rows = [("ok" if check.ok else "NO", check.rule, check.words, check.until) for check in decision.checks]
    show_table(("", "RULE", "", "UNTIL"), rows)
