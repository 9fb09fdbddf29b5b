"""When a campaign may call, as people write it: `mon-fri 09:00-20:00`, in the zone of the number that is called.

A window lies within one day; its end may be written 24:00.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import time
from itertools import pairwise

from dialerd.core.calendar import MIDNIGHT, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TEXT = re.compile(
    r"\s*([a-z]{3,9}(?:\s*[-,]\s*[a-z]{3,9})*)\s+([0-9]{1,2}:[0-9]{2})\s*-\s*([0-9]{1,2}:[0-9]{2})\s*\Z",
    re.ASCII,
)
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class WindowRefused(ValueError):
    """A text is not a calling window, or two windows overlap."""


def parse(texts: Iterable[str]) -> list[Window]:
    """The windows of all texts, sorted. `always` is the whole week. Raises `WindowRefused`."""
    found: list[Window] = []
    for text in texts:
        found += _parse_one(text)
    found.sort(key=lambda w: (w.weekday, w.opens))
    for one, two in pairwise(found):
        if one.weekday == two.weekday and (one.closes == MIDNIGHT or two.opens < one.closes):
            raise WindowRefused(f"two windows overlap: {describe([one])[0]} and {describe([two])[0]}")
    return found


def describe(windows: Sequence[Window]) -> list[str]:
    """The shortest texts that `parse` turns into these windows again."""
    texts = []
    for opens, closes in sorted({(w.opens, closing(w)) for w in windows}):
        days = sorted(w.weekday for w in windows if (w.opens, closing(w)) == (opens, closes))
        texts.append(f"{_days(days)} {opens:%H:%M}-{closes}")
    return texts


def closing(window: Window) -> str:
    """The end of a window as HH:MM; 24:00 for the end of the day, as PostgreSQL's `time` has it too."""
    return "24:00" if window.closes == MIDNIGHT else f"{window.closes:%H:%M}"


def _parse_one(text: str) -> list[Window]:
    if text.strip().lower() == "always":
        return [Window(day, MIDNIGHT, MIDNIGHT) for day in range(1, 8)]
    match = _TEXT.match(text.lower())
    if match is None:
        raise WindowRefused(f"{text[:60]!r} is not a window: write 'mon-fri 09:00-20:00' or 'always'")
    opens, closes = _minute(match[2]), _minute(match[3])
    if opens >= closes:
        raise WindowRefused(
            f"{text[:60]!r} closes before it opens: over midnight, write two windows (… 22:00-24:00, … 00:00-02:00)"
        )
    days: set[int] = set()
    for part in match[1].split(","):
        ends = [_day(name.strip()) for name in part.split("-")]
        if len(ends) > 2:
            raise WindowRefused(f"{part.strip()!r} is not a range of days")
        days.update((ends[0] - 1 + n) % 7 + 1 for n in range((ends[-1] - ends[0]) % 7 + 1))
    return [Window(day, _time(opens), _time(closes)) for day in sorted(days)]


def _day(name: str) -> int:
    for number, (short, full) in enumerate(zip(DAYS, _FULL, strict=True), 1):
        if name in (short, full):
            return number
    raise WindowRefused(f"{name!r} is not a day: {', '.join(DAYS)}")


def _minute(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > 1440:
        raise WindowRefused(f"{text!r} is not a time between 00:00 and 24:00")
    return hours * 60 + minutes


def _time(minute: int) -> time:
    return time(minute // 60 % 24, minute % 60)


def _days(days: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(DAYS[r[0] - 1] + (f"-{DAYS[r[-1] - 1]}" if len(r) > 1 else "") for r in runs)


DEFAULT = tuple(parse(["mon-sat 09:00-20:00"]))
