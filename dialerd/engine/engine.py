"""The engine of one node: its parts put together, and the one place where something learned becomes consequences.

Whatever is learned of a call or an agent goes: facts → record → counts → live event → the next decision, at once.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import structlog
from redis.asyncio import Redis

from dialerd.ami.events import translate
from dialerd.ami.link import AmiLink
from dialerd.ari.leg import Legs
from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.core import attempt as core
from dialerd.core.agent import AgentState
from dialerd.core.attempt import Event, Kind, State
from dialerd.core.callerid import CallEnd, Selection, Usage, end_of
from dialerd.core.causes import NOT_PLAYED
from dialerd.core.disposition import Choices
from dialerd.core.retry import after
from dialerd.core.status import Decision, Health, Link, LiveEvent, Status, to_json
from dialerd.engine import record, report
from dialerd.engine.agency import Agency
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.attendant import Attendant
from dialerd.engine.bookkeeper import Bookkeeper
from dialerd.engine.bus import Bus
from dialerd.engine.calls import Call, Calls
from dialerd.engine.campaign import Campaign
from dialerd.engine.conversations import Conversations
from dialerd.engine.desk import CallerIdDesk
from dialerd.engine.dialing import Dialing
from dialerd.engine.directory import Caller, Directory
from dialerd.engine.health import CallerIdHealth
from dialerd.engine.learning import Lessons
from dialerd.engine.loader import Loader
from dialerd.engine.node import DRY_RUN, Node
from dialerd.engine.pacer import Pacer
from dialerd.engine.reconciler import Reconciler
from dialerd.engine.single import SingleCalls
from dialerd.engine.stasis import EVENTS, Stasis
from dialerd.live.callerids import CallerIds
from dialerd.live.figures import CampaignEvent, CampaignFigures, LiveFigures
from dialerd.live.link import RedisLink
from dialerd.store.callerid_log import RequestLog
from dialerd.store.eraser import Eraser
from dialerd.store.ledger import Ledger
from dialerd.store.link import DbLink
from dialerd.store.sealer import Sealer

log = structlog.get_logger(__name__)

_SETTLE_SECONDS = 2.0  # how long events of a call that hung up may be late
_FIGURES_SECONDS = 1.0
_REST_SECONDS = 60.0  # of a campaign whose calls are of no use
_EVENT_OF_STATE: dict[str, Literal["started", "paused", "stopped", "completed"]] = {
    "active": "started",
    "paused": "paused",
    "stopped": "stopped",
    "completed": "completed",
}


class Engine:
    """Implements what the web needs (web/port.py). `tasks` are to be run, supervised, by the daemon."""

    def __init__(self, config: Config, clock: Clock, redis: Redis) -> None:
        self._config = config
        self._clock = clock
        self._started_at = clock.now()
        self._draining = False
        self._background: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._campaign_events: list[CampaignEvent] = []
        self.loop_lag_ms = 0.0
        self._bus = Bus()
        self._campaigns: dict[int, Campaign] = {}
        self._zone_sets: dict[int, tuple[str, ...]] = {}
        self._calls = Calls(self._learned)
        self._agents = Agents(clock, self._agent_stepped)
        self._db = DbLink(config.postgres, clock, self._load, self._notified, self._stir)
        self._ledger = Ledger(config.node, lambda: self._db.pool)
        self._redis_link = RedisLink(redis, clock, self._stir)
        self._figures = LiveFigures(redis)
        self._caller_ids = CallerIds(redis, config.dialing.reservation_seconds, self._usage)
        self._requests = RequestLog(config.node, lambda: self._db.pool)
        self._directory = Directory(config.callerids, self._agents, self._campaigns)
        self._desk = CallerIdDesk(
            config.node, self._caller_ids, clock, self._directory, self._requests, self._caller_id_selected
        )
        self._ami = AmiLink(config.ami, clock, self._ami_event, self._calls.learn, self._asterisk_changed)
        self._ari = AriLink(config.ari, clock, self._ari_event, self._ari_changed, EVENTS)
        self._lessons = Lessons(clock, self._campaigns)
        self._legs = Legs(self._ari)
        self._conversations = Conversations(
            self._calls, self._agents, self._ari, clock, self._spawn, self._doubt, self._lessons.nobody_came,
            lambda call: self._attendant.begin_flow(call), self._legs, config.agents.tone,
            lambda agent, call: self.agency.talk_ended(agent, call), lambda agent, key: self.agency.key(agent, key),
            lambda agent: self.agency.shown(agent), lambda call: self._attendant.say_message(call),
            lambda call: self.agency.in_call.queues.wait(call),
        )  # fmt: skip
        self._node = Node(
            config, clock, self._calls, self._agents, self._campaigns, self._zone_sets, self._ledger,
            lambda: self._db.pool, self.gate, self._spawn,
        )  # fmt: skip
        choices = Choices()
        self._loader = Loader(
            config, clock, self._campaigns, self._zone_sets, self._agents, self._caller_ids, self._directory,
            self._campaign_changed, self._stir, choices,
        )  # fmt: skip
        self._dialing = Dialing(
            self._node, self._ami, self._desk, lambda claimed: self._pacer.claimed(claimed), self._loader.used_up
        )
        self.agency = Agency(
            self._node, self._ari, self._legs, self._conversations, self._dialing, choices, lambda: self._draining,
            self._desk, self._doubt,
        )  # fmt: skip
        self.single_calls = SingleCalls(self._node, self._dialing, self._desk, self._bus, self._until)
        self._attendant = Attendant(
            self._node, self._ari, self._legs, self._conversations, self.agency.in_call.queues, self._dialing.wait_turn,
            self._flow_broken, self._doubt, lambda id_: self._loader.campaign(self._node.reach(), id_),
        )  # fmt: skip
        logins, back, in_call = self.agency.phone_logins, self._attendant.returned, self.agency.in_call
        self._stasis = Stasis(
            self._calls, self._conversations, self._legs, logins.arrived, back.arrived, self.agency.recordings, in_call
        )  # fmt: skip
        guests = lambda: logins.channels() | back.channels()  # noqa: E731
        self._reconciler = Reconciler(self._node, self._conversations, self._ari, self._stir, guests, in_call)
        self._reconciler.stands = self.agency.recordings.seen
        self._reconciler.took_over = self.agency.taken_over
        self._bookkeeper = Bookkeeper(self._node, self._stir)
        self._pacer = Pacer(self._node, self._dialing, self._bookkeeper.decided)

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Name → what runs for as long as the daemon does."""
        return {
            "postgres": self._db.run(),
            "redis": self._redis_link.run(),
            "ledger": self._ledger.run(),
            "loader": self._loader.run(lambda: self._db.pool),
            "ami": self._ami.run(),
            "ari": self._ari.run(),
            "reconciler": self._reconciler.run(),
            "pacer": self._pacer.run(),
            "books": self._bookkeeper.run(),
            "caller_ids": self._requests.run(),
            "caller_id_health": CallerIdHealth(self._config.callerids, self._clock, lambda: self._db.pool).run(),
            "decisions": self._bookkeeper.decisions.run(),
            "figures": self._publish_figures(),
            "webhooks": self._attendant.run(),
            "sealer": Sealer(lambda: self._db.pool).run(),
            "recordings": self.agency.mover.run(),
            "eraser": Eraser(lambda: self._db.pool, self._clock).run(),
        }

    # -- what is learned, and what follows ------------------------------------------------------------------------

    def _learned(self, call: Call, event: Event, before: State) -> None:
        if call.state is State.ENDED:
            self._finish(call, event)
        else:
            self.agency.learned(call, event.kind)
            self._lessons.learned(call, event)
            self._ledger.put(*record.learned(call, event))
            if core.is_settling(call.facts) and event.kind in (Kind.HUNG_UP, Kind.REFUSED):
                asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settle, call.attempt)
        if event.kind is Kind.LINK_LOST:
            self._doubt()
        if call.state is not before:
            self._bus.publish("call", self.single_calls.seen(call))
        self._stir()

    def _doubt(self) -> None:
        self._reconciler.needed()

    def _settle(self, attempt: str) -> None:
        self._calls.learn(attempt, Event(Kind.SETTLED, self._clock.now()))

    def _finish(self, call: Call, event: Event) -> None:
        campaign, now = call.campaign, self._clock.now()
        outcome = call.outcome
        retry = after(outcome, call.history, campaign.retry, now)
        ended_at = core.ended_at(call.facts, now)
        self._ledger.put(*record.ended(call, event, outcome, retry, ended_at))
        campaign.outcomes[outcome] = campaign.outcomes.get(outcome, 0) + 1
        campaign.pending += retry.next_at is not None and retry.number != "dead"  # few have another one
        log.info(
            "call.ended", attempt=call.attempt, campaign=campaign.id, outcome=outcome.value, cause=call.facts.cause
        )
        if campaign.broadcast is not None and call.facts.cause == NOT_PLAYED:
            self._rest(campaign, f"nothing is dialled: Asterisk could not play the sound file {campaign.broadcast!r}")
        self._lessons.ended(call, outcome)
        self._ami.forget(call.attempt)
        self._attendant.call_ended(call.attempt)
        self._conversations.call_ended(call)
        self.agency.call_ended(call)
        self._spawn(self._release(call.attempt, end_of(call.facts, outcome, ended_at)), f"release {call.attempt}")

    def _flow_broken(self, call: Call, why: str) -> None:
        self._rest(call.campaign, f"nothing is dialled: flow {call.campaign.flow}: {why}")

    def _rest(self, campaign: Campaign, why: str) -> None:
        """What kept one call from being of use keeps the next: the list must not run through them."""
        campaign.idle_until = self._clock.monotonic() + _REST_SECONDS
        campaign.decision = Decision(0, why, self._clock.now())
        log.error("campaign.rests", campaign=campaign.id, why=why)

    async def _release(self, attempt: str, end: CallEnd) -> None:
        await self._desk.release_cid(attempt, end)

    def _agent_stepped(self, agent: Agent, before: AgentState, seconds: float) -> None:
        self._lessons.stepped(agent, before, seconds)
        self._ledger.put(record.agent_step(agent, self._config.node))
        self._bus.publish("agent", to_json(agent.status()))
        self.agency.stepped(agent, before)
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._bus.publish("figures")
        self._pacer.wake()

    def _ami_event(self, message: Any) -> None:
        try:
            told = translate(message, self._clock.now())
            if told is not None:
                self._calls.learn(*told)
        except Exception:  # a mistake of ours must cost one event, not the connection and every call on it
            log.exception("ami.event_failed")
            self._doubt()

    def _ari_event(self, event: Any) -> None:
        try:
            self._stasis.handle(event)
        except Exception:  # see _ami_event
            log.exception("ari.event_failed")
            self._doubt()

    def _ari_changed(self) -> None:
        self._attendant.lost()
        self.agency.recordings.ari_changed()
        self._asterisk_changed()

    def _asterisk_changed(self) -> None:
        """AMI or ARI came or went: what we believe must be compared again before anything is dialled."""
        self._reconciler.needed()
        self._stir()

    async def _load(self, pool: Any) -> None:
        await self._loader.load(pool)
        self._reconciler.needed()

    def _notified(self, payload: str) -> None:
        self._loader.notified(payload)

    async def _usage(self) -> Iterable[Usage]:
        return await self._requests.usage(self._clock.now(), self._config.dialing.reservation_seconds)

    def _campaign_changed(self, campaign: Campaign, before: str | None) -> None:
        log.info("campaign.state", campaign=campaign.id, before=before, state=campaign.state)
        if campaign.state != "active":
            campaign.decision = None  # what it decided last has no bearing any more
        kind = _EVENT_OF_STATE.get(campaign.state)
        if before is not None and kind is not None:
            self._campaign_events.append(CampaignEvent(kind, campaign.id))

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=task.get_name(), error=repr(error), exc_info=error)

    # -- may we dial? ---------------------------------------------------------------------------------------------

    def gate(self) -> str | None:
        """Why this node may not place a call now, or None. What cannot be proved allowed is not dialled."""
        if self._draining:
            return "draining"
        if not self._config.dialing.enabled:
            return "disabled"
        for link in self._links():
            if link.state != "up":
                return f"{link.name}_down"
        if self._ledger.behind:
            return "record_behind"
        if not self._reconciler.done:
            return "reconciling"
        return DRY_RUN if self._config.calls.dry_run else None

    def _links(self) -> list[Link]:
        return [self._db.status, self._redis_link.status, self._ami.status, self._ari.status]

    async def _publish_figures(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            events, self._campaign_events = self._campaign_events, []
            await self._figures.publish_figures(map(self._redis_figures, self._campaigns.values()), events)
            await asyncio.sleep(_FIGURES_SECONDS)

    def _redis_figures(self, campaign: Campaign) -> CampaignFigures:
        counts, live = campaign.counts(), len(self._calls.of(campaign.id))
        return CampaignFigures(
            campaign.id, campaign.state, live, counts.attempts + live, counts.live_answers,
            campaign.started_at, campaign.completed_at,
        )  # fmt: skip

    # -- stopping -------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """No new calls; live ones may end by themselves for the configured time, then they are ended."""
        self._draining = True
        self._stir()
        log.info("drain.begins", calls=len(self._calls), seconds=self._config.dialing.drain_seconds)
        if not await self._quiet(self._config.dialing.drain_seconds):
            for call in self._calls:
                call.cut_short = True
            await asyncio.gather(*(self._end_channel(call.attempt) for call in self._calls))
            await self._quiet(_SETTLE_SECONDS * 2)
        await asyncio.gather(*(self._end_channel(leg) for leg in self._agents.legs().values()))
        await self._until(lambda: not self._agents.legs(), _SETTLE_SECONDS)
        await self.leave()

    async def leave(self) -> None:
        """Writes what is known and touches no channel: they may be another daemon's already."""
        self._draining = True
        try:
            async with asyncio.timeout(_SETTLE_SECONDS * 2):
                await self._attendant.written()
                await self._ledger.written()
                await self._bookkeeper.decisions.flush()
                await self._requests.flush()
        except TimeoutError:
            log.error("drain.record_incomplete", does="the next start reconciles what is missing")

    async def _quiet(self, seconds: float) -> bool:
        return await self._until(lambda: not len(self._calls), seconds)

    async def _until(self, condition: Any, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds), self._bus.subscribe() as events:
                if condition():
                    return True
                async for _ in events:
                    if condition():
                        return True
        except TimeoutError:
            pass
        return bool(condition())

    async def _end_channel(self, channel: str) -> None:
        try:
            await self._ari.hang_up(channel)
        except (AriError, AriUnreachable) as error:
            log.warning("drain.hang_up_failed", channel=channel, error=str(error))

    @property
    def replaced(self) -> asyncio.Event:
        """Set when another daemon took our ARI app."""
        return self._ari.replaced

    # -- for the web ----------------------------------------------------------------------------------------------

    @property
    def pool(self) -> Any:
        """PostgreSQL's pool while the link is up, else None."""
        return self._db.pool

    def health(self) -> Health:
        """See web/port.py."""
        links, gate = self._links(), self.gate()
        ok = all(link.state == "up" for link in links)
        return Health(
            ok, gate is None, gate or "", tuple(links), self._db.schema_version, self.loop_lag_ms,
            self._config.calls.dry_run, len(asyncio.all_tasks()), self.agency.mover.word,
        )  # fmt: skip

    def status(self) -> Status:
        """See web/port.py."""
        return report.status(
            self._config.node, self._clock.now(), self._started_at, self._draining, self.gate(), self._links(),
            self._campaigns.values(), self._calls, self._agents, self._config.trunks, self._clock.monotonic(),
        )  # fmt: skip

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """See web/port.py."""
        return self._bus.subscribe()

    async def agent_connect(self, name: str) -> None:
        """See web/port.py."""
        await self.agency.connect(name)

    async def agent_disconnect(self, name: str) -> None:
        """See web/port.py."""
        await self.agency.disconnect(name)

    async def agent_pause(self, name: str, reason: str) -> None:
        """See web/port.py."""
        await self.agency.pause(name, reason)

    async def agent_ready(self, name: str) -> None:
        """See web/port.py."""
        await self.agency.ready(name)

    async def agent_hangup(self, name: str) -> None:
        """See web/port.py."""
        await self.agency.hangup(name)

    # -- for the other doors to caller IDs ------------------------------------------------------------------------

    @property
    def caller_ids(self) -> CallerIds:
        """The pool that every door selects from."""
        return self._caller_ids

    @property
    def desk(self) -> CallerIdDesk:
        """The selection that every door asks."""
        return self._desk

    def caller(self, campaign: str, agent: str) -> Caller | None:
        """On whose behalf a caller ID is asked for."""
        return self._directory.caller(campaign, agent)

    def _caller_id_selected(self, holder: str, selection: Selection) -> None:
        """The dialplan asked for the caller ID of one of our calls."""
        call = self._calls.get(holder)
        if call is not None and selection.caller_id is not None:
            call.caller_id = selection.caller_id
            self._ledger.put(*record.caller_id(call, self._clock.now()))
