"""Reconcile against what happens while its lists are on their way. ARI and PostgreSQL are fakes: moments matter."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dialerd.clock import Clock
from dialerd.core.agent import AgentState, Do
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.reconcile import Channel
from dialerd.core.retry import History
from dialerd.engine.calls import Call
from dialerd.engine.node import Node
from dialerd.engine.reconciler import Reconciler, _from_row
from tests.unit.test_conversations import ATTEMPT, NOW, Stage, campaign


class Pool:
    async def fetch(self, *_: Any) -> list[Any]:
        return []


async def reconcile(
    stage: Stage, bridges: dict[str, list[str]], meanwhile: Callable[[], None] = lambda: None, pool: Any = None,
    claims: Any = (),
) -> None:  # fmt: skip
    """One run: all legs and the caller are in the app, the bridges as given; `meanwhile` happens during the request."""

    async def list_channels() -> list[Channel]:
        meanwhile()
        there = [ATTEMPT, *(leg for legs in bridges.values() for leg in legs if leg != ATTEMPT)]
        return [Channel(id_, "Up", "dialerd", True) for id_ in there]

    async def list_bridges() -> dict[str, list[str]]:
        return bridges

    stage.ari.channels, stage.ari.bridges = list_channels, list_bridges  # type: ignore[attr-defined]
    config: Any = SimpleNamespace(node="n")
    ledger: Any = SimpleNamespace(ending=frozenset())
    node = Node(
        config, Clock(), stage.calls, stage.agents, {1: stage.call.campaign}, {}, ledger, lambda: None, lambda: None,
        stage.spawn, set(claims),
    )  # fmt: skip
    reconciler = Reconciler(node, stage.talk, stage.ari, lambda: None)  # type: ignore[arg-type]
    await reconciler._reconcile(pool or Pool())
    await stage.settle()


def standing(stage: Stage) -> dict[str, list[str]]:
    """Each agent's leg in their bridge."""
    return {agent.bridge: [agent.leg] for agent in stage.agents if agent.leg is not None}


def talking(stage: Stage) -> None:
    """The caller talks with agent 1."""
    stage.calls.learn(ATTEMPT, Event(Kind.ENTERED, NOW))
    agent = stage.agent(1)
    stage.agents.step(agent, Do.RESERVE)
    agent.attempt, stage.call.agent_id = ATTEMPT, 1
    stage.talk.joined(ATTEMPT, agent.bridge, NOW)


async def test_a_caller_whose_agent_went_while_we_were_away_gets_the_next_one() -> None:
    """[F7, F27] The bridge still stands, with the caller alone in it."""
    stage = Stage(agents=2)
    talking(stage)
    bridges = standing(stage) | {"dialerd-agent-1": [ATTEMPT]}
    await reconcile(stage, bridges)
    assert stage.states() == ["offline", "reserved"]
    assert stage.call.agent_id == 2
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-2"]


async def test_a_caller_taken_over_after_a_restart_is_not_left_alone_in_a_bridge() -> None:
    stage = Stage(agents=2)
    talking(stage)
    stage.agent(1).attempt = None  # a restart remembers the call's agent, not the agent's call
    await reconcile(stage, standing(stage) | {"dialerd-agent-1": [ATTEMPT]})
    assert stage.states() == ["offline", "reserved"]
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-2"]


async def test_a_caller_who_is_being_joined_is_not_given_to_a_second_agent() -> None:
    stage = Stage(agents=2)
    await reconcile(stage, standing(stage), lambda: stage.talk.customer_arrived(ATTEMPT, NOW, ""))
    assert stage.states() == ["reserved", "ready"]
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-1"]
    await reconcile(stage, standing(stage))
    assert stage.states() == ["reserved", "ready"]


async def test_a_caller_who_stands_in_no_bridge_gets_another_agent() -> None:
    stage = Stage(agents=2)
    talking(stage)
    await reconcile(stage, standing(stage))
    assert stage.states() == ["ready", "reserved"]
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-2"]


async def test_two_who_talk_stay_together() -> None:
    stage = Stage(agents=2)
    talking(stage)
    bridges = standing(stage)
    bridges["dialerd-agent-1"].append(ATTEMPT)
    await reconcile(stage, bridges)
    assert stage.states() == ["on_call", "ready"]
    assert stage.ari.joins == []


class Claiming(Pool):
    """Shows an attempt that a claim has just written; the claim's answer arrives after the first look."""

    def __init__(self, stage: Stage, arrives: bool) -> None:
        self.stage, self.arrives = stage, arrives
        self.asked = 0
        self.claim: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fetch(self, *_: Any) -> list[Any]:
        self.asked += 1
        asyncio.get_running_loop().call_soon(self._answer)
        nothing = dict.fromkeys(
            ("dialed_at", "ringing_at", "answered_at", "connected_at", "agent_id", "machine", "dial_status", "cause",
             "caller_id", "returns")
        )  # fmt: skip
        return [nothing | {"id": "new", "campaign_id": 1, "contact_id": 2, "e164": "+358401234568", "state": "claimed",
                           "claimed_at": Clock().now(), "attempts": 1, "tries": {}}]  # fmt: skip

    def _answer(self) -> None:
        if self.arrives:
            self.stage.calls.add(
                Call("new", self.stage.call.campaign, 2, "+358401234568", History(1, {}), Facts(NOW), 0.0)
            )
        if not self.claim.done():
            self.claim.set_result(None)


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_attempt_whose_claim_is_just_being_answered_is_not_taken_for_a_lost_one(arrives: bool) -> None:
    """One whose claim failed on the way back is: nobody else would ever close it (F14)."""
    stage = Stage(agents=1)
    pool = Claiming(stage, arrives)
    await reconcile(stage, standing(stage), pool=pool, claims={pool.claim})
    found = stage.calls.get("new")
    assert pool.asked == 2
    assert found is not None and found.facts.link_lost is not arrives


async def test_a_wrap_up_that_nobody_times_ends_at_its_limit() -> None:
    """After a restart the agent is as PostgreSQL had them, and the timer is gone."""
    stage = Stage(agents=1)
    agent = stage.agent(1)
    agent.state, agent.since = AgentState.WRAP_UP, Clock().now() - timedelta(seconds=1)
    await reconcile(stage, standing(stage))
    assert stage.states() == ["wrap_up"]
    agent.since -= timedelta(seconds=5)
    await reconcile(stage, standing(stage))
    assert stage.states()[0] != "wrap_up"


async def test_a_person_on_hold_is_with_their_agent_also_after_a_restart() -> None:
    """[F7] They are in the agent's waiting room, alone; the name of it says whose they are."""
    stage = Stage(agents=2)
    talking(stage)
    stage.agent(1).attempt = None
    await reconcile(stage, standing(stage) | {"dialerd-hold-1": [ATTEMPT]})
    assert stage.states() == ["on_call", "ready"]
    agent = stage.agent(1)
    assert (agent.attempt, agent.on_hold, agent.has_room) == (ATTEMPT, True, True)
    assert stage.ari.joins == []


async def test_a_person_on_hold_whose_agent_is_gone_goes_to_the_next_one() -> None:
    stage = Stage(agents=2)
    talking(stage)
    await reconcile(stage, {"dialerd-hold-1": [ATTEMPT], "dialerd-agent-2": [stage.agent(2).leg or ""]})
    assert stage.states() == ["offline", "reserved"]
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-2"]


def test_a_machine_that_is_to_be_checked_is_so_also_after_a_restart() -> None:
    times = dict.fromkeys(("dialed_at", "ringing_at", "answered_at", "connected_at"))
    row: dict[str, Any] = {"id": ATTEMPT, "contact_id": 1, "e164": "+358401234567", "claimed_at": NOW,
           "state": "answered", "agent_id": None, "machine": "MACHINE", "dial_status": None, "cause": None,
           "attempts": 1, "tries": {}, "caller_id": None, "returns": None, **times}  # fmt: skip
    for share, checked in ((0.5, False), (0.6, True)):
        call = _from_row(row, campaign(machine_detection="drop", machine_check=share), 0.0)
        assert (call.checked, call.on_machine) == (checked, not checked)


async def test_a_caller_in_the_bridge_of_an_earlier_leg_is_not_with_the_agent_who_is_back() -> None:
    """[F27] The phone died and came again: it stands in a bridge of its own, and the old one goes."""
    stage = Stage(agents=2)
    talking(stage)
    stage.agents.step(stage.agent(1), Do.LEG_DOWN)
    back = stage.agent(1)
    back.state, back.leg, back.bridge = AgentState.PAUSED, "dialerd-agent-1-11111111", "dialerd-agent-1-22222222"
    await reconcile(stage, standing(stage) | {"dialerd-agent-1": [ATTEMPT]})
    assert stage.states() == ["paused", "reserved"]
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-2"]
    assert stage.ari.ended == ["dialerd-agent-1"]
