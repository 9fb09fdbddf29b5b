"""The connection to Asterisk's manager interface.

Guarantees: an Originate leaves at most once (each connection is a panoramisk Manager of its own, thrown away when it
breaks, so its replay of unanswered actions has nothing to replay); nothing is sent before `FullyBooted`; whoever
sent something learns its fate, "the link was lost" included; a link that answers no ping is dead, FIN or no FIN.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from dialerd.ami.action import Originate, fields
from dialerd.clock import Clock
from dialerd.config import Ami
from dialerd.core.attempt import Event, Kind
from dialerd.core.backoff import backoff
from dialerd.core.status import Link, LinkState

log = structlog.get_logger(__name__)

_NEVER = 10**8  # seconds; panoramisk's own pinger does not look at the answer, so ours takes its place
_MAX_LINE_BUFFER = 1 << 20  # bytes that may wait for the end of a message; more is not AMI
_BOOT_SECONDS = 20.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, throwing away what was not delivered

Report = Callable[[str, Event], None]


class LinkDown(ConnectionError):
    """Nothing was sent: the manager connection is not up."""


class _Protocol(AMIProtocol):  # type: ignore[misc]  # panoramisk is untyped
    def __init__(self, manager: "_Manager") -> None:
        self._manager = manager

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.factory = self._manager  # panoramisk sets it later: a server that hangs up at once would find nobody

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.queue and len(self.queue[-1]) > _MAX_LINE_BUFFER:
            log.error("ami.message_too_long", limit=_MAX_LINE_BUFFER)
            self.transport.abort()


class _Manager(Manager):  # type: ignore[misc]
    """One connection. When it breaks it says so once and stays down; `AmiLink` makes the next one."""

    def __init__(self, config: Ami) -> None:
        super().__init__(
            host=config.host,
            port=config.port,
            username=config.username,
            secret=config.secret.get_secret_value(),
            events="on",
            ping_delay=_NEVER,
            ping_interval=_NEVER,
            forgetable_actions=("ping", "login", "originate"),
            loop=asyncio.get_running_loop(),
        )
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.booted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.register_event("FullyBooted", self._fully_booted)

    async def open(self, limit_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        pair = loop.create_future()
        async with asyncio.timeout(limit_seconds):  # wait_for of Python 3.11 may swallow a cancellation
            opened = loop.create_connection(lambda: _Protocol(self), self.config["host"], self.config["port"])
            pair.set_result(await opened)
        self.connection_made(pair)

    async def reply(self, awaited: asyncio.Future[Any], limit_seconds: float) -> Any:
        """What `awaited` gives. Raises TimeoutError, or ConnectionError as soon as the connection is lost."""
        await asyncio.wait((awaited, self.lost), timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        if awaited.done():
            return awaited.result()
        if self.lost.done():
            raise ConnectionError("Asterisk closed the manager connection")
        raise TimeoutError

    def _fully_booted(self, *_: object) -> None:
        if not self.booted.done():
            self.booted.set_result(None)

    def connection_lost(self, exc: Any) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def abort(self) -> None:
        """Ends the connection at once. An Originate that the network still holds must not be delivered later."""
        if self.protocol is not None:
            transport = self.protocol.transport
            if not transport.is_closing():
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        self.close()
        self.connection_lost(None)


class _Sent(Action):  # type: ignore[misc]
    """An Originate on the wire. Tells each reply as it is parsed, so that it stays in order with the events."""

    def __init__(self, call: Originate, report: Report, clock: Clock) -> None:
        super().__init__(fields(call))
        self.attempt = call.attempt
        self._report = report
        self._clock = clock

    def add_message(self, message: Mapping[str, str]) -> bool:
        """True when no further reply is to come."""
        self.responses.append(message)
        ok = message.get("Response") == "Success"
        if "Event" not in message and ok:
            self._report(self.attempt, Event(Kind.SENT, self._clock.now()))
            return False
        if not ok:
            detail = (message.get("Message") or f"OriginateResponse: reason {message.get('Reason', '?')}")[:200]
            self._report(self.attempt, Event(Kind.REFUSED, self._clock.now(), detail=detail))
        return True


class AmiLink:
    """Keeps the connection up and originates over it. `on_event` gets every message that is an event, in order;
    `report` the fate of each Originate; `on_change` is called when the link goes up or down."""

    def __init__(
        self,
        config: Ami,
        clock: Clock,
        on_event: Callable[[Mapping[str, str]], None],
        report: Report,
        on_change: Callable[[], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_event = on_event
        self._report = report
        self._on_change = on_change
        self._manager: _Manager | None = None
        self._sent: dict[str, _Sent] = {}
        self._failures = 0
        self.status = Link("ami", "connecting", clock.now())

    @property
    def up(self) -> bool:
        """Whether an Originate may be sent now."""
        return self._manager is not None

    def originate(self, call: Originate) -> None:
        """Sends one Originate. Raises `ValueRefused` or `LinkDown`: then nothing was sent."""
        manager = self._manager
        if manager is None or manager.lost.done() or manager.protocol.transport.is_closing():
            raise LinkDown(self.status.detail or "the manager connection is not up")
        action = _Sent(call, self._report_reply, self._clock)
        self._sent[call.attempt] = action
        manager.send_action(action)

    def forget(self, attempt: str) -> None:
        """The attempt is over: no reply to its Originate is awaited any more."""
        self._sent.pop(attempt, None)
        if self._manager is not None:
            self._manager.protocol.responses.pop(attempt, None)

    async def run(self) -> None:
        """Connects, stays, reconnects; ends only by cancellation."""
        while True:
            try:
                await self._live()
            except (OSError, TimeoutError, ConnectionError) as error:
                self._set("down", f"{self._where()}: {_words(error)}")
            await asyncio.sleep(backoff(self._failures, random.random()))  # noqa: S311 - jitter, no secret
            self._failures += 1

    async def _live(self) -> None:
        manager = _Manager(self._config)
        manager.register_event("*", lambda _, message: self._on_event(message))
        try:
            await self._log_in(manager)
            self._manager = manager
            self._failures = 0
            self._set("up", "")
            await self._ping_until_lost(manager)
        finally:
            self._manager = None
            manager.abort()
            self._lose_the_unanswered()

    async def _log_in(self, manager: _Manager) -> None:
        await manager.open(self._config.ping_seconds)
        reply = await manager.reply(manager.authenticated_future, self._config.ping_seconds)
        if not reply.success:
            raise ConnectionError(
                f"login as '{self._config.username}' refused ({reply.message}); compare ami.secret with Asterisk's "
                "dialerd-secrets/manager.conf, then 'manager reload' in Asterisk"
            )
        await manager.reply(manager.booted, _BOOT_SECONDS)  # before it, an Originate may hit a half-loaded Asterisk

    async def _ping_until_lost(self, manager: _Manager) -> None:
        limit = self._config.ping_seconds
        while not manager.lost.done():
            await asyncio.wait((manager.lost,), timeout=limit)
            try:
                await manager.reply(manager.send_action({"Action": "Ping"}), limit)
            except TimeoutError:
                raise ConnectionError(f"no answer to a ping within {limit:g} s") from None

    def _report_reply(self, attempt: str, event: Event) -> None:
        if event.kind is Kind.REFUSED:
            self._sent.pop(attempt, None)
        self._report(attempt, event)

    def _lose_the_unanswered(self) -> None:
        """F2, F3: what was sent and not answered has an unknown fate; reconcile finds it by its channel id."""
        lost, self._sent = self._sent, {}
        for attempt, action in lost.items():
            if not action.responses:
                self._report(attempt, Event(Kind.LINK_LOST, self._clock.now()))

    def _set(self, state: LinkState, detail: str) -> None:
        if (state, detail) != (self.status.state, self.status.detail):
            self.status = Link("ami", state, self._clock.now(), detail)
            (log.info if state == "up" else log.warning)("ami.link", state=state, detail=detail)
        self._on_change()

    def _where(self) -> str:
        return f"Asterisk's manager at {self._config.host}:{self._config.port}"


def _words(error: BaseException) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
