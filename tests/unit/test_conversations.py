"""Callers and agents brought together while requests are under way. ARI is a fake: the moments cannot be provoked."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialerd.ari.transport import AriError
from dialerd.clock import Clock
from dialerd.core import machines
from dialerd.core.abandonment import Allowance
from dialerd.core.agent import AgentState
from dialerd.core.attempt import Event, Facts, Kind, outcome
from dialerd.core.causes import Outcome
from dialerd.core.retry import History, Rules
from dialerd.core.schedule import Schedule
from dialerd.core.terms import Terms
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.calls import Call, Calls
from dialerd.engine.campaign import Campaign
from dialerd.engine.conversations import Conversations

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


class Ari:
    """Takes requests down; each `join` waits until the test answers it."""

    up = True

    def __init__(self) -> None:
        self.joins: list[tuple[str, str, asyncio.Future[None]]] = []
        self.messages: list[str] = []
        self.variables: list[tuple[str, str, str]] = []
        self.ended: list[str] = []

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        self.variables.append((channel, name, value))

    async def hang_up(self, channel: str) -> None: ...

    async def join(self, bridge: str, channel: str) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.joins.append((bridge, channel, answer))
        await answer

    async def to_dialplan(self, channel: str) -> None:
        self.messages.append(channel)

    async def end_bridge(self, bridge: str) -> None:
        self.ended.append(bridge)


class Stage:
    """One answered call, some ready agents."""

    def __init__(self, agents: int, grace: float = 2.0) -> None:
        self.ari = Ari()
        self.calls = Calls(lambda *_: None)
        self.agents = Agents(Clock(), lambda *_: None)
        self.agents.load([
            {"id": n, "tenant_id": 1, "name": f"a{n}", "endpoint": f"a{n}", "queues": ["q"], "default_region": "FI",
             "state_at": NOW} for n in range(1, agents + 1)
        ])  # fmt: skip
        for agent in self.agents:
            agent.state, agent.leg = AgentState.READY, f"dialerd-agent-{agent.id}-00000000"
            agent.bridge = f"dialerd-agent-{agent.id}"
        self.tasks: set[asyncio.Task[None]] = set()
        self.abandoned: list[Call] = []
        self.talk = Conversations(
            self.calls, self.agents, self.ari, Clock(), self.spawn, lambda: None, self.abandoned.append  # type: ignore[arg-type]
        )  # fmt: skip
        self.call = Call(ATTEMPT, campaign(grace_seconds=grace), 1, "+358401234567", History(1, {}), Facts(NOW), 0.0)
        self.calls.add(self.call)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.add(asyncio.create_task(work, name=name))

    def agent(self, id_: int) -> Agent:
        found = self.agents.get(id_)
        assert found is not None
        return found

    def states(self) -> list[str]:
        return [agent.state.value for agent in self.agents]

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def campaign(**changes: Any) -> Campaign:
    terms = Terms(Schedule(()))
    found = Campaign(
        1, 1, "c", "active", "progressive", "q", "t", None, Rules(0, 0, {}), 10, 30, 5, "off", terms, "FI", None, None
    )  # fmt: skip
    return replace(found, **changes)


async def test_a_caller_whose_agent_has_no_bridge_goes_to_one_other_agent_only() -> None:
    stage = Stage(agents=3)
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    stage.ari.joins[0][2].set_exception(AriError(404, "addChannel", "Bridge not found"))
    await stage.settle()
    assert stage.states() == ["offline", "reserved", "ready"]
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-1", "dialerd-agent-2"]


async def test_a_caller_who_has_found_another_agent_is_not_sent_to_the_message_when_the_grace_ends() -> None:
    stage = Stage(agents=2, grace=0.05)
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    stage.ari.joins[0][2].set_exception(AriError(404, "addChannel", "Bridge not found"))
    await stage.settle()
    stage.ari.joins[1][2].set_result(None)
    stage.talk.joined(ATTEMPT, "dialerd-agent-2", NOW)
    await asyncio.wait_for(passed(0.1), 5)
    assert stage.ari.messages == []
    assert stage.abandoned == []
    assert stage.states() == ["offline", "on_call"]


async def test_a_request_for_a_queues_room_that_is_under_way_does_not_overtake_the_join() -> None:
    stage = Stage(agents=1)
    stage.call.settling = asyncio.get_running_loop().create_future()
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    assert stage.ari.joins == []
    stage.call.settling.set_result(None)
    await stage.settle()
    assert [(bridge, channel) for bridge, channel, _ in stage.ari.joins] == [("dialerd-agent-1", ATTEMPT)]


@pytest.mark.parametrize(("clock", "messages"), [("answer", [ATTEMPT]), ("greeting_end", [])])
async def test_where_the_law_counts_from_the_answer_machine_detection_uses_up_the_grace(
    clock: Any, messages: list[str]
) -> None:
    stage = Stage(agents=0)
    stage.call.campaign.allowance = Allowance(clock_start=clock)
    stage.calls.learn(ATTEMPT, Event(Kind.DIAL_ENDED, NOW - timedelta(seconds=3), status="ANSWER"))
    stage.talk.customer_arrived(ATTEMPT, NOW, "HUMAN")
    await asyncio.wait_for(passed(0.05), 5)
    assert stage.ari.messages == messages
    end = NOW + timedelta(seconds=0.1)
    for kind in (Kind.LEFT, Kind.HUNG_UP):
        stage.calls.learn(ATTEMPT, Event(kind, end))
    found = outcome(stage.call.facts, 2.0, stage.call.campaign.from_answer)
    assert found == (Outcome.ABANDONED if messages else Outcome.HUNG_UP)


async def test_with_nobody_free_within_the_campaigns_grace_the_message_plays_and_the_pacing_is_told() -> None:
    stage = Stage(agents=0, grace=0.05)
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await asyncio.wait_for(passed(0.1), 5)
    assert stage.ari.messages == [ATTEMPT]
    assert stage.abandoned == [stage.call]


@pytest.mark.parametrize("answer", [None, AriError(404, "addChannel", "Bridge not found")])
async def test_a_caller_whose_agent_goes_during_the_join_meets_the_next_one_after_it(answer: AriError | None) -> None:
    """[F27] Two joins at a time could overtake each other, and leave the caller in the dead agent's bridge."""
    stage = Stage(agents=3)
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    stage.talk.leg_down(stage.agent(1), "the phone hung up")
    await stage.settle()
    assert len(stage.ari.joins) == 1
    stage.ari.joins[0][2].set_exception(answer) if answer else stage.ari.joins[0][2].set_result(None)
    await stage.settle()
    assert [bridge for bridge, _, _ in stage.ari.joins] == ["dialerd-agent-1", "dialerd-agent-2"]
    assert stage.states() == ["offline", "reserved", "ready"]


async def test_a_pause_asked_for_while_reserved_holds_when_the_caller_hangs_up_before_the_join() -> None:
    stage = Stage(agents=1)
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    stage.talk.pause(stage.agent(1), "lunch")
    for kind in (Kind.HUNG_UP, Kind.LEFT):
        stage.calls.learn(ATTEMPT, Event(kind, NOW))
    stage.talk.call_ended(stage.call)
    assert stage.states() == ["paused"]
    assert stage.agent(1).reason == "lunch"


async def passed(seconds: float) -> None:
    """A time that the code under test waits for by itself."""
    await asyncio.sleep(seconds)


async def test_an_agreed_callback_goes_to_its_agent_and_not_to_the_longest_idle() -> None:
    stage = Stage(agents=3)
    stage.call.for_agent = 2
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    assert stage.states() == ["ready", "reserved", "ready"]


async def test_other_callers_leave_the_agent_alone_who_awaits_a_callback_while_somebody_else_is_free() -> None:
    stage = Stage(agents=2)
    other = Call("other", campaign(), 2, "+358401234568", History(1, {}), Facts(NOW), 0.0, for_agent=1)
    stage.calls.add(other)
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    assert stage.states() == ["ready", "reserved"]
    stage.talk.customer_arrived("other", NOW, "")
    await stage.settle()
    assert stage.states() == ["reserved", "reserved"]


async def test_a_callback_whose_agent_is_busy_goes_to_whoever_is_free() -> None:
    stage = Stage(agents=2)
    stage.agent(1).state = AgentState.WRAP_UP
    stage.call.for_agent = 1
    stage.talk.customer_arrived(ATTEMPT, NOW, "")
    await stage.settle()
    assert stage.states() == ["wrap_up", "reserved"]


# -- machines


def machine_call(stage: Stage, mode: str, check: float = 0.0, **changes: Any) -> list[Call]:
    """The stage's call answers and is a machine by the verdict; the calls that entered a flow."""
    entered: list[Call] = []
    stage.talk._run_flow = entered.append
    stage.call.campaign = campaign(machine_detection=mode, machine_check=check, **changes)
    stage.talk.customer_arrived(ATTEMPT, NOW, "MACHINE", "LONGGREETING-1500-1500")
    return entered


async def test_a_machine_is_left_its_message_by_the_dialplan_also_where_the_campaign_names_its_seller() -> None:
    stage = Stage(agents=1)
    stage.talk._say = lambda call: True  # the message that names the seller would begin
    assert machine_call(stage, "message") == []
    await stage.settle()
    assert (stage.ari.messages, stage.states()) == ([ATTEMPT], ["ready"])


async def test_a_machine_enters_its_flow_and_again_when_it_is_found_alone_there_until_it_is_handed_over() -> None:
    stage = Stage(agents=1)
    entered = machine_call(stage, "flow")
    stage.talk.attend(stage.call)
    assert (entered, stage.call.on_machine, stage.states()) == ([stage.call] * 2, True, ["ready"])
    stage.calls.learn(ATTEMPT, Event(Kind.HANDED, NOW))
    assert not stage.call.on_machine
    stage.talk.attend(stage.call)
    assert stage.states() == ["reserved"]
    stage.call.facts = replace(stage.call.facts, handed_at=None, connected_at=NOW)  # as the next daemon reads it
    assert not stage.call.on_machine, "they have talked to an agent"


async def test_a_checked_call_goes_to_the_dialplan_when_that_knows_of_the_check() -> None:
    """The grace may be over when the call arrives: then both requests would leave at once."""
    stage = Stage(agents=0)
    known = asyncio.Event()

    async def slow(channel: str, name: str, value: str) -> None:
        await known.wait()

    stage.ari.set_variable = slow  # type: ignore[method-assign]
    machine_call(stage, "message", check=0.6)
    stage.talk.to_message(stage.call)
    await stage.settle()
    assert stage.ari.messages == []
    known.set()
    await stage.settle()
    assert stage.ari.messages == [ATTEMPT]


async def test_a_machine_that_is_to_be_checked_goes_to_an_agent_and_else_hears_what_persons_hear() -> None:
    assert machines.checked(ATTEMPT, 0.6) and not machines.checked(ATTEMPT, 0.5)
    stage = Stage(agents=1)
    machine_call(stage, "message", check=0.6)
    await stage.settle()
    assert (stage.call.checked, stage.states()) == (True, ["reserved"])
    assert stage.ari.variables == [(ATTEMPT, "AMDSTATUS", "CHECKED")]
    assert (stage.call.on_machine, stage.call.outcome) == (False, Outcome.ABANDONED)


@pytest.mark.parametrize(
    ("mode", "check", "more", "checked"),
    [("drop", 0.5, {}, False), ("drop", 0.6, {}, True), ("drop", 0.6, {"broadcast": "x"}, False),
     ("connect", 0.0, {}, True), ("flow", 0.6, {}, True)],
)  # fmt: skip
async def test_the_lot_decides_who_is_checked_where_there_are_agents(
    mode: str, check: float, more: dict[str, Any], checked: bool
) -> None:
    stage = Stage(agents=0)
    machine_call(stage, mode, check, **more)
    await stage.settle()
    assert stage.call.checked is checked
