"""What is said of a call, and when: the moments between call, wrap-up, pause and the next call."""

import asyncio
from typing import Any

import pytest

from dialerd.clock import Clock
from dialerd.core.agent import AgentState
from dialerd.core.attempt import Event, Kind
from dialerd.core.disposition import Choices
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.conversations import Conversations
from dialerd.engine.wrapups import Wrapups
from tests.unit.test_conversations import ATTEMPT, NOW, Stage


class Desk(Stage):
    """An agent who talks with the caller, and the rows that were written of it."""

    def __init__(self, agents: int = 1) -> None:
        super().__init__(agents)
        self.rows: list[dict[str, Any]] = []
        self.agents._on_step = lambda agent, before, seconds: self.wrapups.stepped(agent, before)
        self.talk = Conversations(
            self.calls, self.agents, self.ari, Clock(), self.spawn, lambda: None, self.abandoned.append,  # type: ignore[arg-type]
            ended=lambda agent, call: self.wrapups.ended(agent, call),
        )  # fmt: skip
        put: Any = lambda row: self.rows.extend(row[key] for key in row if key == "disposition")  # noqa: E731
        self.wrapups = Wrapups(Clock(), self.calls, Choices(), put, self.talk.wrap_up_over, lambda agent: None)

    async def talking(self) -> Agent:
        self.talk.customer_arrived(ATTEMPT, NOW, "")
        await self.settle()
        self.ari.joins[0][2].set_result(None)
        self.talk.joined(ATTEMPT, "dialerd-agent-1", NOW)
        await self.settle()
        return self.agent(1)

    def hang_up(self) -> None:
        for kind in (Kind.HUNG_UP, Kind.LEFT):
            self.calls.learn(ATTEMPT, Event(kind, NOW))
        self.talk.call_ended(self.call)

    def said(self) -> list[str]:
        return [row["code"] for row in self.rows]


async def test_a_word_in_wrap_up_ends_it_and_is_written_once() -> None:
    desk = Desk()
    agent = await desk.talking()
    desk.hang_up()
    assert (agent.state, desk.said()) == (AgentState.WRAP_UP, [])
    desk.wrapups.dispose(agent, "sale", "api", "two", attempt=ATTEMPT)
    assert (agent.state, desk.said()) == (AgentState.READY, ["sale"])
    with pytest.raises(AgentRefused, match="no call"):
        desk.wrapups.dispose(agent, "refusal", "api")
    assert desk.rows[0]["attempt_id"] == ATTEMPT and desk.rows[0]["message"] == "two"


async def test_a_word_during_the_call_is_written_after_its_end_and_may_change_until_then() -> None:
    desk = Desk()
    agent = await desk.talking()
    desk.wrapups.dispose(agent, "sale", "the page")
    desk.wrapups.dispose(agent, "4", "the page")
    assert desk.rows == []
    desk.hang_up()
    await desk.settle()
    assert (agent.state, desk.said()) == (AgentState.READY, ["refusal"])


@pytest.mark.parametrize("back", [False, True])
async def test_what_is_said_after_a_transfer_holds_unless_the_agent_talks_to_the_person_again(back: bool) -> None:
    desk = Desk()
    agent = await desk.talking()
    desk.wrapups.ended(agent, desk.call)
    desk.talk.wrap_up(agent, 30)
    desk.wrapups.dispose(agent, "refusal", "the page")
    assert (agent.state, desk.said()) == (AgentState.READY, [])
    if back:
        desk.talk.offer(desk.call)
        desk.talk.joined(ATTEMPT, "dialerd-agent-1", NOW)
        assert agent.state is AgentState.ON_CALL
    desk.hang_up()
    desk.wrapups.call_ended(desk.call)
    assert desk.said() == ([] if back else ["refusal"])
    if back:
        desk.wrapups.dispose(agent, "dnc", "the page")
        assert desk.said() == ["dnc"]


async def test_a_pause_that_was_asked_for_holds_and_the_word_may_still_come() -> None:
    desk = Desk()
    agent = await desk.talking()
    desk.talk.pause(agent, "lunch")
    desk.hang_up()
    await desk.settle()
    assert (agent.state, desk.said()) == (AgentState.PAUSED, [])
    desk.wrapups.key(agent, "9")
    assert (agent.state, agent.reason, desk.said()) == (AgentState.PAUSED, "lunch", ["dnc"])


async def test_a_word_during_the_call_does_not_undo_the_pause_after_it() -> None:
    desk = Desk()
    agent = await desk.talking()
    desk.talk.pause(agent, "lunch")
    desk.wrapups.dispose(agent, "sale", "the page")
    desk.hang_up()
    await desk.settle()
    assert (agent.state, desk.said()) == (AgentState.PAUSED, ["sale"])


@pytest.mark.parametrize("way", ["ready", "limit", "offline", "paused too long"])
async def test_what_nobody_says_is_written_as_none_when_nothing_can_come_any_more(way: str) -> None:
    desk = Desk()
    desk.call.campaign.wrap_up_seconds = 0
    agent = await desk.talking()
    if way == "paused too long":
        desk.talk.pause(agent, "")
    desk.hang_up()
    if way == "ready":
        desk.talk.ready(agent)
    elif way == "offline":
        desk.talk.leg_down(agent, "the phone hung up")
    async with asyncio.timeout(5):
        while not desk.rows:
            await asyncio.sleep(0)
    assert desk.said() == ["none"] and agent.talked is None


async def test_keys_are_the_conversations_own_while_it_lasts_and_unknown_ones_are_nothing() -> None:
    desk = Desk()
    agent = await desk.talking()
    desk.wrapups.key(agent, "1")
    assert agent.said is None
    desk.hang_up()
    for key in ("7", "0", "#"):
        desk.wrapups.key(agent, key)
    assert (agent.state, desk.rows) == (AgentState.WRAP_UP, [])


async def test_a_late_click_does_not_meet_another_call() -> None:
    desk = Desk()
    agent = await desk.talking()
    with pytest.raises(AgentRefused, match="another call"):
        desk.wrapups.dispose(agent, "sale", "the page", attempt="0199a1b2-0000-7000-8000-000000000000")
    with pytest.raises(AgentRefused, match="sale, callback"):
        desk.wrapups.dispose(agent, "nonsense", "the page")


async def test_who_loses_their_phone_in_mid_call_says_nothing_of_a_call_that_goes_on() -> None:
    desk = Desk(agents=2)
    agent = await desk.talking()
    desk.wrapups.dispose(agent, "sale", "the page")
    desk.talk.leg_down(agent, "the phone hung up")
    await desk.settle()
    assert agent.said is None and agent.talked is None and desk.rows == []
    assert isinstance(desk.agents, Agents) and desk.states() == ["offline", "reserved"]


async def test_a_machine_is_said_in_mid_call_and_afterwards_by_the_disposition_of_that_meaning() -> None:
    desk = Desk()
    agent = await desk.talking()
    assert desk.wrapups.machine(agent, "the page", ATTEMPT) is True
    assert desk.rows == []
    desk.hang_up()
    await desk.settle()
    assert [(row["code"], row["meaning"], row["by"]) for row in desk.rows] == [("machine", "machine", "the page")]
    desk = Desk()
    agent = await desk.talking()
    desk.hang_up()
    assert desk.wrapups.machine(agent, "api") is False
    assert desk.said() == ["machine"]
    with pytest.raises(AgentRefused, match="no call"):
        desk.wrapups.machine(agent, "api")
    desk = Desk()
    agent = await desk.talking()
    with pytest.raises(AgentRefused, match="another call"):
        desk.wrapups.machine(agent, "api", "another")
