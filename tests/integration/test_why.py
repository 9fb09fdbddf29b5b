"""`why` against the claim: "would be dialed" exactly when the claim takes the number, else by the same rule."""

import random
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from dialerd import config
from dialerd.store import dnc
from dialerd.store.claim import claim
from dialerd.store.terms import judged
from dialerd.store.why import why, why_on
from tests.integration.test_admin import runner
from tests.web.api_client import api_client

NUMBER, OTHER = "+358401234567", "+358501234567"
_HOME = "Europe/Helsinki"
_PAST = (
    "INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, state, outcome,"
    " claimed_at, ended_at) SELECT uuid7(), 1, %s, %s, 0, '%s', 'n', '%s', %s, now() - interval '1 hour', %s"
    " FROM campaigns WHERE name = 'c'"
)
_ENDED = "now() - interval '1 hour'"


def _attempt(outcome: str, e164: str = NUMBER, campaign: str = "id") -> str:
    return _PAST % (campaign, -1, e164, "x", f"'ended', '{outcome}'", _ENDED)


def _live(e164: str) -> str:
    return _PAST % ("(SELECT id FROM campaigns WHERE name = 'd')", -2, e164, "x", "'dialing', NULL", "NULL")


# Each one shuts a gate, or nearly.
SITUATIONS = {
    "installation off": "UPDATE installation SET enabled = false",
    "tenant off": "UPDATE tenants SET enabled = false",
    "paused": "UPDATE campaigns SET state = 'paused'",
    "no money": "UPDATE tenants SET balance = 0",
    "not enough money": "UPDATE tenants SET balance = 1, price_attempt = 2",
    "enough money": "UPDATE tenants SET balance = 2, price_attempt = 2",
    "no such trunk": "UPDATE campaigns SET trunk = 'gone'",
    "trunk off": "UPDATE trunks SET active = false",
    "another tenant's trunk": "WITH o AS (INSERT INTO tenants (name) VALUES ('other') RETURNING id)"
                              " UPDATE trunks SET tenant_id = o.id FROM o WHERE trunks.name = 't'",
    "never": "DELETE FROM campaign_windows",
    "marketing refused": "UPDATE campaigns SET legal_profile = 'DE', purpose = 'marketing'",
    "unknown profile": "UPDATE campaigns SET legal_profile = 'XX'",
    "stale list": "INSERT INTO dnc_lists (name, kind, as_of, max_age_days) VALUES ('old', 'register', '2020-01-01', 3)",
    "stale list of another campaign": "INSERT INTO dnc_lists (tenant_id, campaign_id, name, kind, as_of, max_age_days)"
                                      " SELECT 1, id, 'old', 'own', '2020-01-01', 3 FROM campaigns WHERE name = 'd'",
    "trunk full": "UPDATE trunks SET max_calls = 0",
    "tenant full": "UPDATE tenants SET max_calls = 0",
    "tenant with one call left": "UPDATE tenants SET max_calls = 1",
    "campaign full": "UPDATE campaigns SET max_concurrent_calls = 0",
    "outside trunk": "UPDATE trunks SET outside = true",
    "waiting": "UPDATE contacts SET state = 'waiting', next_at = now() + interval '1 hour'",
    "due, and not promoted": "UPDATE contacts SET state = 'waiting', next_at = now() - interval '1 hour'",
    "held": "UPDATE contacts SET state = 'held'",
    "done": "UPDATE contacts SET state = 'done', last_outcome = 'connected'",
    "suppressed": "UPDATE contacts SET state = 'suppressed'",
    "claimed": "UPDATE contacts SET state = 'claimed'",
    "the other number's turn": "UPDATE contacts SET position = 1",
    "zone unknown": "UPDATE contacts SET zone_set = 0",
    "zone closed": "UPDATE contacts SET zone_set = zone_set_of(ARRAY['{away}'])",
    "one of two zones closed": "UPDATE contacts SET zone_set = zone_set_of(ARRAY['Europe/Helsinki', '{away}'])",
    "one attempt left": "UPDATE contacts SET attempts = 3",
    "tired": "UPDATE contacts SET attempts = 4",
    "callback": "UPDATE contacts SET callback_at = now()",
    "callback of a busy agent": "UPDATE contacts SET callback_at = now(), callback_agent_id = (SELECT id FROM agents)",
    "callback of a free agent": "WITH a AS (UPDATE agents SET state = 'ready' RETURNING id)"
                                " UPDATE contacts SET callback_at = now(), callback_agent_id = a.id FROM a",
    "barred": f"SELECT bar('{NUMBER}', NULL, 1)",
    "barred by prefix": "WITH l AS (INSERT INTO dnc_lists (name, kind) VALUES ('p', 'own') RETURNING id)"
                        " INSERT INTO dnc_prefixes (prefix, list_id) SELECT 35840, id FROM l",
    "other number barred": f"SELECT bar('{OTHER}', NULL, 1)",
    "barred from another campaign": f"SELECT bar('{NUMBER}', (SELECT id FROM campaigns WHERE name = 'd'), 1)",  # noqa: S608
    "limit": "UPDATE campaigns SET limits = '[\"1/24h\"]'",
    "limit by person, all campaigns": "UPDATE campaigns SET limits = '[\"1/24h/tenant/person\"]'",
    "limit for ever": "UPDATE campaigns SET limits = '[\"1/ever/tenant\"]'",
    "called before": _attempt("busy"),
    "called before in another campaign": _attempt("busy", NUMBER, "id + 1"),
    "other number called before": _attempt("busy", OTHER),
    "never left us": _attempt("not_sent"),
    "abandoned": _attempt("abandoned"),
    "in a call of another campaign": _live(NUMBER),
    "other number in a call": _live(OTHER),
}  # fmt: skip
_BEFORE_THE_CONTACT = {
    "marketing_refused", "unknown_profile", "not_active", "disabled", "insufficient_funds", "unknown_trunk",
    "trunk_inactive", "outside_allowed_time_window", "dnc_stale", "trunk_full", "tenant_full", "campaign_full",
}  # fmt: skip
_NOT_LOOKED_AT = {
    "waiting", "held", "done", "suppressed", "claimed", "other_number", "callback_agent", "unknown_zone", "no_window",
}  # fmt: skip


async def make(connection: Any) -> int:
    """An active campaign `c` that may call in Helsinki today, and is the only one with the number; and one `d`."""
    today = datetime.now(UTC).astimezone(ZoneInfo(_HOME)).isoweekday()
    await connection.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('t', 'n', 10), ('x', 'n', 10)")
    await connection.execute("INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, 'aino', 'aino')")
    made = [
        await connection.fetchval(
            "INSERT INTO campaigns (tenant_id, name, state, dial_mode, queue_name, trunk, skip_holidays)"
            " VALUES (1, $1, 'active', 'progressive', 'q', 't', false) RETURNING id", name
        ) for name in ("c", "d")
    ]  # fmt: skip
    await connection.execute("INSERT INTO campaign_windows SELECT id, $1, '00:00', '24:00' FROM campaigns", today)
    await connection.execute(
        "WITH z AS (SELECT zone_set_of('{Europe/Helsinki}') AS id),"
        " q AS (INSERT INTO contacts (tenant_id, campaign_id, zone_set) SELECT 1, $1, id FROM z RETURNING id)"
        " INSERT INTO numbers (tenant_id, campaign_id, contact_id, position, e164, zone_set)"
        " SELECT 1, $1, q.id, n, e164, z.id FROM q, z, (VALUES (0, $2), (1, $3)) AS v (n, e164)",
        made[0], NUMBER, OTHER,
    )  # fmt: skip
    await connection.execute(
        "CREATE FUNCTION pg_temp.bar(e164 text, campaign bigint, tenant integer) RETURNS void LANGUAGE sql AS $$"
        " WITH l AS (INSERT INTO dnc_lists (tenant_id, campaign_id, name, kind)"
        "            VALUES (tenant, campaign, 'l', 'own') ON CONFLICT (tenant_id, campaign_id, name)"
        "            DO UPDATE SET kind = 'own' RETURNING id)"
        " INSERT INTO dnc_numbers (number, list_id) SELECT dnc_digits(e164), id FROM l $$"
    )
    campaign: int = made[0]
    return campaign


async def compare(connection: Any, campaign: int, names: tuple[str, ...]) -> bool:
    """Holds `why` against the claim in this situation; whether it would be dialed."""
    now = datetime.now(UTC)
    found = await why_on(connection, 1, NUMBER, now)
    decision = found.campaigns[0].decision
    free = [row["id"] for row in await connection.fetch("SELECT id FROM agents WHERE state = 'ready'")]
    done = await claim(connection, campaign, 5, "n", await judged(connection, campaign, now), free)
    taken = NUMBER in [each.e164 for each in done.taken]
    note = await connection.fetchval(
        "SELECT detail ->> 'rule' FROM call_events WHERE kind = 'not_dialed' AND detail ->> 'number' = $1"
        " ORDER BY id LIMIT 1", NUMBER)  # fmt: skip
    if decision.rule == "other_number" and await connection.fetchval("SELECT dead FROM numbers WHERE e164 = $1", OTHER):
        return False  # the claim has given that one up, and gone on to ours at once
    assert decision.would_be_dialed == taken, (names, decision.rule, done)
    if done.refusal in _BEFORE_THE_CONTACT:
        assert decision.rule == done.refusal, names
    elif note is not None:
        assert decision.rule == note, names
    elif not taken:
        assert decision.rule in _NOT_LOOKED_AT, (names, decision.rule, done)
    assert [check.rule for check in decision.checks if not check.ok][:1] == ([] if taken else [decision.rule])
    return taken


async def test_why_says_what_the_claim_does_whatever_gates_are_shut(pool: asyncpg.Pool) -> None:
    pairs = list(combinations(SITUATIONS, 2))
    draw = random.Random(1)  # the same ones each time
    cases = [
        (),
        *((name,) for name in SITUATIONS),
        *pairs,
        *(tuple(draw.sample(list(SITUATIONS), 4)) for _ in range(300)),
    ]
    now = datetime.now(UTC)
    home = now.astimezone(ZoneInfo(_HOME)).isoweekday()
    away = next(
        z for z in ("Pacific/Kiritimati", "Pacific/Pago_Pago") if now.astimezone(ZoneInfo(z)).isoweekday() != home
    )
    dialed, rules = 0, 0
    async with pool.acquire() as connection, connection.transaction():
        campaign = await make(connection)
        for case in cases:
            step = connection.transaction()
            await step.start()
            try:
                for name in case:
                    statement = SITUATIONS[name].replace("{away}", away).replace("SELECT bar(", "SELECT pg_temp.bar(")
                    await connection.execute(statement)
            except asyncpg.UniqueViolationError:  # two of them cannot be at once
                await step.rollback()
                continue
            dialed += await compare(connection, campaign, case)
            rules += 1
            await step.rollback()
    assert dialed > 50
    assert rules > 1200


async def test_the_next_moment_is_when_the_last_gate_opens_within_the_window(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        campaign = await make(connection)
        await connection.execute(SITUATIONS["limit"])
        await connection.execute(SITUATIONS["called before"])
        await connection.execute("DELETE FROM campaign_windows")
        await connection.execute(
            "INSERT INTO campaign_windows SELECT $1, d, '09:00', '10:00' FROM generate_series(1, 7) d", campaign
        )
        (place,) = (await why_on(connection, 1, NUMBER, datetime.now(UTC))).campaigns
        until = await connection.fetchval("SELECT max(claimed_at) + interval '24 hours' FROM attempts")
    assert place.decision.rule in ("1/24h/campaign/number", "outside_allowed_time_window")
    next_at = place.decision.next_at
    assert next_at is not None
    local = next_at.astimezone(ZoneInfo(_HOME))
    assert next_at >= until
    assert (local.hour, (next_at - until).total_seconds() < 86_400) == (9, True)


async def test_a_number_that_no_campaign_has_is_told_by_lists_consents_and_history(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO consents (tenant_id, e164, kind, source) VALUES (1, $1, 'opt_out', 'agent')", NUMBER
    )
    await dnc.add(pool, 1, dnc.Scope(1), [NUMBER], "FI", "test", "the agent")
    found = await why(pool, 1, NUMBER, datetime.now(UTC))
    assert (found.campaigns, [bar.source for bar in found.dnc], [c["kind"] for c in found.consents]) == (
        (), ["the agent"], ["opt_out"],
    )  # fmt: skip


async def test_the_command_and_the_api_say_the_same_and_see_one_tenant(
    pool: asyncpg.Pool, tmp_path: Path, database: config.Postgres
) -> None:
    async with pool.acquire() as connection:
        campaign = await make(connection)
        await connection.execute("INSERT INTO tenants (name) VALUES ('other')")
        await claim(connection, campaign, 1, "n", await judged(connection, campaign, datetime.now(UTC)))
    admin = runner(tmp_path / "etc", database)
    told = (await admin("why", "040 123 4567", "--json")).json
    assert (told["number"], told["campaigns"][0]["decision"]["rule"]) == (NUMBER, "claimed")
    assert [e["kind"] for e in told["events"]] == ["claimed"]
    assert [a["state"] for a in told["attempts"]] == ["claimed"]
    table = (await admin("why", NUMBER)).out
    assert "a call of this contact is in progress" in table
    assert (await admin("--tenant", "other", "why", NUMBER, "--json")).json["campaigns"] == []
    assert (await admin("why", NUMBER, "--campaign", "nope")).status == 3
    no_redis: Any = None
    async with api_client(pool, no_redis) as http:
        asked: dict[str, str] = {"number": NUMBER, "campaign": "c"}
        reply = (await http.get("/api/why", params=asked)).json()
        checks = [(c["rule"], c["ok"], c["words"]) for c in told["campaigns"][0]["decision"]["checks"]]
        assert [(c["rule"], c["ok"], c["words"]) for c in reply["campaigns"][0]["decision"]["checks"]] == checks
        assert reply["events"] == told["events"]
        elsewhere = await http.get("/api/why", params={"number": NUMBER}, headers={"x-tenant": "other"})
        assert (elsewhere.json()["campaigns"], elsewhere.json()["attempts"]) == ([], [])
        for params, status in (({}, 400), ({"number": "12"}, 400), ({"number": NUMBER, "campaign": "x"}, 404)):
            assert (await http.get("/api/why", params=params)).status_code == status
        stranger = {"authorization": "Bearer nobody"}
        assert (await http.get("/api/why", params=asked, headers=stranger)).status_code == 401
