"""F29: a number is put on a do-not-call list at every stage of its way to a call, over real SIP."""

import pytest

from dialerd.store import consents
from lab.subscribers import Behaviour
from tests.live.place import Place

pytestmark = pytest.mark.live

# What an operator cannot time by hand: the row comes with the commit of the claim, after the claim's own look.
BAR_AT_CLAIM = """
INSERT INTO dnc_lists (name, kind) VALUES ('late', 'own');
CREATE FUNCTION bar() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dnc_numbers (number, list_id) SELECT substr(NEW.e164, 2)::bigint, id FROM dnc_lists;
    RETURN NULL;
END $$;
CREATE TRIGGER bar AFTER INSERT ON attempts FOR EACH ROW WHEN (NEW.e164 = %s) EXECUTE FUNCTION bar();
"""


async def suppressed(place: Place, e164: str) -> bool:
    state = "SELECT q.state FROM contacts q JOIN numbers n ON n.contact_id = q.id WHERE n.e164 = $1"
    return bool(await place.pool.fetchval(state, e164) == "suppressed")


async def until_suppressed(place: Place, e164: str) -> None:
    for _ in range(200):
        if await suppressed(place, e164):
            return
        place.daemon.status()  # takes a moment, and fails when the daemon is gone
        await place.pool.execute("SELECT pg_sleep(0.1)")
    raise AssertionError(f"{e164} was not suppressed\n{place.daemon.tail(60)}")


@pytest.mark.accepts("DNC-01")
async def test_barred_between_queue_and_claim_it_is_not_dialled(place: Place) -> None:
    campaign = await place.campaign(Behaviour.PERSON, Behaviour.BUSY)
    barred = await place.pool.fetchval("SELECT min(e164) FROM numbers WHERE campaign_id = $1", campaign)
    names = await place.agents(1)
    async with place.pool.acquire() as connection:
        assert await consents.opt_out(connection, 1, barred, "letter")
    place.start()
    place.connect(names)
    await place.until_outcomes(busy=1)
    await until_suppressed(place, barred)
    assert barred not in {invite.number for invite in place.invites()}


@pytest.mark.accepts("DNC-01")
async def test_barred_between_claim_and_originate_it_is_not_dialled(place: Place) -> None:
    campaign = await place.campaign(Behaviour.PERSON, Behaviour.BUSY)
    barred = await place.pool.fetchval("SELECT min(e164) FROM numbers WHERE campaign_id = $1", campaign)
    await place.pool.execute(BAR_AT_CLAIM % f"'{barred}'")
    names = await place.agents(2)
    place.start()
    place.connect(names)
    await place.until_outcomes(busy=1, not_sent=1)
    await until_suppressed(place, barred)
    assert barred not in {invite.number for invite in place.invites()}
    assert "'late'" in await place.pool.fetchval("SELECT detail FROM attempts WHERE e164 = $1", barred)


async def test_barred_while_it_rings_the_call_goes_on_is_flagged_and_the_last(place: Place) -> None:
    await place.campaign(Behaviour.NO_ANSWER, ring_timeout_seconds=5, max_retries=3, retry_delay_seconds=0)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: place.calls().get("ringing") == 1, 10, "a ringing line")
    called = place.invites()[0]
    async with place.pool.acquire() as connection:
        assert await consents.opt_out(connection, 1, called.number, "web form")
    assert place.calls().get("ringing") == 1
    await place.until_outcomes(no_answer=1)
    await until_suppressed(place, called.number)
    assert len(place.invites()) == 1
    flagged = await place.pool.fetch("SELECT attempt_id::text FROM call_events WHERE kind = 'dnc.during_call'")
    assert [row["attempt_id"] for row in flagged] == [called.attempt]
