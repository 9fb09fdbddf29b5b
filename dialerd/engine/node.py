"""What the parts of one node's engine share: its calls, agents and campaigns, the record and the database."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.engine.agents import Agents
from dialerd.engine.calls import Calls
from dialerd.engine.campaign import Campaign
from dialerd.store.ledger import Ledger

DRY_RUN = "dry_run"  # the gate when all else would allow calls

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


@dataclass(frozen=True, slots=True)
class Node:
    """`pool`: PostgreSQL's, or None while there is none. `spawn`: runs something beside, under a name. `claims`: those
    under way; `gate`: why nothing may be dialled now, or None; `thirds`: trunk → calls to third parties over it."""

    config: Config
    clock: Clock
    calls: Calls
    agents: Agents
    campaigns: dict[int, Campaign]
    zone_sets: dict[int, tuple[str, ...]]
    ledger: Ledger
    pool: Callable[[], asyncpg.Pool | None]
    gate: Callable[[], str | None]
    spawn: Spawn
    claims: set[asyncio.Future[None]] = field(default_factory=set)
    thirds: Counter[str] = field(default_factory=Counter)

    def reach(self) -> asyncpg.Pool:
        """The pool. Raises ConnectionError while there is none."""
        pool = self.pool()
        if pool is None:
            raise ConnectionError("PostgreSQL is not connected")
        return pool
