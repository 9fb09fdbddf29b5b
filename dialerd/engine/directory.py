"""On whose behalf a caller ID is asked for: campaigns by id and name, agents by name, other systems' campaigns.

All of it is held in memory and answered without I/O; the loader brings it when it changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dialerd.config import CallerIds
from dialerd.engine.agents import Agents
from dialerd.engine.campaign import Campaign


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made. `campaign_id` 0: for no campaign of ours, from the tenant's own pool.
    `fallback`: as stored. `sticky`: whoever was called before sees the same number again."""

    tenant_id: int
    campaign_id: int
    fallback: str | None
    default_region: str
    local_presence: bool = True
    sticky: bool = False


class Directory:
    """`campaigns`: those that run, which agents who dial by hand dial for."""

    def __init__(self, config: CallerIds, agents: Agents, campaigns: Mapping[int, Campaign]) -> None:
        self._config = config
        self._agents = agents
        self._running = campaigns
        self._by_id: dict[int, Caller] = {}
        self._by_name: dict[tuple[int, str], Caller] = {}
        self._foreign: Caller | None = None  # for the campaigns of other systems

    def load(self, campaigns: Iterable[Mapping[str, Any]], tenants: Iterable[Mapping[str, Any]]) -> None:
        """Replaces what is known: rows of `store.callerids.campaigns` and `tenants`."""
        by_id, by_name = {}, {}
        for row in campaigns:
            caller = Caller(
                row["tenant_id"], row["id"], row["caller_id"], row["default_region"], row["local_presence"],
                row["sticky_caller_id"],
            )  # fmt: skip
            by_id[row["id"]] = by_name[row["tenant_id"], row["name"]] = caller
        self._by_id, self._by_name = by_id, by_name
        wanted = self._config.foreign_tenant
        all_of_them = list(tenants)
        found = [row for row in all_of_them if row["name"] == wanted] if wanted else all_of_them
        self._foreign = None
        if len(found) == 1:  # with several tenants, and none named, whose they are cannot be told
            self._foreign = Caller(found[0]["id"], 0, self._config.fallback, found[0]["default_region"])

    @property
    def foreign_tenant(self) -> int | None:
        """Whose pool other systems draw from, and to whom a request belongs that names nobody we know."""
        return self._foreign.tenant_id if self._foreign else None

    def caller(self, campaign: str, agent: str) -> Caller | None:
        """A campaign by its id, else by its name within its agent's tenant or the foreign one, else another system's;
        without a campaign, an agent of ours who dials by hand. None: nobody whom we know."""
        if not campaign:
            return self._by_hand(agent)
        if campaign.isascii() and campaign.isdigit() and len(campaign) < 19:
            ours = self._by_id.get(int(campaign))
            if ours is not None:
                return ours
        if self._foreign is not None:
            named = self._by_name.get((self._foreign.tenant_id, campaign))
            if named is not None or self._config.foreign_tenant is None:
                return named or self._foreign  # the only tenant: no need to know whose agent it is
        known = self._agent(agent) if agent else None
        named = self._by_name.get((known.tenant_id, campaign)) if known is not None else None
        return named or self._foreign

    def _agent(self, name: str) -> Any:
        return next((a for a in self._agents if name in (a.name, a.endpoint)), None)

    def _by_hand(self, name: str) -> Caller | None:
        """For the running campaign of the agent's queue, else for none."""
        agent = self._agent(name)
        if agent is None:
            return None
        for running in self._running.values():
            serves = running.state == "active" and running.queue_name in agent.queues
            if serves and running.tenant_id == agent.tenant_id and running.id in self._by_id:
                return self._by_id[running.id]
        return Caller(agent.tenant_id, 0, None, agent.default_region)
