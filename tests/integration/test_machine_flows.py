"""Machines in a flow of their own, with a real PostgreSQL. ARI is a fake: the moments cannot be provoked."""

from dataclasses import replace

import asyncpg

from dialerd.core.causes import Outcome
from dialerd.engine.calls import Call, waits_or_rings
from tests.integration.test_ivr import Stage
from tests.unit.test_conversations import campaign


def for_machines(stage: Stage) -> Call:
    """The stage's call is a machine's, and its flow the campaign's for machines."""
    call = stage.call
    script = call.campaign.flow_script
    call.campaign = campaign(machine_detection="flow", machine_flow="f", machine_script=script)
    call.facts = replace(call.facts, answered_at=call.facts.entered_at, machine="MACHINE")
    return call


async def test_a_machine_that_stays_to_the_end_of_its_flow_has_heard_the_message(pool: asyncpg.Pool) -> None:
    stage = Stage(pool, '[nodes.bye]\ntype = "hangup"\nprompt = "hello"\n')
    call = for_machines(stage)
    stage.ivr.begin(call)
    playback = await stage.hears("hello")
    assert not call.facts.message and not call.wants_agent
    stage.legs.played(playback, True)
    await stage.until(lambda: call.facts.message)
    assert (call.outcome, call.facts.handed_at) == (Outcome.MESSAGE_LEFT, None)


async def test_a_machine_whose_flow_leads_to_an_agent_is_a_call_as_any_other(pool: asyncpg.Pool) -> None:
    stage = Stage(pool, '[nodes.agent]\ntype = "agent"\n')
    call = for_machines(stage)
    assert call.wants_agent and not waits_or_rings(call)
    stage.ivr.begin(call)
    await stage.until(lambda: stage.offered)
    assert (call.on_machine, waits_or_rings(call), call.outcome) == (False, True, Outcome.ABANDONED)


async def test_a_machine_whose_flow_breaks_is_not_counted_as_abandoned(pool: asyncpg.Pool) -> None:
    stage = Stage(pool)
    call = for_machines(stage)
    call.campaign.machine_script, call.campaign.machine_problem = None, "machine flow f: it is gone"
    stage.ivr.begin(call)
    assert (stage.broken, stage.messages) == (["machine flow f: it is gone"], [call])
    assert (call.outcome, call.facts.handed_at) == (Outcome.MACHINE, None)
