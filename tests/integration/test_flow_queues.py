"""Who waits in a flow's queue, with a real PostgreSQL. ARI is a fake: the moments cannot be provoked."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.integration.test_ivr import ATTEMPT, Stage

WAIT = """\
[nodes.wait]
type = "queue"
seconds = 60
music = "jazz"
message = "busy"
every_seconds = 1
"""


async def test_who_waits_gets_a_room_with_music_and_a_message_that_cannot_be_played_is_given_up(
    pool: asyncpg.Pool,
) -> None:
    stage = Stage(pool, WAIT)
    stage.waits = True
    stage.ivr.begin(stage.call)
    await stage.until(lambda: stage.ari.announced)
    stage.queues.lost()  # nobody tells the end of a message to a daemon that is not there
    await stage.until(lambda: stage.ari.rooms.count("busy") == 2)
    stage.queues.played(stage.ari.announced, False)
    begun = ["make wait", "music jazz", "join", "no music", "busy"]
    await stage.until(lambda: stage.ari.rooms == [*begun, *begun, "music jazz"])
    assert await stage.keys() == []
    assert await pool.fetchval("SELECT detail FROM call_events WHERE kind = 'flow.message_not_played'") == {
        "flow": "f", "node": "wait", "sound": "busy"
    }  # fmt: skip
    await stage.queues.leave(stage.call)
    await stage.until(lambda: stage.ari.rooms[-2:] == ["leave", "end"])


@pytest.mark.parametrize("reserved", ["at once", "while the room is made"])
async def test_whoever_loses_the_agent_before_the_join_waits_with_music(pool: asyncpg.Pool, reserved: str) -> None:
    """[F27] Else they would wait for the queue's limit in silence."""
    stage = Stage(pool, WAIT.replace('message = "busy"\n', ""))
    stage.waits = reserved != "at once"
    ari: Any = stage.ari
    plays = ari.play_music

    async def taken(bridge: str, music: str) -> None:
        await plays(bridge, music)
        stage.call.waits = False

    ari.play_music = taken
    stage.ivr.begin(stage.call)
    await stage.until(lambda: stage.offered and not stage.call.waits)
    await stage.over()
    assert "join" not in stage.ari.rooms
    ari.play_music, stage.waits = plays, True
    stage.offer(stage.call)  # the agent's phone died: nobody else is free
    await stage.until(lambda: stage.ari.rooms[-3:] == ["make wait", "music jazz", "join"])
    (wait,) = stage.queues._waits.values()
    stage.queues.entered(ATTEMPT, wait.room)
    before = list(stage.ari.rooms)
    stage.offer(stage.call)
    assert stage.ari.rooms == before, "they are in there"
    await stage.queues.leave(stage.call)


async def test_whom_an_agent_takes_while_the_room_is_made_does_not_go_there(pool: asyncpg.Pool) -> None:
    stage = Stage(pool, WAIT)
    ari: Any = stage.ari
    stage.waits = True

    async def taken(bridge: str, music: str) -> None:
        stage.call.waits = False

    ari.play_music = taken
    stage.ivr.begin(stage.call)
    await stage.until(lambda: stage.offered and not stage.call.waits)
    await stage.over()
    stage.queues.entered(ATTEMPT, "dialerd-agent-1")
    await asyncio.sleep(0)
    assert stage.ari.rooms == ["make wait"]
