"""`dialer-admin campaign`: make, show, change, start, pause, stop."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.core import campaign as rules
from dialerd.core import machines, retry, windows
from dialerd.core.abandonment import unchecked
from dialerd.core.limits import parse as parse_limit
from dialerd.core.recording import POLICIES, refusal
from dialerd.core.seller import LANGUAGES, Seller
from dialerd.places import flows, profiles, prompts
from dialerd.store import campaigns, stats
from dialerd.store.recycle import recycle
from dialerd.store.settings import change


@click.group("campaign")
def group() -> None:
    """Campaigns. CAMPAIGN is a name or an id."""


# Every setting but those that only `create` asks for; `create` shows the defaults of core.campaign.Draft.
_SETTINGS = (
    ("--mode", "dial_mode", str, f"{', '.join(rules.MODES_READY)}."),
    ("--description", "description", str, "For people."),
    ("--max-retries", "max_retries", int, "Attempts of a contact after the first one, all rules together."),
    ("--retry-delay", "retry_delay_seconds", int, "Seconds, where no --retry says otherwise."),
    ("--pacing-ratio", "pacing_ratio", float, "Lines per agent, 1 to 10: power dials so many for each free agent, "
     "predictive at most so many for each one at work; progressive always dials one."),
    ("--weight", "weight", int, "Its share of agents and trunks that other campaigns want too, by their weights."),
    ("--broadcast", "broadcast", str, "Without agents, in mode power: the sound file that answered people hear, as "
     "Asterisk names it."),
    ("--flow", "flow", str, "The IVR flow that answered people go through; see 'flow list'. Without --queue it must "
     "lead to no agent, and the mode is power."),
    ("--max-concurrent-calls", "max_concurrent_calls", int, "Calls at a time."),
    ("--ring-timeout", "ring_timeout_seconds", int, "Seconds."),
    ("--wrap-up", "wrap_up_seconds", int, "Seconds."),
    ("--machine-detection", "machine_detection", click.Choice(machines.MODES), "What is done about answering machines: "
     "docs/machines.md."),
    ("--machine-message", "machine_message", str, "With --machine-detection message: the sound file that machines hear "
     "after their beep, as Asterisk names it."),
    ("--machine-wait", "machine_wait_seconds", int, "Seconds for the end of a machine's greeting, then it is hung up."),
    ("--machine-flow", "machine_flow", str, "With --machine-detection flow: the IVR flow that machines go through."),
    ("--machine-check", "machine_check", float, "The share of machines, 0 to 0.5, that agents get like persons: what "
     "they say tells how often a person is taken for a machine."),
    ("--purpose", "purpose", click.Choice(rules.PURPOSES), "What the calls are for, as the law asks it."),
    ("--abandon-lockout", "abandon_lockout_seconds", int, "Seconds without a call after an abandoned one."),
    ("--callback-patience", "callback_patience_seconds", int, "Seconds after which anybody may take an agent's "
     "callback."),
    ("--order-by", "order_by", click.Choice(rules.ORDERS), "Who comes first among equal priorities."),
    ("--filter", "filter", str, "Who may be called, as in 'attempts < 3 and last_outcome in (busy, no_answer)'; '' "
     "for everybody."),
    ("--script", "script", str, "What agents read during a call, as plain text."),
    ("--preview-seconds", "preview_seconds", int, "Mode preview: how long a contact is held for the agent who looks."),
    ("--voicemail-sound", "voicemail_sound", str, "What an agent has left on a machine by one key: a sound file, as "
     "Asterisk names it."),
    ("--default-disposition", "default_disposition", str, "What a call is given of which its agent says nothing."),
    ("--seller-name", "seller_name", str, "Named in the message to people for whom nobody is free; without it they "
     "hear the dialplan's."),
    ("--seller-number", "seller_number", str, "Where the seller is reached, as that message says it."),
    ("--message-language", "message_language", click.Choice(LANGUAGES), "Of that message."),
    ("--opt-out-key", "opt_out_key", str, "Pressed during that message: the number is never called again."),
    ("--returned", "returned", click.Choice(rules.RETURNED), "What people get who call back: that message, or the "
     "campaign's agents."),
    ("--recording", "recording", click.Choice(POLICIES), "Which calls are recorded; demand: those an agent asks for, "
     "share: as many as --recording-share says, by lot."),
    ("--recording-share", "recording_share", float, "The share of calls, 0 to 1."),
    ("--recording-announcement", "recording_announcement", str, "The sound file that both sides hear before a "
     "recording begins, as Asterisk names it. Some legal profiles want one."),
    ("--recording-days", "recording_days", int, "Days that recordings are kept, where the tenant's do not suit."),
)  # fmt: skip
_SWITCHES = (
    ("--local-presence/--no-local-presence", "local_presence", "Caller IDs near the number that is called go first."),
    ("--sticky-caller-id/--no-sticky-caller-id", "sticky_caller_id", "Whoever was called before sees the same caller "
     "ID again, when it is free."),
)  # fmt: skip
_DEFAULTS = {**{each.name: each.default for each in fields(rules.Draft)}, "dial_mode": "progressive"}


def _settings(*, defaults: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of the settings; without `defaults` those that are not given are None."""

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        for option, name, kind, words in reversed(_SETTINGS):
            default = _DEFAULTS[name] if defaults else None
            run = click.option(option, name, type=kind, help=words, default=default, show_default=defaults)(run)
        for option, name, words in reversed(_SWITCHES):
            default = _DEFAULTS[name] if defaults else None
            run = click.option(option, name, help=words, default=default, show_default=defaults)(run)
        limit = "Calls to a number, as in 3/24h/tenant; repeatable"
        rule = "After an outcome: OUTCOME=TIMESxDELAY[*BACKOFF][/next], as in no_answer=3x1h*2/next; repeatable"
        end = "." if defaults else "; 'none' for none."
        run = click.option("--limit", "limits", multiple=True, metavar="CALLS/PERIOD", help=limit + end)(run)
        amd = "A parameter of AMD(), as in greeting=1500; repeatable, all that are set at once"
        run = click.option("--amd", "amd", multiple=True, metavar="NAME=NUMBER", help=amd + end)(run)
        run = click.option("--retry", "retries", multiple=True, metavar="RULE", help=rule + end)(run)
        return run

    return decorate


def _serial(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    if value is None or value == "none":
        return value
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter("seconds, or 'none'") from None


def _serial_interval(run: Callable[..., Any]) -> Callable[..., Any]:
    """The option: None where it is not given, "none" for a campaign that is not serial."""
    words = ("One call at a time, and a rest of so many seconds after each; none: as many as pacing says.  "
             "[a new campaign: $DIAL_INTERVAL_SECONDS, or [dialing] serial_interval_seconds]")  # fmt: skip
    return click.option(
        "--serial-interval", "serial_interval_seconds", metavar="SECONDS|none", callback=_serial, help=words
    )(run)


def _rules(retries: tuple[str, ...], limits: tuple[str, ...], amd: tuple[str, ...]) -> dict[str, Any]:
    """Retry rules, limits and AMD()'s parameters as they are stored, of those that were given."""
    found: dict[str, Any] = {}
    if amd:
        found["machine_parameters"] = machines.parse(() if amd == ("none",) else amd)
    if retries:
        found["retry_rules"] = retry.parse(() if retries == ("none",) else retries)
    if limits:
        found["limits"] = () if limits == ("none",) else tuple(parse_limit(text).rule for text in limits)
    return found


@command(group, "create")
@click.argument("name")
@click.option(
    "--queue", "queue_name", help="Whose agents take the calls; wanted unless --broadcast or --flow is given."
)
@click.option("--trunk", required=True, help="The way out: a [trunks.NAME] of the configuration.")
@click.option("--caller-id", help="Shown when the pool has nothing free.")
@click.option("--window", "window_texts", multiple=True, help="'mon-fri 09:00-20:00' (repeatable) or 'always', in the "
              "called number's own zone.  [default: mon-sat 09:00-20:00]")  # fmt: skip
@click.option("--profile", "legal_profile", help="Legal profile whose hours and holidays hold as well: "
              "see 'profile list'.")  # fmt: skip
@click.option("--skip-holidays/--no-skip-holidays", default=None, help="Call nobody on holidays.  "
              "[default: as the tenant has it]")  # fmt: skip
@_serial_interval
@_settings(defaults=True)
async def create(
    session: Session,
    as_json: bool,
    window_texts: tuple[str, ...],
    caller_id: str | None,
    retries: tuple[str, ...],
    limits: tuple[str, ...],
    amd: tuple[str, ...],
    **settings: Any,
) -> None:
    """Make a campaign. It is a draft until it is started."""
    settings |= _rules(retries, limits, amd)
    if settings["queue_name"] is None:
        if settings["broadcast"] is None and settings["flow"] is None:
            raise click.UsageError(
                "--queue says whose agents take the calls; without agents: --broadcast SOUND, or --flow NAME"
            )
        settings["queue_name"] = rules.NO_QUEUE
    _check_flows(session, settings)
    if settings["serial_interval_seconds"] is None:
        settings["serial_interval_seconds"] = session.config.dialing.serial_interval_seconds
    elif settings["serial_interval_seconds"] == "none":
        settings["serial_interval_seconds"] = None
    if window_texts:
        settings["windows"] = tuple(windows.parse(window_texts))
    async with session.tenant() as (pool, tenant):
        shown = rules.caller_id(caller_id, tenant.default_region) if caller_id else None
        draft = rules.Draft(**settings, caller_id=shown)
        rules.check(draft)
        _render(session, settings)
        campaign = await campaigns.create(pool, tenant.id, draft, session.by)
    _show(campaign, as_json)


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The campaigns, newest first."""
    async with session.tenant() as (pool, tenant):
        found = await campaigns.all_of(pool, tenant.id)
    if as_json:
        show_json({"campaigns": found})
        return
    columns = ("ID", "NAME", "STATE", "MODE", "QUEUE", "TRUNK", "CONTACTS", "QUEUED", "ATTEMPTS")
    show_table(
        columns,
        [(c.id, c.name, c.state, c.dial_mode, c.queue_name, c.trunk, c.contacts, c.queued, c.attempts) for c in found],
    )


@command(group, "show")
@click.argument("campaign")
async def show(session: Session, as_json: bool, campaign: str) -> None:
    """One campaign in full."""
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
    _show(found, as_json)


@command(group, "update")
@click.argument("campaign")
@click.option("--name", help="Another name.")
@click.option("--queue", "queue_name", help="Whose agents take the calls.")
@click.option("--trunk", help="The way out.")
@click.option("--caller-id", help="Shown when the pool has nothing free, or 'none'.")
@click.option("--window", "window_texts", multiple=True, help="These windows in place of all it has; as in 'create'.")
@click.option("--profile", "legal_profile", help="Another legal profile, or 'none'.")
@click.option("--skip-holidays", "holidays", flag_value="skip", help="Call nobody on holidays.")
@click.option("--no-skip-holidays", "holidays", flag_value="work", help="Call on holidays, where the profile lets it.")
@click.option("--tenant-holidays", "holidays", flag_value="tenant", help="Keep holidays as the tenant has it.")
@_serial_interval
@_settings(defaults=False)
async def update(
    session: Session,
    as_json: bool,
    campaign: str,
    window_texts: tuple[str, ...],
    holidays: str | None,
    retries: tuple[str, ...],
    limits: tuple[str, ...],
    amd: tuple[str, ...],
    **settings: Any,
) -> None:
    """Change settings; a running campaign keeps to them from the next call on.

    --window, --retry and --limit replace all that there were. A new filter holds whom it leaves out, at once.
    """
    changes = {name: value for name, value in settings.items() if value is not None} | _rules(retries, limits, amd)
    can_be_none = "legal_profile", "serial_interval_seconds", "broadcast", "flow", "seller_name", "seller_number"
    for name in (*can_be_none, "recording_announcement", "voicemail_sound", "machine_message", "machine_flow"):
        if changes.get(name) == "none":
            changes[name] = None
    _check_flows(session, changes)
    if window_texts:
        changes["windows"] = tuple(windows.parse(window_texts))
    if holidays is not None:
        changes["skip_holidays"] = {"skip": True, "work": False, "tenant": None}[holidays]
    if not changes:
        raise click.UsageError("nothing to change: name at least one option")
    async with session.tenant() as (pool, tenant):
        if "caller_id" in changes:
            text = changes["caller_id"]
            changes["caller_id"] = None if text == "none" else rules.caller_id(text, tenant.default_region)
        found = await campaigns.find(pool, tenant.id, campaign)
        if changes.keys() & set(rules.SPOKEN):
            after = {name: {**asdict(found), **changes}[name] for name in rules.SPOKEN}
            rules.check_message(rules.Draft("x", "power", "x", "x", **after))
            _render(session, after)
        changed = await change(pool, tenant.id, found.id, changes, session.by)
    _show(changed, as_json)


@command(group, "machines")
@click.argument("campaign")
async def machines_command(session: Session, as_json: bool, campaign: str) -> None:
    """How well machine detection does: verdicts, their delay, and what agents corrected."""
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
        told = await stats.machines(pool, tenant.id, found.id, None)
    if as_json:
        show_json(told)
    else:
        show_fields(asdict(told))


@command(group, "start")
@click.argument("campaign")
async def start(session: Session, as_json: bool, campaign: str) -> None:
    """Start or resume dialing. Refused where it could never dial: no calling window, no such trunk."""
    await _change(session, as_json, campaign, "start")


@command(group, "pause")
@click.argument("campaign")
async def pause(session: Session, as_json: bool, campaign: str) -> None:
    """Place no new calls until it is started again; live calls go on."""
    await _change(session, as_json, campaign, "pause")


@command(group, "stop")
@click.argument("campaign")
async def stop(session: Session, as_json: bool, campaign: str) -> None:
    """End the campaign; live calls go on. It can be started again."""
    await _change(session, as_json, campaign, "stop")


@command(group, "message")
@click.argument("campaign")
async def message(session: Session, as_json: bool, campaign: str) -> None:
    """Make the sound file of the message that names the campaign's seller, unless it is there, and show its text.

    'create' and 'update' do the same. Run it as a user who may write to the folder that [flows] prompts names.
    """
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
    said, path = _render(session, asdict(found))
    if as_json:
        show_json({"text": said, "file": path})
    else:
        show_fields({"text": said or "the dialplan's own: the campaign names no seller", "file": path or "none"})


@command(group, "recycle")
@click.argument("campaign")
@click.option("--where", required=True, help="Whom, as in --filter of 'create': 'last_outcome in (busy, no_answer)'.")
@click.option("--list", "list_name", help="Only contacts that came with this list; see 'contacts lists'.")
@click.option("--keep-attempts", is_flag=True, help="Count their attempts on, instead of from nought.")
@click.option("--dry-run", is_flag=True, help="Say how many there are, and change nothing.")
async def recycle_command(
    session: Session, as_json: bool, campaign: str, where: str, list_name: str | None, keep_attempts: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Put contacts that are over back into the queue. Limits and do-not-call lists hold as before.

    Whoever was talked to (connected), and whoever was called with an unknown end, is left out unless --where names that
    outcome: 'last_outcome = unknown'.
    """
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, campaign)
        done = await recycle(pool, tenant.id, found.id, where, session.by, list_name, keep_attempts, dry_run)
    if as_json:
        show_json({**asdict(done), "dry_run": dry_run})
        return
    counts = {name: ", ".join(f"{outcome} {n}" for outcome, n in sorted(of.items())) or "none"
              for name, of in (("last outcomes", done.by_outcome), ("left out", done.left))}  # fmt: skip
    show_fields({"would go back" if dry_run else "back in the queue": done.contacts, **counts})
    if not dry_run and done.contacts and found.state != "active":
        say(f"the campaign is {found.state}: 'dialer-admin campaign start {found.id}' calls them")


def _check_flows(session: Session, settings: Mapping[str, Any]) -> None:
    """A campaign with a broken flow would not dial."""
    for name in ("flow", "machine_flow"):
        if settings.get(name) is not None:
            flows.load(session.config.flows, settings[name])


def _render(session: Session, settings: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The message of a campaign with these settings, and its sound file, which is made unless it is there; None, both:
    it names no seller. Raises `core.campaign.CampaignRefused`."""
    if settings["seller_name"] is None:
        return None, None
    names = ("seller_name", "seller_number", "message_language", "opt_out_key")
    prompt = Seller(*(settings[name] for name in names)).prompt
    config = session.config.flows
    try:
        return prompt.text, str(prompts.render(prompt, config.tts_command, Path(config.prompts)))
    except (prompts.NotRendered, OSError) as error:
        raise rules.CampaignRefused([("seller_name", f"its message could not be spoken: {error}")]) from None


async def _change(session: Session, as_json: bool, name: str, action: rules.Action) -> None:
    async with session.tenant() as (pool, tenant):
        found = await campaigns.find(pool, tenant.id, name)
        declared = session.config.trunks.keys()
        changed = await campaigns.change(pool, tenant.id, found.id, action, session.by, declared)
    if as_json:
        show_json(changed)
    say(f"campaign {changed.id} ({changed.name}) is {changed.state}")


def _show(campaign: campaigns.Campaign, as_json: bool) -> None:
    legal = profiles.profile(campaign.legal_profile) if campaign.legal_profile in profiles.names() else None
    if why := refusal(campaign.recording, campaign.recording_announcement, legal):
        say(f"no call will be recorded: {why}")
    if why := unchecked(legal, campaign.machine_detection, campaign.machine_check):
        say(why)
    if as_json:
        show_json(campaign)
    else:
        show_fields(asdict(campaign))


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
