"""A fake engine: the one place where a fake is right, because the surface's contract is the Protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dialerd.core.status import (
    AgentRefused,
    AgentStatus,
    AgentUnknown,
    BudgetWindow,
    CampaignStatus,
    Counts,
    Decision,
    Health,
    Lines,
    Link,
    LinkState,
    LiveEvent,
    Pacing,
    Percentiles,
    Status,
    TrunkStatus,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TOKEN = "correct-horse-battery-staple-0123"


def links(**states: LinkState) -> tuple[Link, ...]:
    all_up: dict[str, LinkState] = {"postgres": "up", "redis": "up", "ami": "up", "ari": "up"}
    return tuple(
        Link(name, state, ago(seconds=42), "" if state == "up" else "connection refused by 10.1.2.3")
        for name, state in (all_up | states).items()
    )


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


BUSY_DAY = Status(
    node="pbx-helsinki-1",
    version="0.1.0",
    at=NOW,
    started_at=ago(hours=3, minutes=12),
    draining=False,
    dialing_allowed=True,
    dialing_reason="",
    links=links(),
    campaigns=(
        CampaignStatus(
            1, "Spring renewals", "active", "progressive", "sales", 1840,
            Lines(3, 4, 1, 5), Counts(612, 211, 205, 5, 1, 96, 41, 230, 21), 0.352, 0.0237, 0.03,
            Percentiles(6.0, 11.0, 23.0),
            Decision(2, "2 agents are free and 1 line is already ringing for them", ago(seconds=1)),
        ),
        CampaignStatus(
            2, "Win-back", "paused", "predictive", "retention", 402,
            Lines(), Counts(120, 40, 38, 2, 0, 20, 9, 44, 7), 0.345, 0.05, 0.03,
            Percentiles(7.0, 12.0, 31.0), Decision(0, "the campaign is paused", ago(minutes=7)),
            Pacing("predictive", 7, 0.241, 8.3, 112.0, 0.0234, 0.03, "US-FED", 2.0,
                   (BudgetWindow(ago(days=12, hours=9, minutes=30), 431, 12, 0.93),)),
        ),
    ),
    agents=(
        AgentStatus("aino", "on_call", ago(minutes=2, seconds=10), queues=("sales",), attempt="a" * 8),
        AgentStatus("bertil", "on_call", ago(seconds=48), queues=("sales",)),
        AgentStatus("carmen", "ready", ago(seconds=7), queues=("sales", "retention")),
        AgentStatus("dmitri", "wrap_up", ago(seconds=11), queues=("sales",)),
        AgentStatus("elif", "paused", ago(minutes=14), "coffee", ("sales",)),
        AgentStatus("farid", "reserved", ago(seconds=1), queues=("sales",)),
        AgentStatus("grete", "offline", ago(hours=15), queues=("retention",)),
    ),
    trunks=(TrunkStatus("itsp-main", 13, 30), TrunkStatus("itsp-spare", 0, 10, active=False)),
    calls_by_state={"dialing": 3, "ringing": 4, "answered": 1, "connected": 5},
)  # fmt: skip


class FakeEngine:
    """Keeps what was asked of it; `publish` is what the real one's queue does."""

    def __init__(self, status: Status = BUSY_DAY, queue_size: int = 50) -> None:
        self.current = status
        self.asked: list[tuple[str, ...]] = []
        self.snapshots = 0
        self.readers: list[asyncio.Queue[LiveEvent | None]] = []
        self.subscribed = asyncio.Event()
        self._queue_size = queue_size

    def health(self) -> Health:
        ok = all(link.state == "up" for link in self.current.links)
        return Health(ok, self.current.dialing_allowed and ok, "" if ok else "link_down", self.current.links, 1, 0.4)

    def status(self) -> Status:
        self.snapshots += 1
        return replace(self.current, at=datetime.now(UTC))

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        queue: asyncio.Queue[LiveEvent | None] = asyncio.Queue(self._queue_size)
        self.readers.append(queue)
        self.subscribed.set()

        async def events() -> AsyncIterator[LiveEvent]:
            while (event := await queue.get()) is not None:
                yield event

        try:
            yield events()
        finally:
            if queue in self.readers:
                self.readers.remove(queue)

    def publish(self, event: LiveEvent) -> None:
        for queue in list(self.readers):
            if queue.qsize() >= self._queue_size - 2:
                queue.put_nowait(LiveEvent("lagged"))
                queue.put_nowait(None)
                self.readers.remove(queue)
            else:
                queue.put_nowait(event)

    async def agent_connect(self, name: str) -> None:
        self._agent("connect", name)

    async def agent_disconnect(self, name: str) -> None:
        self._agent("disconnect", name)

    async def agent_pause(self, name: str, reason: str) -> None:
        self._agent("pause", name, reason)

    async def agent_ready(self, name: str) -> None:
        self._agent("ready", name)

    async def agent_hangup(self, name: str) -> None:
        self._agent("hangup", name)
        raise AgentRefused("not_on_call", f"{name} has no call to end")

    def _agent(self, verb: str, name: str, *rest: str) -> None:
        if name not in {agent.name for agent in self.current.agents}:
            raise AgentUnknown(name)
        self.asked.append((verb, name, *rest))
