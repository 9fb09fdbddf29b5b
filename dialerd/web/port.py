"""What the surface needs from the engine, and all that it may ask of it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from dialerd.core.agentview import AgentView, Identity
from dialerd.core.singlecall import Placed, Wanted
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


class AgentDesk(Protocol):
    """What agents see and do. `who`: a name or an id. All but the first two raise `AgentUnknown`; verbs `AgentRefused`
    too."""

    async def sign_in(self, typed: str, pin: str, address: str) -> Identity | None:
        """Who has this name or login number and this PIN. Raises `AgentRefused` after too many wrong tries."""

    def identity(self, agent_id: int) -> Identity | None:
        """An agent who may be signed in, as they are now."""

    def tenant_of(self, who: str | int) -> int:
        """The agent's tenant."""

    def view(self, who: str | int) -> AgentView:
        """What the agent sees now."""

    def subscribe(self, who: str | int) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """`view` events of one agent, the present first. Raises `AgentRefused` when too many listen."""

    async def connect(self, who: str | int) -> None: ...

    async def disconnect(self, who: str | int) -> None: ...

    async def pause(self, who: str | int, reason: str) -> None: ...

    async def ready(self, who: str | int) -> None: ...

    async def hangup(self, who: str | int) -> None: ...

    async def hold(self, who: str | int) -> None: ...

    async def unhold(self, who: str | int) -> None: ...

    async def mute(self, who: str | int) -> None: ...

    async def unmute(self, who: str | int) -> None: ...

    async def dtmf(self, who: str | int, digits: str) -> None: ...

    async def record(self, who: str | int, do: str) -> None:
        """`start`, `stop`, `pause` or `resume` the recording of the agent's call."""

    async def do_in_call(self, who: str | int, verb: str, said: Mapping[str, str], by: str) -> None:
        """One of `core.featurekeys.VERBS`; `said`: `to` (whom) and `attempt`, empty where not given."""

    async def dispose(
        self, who: str | int, code: str, by: str, message: str | None, callback_at: datetime | None, attempt: str | None
    ) -> None:
        """Says something of the agent's call."""

    async def machine(self, who: str | int, by: str, attempt: str | None) -> None:
        """What answered was a machine."""

    async def preview_next(self, who: str | int, campaign: str | None) -> None: ...

    async def preview_skip(self, who: str | int, reason: str, seconds: float) -> None: ...

    async def preview_call(self, who: str | int) -> None: ...


class CallDesk(Protocol):
    """The engine's single calls."""

    async def place(self, tenant_id: int, wanted: Wanted) -> Placed:
        """Place one; returns when it was handed to Asterisk. Raises `CallRefused` (core.singlecall), and what the store
        raises."""

    async def now(self, attempt: str) -> Mapping[str, Any] | None:
        """A live call of this node, as the event `call` has it; None: it is not live here, and if it has just ended its
        end is in PostgreSQL when this returns."""

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """See `Engine`."""
