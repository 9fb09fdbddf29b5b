"""Answered calls on their way through a flow: each node plays, waits for a key, hands the call on or ends it.

A call in a flow is nobody's but ours. What is pressed is on record at once, in order, with the node's name. After a
loss of ARI or a restart of the daemon, reconcile finds the call alone in our app, and the flow goes on at the node
where it was, or from the start where that is not known any more.
"""

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

import asyncpg
import structlog

from dialerd.ari.leg import Leg, LegGone, Legs, NotPlayed
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core.attempt import Event, Kind
from dialerd.core.backoff import backoff
from dialerd.core.flow import KEYS, Agent, Hangup, Menu, Node, OptOut, Queue, Script, Set
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.node import Node as Here
from dialerd.store.consents import opt_out
from dialerd.store.errors import DB_ERRORS, Refused

log = structlog.get_logger(__name__)

_MOST_STEPS = 1_000  # nodes that one call passes; a caller who presses keys for ever is no caller
_WRITE_SECONDS = 3.0  # that a caller waits for an opt-out to be written; it goes on being written after that


class Ivr:
    """`offer` gives a call to the agents; `message` lets it hear the safe-harbour message; `broken` is told of a call
    whose flow could not go on, and why."""

    def __init__(
        self,
        here: Here,
        legs: Legs,
        offer: Callable[[Call], None],
        message: Callable[[Call], None],
        broken: Callable[[Call, str], None],
        doubt: Callable[[], None],
    ) -> None:
        self._here = here
        self._legs = legs
        self._offer = offer
        self._message = message
        self._broken = broken
        self._doubt = doubt
        self._running: dict[str, asyncio.Task[None]] = {}
        self._writing: set[asyncio.Task[None]] = set()  # opt-outs that are not in PostgreSQL yet

    def begin(self, call: Call) -> None:
        """A call enters its campaign's flow, or goes on at `call.flow_node`."""
        script = call.campaign.flow_script
        if script is None:
            self._fail(call, call.campaign.flow_problem or "the campaign's flow cannot be read")
            return
        call.in_flow = True
        leg = self._legs.take(call.attempt, lambda key: self._pressed(call, key))  # at once: no key goes unheard
        task = asyncio.create_task(self._run(call, leg, script), name=f"flow of {call.attempt}")
        self._running[call.attempt] = task
        task.add_done_callback(lambda done: self._reap(call, done))

    def call_ended(self, attempt: str) -> None:
        """A call is over, however that was learned."""
        self._legs.left(attempt)

    def lost(self) -> None:
        """ARI was away: ends of sounds and keys may have gone unheard. Reconcile finds the calls and begins again."""
        for task in self._running.values():
            task.cancel()

    async def written(self) -> None:
        """Waits until every opt-out is in PostgreSQL."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    def _reap(self, call: Call, task: asyncio.Task[None]) -> None:
        if self._running.get(call.attempt) is task:
            del self._running[call.attempt]
            call.in_flow = False
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("flow.failed", attempt=call.attempt, node=call.flow_node, error=repr(error), exc_info=error)
            self._fail(call, f"a mistake of dialerd's at node {call.flow_node!r}: the log says more")

    def _fail(self, call: Call, why: str) -> None:
        """Nobody is left in silence: the message, and it counts as a call for whom nobody came."""
        log.error("flow.broken", attempt=call.attempt, campaign=call.campaign.id, why=why)
        self._broken(call, why)
        self._handed(call)
        self._message(call)

    # -- the way through ------------------------------------------------------------------------------------------

    async def _run(self, call: Call, leg: Leg, script: Script) -> None:
        flow = script.flow
        name: str | None = call.flow_node if call.flow_node in flow.nodes else flow.start
        try:
            for _ in range(_MOST_STEPS):
                if name is None:
                    return
                call.flow_node = name
                name = await self._step(call, leg, script, flow.nodes[name])
            log.warning("flow.too_long", attempt=call.attempt, node=name, steps=_MOST_STEPS)
            await leg.hang_up()
        except LegGone:
            pass
        except NotPlayed as error:
            self._fail(call, f"at node {call.flow_node!r} Asterisk could not play a sound: {str(error)[:200]}")
        except (AriError, AriUnreachable) as error:
            log.warning("flow.interrupted", attempt=call.attempt, node=call.flow_node, error=str(error))
            self._doubt()  # reconcile finds it alone in our app
        finally:
            if self._legs.get(call.attempt) is leg:
                leg.close()

    async def _step(self, call: Call, leg: Leg, script: Script, node: Node) -> str | None:
        """Passes one node. Returns the name of the next; None: the call is in other hands, or over."""
        log.info("flow.node", attempt=call.attempt, node=call.flow_node)
        if isinstance(node, Menu):
            return await self._ask(leg, script.sounds_of(node), node)
        if isinstance(node, OptOut):
            await self._opt_out(call, script)
        elif isinstance(node, Set):
            now = self._here.clock.now()
            self._here.ledger.put(record.flow_values(call, now, script.flow.name, node.values))
        await leg.play(script.sounds_of(node))
        if isinstance(node, Agent | Queue):
            # From here on it is a call like any other: its grace begins now.
            leg.close()
            call.in_flow = False
            call.wait_seconds, call.flow_next = (node.seconds, node.next) if isinstance(node, Queue) else (None, None)
            self._handed(call)
            call.arrived_monotonic = None
            self._offer(call)
            return None
        if isinstance(node, Hangup):
            await leg.hang_up()
            return None
        return node.next

    async def _ask(self, leg: Leg, sounds: list[str], menu: Menu) -> str:
        """Plays a menu until a key of it is pressed, or its tries are used up."""
        to = menu.timeout
        for _ in range(1 + menu.retries):
            key = await leg.play(sounds, KEYS if menu.barge_in else "")
            if key is None:
                key = await leg.key(menu.timeout_seconds, KEYS)
            if key is not None and key in menu.keys:
                return menu.keys[key]
            to = menu.timeout if key is None else menu.invalid or menu.timeout
        return to

    def _pressed(self, call: Call, key: str) -> None:
        self._here.ledger.put(record.key_pressed(call, self._here.clock.now(), key))

    def _handed(self, call: Call) -> None:
        self._here.calls.learn(call.attempt, Event(Kind.HANDED, self._here.clock.now(), detail=call.flow_node))

    # -- opting out -----------------------------------------------------------------------------------------------

    async def _opt_out(self, call: Call, script: Script) -> None:
        """Writes it, whatever becomes of the call meanwhile. Thanks are said when it is written, or a little later."""
        task = asyncio.create_task(self._written(call, f"ivr:{script.flow.name}"), name=f"opt-out of {call.attempt}")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        await asyncio.wait({task}, timeout=_WRITE_SECONDS)

    async def _written(self, call: Call, source: str) -> None:
        campaign, failures = call.campaign, 0
        while True:
            try:
                async with self._here.reach().acquire() as connection:
                    await opt_out(connection, campaign.tenant_id, call.e164, source, UUID(call.attempt))
                log.info("flow.opted_out", attempt=call.attempt)
                return
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, Refused) as error:
                log.error("flow.opt_out_refused", attempt=call.attempt, error=str(error))
                return
            except DB_ERRORS as error:
                if failures == 0:
                    log.warning("flow.opt_out_waits", attempt=call.attempt, error=str(error) or type(error).__name__)
                failures += 1
                await asyncio.sleep(min(1.0, backoff(failures, random.random())))  # noqa: S311 - jitter
