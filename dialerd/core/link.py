"""A connection that the daemon keeps: its state as operators see it, and how long to wait before trying again."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LinkState(StrEnum):
    """`connecting`: not up yet, being tried."""

    UP = "up"
    CONNECTING = "connecting"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What is known of a connection; `detail` says why it is not up, in words with the next step."""

    name: str
    state: LinkState
    since: datetime
    detail: str = ""


def backoff(failures: int, random: float) -> float:
    """Seconds to wait after so many failures in a row: 0.25, 0.5, 1, … at most 8, each spread over ±50 %.

    `random` is a draw from [0, 1). The cap keeps recovery below 30 s without anybody's hand (I12).
    """
    base = min(8.0, 0.25 * 2.0 ** min(failures, 10))
    return base * (0.5 + random)
