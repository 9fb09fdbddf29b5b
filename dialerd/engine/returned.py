"""Somebody calls one of our caller IDs back: who it is; then the message and the key that ends all calls, or an agent.

The caller's number is only looked up: it says whom we called last with the number that was dialled, and nothing else
follows from it. Whoever is not known by it hears a message that tells them nothing.

A call for agents becomes an attempt with a channel of its own: the near half of a Local pair, which goes the way of
every answered call, while the far half takes up the caller in the dialplan (`AriLink.call_in`). So it is a call like
any other, and when either side ends Asterisk ends the other, whatever becomes of dialerd.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog

from dialerd.ari.leg import LegGone, Legs, NotPlayed
from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import ids, phone
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.phone import masked
from dialerd.core.retry import History
from dialerd.engine import record
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign
from dialerd.engine.node import Node
from dialerd.engine.optouts import OptOuts
from dialerd.places import prompts
from dialerd.store import returned
from dialerd.store.errors import DB_ERRORS
from dialerd.store.people import people
from dialerd.store.returned import LastCall, Taken

log = structlog.get_logger(__name__)

PLACE = "returned call"  # in `inputs`, where a flow has the name of a node; no node is called so
_MOST = 50  # at a time; further ones hear the dialplan's message
_SECONDS = 90.0  # of one; less than the dialplan's own limit
_TAKEN_UP = "dialerd-returned"  # accountcode of a caller whom an attempt has taken up
_AFTER_MESSAGE_SECONDS = 5.0  # for the key that it named
_KEPT_KEYS = 50
_UNKNOWN = ("im-sorry", "vm-nobodyavail", "goodbye")  # of Asterisk's own sounds


class ReturnedCalls:
    """`arrived` is told of each channel that enters our app from [dialerd-inbound]. `campaign`: the one of an id, read
    when it is not at hand; None: there is none."""

    def __init__(
        self,
        node: Node,
        legs: Legs,
        ari: AriLink,
        opt_outs: OptOuts,
        campaign: Callable[[int], Awaitable[Campaign | None]],
    ) -> None:
        self._node = node
        self._legs = legs
        self._ari = ari
        self._opt_outs = opt_outs
        self._campaign = campaign
        self._serving: dict[str, asyncio.Task[None]] = {}

    def arrived(self, channel: str, number: str, dialled: str) -> None:
        """A channel, the number that it shows, and the one that was dialled. Never waits."""
        if len(self._serving) >= _MOST:
            self._node.spawn(self._message(channel), f"returned call {channel}")
            return
        task = asyncio.create_task(self._serve(channel, number, dialled), name=f"returned call {channel}")
        self._serving[channel] = task
        task.add_done_callback(lambda done: self._reap(channel, done))

    def channels(self) -> set[str]:
        """Those that are being served."""
        return set(self._serving)

    def lost(self) -> None:
        """ARI was away: ends of sounds and keys may have gone unheard. Reconcile ends the calls."""
        for task in self._serving.values():
            task.cancel()

    def _reap(self, channel: str, task: asyncio.Task[None]) -> None:
        self._serving.pop(channel, None)
        if (leg := self._legs.get(channel)) is not None:
            leg.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("returned.failed", channel=channel[:80], error=repr(error), exc_info=error)
            self._node.spawn(self._message(channel), f"message {channel}")

    async def _serve(self, channel: str, number: str, dialled: str) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._known(number, dialled)
                if found is None:
                    await self._stranger(channel)
                elif not (found.to_agents and await self._to_agents(channel, found)):
                    await self._acquaintance(channel, found)
        except LegGone:
            pass
        except TimeoutError:
            await self._hang_up(channel)
        except (AriError, AriUnreachable, NotPlayed) as error:
            log.warning("returned.interrupted", channel=channel[:80], error=str(error))
            await self._message(channel)

    async def _known(self, number: str, dialled: str) -> LastCall | None:
        """The last call to this number that showed the one that was dialled, if it was not too long ago."""
        config = self._node.config.returned
        if config.days == 0:
            return None
        try:
            e164 = phone.parse(number, config.region).e164
            shown = spellings(dialled, config.region)
            return await returned.last_call(self._node.reach(), e164, shown, config.days)
        except phone.NumberRefused:
            return None
        except DB_ERRORS as error:
            log.warning("returned.unknown", error=str(error) or type(error).__name__)
            return None

    # -- an agent -------------------------------------------------------------------------------------------------

    async def _to_agents(self, channel: str, found: LastCall) -> bool:
        """Makes an attempt of it. False: it cannot be one, and hears the message."""
        try:
            campaign, taken = await self._campaign(found.campaign_id), None
            if campaign is not None:
                taken = await returned.take(self._node.reach(), found.attempt, self._node.config.node)
        except DB_ERRORS as error:
            log.warning("returned.not_taken", attempt=found.attempt, error=str(error) or type(error).__name__)
            return False
        if campaign is None or taken is None:
            log.info("returned.not_taken", attempt=found.attempt, why="no campaign, or a live call already")
            return False
        call = self._begin(campaign, taken, found)
        await self._read_person(call)
        config = self._node.config
        try:
            # Theirs was the time for a message; from here on the attempt's own limit holds, and Asterisk ends the one
            # with the other: for reconcile it is nobody's of ours any more, though it still looks as in our app.
            await self._ari.set_variable(channel, "TIMEOUT(absolute)", str(config.dialing.max_call_seconds))
            await self._ari.set_variable(channel, "CHANNEL(accountcode)", _TAKEN_UP)
            await self._ari.call_in(
                call.attempt, channel, call.e164, config.ari.app, ids.ACCOUNT, config.dialing.max_call_seconds
            )
        except AriError as error:
            says = f"Asterisk refused the channel of a returned call: {error}"
            self._node.calls.learn(call.attempt, Event(Kind.NOT_SENT, self._node.clock.now(), detail=says[:200]))
            with suppress(AriError, AriUnreachable):
                await self._ari.set_variable(channel, "TIMEOUT(absolute)", str(round(_SECONDS)))
                await self._ari.set_variable(channel, "CHANNEL(accountcode)", ids.ACCOUNT)
            return False
        except AriUnreachable:
            self._node.calls.learn(call.attempt, Event(Kind.LINK_LOST, self._node.clock.now()))
            raise
        self._node.calls.learn(call.attempt, Event(Kind.SENT, self._node.clock.now()))
        return True

    def _begin(self, campaign: Campaign, taken: Taken, found: LastCall) -> Call:
        """It teaches pacing nothing of lines, and is no answer of the budget: both are said to be known already."""
        call = Call(
            taken.attempt_id, campaign, taken.contact_id, taken.e164, History(taken.attempts, taken.tries),
            Facts(taken.claimed_at), self._node.clock.monotonic(), learned=True, counted=False, returns=found.attempt,
        )  # fmt: skip
        self._node.calls.add(call)
        log.info("returned.to_agents", attempt=call.attempt, returns=found.attempt, number=masked(call.e164))
        return call

    async def _read_person(self, call: Call) -> None:
        """There is no ringing during which it could be read: the agent's page has it with the call."""
        try:
            found = await people(self._node.reach(), [(call.contact_id, call.e164)])
            call.person = found.get(call.contact_id)
        except DB_ERRORS as error:
            log.warning("returned.person_unread", error=str(error) or type(error).__name__)

    # -- a message ------------------------------------------------------------------------------------------------

    async def _stranger(self, channel: str) -> None:
        leg = self._legs.take(channel)
        message = self._node.config.returned.message
        await leg.play(_UNKNOWN if message is None else (message,))
        await leg.hang_up()

    async def _acquaintance(self, channel: str, found: LastCall) -> None:
        self._node.ledger.put(record.returned(found.tenant_id, found.campaign_id, found.attempt, self._now()))
        log.info("returned.known", attempt=found.attempt, number=masked(found.e164))
        kept = 0

        def pressed(key: str) -> None:
            nonlocal kept
            kept += 1
            if kept <= _KEPT_KEYS:
                self._node.ledger.put(record.given(found.tenant_id, found.attempt, self._now(), key, PLACE))

        leg = self._legs.take(channel, pressed)
        message = await asyncio.to_thread(self._sound, found)
        if found.seller is None or message is None:
            await leg.play(_UNKNOWN)
            await leg.hang_up()
            return
        key = await leg.play((message,), found.seller.key)
        if key is None:
            key = await leg.key(_AFTER_MESSAGE_SECONDS, found.seller.key)
        if key is not None:
            await self._opt_outs.write(found.tenant_id, found.e164, PLACE, found.attempt)
        await leg.hang_up()

    def _sound(self, found: LastCall) -> str | None:
        config = self._node.config.flows
        if found.seller is None:
            return None
        return prompts.spoken(found.seller.prompt, config.tts_command, Path(config.prompts))

    def _now(self) -> datetime:
        return self._node.clock.now()

    async def _message(self, channel: str) -> None:
        with suppress(AriError, AriUnreachable):
            await self._ari.to_dialplan(channel)

    async def _hang_up(self, channel: str) -> None:
        with suppress(AriError, AriUnreachable):
            await self._ari.hang_up(channel)


def spellings(dialled: str, region: str) -> list[str]:
    """The forms in which a number that was dialled may be stored as a caller ID."""
    digits = dialled.removeprefix("+")
    found = {dialled, digits, f"+{digits}"}
    with suppress(phone.NumberRefused):
        found.add(phone.parse(dialled, region).e164)
    return sorted(each for each in found if phone.DIALABLE.match(each))
