"""How often one asker may ask: a bucket of tokens for each, in a bounded table. No clock: the time is handed in."""

from collections import OrderedDict


class RequestLimit:
    """At most `per_minute` requests a minute for each key, and as many at once after a rest. 0: no limit.

    The table forgets whoever has not asked for longest when it holds `max_keys`: so many askers at once are a matter
    for a limit on what they have in common.
    """

    def __init__(self, per_minute: int, max_keys: int = 10_000) -> None:
        if per_minute < 0 or max_keys < 1:
            raise ValueError("a limit of 0 or more, for at least one key")
        self._size = float(per_minute)
        self._per_second = per_minute / 60
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> tokens, and when (s)

    def __len__(self) -> int:
        return len(self._buckets)

    def allow(self, key: str, now: float) -> bool:
        """Whether this request may pass; if so it is counted. `now`: monotonic seconds. An empty key is nobody."""
        if not self._size or not key:
            return True
        tokens, since = self._buckets.pop(key, (self._size, now))
        tokens = min(self._size, tokens + max(0.0, now - since) * self._per_second)
        allowed = tokens >= 1.0
        if len(self._buckets) >= self._max_keys:
            self._buckets.popitem(last=False)
        self._buckets[key] = (tokens - 1.0 if allowed else tokens, max(now, since))
        return allowed
