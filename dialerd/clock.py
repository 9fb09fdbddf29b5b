"""The one source of wall and of monotonic time, so that tests and simulations can replace it (rule 7)."""

import time
from datetime import UTC, datetime


class Clock:
    """Wall time for records and windows, monotonic seconds for every timer."""

    def now(self) -> datetime:
        """Wall time, always in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean something."""
        return time.monotonic()
