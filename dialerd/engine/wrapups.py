"""What is said of each conversation: by the page, by the API, by a key of the phone, or by nobody until the limit.

Guarantees: one disposition for a call, written after its end and in the order of the record; a call whose agent says
nothing gets the campaign's default when the wrap-up is over, the agent goes away, or takes the next call.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from dialerd.clock import Clock
from dialerd.core.agent import AgentState
from dialerd.core.disposition import KEYS, Choices, Disposition, Meaning, effect
from dialerd.core.status import AgentRefused
from dialerd.engine import record
from dialerd.engine.agents import BY_LIMIT, Agent, Said
from dialerd.engine.calls import Call, Calls
from dialerd.engine.campaign import Campaign
from dialerd.store.ledger import Row

log = structlog.get_logger(__name__)


class Wrapups:
    """`put` writes rows of the record; `wrap_up_over(agent, since)` ends a wrap-up that is still the one of `since`;
    `changed` is told of an agent of whose call something was said."""

    def __init__(
        self,
        clock: Clock,
        calls: Calls,
        choices: Choices,
        put: Callable[[Row], None],
        wrap_up_over: Callable[[Agent, datetime], None],
        changed: Callable[[Agent], None],
    ) -> None:
        self._clock = clock
        self._calls = calls
        self._choices = choices
        self._put = put
        self._wrap_up_over = wrap_up_over
        self._changed = changed
        self._kept: dict[str, tuple[Agent, Said]] = {}  # said of calls that go on without their agent

    def subject(self, agent: Agent) -> Call | None:
        """The call that the agent may say something of: the one they are on, else the last one."""
        if agent.state is AgentState.ON_CALL:
            return self._calls.get(agent.attempt or "")
        return agent.talked

    def choices_of(self, campaign: Campaign) -> tuple[Disposition, ...]:
        """What may be said of its calls."""
        return self._choices.of(campaign.tenant_id, campaign.id)

    def dispose(
        self, agent: Agent, code: str, by: str, message: str | None = None, callback_at: datetime | None = None,
        attempt: str | None = None,
    ) -> None:  # fmt: skip
        """Says something of the agent's call; during the call it is kept until the end, and may be changed until then.
        `code`: also its key. `attempt`: the call that is meant. Raises `AgentRefused`."""
        call = self.subject(agent)
        if call is None:
            raise AgentRefused("nothing_to_dispose", "there is no call of which nothing has been said")
        if attempt is not None and attempt != call.attempt:
            raise AgentRefused("another_call", "the agent is with another call by now")
        word = self._choices.find(call.campaign.tenant_id, call.campaign.id, code)
        if word is None:
            known = ", ".join(choice.code for choice in self.choices_of(call.campaign))
            raise AgentRefused("no_such_disposition", f"no disposition of this campaign is called {code!r}: {known}")
        said = Said(word, by, message or None, callback_at)
        if agent.state is AgentState.ON_CALL:
            agent.said = said
        else:
            self._write(agent, call, said)
            self._wrap_up_over(agent, agent.since)
        self._changed(agent)

    def machine(self, agent: Agent, by: str, attempt: str | None = None) -> bool:
        """The agent says that a machine answered; whether the call is still up. Raises `AgentRefused`."""
        call = self.subject(agent)
        words = () if call is None else self.choices_of(call.campaign)
        word = next((word for word in words if word.meaning is Meaning.MACHINE), None)
        if call is not None and word is None:
            raise AgentRefused("no_such_disposition", "no disposition of this campaign has the meaning machine")
        up = agent.state is AgentState.ON_CALL
        self.dispose(agent, word.code if word is not None else "", by, attempt=attempt)
        return up

    def key(self, agent: Agent, key: str) -> None:
        """A key of the agent's phone: in wrap-up it disposes; during a call it belongs to the conversation."""
        if agent.state in (AgentState.WRAP_UP, AgentState.PAUSED) and agent.talked is not None and key in KEYS:
            try:
                self.dispose(agent, key, "the phone")
            except AgentRefused as refused:
                log.info("agent.key_refused", agent=agent.name, key=key, why=str(refused))

    def ended(self, agent: Agent, call: Call) -> None:
        """The agent's call has ended; their next step is the wrap-up."""
        agent.talked = call

    def stepped(self, agent: Agent, before: AgentState) -> None:
        """An agent's state is another one: what was left unsaid is said when nothing can come any more."""
        if agent.state is AgentState.ON_CALL:
            self._kept.pop(agent.attempt or "", None)  # they talk (again): what counts is said after it
        call = agent.talked
        if call is None:
            return
        loop = asyncio.get_running_loop()
        if before is AgentState.ON_CALL and agent.state is AgentState.WRAP_UP:
            if agent.said is not None:
                self._write(agent, call, agent.said)
                loop.call_soon(self._wrap_up_over, agent, agent.since)  # not within the step: a pause may follow it
        elif agent.state is AgentState.PAUSED:
            loop.call_later(call.campaign.wrap_up_seconds, self._give_up, agent, call)
        else:
            self._give_up(agent, call)

    def _give_up(self, agent: Agent, call: Call) -> None:
        if agent.talked is not call:
            return
        campaign = call.campaign
        word = self._choices.unsaid(campaign.tenant_id, campaign.id, campaign.default_disposition)
        self._write(agent, call, Said(word, BY_LIMIT))
        self._changed(agent)

    def _write(self, agent: Agent, call: Call, said: Said) -> None:
        agent.talked = agent.said = None
        if self._calls.get(call.attempt) is call:  # transferred: what follows from it is decided at its end
            self._kept[call.attempt] = agent, said
            self._put(record.said(call, agent, said, self._clock.now()))
            return
        self._record(agent, call, said)

    def keep(self, call: Call, agent: Agent | None, was: Mapping[str, Any]) -> None:
        """What the daemon before us had on record (`record.said`) of a call that has not ended."""
        campaign, code = call.campaign, str(was.get("code", ""))
        word = self._choices.find(campaign.tenant_id, campaign.id, code)
        if word is None and code == campaign.default_disposition:
            word = self._choices.unsaid(campaign.tenant_id, campaign.id, code)
        if agent is None or word is None:
            log.error("call.said_lost", attempt=call.attempt, code=code, why="no such agent, or disposition, any more")
            return
        at = was.get("callback_at")
        said = Said(word, str(was.get("by", "")), was.get("message"), datetime.fromisoformat(at) if at else None)
        self._kept[call.attempt] = agent, said

    def call_ended(self, call: Call) -> None:
        """Any call is over. What was said of it before is written now, unless another agent had it last."""
        agent, said = self._kept.pop(call.attempt, (None, None))
        if agent is not None and said is not None and call.agent_id in (None, agent.id):
            self._record(agent, call, said)

    def _record(self, agent: Agent, call: Call, said: Said) -> None:
        now, word = self._clock.now(), said.disposition
        becomes = effect(word.meaning, call.history, call.campaign.retry, now, said.callback_at)
        self._put(record.disposed(call, agent, said, becomes, now))
        call.campaign.pending += becomes.contact == "waiting"
        log.info("call.disposed", attempt=call.attempt, agent=agent.name, code=word.code, by=said.by)
