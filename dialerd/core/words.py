"""How figures are put to people: the same words and levels on the page and on the terminal board."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

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


def pacing_words(pacing: Mapping[str, Any]) -> list[str]:
    """What a campaign's pacing goes by (the JSON of `core.status.Pacing`), a sentence each."""
    said = []
    if pacing["mode"] == "predictive":
        said.append(_predicted(pacing))
    if pacing["mode"] in ("predictive", "power"):
        said += [_counted(window, pacing["cap"]) for window in pacing["windows"]]
        if not pacing["windows"]:
            said.append("abandoned calls are not counted yet: no risk is taken")
        elif pacing["mode"] == "predictive":
            said.append(f"risk allowed for a new line: {percent(pacing['risk'])}")
    return said


def _counted(window: Mapping[str, Any], cap: float) -> str:
    since = window["since"][:16].replace("T", " ")
    left = window["left"]
    room = f"allows {left:.1f} more" if left >= 0 else f"is overdrawn by {-left:.1f}"
    return f"{window['abandoned']} of {window['answers']} answers abandoned since {since} UTC; {percent(cap)} {room}"


def _predicted(pacing: Mapping[str, Any]) -> str:
    out = f"{pacing['lines']} {'line' if pacing['lines'] == 1 else 'lines'} out"
    if pacing["answer_chance"] is None:
        return f"{out}; still learning, one line per free agent"
    return (
        f"{out}; predicts {percent(pacing['answer_chance'])} answered after {pacing['ring_seconds']:.0f} s, "
        f"{pacing['service_seconds']:.0f} s with an agent"
    )


def plain(text: object) -> str:
    """A text without control characters: names from a list must not steer anybody's terminal."""
    return "".join(c if c.isprintable() else "·" for c in str(text))
