"""A call that has a third party, or is on its way to one, and the list of all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from dialerd.core.incall import Do, IllegalStep, Talk, step
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.thirds import Third

log = structlog.get_logger(__name__)

WITH_AGENT = frozenset({Talk.RINGING, Talk.CONSULTING, Talk.THREE_WAY})


def allowed(talk: Talk, do: Do) -> Talk:
    """The state that `do` leads to. Raises `AgentRefused`."""
    try:
        return step(talk, do)
    except IllegalStep as error:
        hint = ": there is a third party, complete or cancel first" if talk in WITH_AGENT else ""
        raise AgentRefused(f"call_is_{talk}", f"{error}{hint}") from None


@dataclass(slots=True)
class Exchange:
    """`agent`: whose call it is, or was. `ringing`: the sound that they hear while the third party is called."""

    call: Call
    agent: Agent
    third: Third
    talk: Talk
    ringing: str | None = None

    def may(self, do: Do) -> Talk:
        """The state that `do` leads to. Raises `AgentRefused`."""
        return allowed(self.talk, do)

    def step(self, do: Do) -> Talk:
        """Goes there. Raises `AgentRefused`."""
        before, self.talk = self.talk, self.may(do)
        log.info("talk.state", attempt=self.call.attempt, transition=f"{before} -[{do}]-> {self.talk}")
        return self.talk


class Exchanges:
    """By attempt; one at a time of each."""

    def __init__(self) -> None:
        self._of: dict[str, Exchange] = {}

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._of.values()))

    def put(self, exchange: Exchange) -> None:
        self._of[exchange.call.attempt] = exchange

    def get(self, attempt: str | None) -> Exchange | None:
        return self._of.get(attempt or "")

    def holds(self, exchange: Exchange) -> bool:
        """Whether it is still the one of its call."""
        return self._of.get(exchange.call.attempt) is exchange

    def remove(self, exchange: Exchange) -> None:
        if self.holds(exchange):
            del self._of[exchange.call.attempt]

    def with_third(self, channel: str) -> Exchange | None:
        """Whose third party a channel is."""
        return next((e for e in self._of.values() if e.third.channel == channel), None)

    def asking(self, colleague: Agent) -> Exchange | None:
        """In which a colleague is asked."""
        return next((e for e in self._of.values() if e.third.colleague is colleague), None)
