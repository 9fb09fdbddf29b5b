"""What the surface needs from the engine, and all that it may ask of it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from dialerd.core.status import Health, LiveEvent, Status


class Engine(Protocol):
    """The engine as the web sees it. The agent verbs raise `AgentUnknown` or `AgentRefused` (core.status)."""

    def health(self) -> Health:
        """The state of the links now; never blocks, never fails."""

    def status(self) -> Status:
        """A snapshot from memory; never blocks."""

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """Events from now on, queue bounded; too slow a reader gets a last `lagged`, then the end."""

    async def agent_connect(self, name: str) -> None:
        """Ring the agent's phone for its standing leg."""

    async def agent_disconnect(self, name: str) -> None:
        """End the agent's leg."""

    async def agent_pause(self, name: str, reason: str) -> None:
        """No calls for this agent until `agent_ready`; a call in progress goes on."""

    async def agent_ready(self, name: str) -> None:
        """The agent takes calls; ends a pause and wrap-up."""

    async def agent_hangup(self, name: str) -> None:
        """End the agent's call, keep the leg."""
