"""How often something may fail before it is not tried any more for a while. Bounded in memory; the clock is given."""

from collections import OrderedDict, deque


class Throttle:
    """At most `limit` failures of a key within `seconds`, for the last `keys` of them."""

    def __init__(self, limit: int, seconds: float, keys: int = 1024) -> None:
        self._limit = limit
        self._seconds = seconds
        self._most = keys
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def blocked(self, key: str, now: float) -> bool:
        """Whether the key has used up its failures for now (monotonic seconds)."""
        times = self._failures.get(key)
        if times is None:
            return False
        while times and times[0] <= now - self._seconds:
            times.popleft()
        return len(times) >= self._limit

    def failed(self, key: str, now: float) -> None:
        """Count a failure."""
        self._failures.setdefault(key, deque(maxlen=self._limit)).append(now)
        self._failures.move_to_end(key)
        while len(self._failures) > self._most:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """What failed before is forgotten."""
        self._failures.pop(key, None)
