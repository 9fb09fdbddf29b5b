"""Rounds of pacing: who is asked when, and what one campaign leaves for the next. Claims are a fake: they take as long
as a test wants."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from dialerd.clock import Clock
from dialerd.config import Trunk
from dialerd.core.agent import AgentState
from dialerd.core.terms import Judgement
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.calls import Call, Calls
from dialerd.engine.campaign import Campaign
from dialerd.engine.dialing import Dialing
from dialerd.engine.node import Node
from dialerd.engine.pacer import BEAT, Pacer
from dialerd.pacing.snapshot import Decision, Snapshot
from dialerd.store.claim import Claim, Claimed
from tests.unit.test_conversations import NOW, campaign


class Handmade(Clock):
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at


class Slow(Dialing):
    """Each claim waits until the test answers it."""

    def __init__(self, node: Node, *rest: Any) -> None:
        super().__init__(node, *rest)
        self.asked: list[tuple[int, int]] = []  # campaign, lines
        self.answers: dict[int, asyncio.Future[Claim]] = {}
        self.placed: list[Call] = []

    async def claim(self, campaign: Campaign, lines: int, judgement: Judgement) -> Claim:
        self.asked.append((campaign.id, lines))
        self.answers[campaign.id] = asyncio.get_running_loop().create_future()
        return await self.answers[campaign.id]

    async def place(self, fresh: list[Call], trunk: Trunk, until: datetime) -> None:
        self.placed += fresh


class Floor:
    """Some campaigns of one queue, some free agents, one trunk."""

    def __init__(self, agents: int, *campaigns: Campaign, **trunk: Any) -> None:
        self.clock = Handmade()
        self.calls = Calls(lambda *_: None)
        self.agents = Agents(self.clock, lambda *_: None)
        for _ in range(agents):
            self.hire()
        self.campaigns = {c.id: c for c in campaigns}
        self.gate: str | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.decisions: list[tuple[int, Snapshot, Decision]] = []
        config: Any = SimpleNamespace(
            trunks={"t": Trunk(endpoint="t", **{"calls_per_second": 1000, **trunk})}, node="n"
        )
        ledger: Any = SimpleNamespace(put=lambda *_: None)
        self.node = Node(
            config, self.clock, self.calls, self.agents, self.campaigns, {}, ledger, lambda: None, lambda: self.gate,
            self.spawn,
        )  # fmt: skip
        nothing: Any = None
        self.pacer: Pacer
        self.dialing = Slow(self.node, nothing, nothing, lambda claimed: self.pacer.claimed(claimed), lambda _: None)
        self.dialing.room("t")
        self.clock.at += 60.0  # the trunk's bucket is full
        self.pacer = Pacer(self.node, self.dialing, lambda c, s, d: self.decisions.append((c.id, s, d)))

    def hire(self) -> Agent:
        """One more agent, free."""
        count = len(list(self.agents)) + 1
        new = self.agents.load([
            {"id": n, "tenant_id": 1, "name": f"a{n}", "endpoint": f"a{n}", "queues": ["q"], "default_region": "FI",
             "state_at": NOW} for n in range(1, count + 1)
        ])  # fmt: skip
        new[0].state = AgentState.READY
        return new[0]

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.add(asyncio.create_task(work, name=name))

    async def round(self, seconds: float = BEAT) -> float:
        """The next round; claims that follow from it are asked."""
        self.clock.at += seconds
        pause = self.pacer.round()
        await settle()
        return pause

    async def answer(self, id_: int, taken: int = 0, refusal: str | None = None) -> None:
        calls = tuple(Claimed(f"{id_}-{len(self.calls)}-{n}", n, n, "+358401234567", 1, {}) for n in range(taken))
        self.dialing.answers.pop(id_).set_result(Claim(calls, refusal))
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def named(id_: int, **changes: Any) -> Campaign:
    found = campaign(**changes)
    found.id = id_
    found.noted = (found.terms.version, ())  # its windows are on record
    return found


async def test_two_campaigns_never_count_on_the_same_free_agent() -> None:
    floor = Floor(3, named(1), named(2))
    await floor.round()
    assert floor.dialing.asked == [(1, 3)]
    await floor.round()
    assert floor.dialing.asked == [(1, 3)]
    reason = floor.campaigns[2].decision
    assert reason is not None and "3 lines already out" in reason.reason
    await floor.answer(1, taken=2)
    await floor.round()
    assert floor.dialing.asked == [(1, 3), (2, 1)]


async def test_a_slow_claim_of_one_campaign_holds_no_other_one() -> None:
    floor = Floor(1, named(1), named(2))
    await floor.round()
    floor.hire()
    await floor.round()
    assert floor.dialing.asked == [(1, 1), (2, 1)]


async def test_a_refused_claim_lets_the_campaign_rest_and_says_why() -> None:
    floor = Floor(2, named(1))
    await floor.round()
    await floor.answer(1, refusal="nothing_due")
    await floor.round()
    assert floor.dialing.asked == [(1, 2)]
    decision = floor.campaigns[1].decision
    assert decision is not None and decision.reason == "the claim gave nothing: nothing_due"
    await floor.round(1.0)
    assert floor.dialing.asked == [(1, 2), (1, 2)]


async def test_claims_under_way_count_against_trunk_tenant_and_campaign() -> None:
    floor = Floor(5, named(1, tenant_max_calls=4, max_concurrent_calls=2), named(2, tenant_max_calls=4))
    await floor.round()
    assert floor.dialing.asked == [(1, 2), (2, 2)]
    floor = Floor(5, named(1, max_concurrent_calls=2), named(2), max_calls=3)
    await floor.round()
    assert floor.dialing.asked == [(1, 2), (2, 1)]


@pytest.mark.accepts("PAC-04")
async def test_a_trunks_rate_bounds_the_lines_and_what_is_left_over_comes_soon_after() -> None:
    floor = Floor(20, named(1, max_concurrent_calls=50), calls_per_second=10)
    asked = 0
    begin = floor.clock.at
    pause = await floor.round()
    while asked < 20:  # a token every tenth of a second
        asked += floor.dialing.asked[-1][1]
        assert asked <= 10 * (floor.clock.at - begin) + 2 + 1e-6
        await floor.answer(1, taken=floor.dialing.asked[-1][1])
        while not floor.dialing.answers and asked < 20:
            assert pause < BEAT
            pause = await floor.round(pause)
    assert floor.clock.at - begin < 3.0


async def test_a_campaign_is_asked_at_most_once_in_a_beat() -> None:
    floor = Floor(0, named(1), named(2))
    for _ in range(9):
        await floor.round(BEAT / 10)
    assert [id_ for id_, _, _ in floor.decisions] == [1, 2]
    await floor.round(BEAT)
    assert len(floor.decisions) == 4


async def test_a_shut_gate_is_the_reason_and_nobody_is_asked() -> None:
    floor = Floor(2, named(1), named(2, trunk="gone"))
    floor.gate = "ami_down"
    await floor.round()
    assert {c.decision.reason for c in floor.campaigns.values() if c.decision} == {"nothing is dialled: ami_down"}
    floor.gate = None
    await floor.round()
    assert floor.dialing.asked == [(1, 2)]
    decision = floor.campaigns[2].decision
    assert decision is not None and "trunk 'gone'" in decision.reason


async def test_lines_are_shared_by_weight() -> None:
    floor = Floor(1, named(1, weight=3.0), named(2, weight=1.0))
    for _ in range(400):
        await floor.round()
        ((id_, _),) = [asked for asked in floor.dialing.asked[-1:] if asked[0] in floor.dialing.answers]
        await floor.answer(id_, taken=1)
        for call in floor.calls:  # it is over at once, and the agent free again
            floor.calls._calls.pop(call.attempt)
    share = sum(id_ == 1 for id_, _ in floor.dialing.asked) / 400
    assert share == pytest.approx(0.75, abs=0.03)


@pytest.mark.accepts("CAM-16", "PAC-03")
async def test_a_serial_campaign_waits_out_its_pause_after_each_call() -> None:
    serial = named(1, serial_interval_seconds=5.0)
    floor = Floor(3, serial)
    await floor.round()
    assert floor.dialing.asked == [(1, 1)]
    await floor.answer(1, taken=1)
    await floor.round()
    assert len(floor.dialing.asked) == 1
    floor.calls._calls.clear()
    serial.ended_monotonic = floor.clock.at
    await floor.round(4.9)
    assert len(floor.dialing.asked) == 1
    await floor.round()
    assert floor.dialing.asked == [(1, 1), (1, 1)]


async def test_a_campaign_whose_pacing_fails_rests_and_the_others_go_on() -> None:
    floor = Floor(2, named(1), named(2))

    def broken(*_: Any) -> Decision:
        raise ZeroDivisionError

    floor.campaigns[1].pilot.decide = broken  # type: ignore[method-assign, assignment]
    for _ in range(3):
        await floor.round()
    assert floor.dialing.asked == [(2, 2)]
    decision = floor.campaigns[1].decision
    assert decision is not None and "pacing failed" in decision.reason


@pytest.mark.accepts("ORI-15")
async def test_a_dry_run_decides_and_says_so_and_claims_nothing() -> None:
    floor = Floor(2, named(1))
    floor.gate = "dry_run"
    await floor.round()
    decision = floor.campaigns[1].decision
    assert decision is not None and decision.lines == 2 and decision.reason.startswith("dry run")
    assert floor.dialing.asked == []


async def test_nothing_is_dialled_by_itself_for_the_campaign_of_single_calls() -> None:
    floor = Floor(2, named(1), named(2))
    floor.campaigns[1].single_calls = True
    await floor.round()
    assert floor.dialing.asked == [(2, 2)] and floor.campaigns[1].decision is None
