"""Campaigns and tenants as an operator sees and changes them; every change leaves its row in call_events."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time
from typing import Any

import asyncpg

from dialerd.core import campaign as rules
from dialerd.core import retry
from dialerd.core import windows as calling
from dialerd.core.abandonment import of_profile
from dialerd.core.calendar import Window
from dialerd.core.profile import Profile
from dialerd.places import profiles, schedules
from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("admin")
_TENANT, _ADD_EVENT, _CREATE, _ADD_WINDOWS = _Q.tenant, _Q.add_event, _Q.create_campaign, _Q.add_windows
_CAMPAIGNS, _ID, _LOCK, _SET_STATE, _WINDOWS = (
    _Q.campaigns,
    _Q.campaign_id,
    _Q.lock_campaign,
    _Q.set_state,
    _Q.windows,
)
_TRUNKS = _Q.trunks
_BIGINT = 2**63
OUTSIDE_TRUNK = "batch"  # of the dialers that fetch their numbers themselves (store.batch); no node declares it


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose data it is; `default_region` (ISO 3166) reads numbers without a country code."""

    id: int
    name: str
    default_region: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as stored, with how far it is; `held` contacts are left out by the filter.

    `windows`, `retry_rules` and `limits` are texts that `core.windows`, `core.retry` and `core.limits` read.
    `effective_ratio`: lines per agent that the mode makes of `pacing_ratio`.
    """

    id: int
    name: str
    description: str
    state: rules.State
    dial_mode: str
    pacing_ratio: float
    queue_name: str
    trunk: str
    caller_id: str | None
    max_retries: int
    retry_delay_seconds: int
    max_concurrent_calls: int
    ring_timeout_seconds: int
    wrap_up_seconds: int
    machine_detection: str
    legal_profile: str | None
    skip_holidays: bool | None
    purpose: str
    retry_rules: tuple[str, ...]
    limits: tuple[str, ...]
    abandon_lockout_seconds: int
    callback_patience_seconds: int
    filter: str
    order_by: str
    serial_interval_seconds: float | None
    weight: int
    broadcast: str | None
    flow: str | None
    local_presence: bool
    sticky_caller_id: bool
    script: str
    preview_seconds: int
    default_disposition: str
    seller_name: str | None
    seller_number: str | None
    message_language: str
    opt_out_key: str
    returned: str
    recording: str
    recording_share: float
    recording_announcement: str | None
    recording_days: int | None
    voicemail_sound: str | None
    machine_parameters: Mapping[str, int]
    machine_message: str | None
    machine_wait_seconds: int
    machine_flow: str | None
    machine_check: float
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    windows: tuple[str, ...]
    contacts: int
    queued: int
    held: int
    attempts: int
    effective_ratio: float


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trunk that a daemon has declared; `live` counts attempts that have not ended."""

    name: str
    node: str
    max_calls: int
    active: bool
    live: int


async def tenant(pool: asyncpg.Pool, name: str) -> Tenant:
    """A tenant by name. Raises `NotFound`."""
    row = await pool.fetchrow(_TENANT, name)
    if row is None:
        raise NotFound(f"there is no tenant {name!r}")
    return Tenant(**row)


async def create(pool: asyncpg.Pool, tenant_id: int, draft: rules.Draft, by: str) -> Campaign:
    """Make a campaign. Raises `core.campaign.CampaignRefused`, or `Refused` when the name is taken."""
    rules.check(draft)
    check_profile(draft.legal_profile, draft.ring_timeout_seconds)
    try:
        async with pool.acquire() as connection, connection.transaction():
            campaign_id: int = await connection.fetchval(_CREATE, tenant_id, stored(draft))
            await add_windows(connection, campaign_id, draft.windows)
            await connection.execute(_ADD_EVENT, tenant_id, campaign_id, "campaign.created", {"by": by})
    except asyncpg.UniqueViolationError:
        raise Refused(f"there is a campaign {draft.name!r} already") from None
    return await get(pool, tenant_id, campaign_id)


def stored(draft: rules.Draft) -> dict[str, Any]:
    """A draft's settings as columns of the table; the windows have a table of their own."""
    return {f.name: getattr(draft, f.name) for f in fields(draft) if f.name != "windows"}


def check_profile(name: str | None, ring_timeout_seconds: int) -> None:
    """Raises `core.campaign.CampaignRefused` unless it is a shipped legal profile whose shortest ring the campaign's
    calls reach, or None."""
    try:
        problem = None if name is None else _short_ring(profiles.profile(name), ring_timeout_seconds)
    except profiles.UnknownProfile as error:
        problem = "legal_profile", str(error)
    if problem is not None:
        raise rules.CampaignRefused([problem])


def _short_ring(profile: Profile, ring_timeout_seconds: int) -> tuple[str, str] | None:
    """What is wrong with the ring time under this profile."""
    least = of_profile(profile).min_ring_seconds
    if ring_timeout_seconds >= least:
        return None
    says = f"the legal profile {profile.name} wants {least:g} s of ringing before a call is given up"
    return "ring_timeout_seconds", f"{says}, not {ring_timeout_seconds}"


async def add_windows(connection: Any, campaign_id: int, windows: Sequence[Window]) -> None:
    """Give a campaign these windows beside those it has."""
    await connection.execute(
        _ADD_WINDOWS,
        campaign_id,
        [w.weekday for w in windows],
        [f"{w.opens:%H:%M}" for w in windows],
        [calling.closing(w) for w in windows],
    )


async def windows_of(connection: Any, campaign_id: int) -> tuple[Window, ...]:
    """A campaign's weekly windows, in order."""
    return tuple(_window(*found) for found in await connection.fetch(_WINDOWS, campaign_id))


async def all_of(pool: asyncpg.Pool, tenant_id: int) -> list[Campaign]:
    """The tenant's campaigns, newest first."""
    return [_campaign(row) for row in await pool.fetch(_CAMPAIGNS, tenant_id, None)]


async def get(pool: asyncpg.Pool, tenant_id: int, campaign_id: int) -> Campaign:
    """One campaign. Raises `NotFound`."""
    row = await pool.fetchrow(_CAMPAIGNS, tenant_id, campaign_id)
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    return _campaign(row)


def id_of(text: str) -> int | None:
    """What people type as an id that a row may have; None when it is something else."""
    return int(text) if text.isascii() and text.isdigit() and int(text) < _BIGINT else None


async def find(pool: asyncpg.Pool, tenant_id: int, name_or_id: str) -> Campaign:
    """A campaign by what people type: its name, else its id. Raises `NotFound`."""
    found = await pool.fetchval(_ID, tenant_id, name_or_id)
    if found is None:
        found = id_of(name_or_id)
    if found is None:
        raise NotFound(f"there is no campaign {name_or_id!r}")
    return await get(pool, tenant_id, found)


async def change(
    pool: asyncpg.Pool,
    tenant_id: int,
    campaign_id: int,
    action: rules.Action,
    by: str,
    declared: Collection[str] = (),
) -> Campaign:
    """Start, pause or stop a campaign. `declared`: trunks of this node's file that a daemon may not have shown yet.

    Raises `core.campaign.TransitionRefused`, `core.campaign.CampaignRefused` (it could not dial), `NotFound`.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, tenant_id, campaign_id)
        if row is None:
            raise NotFound(f"there is no campaign {campaign_id}")
        before = rules.state_of(row["state"])
        state = rules.after(before, action)
        if action == "start":
            await _check_start(connection, campaign_id, row, declared)
        await connection.execute(_SET_STATE, tenant_id, campaign_id, state)
        detail = {"from": before, "to": state, "by": by}
        await connection.execute(_ADD_EVENT, tenant_id, campaign_id, rules.EVENTS[action], detail)
    return await get(pool, tenant_id, campaign_id)


async def trunks(pool: asyncpg.Pool) -> list[Trunk]:
    """The trunks of all nodes."""
    return [Trunk(**row) for row in await pool.fetch(_TRUNKS)]


async def _check_start(connection: Any, campaign_id: int, row: asyncpg.Record, declared: Collection[str]) -> None:
    trunk = row["trunk"]
    windows = await windows_of(connection, campaign_id)
    settings = schedules.Settings(windows, row["legal_profile"], row["purpose"])
    schedule = await asyncio.to_thread(schedules.build, settings, datetime.now(UTC).year)  # it may read data files
    problems = []
    if schedule.refusal is not None:
        problems.append(("legal_profile", f"{row['legal_profile']}: {schedule.refusal}, so no number may be called"))
    elif not windows:
        problems.append(("windows", "there is none, so no number may ever be called"))
    elif not schedule.windows:
        problems.append(("windows", f"all lie outside the hours of the legal profile {row['legal_profile']}"))
    if row["legal_profile"] in profiles.names():
        short = _short_ring(profiles.profile(row["legal_profile"]), row["ring_timeout_seconds"])
        problems += [short] if short else []
    known = {row["name"]: row["active"] for row in await connection.fetch(_TRUNKS)}
    if trunk not in known and trunk not in declared and trunk != OUTSIDE_TRUNK:
        names = ", ".join(sorted({*known, *declared})) or "none"
        problems.append(("trunk", f"{trunk!r} is unknown; known: {names}"))
    elif not known.get(trunk, True):
        problems.append(("trunk", f"{trunk!r} is switched off"))
    if problems:
        raise rules.CampaignRefused(problems)


def _campaign(row: asyncpg.Record) -> Campaign:
    texts = {
        "windows": calling.describe([_window(*found) for found in row["windows"]]),
        "retry_rules": retry.describe(row["retry_rules"]),
        "limits": row["limits"],
    }
    ratio = rules.effective_ratio(row["dial_mode"], row["pacing_ratio"])
    return Campaign(**{**row, **{name: tuple(value) for name, value in texts.items()}}, effective_ratio=ratio)


def _window(weekday: int, opens: str, closes: str) -> Window:
    return Window(weekday, time.fromisoformat(opens), time(0) if closes == "24:00" else time.fromisoformat(closes))
