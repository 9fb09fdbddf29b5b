"""What the engine needs of PostgreSQL: read when the link comes up, and again when a notification says it changed."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.core.agent import AgentState
from dialerd.core.attempt import Facts
from dialerd.core.causes import Outcome
from dialerd.core.disposition import Choices
from dialerd.core.retry import History
from dialerd.engine import reconciler
from dialerd.engine.agents import Agents
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign, from_row, read_flow, read_message
from dialerd.engine.directory import Directory
from dialerd.live.callerids import CallerIds
from dialerd.store import callerids, dispositions, terms
from dialerd.store.errors import DB_ERRORS
from dialerd.store.queries import queries

log = structlog.get_logger(__name__)

_Q = queries("engine")
_COUNTS, _PENDING, _AGENTS = _Q.counts, _Q.pending, _Q.agents
_PUT_TRUNK, _COMPLETE = _Q.put_trunk, _Q.complete
_CAMPAIGNS = queries("terms").campaigns
_UNSAID = queries("agents").unsaid

_AGAIN_SECONDS = 1.0


class Loader:
    """`on_state(campaign, before)` is told when a campaign's state is another one than before."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        campaigns: dict[int, Campaign],
        zone_sets: dict[int, tuple[str, ...]],
        agents: Agents,
        caller_ids: CallerIds,
        directory: Directory,
        on_state: Callable[[Campaign, str | None], None],
        on_loaded: Callable[[], None],
        choices: Choices | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._campaigns = campaigns
        self._zone_sets = zone_sets
        self._agents = agents
        self._caller_ids = caller_ids
        self._directory = directory
        self._on_state = on_state
        self._on_loaded = on_loaded
        self._choices = choices or Choices()
        self._stale: set[str] = set()
        self._used_up: set[int] = set()
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()  # of campaigns: two readings at once would make two of one

    def notified(self, payload: str) -> None:
        """A notification of the database: `campaigns:7`."""
        self._stale.add(payload.partition(":")[0])
        self._wake.set()

    def used_up(self, campaign: Campaign) -> None:
        """A campaign's list gave nothing: see whether it is completed."""
        self._used_up.add(campaign.id)
        self._wake.set()

    async def load(self, pool: asyncpg.Pool) -> None:
        """Everything, before the link counts as up."""
        for name, trunk in self._config.trunks.items():
            done = await pool.execute(_PUT_TRUNK, name, self._config.node, trunk.max_calls, trunk.tenant)
            if done == "INSERT 0 0":
                log.error("trunk.unknown_tenant", trunk=name, tenant=trunk.tenant, does="nothing is dialled over it")
        await self._load_directory(pool)  # before campaigns can dial: their calls ask for caller IDs
        await self._load_campaigns(pool)
        await self._load_agents(pool)
        self._caller_ids.load(await callerids.load(pool))
        self._on_loaded()

    async def run(self, pool_of: Callable[[], asyncpg.Pool | None]) -> None:
        """Reads again what a notification called stale; ends only by cancellation. What fails is read again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            pool = pool_of()
            stale, self._stale = self._stale, set()
            used_up, self._used_up = self._used_up, set()
            if pool is None:
                continue
            try:
                for campaign_id in used_up:
                    await pool.execute(_COMPLETE, campaign_id)
                if stale & {"campaigns", "tenants"}:
                    await self._load_directory(pool)
                    await self._load_campaigns(pool)
                if "agents" in stale:
                    await self._load_agents(pool)
                if "caller_ids" in stale:
                    self._caller_ids.load(await callerids.load(pool))
            except DB_ERRORS as error:
                log.warning("loader.failed", error=str(error) or type(error).__name__)
                self._stale |= stale  # a slow statement is no lost link: nobody would tell us again
                self._used_up |= used_up
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._wake.set)
                continue
            self._on_loaded()

    async def campaign(self, pool: asyncpg.Pool, campaign_id: int) -> Campaign | None:
        """One campaign, also one that is over; None: there is none of this id."""
        if campaign_id not in self._campaigns:
            await self._load_campaigns(pool, campaign_id)
        return self._campaigns.get(campaign_id)

    async def _load_campaigns(self, pool: asyncpg.Pool, *more: int) -> None:
        async with self._reading:
            await self._read_campaigns(pool, [*self._campaigns, *more])

    async def _read_campaigns(self, pool: asyncpg.Pool, wanted: list[int]) -> None:
        self._zone_sets.update(await terms.zone_sets(pool))  # an import may have brought new ones
        rows = await pool.fetch(_CAMPAIGNS, wanted, True, self._clock.now())
        grace = self._config.dialing.grace_seconds

        def read() -> list[Campaign]:
            found = [from_row(row, grace) for row in rows]
            for campaign in found:
                read_flow(campaign, self._config.flows)
                read_message(campaign, self._config.flows)
            return found

        # Calendars, legal profiles and flows come from files; the first calendars take some tenths of a second.
        for fresh in await asyncio.to_thread(read):
            known = self._campaigns.get(fresh.id)
            before = known.state if known else None
            if known is None:
                counts = await pool.fetch(_COUNTS, fresh.id)
                fresh.outcomes = {Outcome(r["outcome"]): r["n"] for r in counts}
                if fresh.outcomes:  # when its last call ended is not known: the pause after it counts from now
                    fresh.ended_monotonic = self._clock.monotonic()
                self._campaigns[fresh.id] = known = fresh
            else:
                known.take_settings(fresh)
            known.pending = await pool.fetchval(_PENDING, fresh.id)
            if known.state != before:
                self._on_state(known, before)

    async def _load_directory(self, pool: asyncpg.Pool) -> None:
        self._directory.load(await callerids.campaigns(pool), await callerids.tenants(pool))
        self._choices.load(await dispositions.load(pool))

    async def _load_agents(self, pool: asyncpg.Pool) -> None:
        rows = await pool.fetch(_AGENTS)
        by_id = {row["id"]: row for row in rows}
        new = self._agents.load(rows)
        for agent in new:
            reconciler.restore(agent, by_id[agent.id], self._config.node)
        if new:
            await self._restore_wrap_ups(pool)

    async def _restore_wrap_ups(self, pool: asyncpg.Pool) -> None:
        """The calls of which agents had said nothing yet when the daemon before us ended."""
        for row in await pool.fetch(_UNSAID, self._config.node):
            agent, campaign = self._agents.get(row["for_agent"]), self._campaigns.get(row["campaign_id"])
            if agent is not None and campaign is not None and agent.state is AgentState.WRAP_UP:
                history = History(row["attempts"], row["tries"])
                claimed = Facts(row["claimed_at"])
                agent.talked = Call(row["id"], campaign, row["contact_id"], row["e164"], history, claimed, 0.0)
