"""Answered calls on their way through a flow: each node plays, waits for a key, hands the call on or ends it.

A call in a flow is nobody's but ours. What is pressed is on record at once, in order, with the node's name. After a
loss of ARI or a restart of the daemon, reconcile finds the call alone in our app, and the flow goes on at the node
where it was, or from the start where that is not known any more.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from dialerd.ari.leg import Leg, LegGone, Legs, NotPlayed
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import ids
from dialerd.core.attempt import Event, Kind
from dialerd.core.flow import (
    KEYS,
    Agent,
    Hangup,
    Menu,
    Node,
    OptOut,
    Queue,
    Record,
    Script,
    Set,
    Transfer,
    Webhook,
)
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.node import Node as Here
from dialerd.engine.optouts import OptOuts
from dialerd.engine.phones import is_full
from dialerd.engine.queues import Queues
from dialerd.engine.webhooks import Post, Webhooks

log = structlog.get_logger(__name__)

TRANSFER_TRUNK = "DIALERD_TRANSFER_TRUNK"  # on a channel that a flow put through: by which trunk, for a restart
_MOST_STEPS = 1_000  # nodes that one call passes; a caller who presses keys for ever is no caller
_TOLD_KEYS = 200  # of one call, to other systems; all of them are on record


@dataclass(slots=True)
class _Said:
    """What a call has said so far, for other systems: (node, key) in order, and the values that its flow has set."""

    keys: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)


class Ivr:
    """`offer` gives a call to the agents; `message` lets it hear the safe-harbour message; `broken` is told of a call
    whose flow could not go on, and why; `turn` waits until a trunk's rate allows one more call, or says that it did not
    in time."""

    def __init__(
        self,
        here: Here,
        legs: Legs,
        offer: Callable[[Call], None],
        message: Callable[[Call], None],
        broken: Callable[[Call, str], None],
        doubt: Callable[[], None],
        opt_outs: OptOuts,
        webhooks: Webhooks,
        queues: Queues,
        turn: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._here = here
        self._legs = legs
        self._offer = offer
        self._message = message
        self._broken = broken
        self._doubt = doubt
        self._opt_outs = opt_outs
        self._webhooks = webhooks
        self._queues = queues
        self._turn = turn
        self._running: dict[str, asyncio.Task[None]] = {}
        self._said: dict[str, _Said] = {}

    def begin(self, call: Call) -> None:
        """A call enters its campaign's flow, a machine the one for machines; or it goes on at `call.flow_node`."""
        script, campaign = call.script, call.campaign
        if script is None:
            problem = campaign.machine_problem if call.is_machine else campaign.flow_problem
            self._fail(call, problem or "the campaign's flow cannot be read")
            return
        call.in_flow = True
        leg = self._legs.take(call.attempt, lambda key: self._pressed(call, key))  # at once: no key goes unheard
        task = asyncio.create_task(self._run(call, leg, script), name=f"flow of {call.attempt}")
        self._running[call.attempt] = task
        task.add_done_callback(lambda done: self._reap(call, done))

    def call_ended(self, attempt: str) -> None:
        """A call is over, however that was learned."""
        self._legs.left(attempt)
        self._said.pop(attempt, None)

    def lost(self) -> None:
        """ARI was away: ends of sounds and keys may have gone unheard. Reconcile finds the calls and begins again."""
        for task in self._running.values():
            task.cancel()

    def _reap(self, call: Call, task: asyncio.Task[None]) -> None:
        if self._running.get(call.attempt) is task:
            del self._running[call.attempt]
            call.in_flow = False
        if call.attempt not in self._here.calls:
            self._said.pop(call.attempt, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("flow.failed", attempt=call.attempt, node=call.flow_node, error=repr(error), exc_info=error)
            self._fail(call, f"a mistake of dialerd's at node {call.flow_node!r}: the log says more")

    def _fail(self, call: Call, why: str) -> None:
        """Nobody is left in silence: the message, and it counts as a call for whom nobody came, unless a machine has
        it."""
        log.error("flow.broken", attempt=call.attempt, campaign=call.campaign.id, why=why)
        self._broken(call, why)
        if not call.on_machine:
            self._handed(call)
        self._message(call)

    # -- the way through ------------------------------------------------------------------------------------------

    async def _run(self, call: Call, leg: Leg, script: Script) -> None:
        flow = script.flow
        name: str | None = call.flow_node if call.flow_node in flow.nodes else flow.start
        try:
            await self._queues.leave(call)
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
            await self._opt_outs.write(call.campaign.tenant_id, call.e164, f"ivr:{script.flow.name}", call.attempt)
        elif isinstance(node, Set):
            self._said_of(call).values.update(node.values)
            self._note(call, script, "flow.set", {"values": dict(node.values)})
        elif isinstance(node, Webhook):
            self._tell(call, script, node)
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
            if call.on_machine:
                self._here.calls.learn(call.attempt, Event(Kind.MESSAGE, self._here.clock.now()))
            await leg.hang_up()
            return None
        if isinstance(node, Transfer):
            await self._transfer(call, leg, script, node)
            return None
        if isinstance(node, Record):
            await self._record(call, leg, script, node)
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

    async def _record(self, call: Call, leg: Leg, script: Script, node: Record) -> None:
        """What the person says, under a name of our own, which is kept where keys are."""
        name, place = ids.recording(call.attempt, secrets.token_hex(4)), call.flow_node

        def began() -> None:
            self._here.ledger.put(
                record.given(call.campaign.tenant_id, call.attempt, self._here.clock.now(), name, place)
            )

        try:
            await leg.record(name, node.seconds, node.silence_seconds, began)
        except NotPlayed as error:  # the person has been asked, and may go on
            log.error("flow.not_recorded", attempt=call.attempt, node=place, error=str(error))
            self._note(call, script, "flow.not_recorded", {"error": str(error)[:200]})

    async def _transfer(self, call: Call, leg: Leg, script: Script, node: Transfer) -> None:
        """Out over a trunk, if it may carry one more: the dialplan dials, and the call ends with that one."""
        number, _, trunk = node.to.partition("@")
        call.sent_over = None  # a second try, after a loss of ARI, is the same call
        if (why := await self._no_way(trunk)) is not None:
            log.warning("flow.transfer_refused", attempt=call.attempt, node=call.flow_node, why=why)
            self._note(call, script, "flow.transfer_refused", {"to": node.to, "why": why})
            self._message(call)
            return
        call.sent_over = trunk
        self._note(call, script, "flow.transfer", {"to": node.to})
        variables = {
            TRANSFER_TRUNK: trunk,
            "DIALERD_TRUNK": self._here.config.trunks[trunk].endpoint,
            "DIALERD_SHOWS": call.caller_id or call.campaign.caller_id or "",
        }
        await leg.go_on("dialerd-transfer", number, variables)

    async def _no_way(self, trunk: str) -> str | None:
        """Why a trunk takes no call of a flow now; None: it does, and the call has had its turn."""
        if not self._here.config.dialing.enabled:
            return "disabled"
        if is_full(self._here, trunk):
            return "trunk_full"
        if not await self._turn(trunk):
            return "trunk_busy"
        return "trunk_full" if is_full(self._here, trunk) else None  # the turn took a while

    # -- what is learned of it ------------------------------------------------------------------------------------

    def _tell(self, call: Call, script: Script, node: Webhook) -> None:
        said, place = self._said_of(call), call.flow_node
        body = {
            "call_id": call.attempt, "campaign_id": call.campaign.id, "contact_id": call.contact_id,
            "flow": script.flow.name, "node": place, "at": self._here.clock.now().isoformat(),
            "keys": [{"node": name, "key": key} for name, key in said.keys], "values": dict(said.values),
        }  # fmt: skip

        def done(answer: int | str) -> None:
            now = self._here.clock.now()
            row = record.flow_step(call, now, script.flow.name, place, "flow.webhook", {"answer": answer})
            self._here.ledger.put(row)

        self._webhooks.put(Post(node.url, body, done))

    def _note(self, call: Call, script: Script, kind: str, detail: dict[str, object]) -> None:
        now = self._here.clock.now()
        self._here.ledger.put(record.flow_step(call, now, script.flow.name, call.flow_node, kind, detail))

    def _pressed(self, call: Call, key: str) -> None:
        if len(keys := self._said_of(call).keys) < _TOLD_KEYS:
            keys.append((call.flow_node, key))
        now = self._here.clock.now()
        self._here.ledger.put(record.given(call.campaign.tenant_id, call.attempt, now, key, call.flow_node))

    def _said_of(self, call: Call) -> _Said:
        return self._said.setdefault(call.attempt, _Said())

    def _handed(self, call: Call) -> None:
        self._here.calls.learn(call.attempt, Event(Kind.HANDED, self._here.clock.now(), detail=call.flow_node))
