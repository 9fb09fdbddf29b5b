"""How figures are put to people: the same words and levels on the page and on the terminal board."""

from datetime import datetime
from typing import Literal

Level = Literal["none", "good", "near", "over"]

AGENT_STATES = ("on_call", "ready", "reserved", "connecting", "wrap_up", "paused", "offline")
LINE_STATES = ("dialing", "ringing", "answered", "connected")
LINE_WORDS = {"dialing": "dialing", "ringing": "ringing", "answered": "waiting", "connected": "talking"}


def budget_level(rate: float | None, budget: float) -> Level:
    """How an abandonment rate stands to its budget; `near` begins at two thirds of it."""
    if rate is None:
        return "none"
    if rate > budget:
        return "over"
    return "near" if rate > budget * 2 / 3 else "good"


def percent(rate: float | None) -> str:
    """A ratio as people read it: 0.0312 is "3.1 %"; "–" while there is nothing to divide by."""
    return "–" if rate is None else f"{rate * 100:.1f} %"


def milliseconds(value: float | None) -> str:
    """A short time: "12 ms"; "–" before the first sample."""
    return "–" if value is None else f"{value:.0f} ms"


def elapsed(since: str, now: str) -> str:
    """How long between two ISO 8601 times, short: 7s, 4:05, 3h 12m, 2d 4h; "" when either is not a time."""
    try:
        seconds = int((datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds())
    except (TypeError, ValueError):
        return ""
    seconds = max(seconds, 0)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02}"
    if seconds < 86400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d {seconds % 86400 // 3600}h"


def plain(text: object) -> str:
    """A text without control characters: names from a list must not steer anybody's terminal."""
    return "".join(c if c.isprintable() else "·" for c in str(text))
