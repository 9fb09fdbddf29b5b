"""When a campaign may call, as people write it: `mon-fri 09:00-20:00`. Weekdays are ISO (Monday is 1).

A window lies within one day, in the zone of the number that is called; 24:00 is the end of a day.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TEXT = re.compile(
    r"\s*([a-z]{3,9}(?:\s*[-,]\s*[a-z]{3,9})*)\s+([0-9]{1,2}:[0-9]{2})\s*-\s*([0-9]{1,2}:[0-9]{2})\s*\Z",
    re.ASCII,
)
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class WindowRefused(ValueError):
    """A text is not a calling window, or two windows overlap."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """One stretch of one weekday; `opens` and `closes` are HH:MM, 00:00 to 24:00, and so sort as text."""

    weekday: int
    opens: str
    closes: str


def parse(texts: Iterable[str]) -> list[Window]:
    """The windows of all texts, sorted. `always` is the whole week. Raises `WindowRefused`."""
    found: list[Window] = []
    for text in texts:
        found += _parse_one(text)
    found.sort()
    for one, two in zip(found, found[1:], strict=False):
        if one.weekday == two.weekday and two.opens < one.closes:
            raise WindowRefused(f"two windows overlap: {describe([one])[0]} and {describe([two])[0]}")
    return found


def describe(windows: Sequence[Window]) -> list[str]:
    """The shortest texts that `parse` turns into these windows again."""
    texts = []
    for opens, closes in sorted({(w.opens, w.closes) for w in windows}):
        days = sorted(w.weekday for w in windows if (w.opens, w.closes) == (opens, closes))
        texts.append(f"{_days(days)} {opens}-{closes}")
    return texts


def _parse_one(text: str) -> list[Window]:
    if text.strip().lower() == "always":
        return [Window(day, "00:00", "24:00") for day in range(1, 8)]
    match = _TEXT.match(text.lower())
    if match is None:
        raise WindowRefused(f"{text[:60]!r} is not a window: write 'mon-fri 09:00-20:00' or 'always'")
    opens, closes = _time(match[2]), _time(match[3])
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
    return [Window(day, opens, closes) for day in sorted(days)]


def _day(name: str) -> int:
    for number, (short, full) in enumerate(zip(DAYS, _FULL, strict=True), 1):
        if name in (short, full):
            return number
    raise WindowRefused(f"{name!r} is not a day: {', '.join(DAYS)}")


def _time(text: str) -> str:
    hours, minutes = (int(part) for part in text.split(":"))
    if hours > 24 or minutes > 59 or (hours == 24 and minutes):
        raise WindowRefused(f"{text!r} is not a time between 00:00 and 24:00")
    return f"{hours:02}:{minutes:02}"


def _days(days: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(DAYS[r[0] - 1] + (f"-{DAYS[r[-1] - 1]}" if len(r) > 1 else "") for r in runs)


DEFAULT = tuple(parse(["mon-sat 09:00-20:00"]))
