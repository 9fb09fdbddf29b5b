"""Agents' sessions: a signed cookie that is good for the agent's own page, and for nothing else.

Nothing is kept here, so that a restart of the daemon signs nobody out in the middle of a call. The key comes from the
daemon's token; a session ends by time, with the agent's PIN, and with a new token.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from dialerd.clock import Clock
from dialerd.core.agentview import Identity
from dialerd.web.auth import Session

COOKIE = "dialerd_agent"
_SIGNED_OUT = 10_000  # cookies that are remembered as signed out


@dataclass(frozen=True, slots=True)
class AgentSession:
    """Whose page it is; `stamp` must still be the agent's. `form`: what `own_page` compares."""

    agent_id: int
    stamp: str
    form: Session


class AgentDoor:
    """Makes and reads the cookies."""

    def __init__(self, token: str, clock: Clock, seconds: float) -> None:
        self._key = hmac.digest(token.encode(), b"dialerd agent sessions", "sha256")
        self._clock = clock
        self._seconds = seconds
        self._signed_out: OrderedDict[bytes, None] = OrderedDict()

    def open(self, agent: Identity) -> str:
        """A new cookie."""
        expires = int(self._clock.now().timestamp() + self._seconds)
        payload = f"{agent.id}.{agent.stamp}.{expires}.{secrets.token_hex(8)}"
        return f"{payload}.{self._mac('cookie', payload)}"

    def read(self, cookie: str) -> AgentSession | None:
        """What a cookie says, if we made it and it is not over."""
        payload, _, mac = cookie[:300].rpartition(".")
        if not hmac.compare_digest(mac.encode("utf-8", "surrogatepass"), self._mac("cookie", payload).encode()):
            return None
        agent_id, stamp, expires, _ = payload.split(".")
        if self._clock.now().timestamp() >= int(expires) or _digest(cookie) in self._signed_out:
            return None
        return AgentSession(int(agent_id), stamp, Session(self._mac("form", payload), float(expires)))

    def close(self, cookie: str) -> None:
        """Sign out, until the daemon's next start; the browser forgets it anyway."""
        self._signed_out[_digest(cookie)] = None
        while len(self._signed_out) > _SIGNED_OUT:
            self._signed_out.popitem(last=False)

    def _mac(self, purpose: str, payload: str) -> str:
        return hmac.new(self._key, f"{purpose}:{payload}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
