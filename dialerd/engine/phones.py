"""How an agent's phone is called: at its own endpoint, or as a number over a trunk."""

from dataclasses import dataclass

from dialerd.core import phone
from dialerd.core.status import AgentRefused
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.node import Node


@dataclass(frozen=True, slots=True)
class Way:
    """`endpoint`: after `PJSIP/`. `shows`: the caller ID. `words`: for logs."""

    endpoint: str
    shows: str = "dialerd"
    masked: str | None = None

    @property
    def words(self) -> str:
        return self.masked or self.endpoint


def way_to(agent: Agent, node: Node) -> Way:
    """Raises `AgentRefused`: this phone may not be called, and why. A number is checked as any other that leaves us,
    and its call counts against its trunk. Neither lists nor windows: it is the agent who asked for it."""
    if agent.phone_trunk is None:
        return Way(agent.endpoint)
    trunk = node.config.trunks.get(agent.phone_trunk)
    if trunk is None:
        raise AgentRefused("unknown_trunk", f"trunk '{agent.phone_trunk}' is not in this node's configuration")
    try:
        number = phone.parse(agent.phone or "", agent.default_region).e164
    except phone.NumberRefused as refused:
        raise AgentRefused(
            "bad_phone", f"this agent's phone is no number that may be called: {refused.reason}"
        ) from None
    if not node.config.dialing.enabled:
        raise AgentRefused("disabled", "this node places no calls: [dialing] enabled")
    shows = node.config.agents.caller_id
    if shows is None:
        raise AgentRefused("no_caller_id", "every call shows a number: set [agents] caller_id")
    if is_full(node, agent.phone_trunk):
        raise AgentRefused("trunk_full", f"trunk '{agent.phone_trunk}' carries all the calls that it may")
    return Way(f"{number}@{trunk.endpoint}", shows, f"{phone.masked(number)}@{trunk.endpoint}")


def is_full(node: Node, trunk: str) -> bool:
    """Whether a trunk of ours carries all the calls that it may, those counted that are being claimed."""
    claiming = sum(campaign.claiming for campaign in node.campaigns.values() if campaign.trunk == trunk)
    return carried(node, trunk) + claiming >= node.config.trunks[trunk].max_calls


def carried(node: Node, trunk: str) -> int:
    """How many calls a trunk carries now: attempts, whom their flows put them through to, agents' phones, third
    parties."""
    return node.calls.on_trunk(trunk) + legs_on(node.agents, trunk) + node.thirds[trunk]


def legs_on(agents: Agents, trunk: str) -> int:
    """How many agents' phones stand, or are being called, over a trunk."""
    return sum(agent.phone_trunk == trunk and agent.leg is not None for agent in agents)
