"""The safe-harbour message of a campaign that names its seller: said by us, because a key pressed in it ends all calls.

A campaign without one has the dialplan's message, and so has every call while ARI is away. Whoever hears it counts as
before: nobody came for them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from dialerd.ari.leg import Leg, LegGone, Legs, NotPlayed
from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.node import Node
from dialerd.engine.optouts import OptOuts

log = structlog.get_logger(__name__)

PLACE = "safe-harbour message"  # in `inputs`, where a flow has the name of a node; no node is called so
_SECONDS = 60.0  # of the whole message, as in the dialplan
_AFTER_SECONDS = 3.0  # for the key that it named


class SafeHarbour:
    """`leave` takes a person out of the room in which they waited."""

    def __init__(
        self, node: Node, legs: Legs, ari: AriLink, opt_outs: OptOuts, leave: Callable[[Call], Awaitable[None]]
    ) -> None:
        self._node = node
        self._legs = legs
        self._ari = ari
        self._opt_outs = opt_outs
        self._leave = leave
        self._saying: dict[str, asyncio.Task[None]] = {}

    def say(self, call: Call) -> bool:
        """Begins, unless it is under way. False: the dialplan has to play its own."""
        message = call.campaign.message
        if message is None or call.campaign.broadcast is not None or not self._ari.up:
            return False
        call.forsaken = True
        if call.attempt not in self._saying:
            leg = self._legs.take(call.attempt, lambda key: self._pressed(call, key))  # at once: no key goes unheard
            task = asyncio.create_task(self._say(call, leg, message), name=f"message to {call.attempt}")
            self._saying[call.attempt] = task
            task.add_done_callback(lambda done: self._reap(call, done))
        return True

    def lost(self) -> None:
        """ARI was away: reconcile finds the calls, and they hear it again."""
        for task in self._saying.values():
            task.cancel()

    def _reap(self, call: Call, task: asyncio.Task[None]) -> None:
        if self._saying.get(call.attempt) is task:
            del self._saying[call.attempt]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("message.failed", attempt=call.attempt, error=repr(error), exc_info=error)

    async def _say(self, call: Call, leg: Leg, message: str) -> None:
        key = call.campaign.opt_out_key
        try:
            await self._leave(call)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    pressed = await leg.play((message,), key)
                    if pressed is None:
                        pressed = await leg.key(_AFTER_SECONDS, key)
                    if pressed is not None:
                        await self._opt_outs.write(call.campaign.tenant_id, call.e164, PLACE, call.attempt)
            await leg.hang_up()
        except LegGone:
            pass
        except (AriError, AriUnreachable, NotPlayed) as error:
            log.error("message.not_played", attempt=call.attempt, error=str(error), does="the dialplan plays its own")
            with suppress(AriError, AriUnreachable):
                await self._ari.to_dialplan(call.attempt)
        finally:
            if self._legs.get(call.attempt) is leg:
                leg.close()

    def _pressed(self, call: Call, key: str) -> None:
        now = self._node.clock.now()
        self._node.ledger.put(record.given(call.campaign.tenant_id, call.attempt, now, key, PLACE))
