"""Asterisk's list and ours brought together (rule 5): at start, at every reconnect, on a timer, always this.

What Asterisk does not have any more is closed; what nobody owns is hung up; who stands in Stasis unattended gets an
agent or the message; attempts that PostgreSQL has as live and this process does not know are taken over.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import structlog

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError
from dialerd.core import ids, machines
from dialerd.core.agent import AgentState, Do
from dialerd.core.attempt import Event, Facts, Kind, State
from dialerd.core.reconcile import TRANSFER_CONTEXT, Channel, plan
from dialerd.core.retry import History
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.conversations import Conversations
from dialerd.engine.incall import InCall
from dialerd.engine.ivr import TRANSFER_TRUNK
from dialerd.engine.node import Node
from dialerd.store.errors import DB_ERRORS
from dialerd.store.queries import queries

log = structlog.get_logger(__name__)

_MARGIN_SECONDS = 15.0  # patience with an unseen attempt beyond its ring time
_PHONE_SECONDS = 45.0  # how long a phone that is being called may have no channel
_LIVE_ATTEMPTS = queries("engine").live_attempts
_LAST_AGENTS = queries("agents").last_agents


class Reconciler:
    """`done` says whether one has succeeded since the last loss: before that nothing is dialled. `guests`: channels of
    people who called us and are being served."""

    def __init__(
        self,
        node: Node,
        conversations: Conversations,
        ari: AriLink,
        on_done: Callable[[], None],
        guests: Callable[[], set[str]] = set,
        in_call: InCall | None = None,
    ) -> None:
        self._node = node
        self._config = node.config
        self._clock = node.clock
        self._calls = node.calls
        self._agents = node.agents
        self._campaigns = node.campaigns
        self._conversations = conversations
        self._ari = ari
        self._on_done = on_done
        self._guests = guests
        self._in_call = in_call
        self._wanted = asyncio.Event()
        self.stands: Callable[[str, str], None] = lambda attempt, bridge: None  # told where each call with an agent is
        self.took_over: Callable[[Call, Mapping[str, Any]], None] = lambda call, row: None  # and who was on it last
        self.done = False

    def needed(self) -> None:
        """A connection came or went: what we believe is doubtful until the next run."""
        self.done = False
        self._wanted.set()

    async def run(self) -> None:
        """Reconciles when needed and on the timer; ends only by cancellation."""
        while True:
            try:
                async with asyncio.timeout(self._config.dialing.reconcile_seconds if self.done else 1.0):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            pool = self._node.pool()
            if pool is None or not self._ari.up:
                continue
            try:
                await self._reconcile(pool)
            except (*DB_ERRORS, AriError) as error:
                log.warning("reconcile.failed", error=str(error) or type(error).__name__)
                continue
            if not self.done and not self._wanted.is_set():
                self.done = True
                self._on_done()

    async def _reconcile(self, pool: asyncpg.Pool) -> None:
        await self._take_over(pool)
        # Written down before the lists are asked for: what happens meanwhile must not look lost.
        believed = self._calls.believed(self._clock.monotonic(), _MARGIN_SECONDS)
        legs = self._agents.legs()
        thirds = self._in_call.known() if self._in_call is not None else set()
        settled = {call.attempt: call.agent_id for call in self._calls if not call.joining}
        # Bridges first: a call that ends between the two is then just gone, and does not look forsaken.
        bridges = await self._ari.bridges()
        channels = await self._ari.channels()
        owned = {call.attempt for call in self._calls} | set(self._agents.legs().values()) | self._guests()
        if self._in_call is not None:
            owned |= self._in_call.reconcile(thirds, channels, bridges)
        result = plan(channels, believed, legs, owned)
        now = self._clock.now()
        for attempt, status in result.seen.items():
            self._calls.learn(attempt, Event(Kind.SEEN, now, status=status))
        for attempt in result.gone:
            self._calls.learn(attempt, Event(Kind.GONE, now, detail="reconcile: its channel is not there"))
        for agent_id in result.lost_legs:
            self._lose_leg(agent_id)
        self._adopt(channels, bridges, set(result.seen), settled)
        await self._count_transfers(channels)
        for channel in result.orphans:
            log.warning("reconcile.orphan", channel=channel)
            await self._ari.hang_up(channel)
        for bridge in bridges:
            agent = self._agents.get(ids.agent_of(bridge))
            if ids.agent_of(bridge) is not None and (agent is None or agent.leg is None or agent.bridge != bridge):
                await self._ari.end_bridge(bridge)
            holder = self._agents.get(ids.holder_of(bridge))
            if ids.holder_of(bridge) is not None and (holder is None or not holder.has_room or holder.room != bridge):
                await self._ari.end_bridge(bridge)

    async def _count_transfers(self, channels: list[Channel]) -> None:
        """Whom a flow of a daemon before us put through counts against that trunk until the call ends."""
        for channel in channels:
            call = self._calls.get(channel.id)
            if call is not None and call.sent_over is None and channel.context == TRANSFER_CONTEXT:
                trunk = await self._ari.variable(channel.id, TRANSFER_TRUNK)
                call.sent_over = trunk if trunk in self._config.trunks else None

    async def _take_over(self, pool: asyncpg.Pool) -> None:
        """Attempts of this node that are live in PostgreSQL and unknown here: a daemon's before us, or a claim whose
        COMMIT reply was lost. They may have been dialled, so they never are again."""
        rows = await self._unknown(pool)
        if rows:  # a claim that is just being answered looks like one of these
            if self._node.claims:
                await asyncio.wait(list(self._node.claims))
            first = {row["id"] for row in rows}
            rows = [row for row in await self._unknown(pool) if row["id"] in first]
        talked = [row["id"] for row in rows if row["connected_at"] is not None]
        last = {row["id"]: row for row in await pool.fetch(_LAST_AGENTS, talked)} if talked else {}
        for row in rows:
            campaign = self._campaigns.get(row["campaign_id"])
            if campaign is None or row["id"] in self._calls:
                continue
            age = (self._clock.now() - row["claimed_at"]).total_seconds()
            call = _from_row(row, campaign, self._clock.monotonic() - age)
            log.info("reconcile.take_over", attempt=call.attempt, state=call.state.value)
            self._calls.add(call)
            if call.attempt in last:
                self.took_over(call, last[call.attempt])

    async def _unknown(self, pool: asyncpg.Pool) -> list[Mapping[str, Any]]:
        """Attempts that are live in PostgreSQL, and neither here nor about to be written as ended."""
        known = {call.attempt for call in self._calls} | self._node.ledger.ending
        rows = await pool.fetch(_LIVE_ATTEMPTS, self._config.node)
        return [row for row in rows if row["id"] not in known and row["id"] not in self._calls]

    def _adopt(
        self,
        channels: list[Channel],
        bridges: Mapping[str, list[str]],
        seen: set[str],
        settled: Mapping[str, int | None],
    ) -> None:
        """Puts calls and agents back into the places where Asterisk has them.

        `settled`: attempt → agent, as it was before the lists were asked for; a call that got or lost an agent since,
        or is being joined, is somewhere else than the lists say and is left alone.

        No new subscription is needed for their events: Asterisk keeps the app's while its websocket is away (tried
        with 22.10: StasisEnd of a channel from before came over the next websocket)."""
        where = {channel: bridge for bridge, inside in bridges.items() for channel in inside}
        in_app = {channel.id for channel in channels if channel.in_app}
        for agent in self._agents:
            if agent.leg in in_app and agent.state is AgentState.CONNECTING:
                self._conversations.leg_answered(agent.id, agent.leg or "")
            elif agent.leg in in_app:
                self._conversations.follow(agent)
        alone = []
        for channel in channels:
            call = self._calls.get(channel.id)
            if call is None or channel.id not in seen or channel.id not in in_app or not _is_settled(call, settled):
                continue
            if call.facts.left_at is not None or call.facts.hung_up_at is not None or call.away:
                continue
            bridge = where.get(channel.id)
            holder = ids.holder_of(bridge or "")
            partner = self._agents.get(holder or ids.agent_of(bridge or ""))
            # An agent whose leg is gone leaves the bridge, and the caller in it, behind.
            stands = partner is not None and where.get(partner.leg or "") == partner.bridge
            if partner is not None and bridge is not None and stands and bridge in (partner.bridge, partner.room):
                partner.on_hold = holder is not None
                partner.has_room = partner.has_room or partner.on_hold
                self._put_together(call, partner, partner.bridge)
                self.stands(call.attempt, bridge)
            elif not call.waits and not call.in_flow:
                call.agent_id = None
                alone.append(call)
        self._free_the_stuck(where, settled)
        self._end_wrap_ups()
        for call in alone:
            if call.agent_id is None and not call.waits and not call.in_flow:
                self._conversations.attend(call)

    def _put_together(self, call: Call, agent: Agent, bridge: str) -> None:
        """They stand in one bridge: whatever we believed, they talk."""
        if agent.state in (AgentState.READY, AgentState.RESERVED, AgentState.ON_CALL):
            agent.attempt = call.attempt
        if agent.state is AgentState.READY:
            self._agents.step(agent, Do.RESERVE)
        call.agent_id, call.waits = agent.id, False
        self._conversations.joined(call.attempt, bridge, self._clock.now())

    def _free_the_stuck(self, where: Mapping[str, str], settled: Mapping[str, int | None]) -> None:
        """I6: an agent who waits for or talks on a call that is not there, or not theirs, or not in their bridge."""
        for agent in self._agents:
            call = self._calls.get(agent.attempt) if agent.attempt else None
            theirs = call is not None and (call.agent_id == agent.id or agent.consulted)
            if agent.state is AgentState.ON_CALL and not theirs:
                self._conversations.wrap_up(agent, 0.0, "the call is not there any more")
            elif agent.state is AgentState.RESERVED and not agent.consulted and not (
                theirs and call is not None
                and (not _is_settled(call, settled) or where.get(call.attempt) == agent.bridge)
            ):  # fmt: skip
                if theirs and call is not None:
                    call.agent_id = None
                self._conversations.release(agent, "the call was never joined")

    def _end_wrap_ups(self) -> None:
        """A restart loses the timers: the longest limit of the agent's campaigns holds then."""
        for agent in self._agents:
            limit = max(
                (c.wrap_up_seconds for c in self._campaigns.values() if c.queue_name in agent.queues), default=0
            )  # fmt: skip
            if (self._clock.now() - agent.since).total_seconds() > limit:
                self._conversations.wrap_up_over(agent, agent.since)

    def _lose_leg(self, agent_id: int) -> None:
        agent = self._agents.get(agent_id)
        if agent is None or agent.leg is None:
            return
        age = (self._clock.now() - agent.since).total_seconds()
        if agent.state is not AgentState.CONNECTING or age > _PHONE_SECONDS:
            self._conversations.leg_down(agent, "the phone's channel is not there any more")


def _is_settled(call: Call, settled: Mapping[str, int | None]) -> bool:
    return not call.joining and settled.get(call.attempt, call) == call.agent_id


def restore(agent: Agent, row: Mapping[str, Any], node: str) -> None:
    """An agent as PostgreSQL last saw them on this node; reconcile then holds it against Asterisk."""
    if row["node"] == node and row["channel_id"] is not None:
        agent.state = AgentState(row["state"])
        agent.leg, agent.bridge = row["channel_id"], row["bridge_id"] or ""


def _from_row(row: Mapping[str, Any], campaign: Campaign, claimed_monotonic: float) -> Call:
    facts = Facts(
        claimed_at=row["claimed_at"],
        dialed_at=row["dialed_at"],
        ringing_at=row["ringing_at"],
        answered_at=row["answered_at"],
        connected_at=row["connected_at"],
        link_lost=True,
        sent=row["state"] not in (State.CLAIMED.value, State.UNKNOWN.value),
        agent_id=row["agent_id"],
        machine=row["machine"] or "",
        dial_status=row["dial_status"] or "",
        cause=row["cause"],
    )
    checked = facts.machine == machines.VERDICT and machines.checked(row["id"], campaign.check_share)
    return Call(
        row["id"], campaign, row["contact_id"], row["e164"], History(row["attempts"], row["tries"]),
        facts, claimed_monotonic,
        caller_id=row["caller_id"], agent_id=row["agent_id"], chance=campaign.pilot.chance(), returns=row["returns"],
        learned=row["returns"] is not None, counted=None if row["returns"] is None else False,
        checked=checked,
    )  # fmt: skip
