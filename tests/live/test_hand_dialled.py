"""Calls that agents dial by hand go through the gates of all others: lists and hours, and nothing without dialerd."""

import pytest

from dialerd.store import consents
from lab.subscribers import Behaviour, number
from tests.live.place import Place

pytestmark = pytest.mark.live

AGENT = "agent-1"
SHOWN = "+358505512345"


async def preview(place: Place) -> int:
    """A campaign that dials nothing by itself, its agent, and a caller ID of its own."""
    campaign = await place.campaign(Behaviour.PERSON, dial_mode="preview")
    await place.agents(1)
    await place.pool.execute(
        "INSERT INTO caller_ids (tenant_id, campaign_id, e164) VALUES (1, $1, $2)", campaign, SHOWN
    )
    place.site.lab.wait_registered()
    return campaign


def dial(place: Place, e164: str) -> None:
    place.site.lab.phone_dial(AGENT, e164)


def notes(place: Place, e164: str) -> list[str]:
    """What the PBX wrote down of calls to a number."""
    return [record.note for record in place.site.lab.pbx.records() if record.destination == e164]


def refused(place: Place, e164: str) -> str:
    """An agent dials it and hears that it cannot be done; why not, as the call's record has it."""
    before = len(notes(place, e164))
    dial(place, e164)

    def told() -> bool:
        return any(c.application == "Playback" and AGENT in c.name for c in place.site.lab.pbx.channels())

    place.wait(told, 10, "the agent hears a message")
    place.wait(lambda: len(notes(place, e164)) > before, 20, "a record of the call")
    assert e164 not in {invite.number for invite in place.all_invites()}
    return notes(place, e164)[-1]


async def test_an_allowed_number_is_dialled_with_the_caller_id_of_the_log(place: Place) -> None:
    campaign, called = await preview(place), number(Behaviour.BUSY, 7001)
    place.start()
    dial(place, called)
    place.wait(lambda: any(i.number == called for i in place.all_invites()), 10, "an INVITE")
    [invite] = [i for i in place.all_invites() if i.number == called]
    await place.until("SELECT count(*) FROM caller_id_requests", 1)
    [row] = await place.pool.fetch("SELECT campaign_id, to_e164, caller_id, agent FROM caller_id_requests")
    assert tuple(row) == (campaign, called, SHOWN, AGENT)
    assert invite.caller_id == SHOWN
    place.wait(lambda: set(notes(place, called)) == {""}, 20, "a record of the call")


async def test_a_number_on_a_list_is_refused_and_the_record_names_the_list(place: Place) -> None:
    await preview(place)
    called = number(Behaviour.BUSY, 7002)
    async with place.pool.acquire() as connection:
        assert await consents.opt_out(connection, 1, called, "letter")
    place.start()
    assert refused(place, called).startswith("dnc ")
    assert await place.pool.fetchval("SELECT count(*) FROM caller_id_requests") == 0


async def test_out_of_the_window_a_number_is_refused_and_the_record_says_until_when(place: Place) -> None:
    await preview(place)
    # The day after tomorrow only, and neither today nor tomorrow wherever the number lies.
    await place.pool.execute(
        "UPDATE campaign_windows SET closes = '12:00' WHERE weekday = extract(isodow FROM now() + interval '3 days')"
    )
    await place.pool.execute(
        "DELETE FROM campaign_windows WHERE weekday <> extract(isodow FROM now() + interval '3 days')"
    )
    place.start()
    why, reason, again = refused(place, number(Behaviour.BUSY, 7003)).split(" ")
    assert (why, reason, again[-1]) == ("window", "no_window", "Z")


async def test_a_campaign_that_was_stopped_is_not_called_for_by_hand(place: Place) -> None:
    campaign = await preview(place)
    await place.pool.execute("UPDATE campaigns SET state = 'stopped'")
    place.start()
    called = number(Behaviour.BUSY, 7004)
    assert refused(place, called) == "unproven no_campaign"
    place.site.lab.pbx.cli(f"dialplan set global DIALERD_CAMPAIGN {campaign}")
    try:
        assert refused(place, called).split() == ["window", "campaign_stopped"]
    finally:
        place.site.lab.pbx.cli('dialplan set global DIALERD_CAMPAIGN ""')


async def test_without_dialerd_nothing_is_dialled_by_hand(place: Place) -> None:
    await preview(place)
    assert refused(place, number(Behaviour.BUSY, 7005)) == "unproven unreachable"
