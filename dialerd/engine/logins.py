"""Who an agent is: name or login number and PIN, typed on a page or by the keys of a phone. One limit for all doors.

Whoever tries learns nothing but yes or no: an agent who does not exist, has no PIN, or has had too many tries is
answered as a wrong PIN is, and as slowly.
"""

import asyncio
from collections.abc import Callable

import structlog

from dialerd.ari.leg import Leg, LegGone, Legs, NotPlayed
from dialerd.ari.transport import AriUnreachable
from dialerd.clock import Clock
from dialerd.core import pin as pins
from dialerd.core.phone import masked
from dialerd.core.status import AgentRefused
from dialerd.core.throttle import Throttle
from dialerd.engine.agents import Agent, Agents
from dialerd.engine.node import Spawn

log = structlog.get_logger(__name__)

_AGENT_FAILURES, _CALLER_FAILURES, _WINDOW_SECONDS = 5, 15, 300.0
_HASHES = 2  # at a time: each takes 16 MB
_CALL_SECONDS = 90.0
_CALLS = 50  # at a time
_DIGITS = 12
_KEY_SECONDS = 6.0
_ANY = "0123456789*#"
ASK_NUMBER, ASK_PIN, WRONG, STANDING, WELCOME = (
    "agent-user", "agent-pass", "agent-incorrect", "agent-alreadyon", "agent-loginok",
)  # fmt: skip
_BEFORE: tuple[tuple[str, ...], ...] = ((), (WRONG,), (WRONG,))  # what is said before each try of a call


class Pins:
    """Compares PINs, slowly, a few at a time."""

    def __init__(self, clock: Clock, agents: Agents) -> None:
        self._clock = clock
        self._agents = agents
        self._turn = asyncio.Semaphore(_HASHES)
        self._of_agent = Throttle(_AGENT_FAILURES, _WINDOW_SECONDS)
        self._of_caller = Throttle(_CALLER_FAILURES, _WINDOW_SECONDS)

    async def verify(self, typed: str, pin: str, caller: str) -> Agent | None:
        """The agent, or None. `typed`: a name or a login number; `caller`: an address or a number. Raises
        `AgentRefused` when this caller has failed too often."""
        now = self._clock.monotonic()
        if self._of_caller.blocked(caller, now):
            raise AgentRefused("too_many_attempts", "too many wrong tries from here: wait five minutes")
        found, shut = self._agents.signing_in(typed), self._of_agent.blocked(typed, now)
        async with self._turn:
            right = [a for a in found if await asyncio.to_thread(pins.matches, pin, a.pin_hash or "")]
            if not found:
                await asyncio.to_thread(pins.matches, pin, pins.NOBODYS)
        if len(right) == 1 and not shut:
            self._of_agent.succeeded(typed)
            return right[0]
        if not shut:  # else whoever knows a name could shut its owner out for ever
            self._of_agent.failed(typed, now)
        self._of_caller.failed(caller, now)
        log.warning("agent.login_failed", agent=right[0].name if right else None, shut=shut)
        return None


class PhoneLogins:
    """Callers of the login extension. `logged_in(agent, channel)` makes the channel the agent's leg, or raises
    `AgentRefused`; `open_now` says whether anybody may log in."""

    def __init__(
        self,
        pins: Pins,
        legs: Legs,
        spawn: Spawn,
        logged_in: Callable[[Agent, str], None],
        open_now: Callable[[], bool],
    ) -> None:
        self._pins = pins
        self._legs = legs
        self._spawn = spawn
        self._logged_in = logged_in
        self._open_now = open_now
        self._calls: set[str] = set()

    def channels(self) -> set[str]:
        """Those of callers who are being asked."""
        return set(self._calls)

    def arrived(self, channel: str, number: str) -> None:
        """Somebody called the login extension; `number` is what they show, perhaps nothing."""
        leg = self._legs.take(channel)
        if len(self._calls) >= _CALLS or not self._open_now():
            self._spawn(leg.hang_up(), f"hang up {channel}")
            return
        self._calls.add(channel)
        self._spawn(self._answer(leg, number), f"login {channel}")

    async def _answer(self, leg: Leg, number: str) -> None:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                if await self._log_in(leg, number):
                    return
        except LegGone:
            return
        except (TimeoutError, AgentRefused, NotPlayed, AriUnreachable) as error:
            log.info("agent.login_ended", caller=masked(number), why=str(error) or "it took too long")
        finally:
            self._calls.discard(leg.channel)
        await leg.hang_up()

    async def _log_in(self, leg: Leg, number: str) -> bool:
        for before in _BEFORE:
            typed, pin = await _asked(leg, *before, ASK_NUMBER), await _asked(leg, ASK_PIN)
            agent = await self._pins.verify(typed, pin, f"phone {number}")
            if agent is None:
                continue
            try:
                if agent.leg is not None:
                    raise AgentRefused(f"agent_is_{agent.state}", "their phone stands already")
                await leg.play([WELCOME])
                leg.close()
                self._logged_in(agent, leg.channel)
            except AgentRefused:
                await leg.play([STANDING])
                raise
            return True
        await leg.play([WRONG])
        return False


async def _asked(leg: Leg, *prompts: str) -> str:
    """What is typed before, while or after the prompts are heard, up to #."""
    first = await leg.play(prompts, keys=_ANY) or await leg.key(_KEY_SECONDS, _ANY)
    if first is None or first == "#":
        return ""
    return first + await leg.digits(_DIGITS - 1, _KEY_SECONDS)
