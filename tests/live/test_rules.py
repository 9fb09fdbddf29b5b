"""Retries, numbers that take turns, limits, callbacks, money and the kill switch, over real SIP (I1, I2, I3, I13)."""

from typing import Any

import pytest

from lab.subscribers import Behaviour, number
from tests.live.place import Place

pytestmark = pytest.mark.live


async def order(place: Place) -> list[str]:
    """The numbers that reached the carrier, in order."""
    return [invite.number for invite in sorted(place.invites(), key=lambda invite: invite.at)]


async def until_done(place: Place, contacts: int, state: str = "done") -> None:
    await place.until("SELECT count(*) FROM contacts WHERE state = $1", contacts, state)


async def second_number(place: Place, campaign: int, behaviour: Behaviour) -> str:
    e164 = number(behaviour, 7)
    await place.pool.execute(
        "INSERT INTO numbers (tenant_id, campaign_id, contact_id, position, e164, zone_set)"
        " SELECT tenant_id, campaign_id, id, 1, $2, zone_set FROM contacts WHERE campaign_id = $1",
        campaign, e164,
    )  # fmt: skip
    return e164


def rules(**by_outcome: dict[str, Any]) -> dict[str, Any]:
    return {"retry_rules": by_outcome, "max_retries": 10}


@pytest.mark.accepts("PAC-05")
async def test_each_outcome_is_tried_again_by_its_own_rule(place: Place) -> None:
    await place.campaign(
        Behaviour.BUSY, Behaviour.REJECTED,
        **rules(busy={"times": 2, "delay_seconds": 0}, rejected={"times": 0, "delay_seconds": 0}),
    )  # fmt: skip
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await until_done(place, 2)
    assert await place.outcomes() == {"busy": 3, "rejected": 1}


async def test_a_contact_that_is_busy_is_called_on_its_other_number_next(place: Place) -> None:
    campaign = await place.campaign(Behaviour.BUSY, **rules(busy={"times": 5, "delay_seconds": 0, "number": "next"}))
    other = await second_number(place, campaign, Behaviour.PERSON)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await until_done(place, 1)
    assert await order(place) == [number(Behaviour.BUSY, campaign * 100), other]
    assert await place.outcomes() == {"busy": 1, "connected": 1}


async def test_a_number_out_of_service_gives_way_to_the_contacts_next_one(place: Place) -> None:
    campaign = await place.campaign(Behaviour.UNALLOCATED, max_retries=3)
    other = await second_number(place, campaign, Behaviour.PERSON)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(invalid=1, connected=1)
    assert (await order(place))[-1] == other


async def test_a_limit_stops_the_retries_that_the_rules_would_make(place: Place) -> None:
    campaign = await place.campaign(
        Behaviour.BUSY, limits=["2/24h/tenant"], **rules(busy={"times": 9, "delay_seconds": 0})
    )
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until("SELECT count(*) FROM call_events WHERE detail->>'rule' = $1", 1, "2/24h/tenant/number")
    contact = await place.pool.fetchrow("SELECT state, next_at > now() + interval '23 hours' AS later FROM contacts")
    assert tuple(contact) == ("waiting", True)
    assert len(place.invites()) == 2
    assert campaign == place.daemon.status()["campaigns"][0]["id"]


async def test_an_agreed_callback_rings_when_it_is_due_and_goes_to_the_agent_who_agreed(place: Place) -> None:
    campaign = await place.campaign(Behaviour.PERSON)
    names = await place.agents(3)
    await place.pool.execute(
        "UPDATE contacts SET state = 'waiting', next_at = now() + interval '2 seconds',"
        " callback_at = now() + interval '2 seconds',"
        " callback_agent_id = (SELECT id FROM agents WHERE name = $1)",
        names[2],
    )
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=1)
    row = await place.pool.fetchrow(
        "SELECT g.name, c.callback_at FROM attempts a JOIN agents g ON g.id = a.agent_id, contacts c"
    )
    assert tuple(row) == (names[2], None)
    assert campaign


@pytest.mark.accepts("SCH-06")
async def test_the_kill_switch_stops_new_calls_at_once_and_lets_live_ones_go_on(place: Place) -> None:
    await place.campaign(*[Behaviour.PERSON] * 6)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: place.calls().get("connected") == 1, 20, "a conversation")
    await place.pool.execute("UPDATE tenants SET enabled = false")
    dialled = len(place.invites())
    await place.until("SELECT count(*) FROM attempts WHERE state = 'ended' AND outcome = $1", dialled, "connected")
    await place.until("SELECT count(*) FROM call_events WHERE detail->>'rule' = $1", 1, "disabled")
    assert len(place.invites()) == dialled
    await place.pool.execute("UPDATE tenants SET enabled = true")
    await place.until_outcomes(connected=6)


async def test_a_conversation_costs_its_attempt_and_its_started_minutes(place: Place) -> None:
    await place.campaign(Behaviour.PERSON, Behaviour.BUSY, max_retries=0)
    await place.pool.execute("UPDATE tenants SET balance = 10, price_attempt = 0.25, price_minute = 2")
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=1, busy=1)
    row = await place.pool.fetchrow(
        "SELECT balance, (SELECT sum(cost) FROM attempts) AS cost FROM tenants WHERE id = 1"
    )
    assert (float(row["balance"]), float(row["cost"])) == (7.5, 2.5)
    await place.pool.execute("UPDATE tenants SET balance = NULL, price_attempt = 0, price_minute = 0")
