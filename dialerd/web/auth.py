"""Who may come in: the bearer token, sessions behind an opaque random cookie, links that work once.

Everything is in memory, bounded, and ends with the process. Secrets are kept as SHA-256 digests and compared
in constant time, so that neither their length nor their beginning can be timed.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from dialerd.clock import Clock

COOKIE = "dialerd_session"


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that signed in. `csrf` goes into its forms; `expires` is monotonic seconds."""

    csrf: str
    expires: float


class Attempts:
    """Failed sign-ins per address: at most `limit` in `window_seconds`, for the last `addresses` seen."""

    def __init__(self, clock: Clock, limit: int = 10, window_seconds: float = 60.0, addresses: int = 1024) -> None:
        self._clock = clock
        self._limit = limit
        self._window = window_seconds
        self._addresses = addresses
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def blocked(self, address: str) -> bool:
        """Whether the address has used up its attempts for now."""
        times = self._failures.get(_network(address))
        if times is None:
            return False
        while times and times[0] <= self._clock.monotonic() - self._window:
            times.popleft()
        return len(times) >= self._limit

    def failed(self, address: str) -> None:
        """Count a failure."""
        key = _network(address)
        times = self._failures.setdefault(key, deque(maxlen=self._limit))
        times.append(self._clock.monotonic())
        self._failures.move_to_end(key)
        while len(self._failures) > self._addresses:
            self._failures.popitem(last=False)


class Door:
    """The token, the sessions and the one-time links."""

    MAX_SESSIONS = 1000
    MAX_LINKS = 100

    def __init__(self, token: str, clock: Clock, session_seconds: float, link_seconds: float) -> None:
        if len(token) < 16:
            raise ValueError("the web token is shorter than 16 characters: dialer-admin setup writes a good one")
        self._token = _digest(token)
        self._clock = clock
        self._session_seconds = session_seconds
        self._link_seconds = link_seconds
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._links: OrderedDict[bytes, float] = OrderedDict()
        self.attempts = Attempts(clock)

    def knows(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(_digest(token), self._token)

    def open_session(self) -> str:
        """A new session's id, for the cookie; the oldest session ends when there are too many."""
        id_ = secrets.token_urlsafe(32)
        expires = self._clock.monotonic() + self._session_seconds
        self._sessions[_digest(id_)] = Session(secrets.token_urlsafe(24), expires)
        while len(self._sessions) > self.MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return id_

    def session(self, id_: str) -> Session | None:
        """The living session behind a cookie."""
        key = _digest(id_)
        session = self._sessions.get(key)
        if session is not None and session.expires <= self._clock.monotonic():
            del self._sessions[key]
            return None
        return session

    def close_session(self, id_: str) -> None:
        """Sign out; an unknown id is no error."""
        self._sessions.pop(_digest(id_), None)

    def new_link(self) -> str:
        """A code that signs in once, within `link_seconds`."""
        code = secrets.token_urlsafe(32)
        self._links[_digest(code)] = self._clock.monotonic() + self._link_seconds
        while len(self._links) > self.MAX_LINKS:
            self._links.popitem(last=False)
        return code

    def use_link(self, code: str) -> bool:
        """Whether the code was good; it is not any more."""
        expires = self._links.pop(_digest(code), None)
        return expires is not None and expires > self._clock.monotonic()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _network(address: str) -> str:
    """An IPv6 customer owns a whole /64, so that is what counts as one address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(int(ip) >> 64)
    return address
