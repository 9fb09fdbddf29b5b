"""The message that names the seller, with a real PostgreSQL. ARI is a fake: the moments cannot be provoked."""

from typing import Any

import asyncpg

from dialerd.engine.harbour import PLACE, SafeHarbour
from tests.integration.test_ivr import ATTEMPT, NUMBER, Stage

MESSAGE = "/prompts/0123abcd"


def with_a_message(pool: asyncpg.Pool) -> tuple[Stage, SafeHarbour]:
    """The stage, with a campaign that names its seller."""
    stage = Stage(pool)
    stage.call.campaign.message = MESSAGE
    ari: Any = stage.ari
    return stage, SafeHarbour(stage.here, stage.legs, ari, stage.opt_outs, stage.queues.leave)


async def test_a_key_in_the_safe_harbour_message_is_on_record_and_ends_all_calls(pool: asyncpg.Pool) -> None:
    stage, harbour = with_a_message(pool)
    assert harbour.say(stage.call) and harbour.say(stage.call), "under way is as good as begun"
    await stage.hears(MESSAGE)
    assert len(stage.ari.playing) == 1
    stage.legs.pressed(ATTEMPT, "7")
    stage.legs.pressed(ATTEMPT, "2")
    await stage.until(lambda: stage.ari.hung_up)
    assert await stage.keys() == [("7", PLACE), ("2", PLACE)]
    assert [tuple(r) for r in await pool.fetch("SELECT e164, source FROM consents")] == [(NUMBER, PLACE)]
    assert await pool.fetchval("SELECT count(*) FROM dnc_numbers") == 1
    assert stage.call.facts.handed_at is None and stage.call.facts.left_at is None, "it changes nothing that is counted"


async def test_a_message_that_ari_lost_is_said_again_and_one_that_cannot_be_said_is_the_dialplans(
    pool: asyncpg.Pool,
) -> None:
    stage, harbour = with_a_message(pool)
    harbour.say(stage.call)
    await stage.hears(MESSAGE)
    harbour.lost()
    await stage.until(lambda: stage.legs.get(ATTEMPT) is None)
    assert stage.call.forsaken and not stage.ari.hung_up
    harbour.say(stage.call)  # as Conversations.attend does when reconcile has found it
    playback = await stage.hears(MESSAGE, 2)
    stage.legs.played(playback, False)
    await stage.until(lambda: stage.ari.to_the_dialplan)
    stage.ari.up = False
    assert not harbour.say(stage.call)
    stage.ari.up, stage.call.campaign.message = True, None
    assert not harbour.say(stage.call)
