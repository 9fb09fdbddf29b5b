"""Holidays, legal profiles and windows, from `dialer-admin` and the tables to what the engine claims."""

import asyncio
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from dialerd import config
from dialerd.clock import Clock
from dialerd.config import Trunk
from dialerd.engine.agents import Agents
from dialerd.engine.calls import Calls
from dialerd.engine.campaign import Campaign
from dialerd.engine.dialing import Dialing
from dialerd.engine.loader import Loader
from dialerd.engine.node import Node
from dialerd.places.profiles import names
from dialerd.places.zones import country_of
from tests.integration.test_admin import Admin, runner
from tests.integration.test_claim import campaign

CREATE = ("campaign", "create", "Alpha", "--queue", "q", "--trunk", "trunk-out", "--window", "always")
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # noon in Helsinki
INDEPENDENCE = datetime(2027, 12, 6, 10, 0, tzinfo=UTC)  # a Monday, and a holiday in Finland
NOWRUZ = datetime(2027, 3, 21, 8, 0, tzinfo=UTC)  # 1 Farvardin 1406


@pytest.fixture
def admin(tmp_path: Path, database: config.Postgres) -> Admin:
    return runner(tmp_path / "etc", database)


class At(Clock):
    """A clock that was set by hand."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


class Engine:
    """The loader and the pacer of a daemon as they are; the database decides the rest."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.campaigns: dict[int, Campaign] = {}
        self.sets: dict[int, tuple[str, ...]] = {}

    async def claim(self, id_: int, now: datetime, want: int = 10) -> Any:
        """What the engine claims for a campaign at `now`, as it is stored at this moment."""
        states: list[Any] = []
        settings = SimpleNamespace(
            trunks={"t": Trunk(endpoint="t")}, node="n", dialing=config.Dialing(), flows=config.Flows()
        )
        loader_parts: list[Any] = [settings, At(now), self.campaigns, self.sets, None, None, None,
                                   lambda c, b: states.append(b), None]  # fmt: skip
        await Loader(*loader_parts)._load_campaigns(self.pool)
        agents = Agents(At(now), lambda *_: None)
        parts: list[Any] = [settings, At(now), Calls(lambda *_: None), agents, self.campaigns, self.sets, None,
                            lambda: self.pool, lambda: None, None]  # fmt: skip
        judgement = self.campaigns[id_].judge(self.sets, country_of(), now)
        rest: list[Any] = [None] * 4
        return await Dialing(Node(*parts), *rest).claim(self.campaigns[id_], want, judgement)

    async def judge(self, id_: int, now: datetime, zone: str = "Europe/Helsinki") -> bool:
        """Whether the engine would give the claim this zone. `now` may be far from the database's clock."""
        await self.claim(id_, now, 0)
        self.campaigns[id_].judged = None
        return bool(self.campaigns[id_].judge({7: (zone,)}, country_of(), now).open)


@pytest.fixture
def engine(pool: asyncpg.Pool) -> Iterator[Engine]:
    yield Engine(pool)


async def always(pool: asyncpg.Pool, contacts: int = 2, **changes: Any) -> int:
    """An active campaign with windows around the clock."""
    id_ = await campaign(pool, contacts, **changes)
    await pool.execute(
        "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", id_
    )
    return id_


async def version(pool: asyncpg.Pool) -> int:
    found: int = await pool.fetchval("SELECT schedule_version FROM tenants WHERE id = 1")
    return found


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO campaign_windows SELECT id, 1, '09:00', '10:00' FROM campaigns",
        "UPDATE campaign_windows SET closes = '23:00'",
        "DELETE FROM campaign_windows",
        "INSERT INTO holidays_extra (tenant_id, day) VALUES (1, '2026-12-31'), (1, '2027-01-02')",
        "UPDATE holidays_extra SET day = '2026-12-29'",
        "DELETE FROM holidays_extra",
        "UPDATE tenants SET skip_holidays = false",
        "UPDATE tenants SET enabled = false",
        "UPDATE installation SET enabled = false",
        "UPDATE campaigns SET legal_profile = 'FR'",
        "UPDATE campaigns SET skip_holidays = true",
        "UPDATE campaigns SET purpose = 'service'",
    ],
)
@pytest.mark.accepts("SCH-04")
async def test_every_change_of_the_schedule_counts_once_and_is_told(pool: asyncpg.Pool, change: str) -> None:
    id_ = await campaign(pool, 1)
    await pool.execute("INSERT INTO campaign_windows VALUES ($1, 2, '09:00', '10:00'), ($1, 3, '09:00', '10:00')", id_)
    await pool.execute("INSERT INTO holidays_extra (tenant_id, day) VALUES (1, '2026-12-30')")
    before, heard, last = await version(pool), [], asyncio.Event()

    def hear(_c: object, _p: int, _ch: str, payload: str) -> None:
        heard.append(payload)
        if payload == "last":
            last.set()

    async with pool.acquire() as connection:
        await connection.add_listener("dialerd", hear)
        await pool.execute(change)
        await pool.execute("SELECT pg_notify('dialerd', 'last')")
        await asyncio.wait_for(last.wait(), 5)
        await connection.remove_listener("dialerd", hear)
    assert await version(pool) == before + 1
    assert "tenants:1" in heard


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE campaigns SET state = 'paused', legal_profile = legal_profile",
        "UPDATE tenants SET skip_holidays = skip_holidays, enabled = enabled",
        "UPDATE tenants SET balance = 5",
        "UPDATE installation SET enabled = enabled",
        "DELETE FROM holidays_extra",
    ],
)
async def test_what_changes_no_schedule_does_not_count(pool: asyncpg.Pool, change: str) -> None:
    await campaign(pool, 1)
    before = await version(pool)
    await pool.execute(change)
    assert await version(pool) == before


async def test_a_schedule_of_one_tenant_does_not_count_for_another(pool: asyncpg.Pool) -> None:
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    before = await version(pool)
    await pool.execute("INSERT INTO holidays_extra (tenant_id, day) VALUES ($1, '2026-12-30')", other)
    assert await version(pool) == before
    assert await pool.fetchval("SELECT schedule_version FROM tenants WHERE id = $1", other) == 2


async def test_a_campaign_that_nothing_closes_is_claimed(pool: asyncpg.Pool, engine: Engine) -> None:
    id_ = await always(pool, skip_holidays=False)
    assert len((await engine.claim(id_, datetime.now(UTC))).taken) == 2


@pytest.mark.accepts("SCH-02")
async def test_the_switch_of_the_tenant_decides_where_the_campaign_does_not(pool: asyncpg.Pool, engine: Engine) -> None:
    tenants, yes, no = (
        await always(pool),
        await always(pool, skip_holidays=True),
        await always(pool, skip_holidays=False),
    )
    ids = (tenants, yes, no)
    assert [await engine.judge(id_, INDEPENDENCE) for id_ in ids] == [False, False, True]
    assert [await engine.judge(id_, INDEPENDENCE + timedelta(days=1)) for id_ in ids] == [True, True, True]
    assert [await engine.judge(id_, INDEPENDENCE, "Europe/Stockholm") for id_ in ids] == [True, True, True]
    await pool.execute("UPDATE tenants SET skip_holidays = false")
    assert [await engine.judge(id_, INDEPENDENCE) for id_ in ids] == [True, False, True]


@pytest.mark.accepts("SCH-03")
async def test_irans_holidays_come_from_its_own_calendar_for_every_tenant(pool: asyncpg.Pool, engine: Engine) -> None:
    other = await pool.fetchval("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
    for id_ in (await always(pool), await always(pool, contacts=0, tenant_id=other)):
        assert not await engine.judge(id_, NOWRUZ, "Asia/Tehran")
        assert await engine.judge(id_, NOWRUZ + timedelta(days=20), "Asia/Tehran")


async def test_an_extra_day_off_stops_the_claim_today(pool: asyncpg.Pool, engine: Engine) -> None:
    id_ = await always(pool, skip_holidays=True)
    now = datetime.now(UTC)
    days = [now.date() + timedelta(days=n) for n in (-1, 0, 1)]  # whatever the date is where the number is
    for day in days:
        await pool.execute("INSERT INTO holidays_extra (tenant_id, day) VALUES (1, $1)", day)
    assert (await engine.claim(id_, now)).refusal == "outside_allowed_time_window"
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0
    await pool.execute("UPDATE campaigns SET skip_holidays = false")
    assert len((await engine.claim(id_, now)).taken) == 2


async def test_the_hours_of_the_profile_close_a_campaign_that_is_always_open(
    pool: asyncpg.Pool, engine: Engine
) -> None:
    id_ = await always(pool, legal_profile="FR", skip_holidays=False)
    helsinki = zoneinfo.ZoneInfo("Europe/Helsinki")
    noon = MONDAY.astimezone(helsinki)
    hours = {hour: await engine.judge(id_, noon.replace(hour=hour)) for hour in (9, 10, 12, 13, 14, 19, 20)}
    assert hours == {9: False, 10: True, 12: True, 13: False, 14: True, 19: True, 20: False}
    assert not await engine.judge(id_, INDEPENDENCE)  # the profile keeps holidays whatever the campaign says


async def test_regional_holidays_close_the_country_of_a_profile_that_keeps_them(
    pool: asyncpg.Pool, engine: Engine
) -> None:
    spain, none = await always(pool, legal_profile="ES"), await always(pool, skip_holidays=True)
    madrids_day = datetime(2028, 5, 2, 10, 0, tzinfo=UTC)  # a Tuesday, a holiday in Madrid only
    assert not await engine.judge(spain, madrids_day, "Europe/Madrid")
    assert await engine.judge(none, madrids_day, "Europe/Madrid")


async def test_marketing_under_a_profile_that_refuses_it_is_never_dialled(pool: asyncpg.Pool, engine: Engine) -> None:
    id_ = await always(pool, legal_profile="IR", skip_holidays=False)
    refused = await engine.claim(id_, datetime.now(UTC))
    assert (refused.taken, refused.refusal) == ((), "marketing_refused")
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0
    await pool.execute("UPDATE campaigns SET purpose = 'service'")
    assert len((await engine.claim(id_, datetime.now(UTC))).taken) == 2


async def test_a_profile_that_this_version_does_not_have_closes_the_campaign(
    pool: asyncpg.Pool, engine: Engine
) -> None:
    id_ = await always(pool, legal_profile="MARS", skip_holidays=False)
    assert (await engine.claim(id_, datetime.now(UTC))).refusal == "unknown_profile"


async def test_a_zone_of_no_country_is_closed_where_holidays_are_kept(pool: asyncpg.Pool, engine: Engine) -> None:
    keeps, works = await always(pool, skip_holidays=True), await always(pool, skip_holidays=False)
    assert not await engine.judge(keeps, MONDAY, "Etc/UTC")
    assert await engine.judge(works, MONDAY, "Etc/UTC")


async def test_a_campaign_is_made_and_changed_with_profile_holidays_and_purpose(
    admin: Admin, pool: asyncpg.Pool
) -> None:
    made = (await admin(*CREATE, "--profile", "FR", "--no-skip-holidays", "--purpose", "research", "--json")).json
    assert (made["legal_profile"], made["skip_holidays"], made["purpose"]) == ("FR", False, "research")
    before = await version(pool)
    changed = (
        await admin("campaign", "update", "Alpha", "--profile", "none", "--tenant-holidays", "--window",
                    "mon 10:00-11:00", "--json")
    ).json  # fmt: skip
    assert (changed["legal_profile"], changed["skip_holidays"], changed["purpose"]) == (None, None, "research")
    assert changed["windows"] == ["mon 10:00-11:00"]
    assert await version(pool) > before
    note = await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'campaign.changed'")
    assert note["changed"]["windows"] == {"from": ["mon-sun 00:00-24:00"], "to": ["mon 10:00-11:00"]}
    assert note["changed"]["skip_holidays"] == {"from": False, "to": None}


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((*CREATE[:2], "Beta", *CREATE[3:], "--profile", "XX"), 1, "there is no legal profile 'XX'"),
        (("campaign", "update", "Alpha", "--profile", "XX"), 1, "there is no legal profile 'XX'"),
        (("campaign", "update", "Alpha"), 2, "nothing to change"),
        (("campaign", "update", "Nobody", "--profile", "FR"), 3, "there is no campaign"),
        (("holiday", "add", "2026-02-30"), 2, "does not match the format"),
        (("holiday", "remove", "2026-12-31"), 3, "none of the tenant's holidays"),
        (("profile", "show", "XX"), 3, "there is no legal profile 'XX'"),
    ],
)
async def test_a_wrong_schedule_is_refused_by_name(
    admin: Admin, arguments: tuple[str, ...], status: int, says: str
) -> None:
    await admin(*CREATE)
    answer = await admin(*arguments)
    assert answer.status == status
    assert says in answer.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--profile", "IR"), "IR: marketing_refused"),
        (("--profile", "FR", "--window", "sun 10:00-12:00"), "outside the hours of the legal profile FR"),
    ],
)
async def test_a_campaign_that_its_profile_never_lets_dial_does_not_start(
    admin: Admin, options: tuple[str, ...], says: str
) -> None:
    assert (await admin(*CREATE[:7], *options)).status == 0
    answer = await admin("campaign", "start", "Alpha")
    assert answer.status == 1
    assert says in answer.err


async def test_days_off_are_added_listed_and_removed(admin: Admin, pool: asyncpg.Pool) -> None:
    assert (await admin("holiday", "add", "2026-12-31", "New Year's Eve")).status == 0
    await admin("holiday", "add", "2026-12-30")
    listed = (await admin("holiday", "list", "--json")).json
    assert listed == {"holidays": [{"day": "2026-12-30", "name": ""}, {"day": "2026-12-31", "name": "New Year's Eve"}]}
    assert (await admin("holiday", "remove", "2026-12-30")).status == 0
    assert [row["day"] for row in await pool.fetch("SELECT day FROM holidays_extra")] == [date(2026, 12, 31)]
    assert (await admin("holiday", "skip", "--json")).json["skip_holidays"] is True
    off = (await admin("holiday", "skip", "off", "--json")).json
    assert off == {"skip_holidays": False, "schedule_version": 5}
    kinds = [row["kind"] for row in await pool.fetch("SELECT kind FROM call_events ORDER BY id")]
    assert kinds == ["holiday.added", "holiday.added", "holiday.removed", "tenant.skip_holidays"]


async def test_the_profiles_are_shown_with_their_sources_and_the_word_to_check_them(admin: Admin) -> None:
    listed = await admin("profile", "list", "--json")
    assert [found["name"] for found in listed.json["profiles"]] == list(names())
    shown = await admin("profile", "show", "FR")
    assert "mon-fri 10:00-13:00, mon-fri 14:00-20:00" in shown.out and "legifrance" in shown.out
    assert "primary" in shown.out
    for answer in (listed, shown, await admin("profile", "list")):
        assert "must check it" in answer.err
    assert (await admin("profile", "show", "FR", "--json")).json["caps"][0]["calls"] == 4
