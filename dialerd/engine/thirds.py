"""Third parties of a call: an extension of an allowed context, or a number over the campaign's trunk.

A number passes what any other call of ours passes: it is a number that may be dialled, on no do-not-call list, with a
caller ID, within its trunk's limits, and nothing leaves while the node may not dial. What cannot be proved is refused.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dialerd.ari.link import AriLink
from dialerd.ari.transport import AriError, AriUnreachable
from dialerd.core import ids, phone
from dialerd.core.callerid import CallEnd, Request
from dialerd.core.status import AgentRefused
from dialerd.core.target import Kind, Target
from dialerd.engine.agents import Agent
from dialerd.engine.calls import Call
from dialerd.engine.desk import OURS, CallerIdDesk
from dialerd.engine.dialing import Dialing
from dialerd.engine.node import Node
from dialerd.engine.phones import is_full
from dialerd.store.dnc import bars
from dialerd.store.errors import DB_ERRORS

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Third:
    """A third party. `channel`: its own; a colleague's leg when `colleague` is set. `words`: for people; `masked`: for
    logs and the record. `trunk`: what it counts against. `called`: Asterisk has a channel of it."""

    channel: str
    words: str
    masked: str
    endpoint: str = ""
    trunk: str | None = None
    shows: str = "dialerd"
    colleague: Agent | None = None
    called: bool = False
    answered_monotonic: float | None = None
    over: bool = False


class Thirds:
    """`gone` is told of a third party that could not be called."""

    def __init__(
        self, node: Node, ari: AriLink, desk: CallerIdDesk, dialing: Dialing, gone: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._node = node
        self._ari = ari
        self._desk = desk
        self._dialing = dialing
        self._gone = gone

    async def ready(self, agent: Agent, call: Call, target: Target) -> Third:
        """A third party that may be called, and counts from now on: `dial` it, or `end` it. Raises `AgentRefused`."""
        channel = ids.third_leg(agent.id, secrets.token_hex(4))
        if target.kind is Kind.EXTENSION:
            return self._extension(channel, target)
        return await self._number(channel, agent, call, target)

    async def dial(self, agent: Agent, third: Third) -> None:
        """Calls it; what comes of it the events tell."""
        config = self._node.config
        try:
            await self._ari.call_third(
                third.channel, third.endpoint, agent.id, ids.ACCOUNT, config.incall.answer_seconds, third.shows,
                config.dialing.max_call_seconds,
            )  # fmt: skip
            third.called = True
        except (AriError, AriUnreachable) as error:
            log.warning("third.failed", agent=agent.name, third=third.masked, error=str(error))
            if isinstance(error, AriUnreachable):
                self._node.spawn(self._hang_up(third.channel), f"hang up {third.channel}")  # it may be ringing
            self._gone(third.channel)
            return
        if third.over:  # it was given up while the request was under way
            await self._hang_up(third.channel)

    def end(self, third: Third) -> None:
        """It is not wanted, or is gone; twice is once. Its caller ID and its place on the trunk are free."""
        if third.over:
            return
        third.over = True
        if third.colleague is not None:
            return
        self._node.spawn(self._hang_up(third.channel), f"hang up {third.channel}")
        if third.trunk is not None:
            self._node.thirds[third.trunk] -= 1
            talked = third.answered_monotonic
            seconds = None if talked is None else self._node.clock.monotonic() - talked
            end = CallEnd("no_answer" if seconds is None else "answered", seconds)
            self._node.spawn(self._release(third.channel, end), f"release {third.channel}")

    async def _release(self, channel: str, end: CallEnd) -> None:
        await self._desk.release_cid(channel, end)

    async def _hang_up(self, channel: str) -> None:
        try:
            await self._ari.hang_up(channel)
        except (AriError, AriUnreachable) as error:
            log.warning("ari.request_failed", what="hang_up", channel=channel, error=str(error))

    def _extension(self, channel: str, target: Target) -> Third:
        allowed = self._node.config.incall.contexts
        context = target.context or (allowed[0] if allowed else None)
        if context is None or context not in allowed:
            known = ", ".join(allowed) or "none: set [incall] contexts"
            raise AgentRefused("context_not_allowed", f"extensions may be called in these contexts: {known}")
        words = f"{target.value}@{context}"
        return Third(channel, words, words, f"Local/{words}/n")

    async def _number(self, channel: str, agent: Agent, call: Call, target: Target) -> Third:
        campaign, node = call.campaign, self._node
        try:
            number = phone.parse(target.value, agent.default_region).e164
        except phone.NumberRefused as refused:
            raise AgentRefused("bad_number", f"no number that may be called: {refused.reason}") from None
        if number == call.e164:
            raise AgentRefused("own_number", "that is the person who is on the line")
        self._check(campaign.trunk)
        try:
            barred = await bars(node.reach(), campaign.tenant_id, campaign.id, [number])
        except DB_ERRORS as error:
            log.warning("third.dnc_unread", error=str(error) or type(error).__name__)
            raise AgentRefused("dnc_unread", "not dialled: the do-not-call lists could not be read") from None
        if number in barred:
            raise AgentRefused("dnc", f"not dialled: this number is on the do-not-call list {barred[number]!r}")
        selection = await self._desk.next_cid(Request(number, str(campaign.id), "", channel, OURS))
        if selection.caller_id is None:
            raise AgentRefused(
                "no_caller_id", f"every call shows a number, and there is none: {dict(selection.reasons)}"
            )
        try:
            self._check(campaign.trunk)  # all this took a while
            if not self._dialing.take_turn(campaign.trunk):
                raise AgentRefused("trunk_busy", f"trunk '{campaign.trunk}' starts no more calls in this second")
        except AgentRefused:
            await self._desk.release_cid(channel, None)
            raise
        node.thirds[campaign.trunk] += 1
        masked = phone.masked(number)
        endpoint = f"PJSIP/{number}@{node.config.trunks[campaign.trunk].endpoint}"
        return Third(channel, number, masked, endpoint, campaign.trunk, selection.caller_id)

    def _check(self, trunk: str) -> None:
        gate, known = self._node.gate(), self._node.config.trunks.get(trunk)
        if gate is not None or known is None:
            raise AgentRefused(gate or "unknown_trunk", f"nothing is dialled now: {gate or 'no such trunk here'}")
        if is_full(self._node, trunk):
            raise AgentRefused("trunk_full", f"trunk '{trunk}' carries all the calls that it may")
