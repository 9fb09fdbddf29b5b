"""A token bucket: so many originations a second on a trunk, and hardly a burst after a rest."""

from dataclasses import dataclass

HELD_BEAT = 0.05  # seconds between two decisions while the rate of a trunk holds lines back, at least


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a second, at most a fifth of a second's worth kept (at least one)."""

    rate: float
    tokens: float = 1.0
    filled_at: float | None = None  # monotonic seconds

    def available(self, now: float) -> int:
        """How many may go now."""
        if self.filled_at is not None:
            self.tokens = min(max(1.0, self.rate / 5), self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return int(self.tokens)

    def take(self, n: int) -> None:
        """Uses up n of the tokens that `available` has just shown."""
        self.tokens -= n

    def give_back(self, n: int) -> None:
        """Takes back tokens that were not needed after all; what is too much for the bucket is lost."""
        self.tokens += n

    def next_in(self) -> float:
        """Seconds until the next token, after `available` gave 0."""
        return max(0.0, (1.0 - self.tokens) / self.rate)
