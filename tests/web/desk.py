"""A fake of the engine's agents, for the page: what it would do is written down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dialerd.core.agentview import AgentView, CallView, Choice, Identity, PastCall, Person
from dialerd.core.disposition import DEFAULTS
from dialerd.core.status import AgentRefused, AgentUnknown, LiveEvent, to_json

NOW = datetime.now(UTC)
CHOICES = tuple(Choice(d.code, d.label, d.meaning.value, d.key) for d in DEFAULTS)
AINO = Person(
    17, "+358401234567", "Aino Virtanen", "C-2041",
    {"city": "Turku", "plan": "Fibre 500", "contract_ends": "2027-02-28", "balance": 19.9, "vip": True},
    "Asked to be called after five, is at work before",
    (
        PastCall(NOW - timedelta(days=2), "connected", "callback", "Asked to be called after five", "Bertil Berg"),
        PastCall(NOW - timedelta(days=3), "no_answer", None, None, None),
        PastCall(NOW - timedelta(days=9), "busy", None, None, None),
    ),
    loaded=True,
)  # fmt: skip
SCRIPT = (
    "Good afternoon, this is NAME from Nordic Fibre. I am calling about your contract, which ends in February.\n\n"
    "1. Is it a good moment? If not, agree on a time.\n2. The new plan costs the same and is twice as fast.\n"
    "3. Read the terms aloud before a yes."
)
CALL = CallView("0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", 3, "Spring renewals", SCRIPT, AINO, CHOICES)
READY = AgentView("agent-7", "Carmen Castro", "ready", NOW - timedelta(seconds=42), NOW, queues=("renewals", "sales"))
ON_CALL = replace(READY, state="on_call", since=NOW - timedelta(seconds=95), call=CALL)
VIEWS = {
    "ready": READY,
    "offline": replace(READY, state="offline"),
    "on_call": ON_CALL,
    "held": replace(ON_CALL, on_hold=True, muted=True, pause_after="lunch"),
    **{
        f"record_{word}": replace(ON_CALL, call=replace(CALL, records="demand", recording=word))
        for word in ("", "announcing", "recording", "paused", "refused")
    },
    "record_required": replace(ON_CALL, call=replace(CALL, records="always", recording="recording")),
    "wrap_up": replace(ON_CALL, state="wrap_up", call=replace(CALL, until=NOW + timedelta(seconds=22))),
    "paused": replace(READY, state="paused", reason="lunch"),
    "preview": replace(
        READY, state="paused", reason="preview", can_preview=True,
        call=replace(CALL, attempt=None, until=NOW + timedelta(seconds=80)),
    ),
}  # fmt: skip
PIN = "4711"


class FakeDesk:
    """One agent, number 7. `asked`: the verbs and their arguments."""

    def __init__(self, view: AgentView = READY) -> None:
        self.shown = view
        self.stamp = "stamp1"
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: AgentRefused | None = None
        self.readers: list[asyncio.Queue[LiveEvent]] = []

    async def sign_in(self, typed: str, pin: str, address: str) -> Identity | None:
        self.asked.append(("sign_in", typed, address))
        if self.refusal is not None:
            raise self.refusal
        return self.identity(7) if (typed, pin) in ((self.shown.name, PIN), ("70", PIN)) else None

    def identity(self, agent_id: int) -> Identity | None:
        return Identity(7, 1, self.shown.name, self.shown.full_name, self.stamp) if agent_id == 7 else None

    def tenant_of(self, who: str | int) -> int:
        return 1

    def view(self, who: str | int) -> AgentView:
        if who not in (7, self.shown.name):
            raise AgentUnknown(str(who))
        return self.shown

    @asynccontextmanager
    async def subscribe(self, who: str | int) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        queue: asyncio.Queue[LiveEvent] = asyncio.Queue()
        self.readers.append(queue)
        queue.put_nowait(LiveEvent("view", to_json(self.view(who))))

        async def events() -> AsyncIterator[LiveEvent]:
            while True:
                yield await queue.get()

        try:
            yield events()
        finally:
            self.readers.remove(queue)

    def show(self, view: AgentView) -> None:
        """The agent sees something else now."""
        self.shown = view
        for queue in self.readers:
            queue.put_nowait(LiveEvent("view", to_json(view)))

    def __getattr__(self, verb: str) -> Any:
        async def asked(*arguments: Any) -> None:
            self.asked.append((verb, *arguments))
            if self.refusal is not None:
                raise self.refusal

        return asked
