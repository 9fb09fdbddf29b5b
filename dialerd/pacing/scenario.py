"""A campaign that is to be simulated, as a manager writes it: who is there when, who answers, how long it all takes.

`docs/simulate.toml` shows and explains every key; `scenario_text.py` reads and writes that form.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import time
from itertools import pairwise
from math import isfinite
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

Mode = Literal["progressive", "predictive", "power"]
_DAY = 1440  # minutes
_TIME = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])\Z", re.ASCII)
MOST_AGENTS = 1000


def _number(low: float, high: float, *, whole: bool = False) -> BeforeValidator:
    said = f"a {'whole ' if whole else ''}number from {low:,} to {high:,}"

    def check(value: object) -> object:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
            raise ValueError(said)
        return value

    return BeforeValidator(check)


def _minute(value: object) -> int:
    """Minutes since midnight, of "09:00", of TOML's own 09:00:00, and of 24:00."""
    if isinstance(value, time) and not (value.second or value.microsecond):
        return value.hour * 60 + value.minute
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None or int(match[1]) * 60 + int(match[2]) > _DAY:
        raise ValueError('a time of the day in quotation marks, as in "09:00"')
    return int(match[1]) * 60 + int(match[2])


def clock(minute: float) -> str:
    """Minutes since midnight as people read them; what is beyond a day begins again at 00:00."""
    return f"{int(minute) // 60 % 24:02}:{int(minute) % 60:02}"


def _same_or_24(minute: int) -> str:
    return "24:00" if minute == _DAY else clock(minute)


def _hours(value: object) -> object:
    """Hour of the day → value, of keys like "9", "09" and "09:00"."""
    if not isinstance(value, Mapping):
        raise ValueError('a table of hours, as in "09:00" = 0.2')
    found: dict[int, object] = {}
    for key, share in value.items():
        match = re.match(r"([0-9]{1,2})(:00)?\Z", str(key), re.ASCII)
        if match is None or int(match[1]) > 23 or int(match[1]) in found:
            raise ValueError(f'each hour once, as in "09:00" = 0.2; {str(key)[:20]!r} is none, or comes twice')
        found[int(match[1])] = share
    return found


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(one > two for one, two in pairwise(values)):
        raise ValueError("ascending numbers: the mean of each equal share, shortest first")
    return values


def _items(low: int, high: int, what: str) -> BeforeValidator:
    """Before each item is looked at, so that one that is wrong is not said to be missing as well."""

    def check(value: object) -> object:
        if not isinstance(value, list | tuple) or not low <= len(value) <= high:
            raise ValueError(f"{low} to {high} {what}")
        return value

    return BeforeValidator(check)


Minute = Annotated[int, BeforeValidator(_minute), PlainSerializer(_same_or_24)]
Share = Annotated[float, _number(0, 1)]
Seconds = Annotated[float, _number(0, 7200)]
Means = Annotated[tuple[Seconds, ...], _items(2, 200, "numbers of seconds")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shift(_Part):
    """From when to when is dialled, local time; an end that is not after the start is the next day's."""

    start: Minute = 9 * 60
    end: Minute = 17 * 60

    @property
    def seconds(self) -> int:
        """How long it is, at most a day."""
        return ((self.end - self.start - 1) % _DAY + 1) * 60

    def second(self, minute: int) -> int:
        """How long after the start that is."""
        return (minute - self.start) % _DAY * 60


class Agents(_Part):
    """A group of agents; without times they are there for the whole shift. `pause_share`: of their calls, how many
    they take a pause after, `pause_seconds` on average."""

    count: Annotated[int, _number(1, MOST_AGENTS, whole=True)]
    start: Annotated[Minute | None, Field(alias="from")] = None
    end: Annotated[Minute | None, Field(alias="to")] = None
    pause_share: Share = 0.0
    pause_seconds: Annotated[float, _number(1, 28_800)] = 300.0


class Contacts(_Part):
    """The list. `contacts`: None, it does not end."""

    contacts: Annotated[int, _number(1, 100_000_000, whole=True)] | None = None
    attempts_per_contact: Annotated[int, _number(1, 100, whole=True)] = 1
    retry_minutes: Annotated[float, _number(0, 1440)] = 60.0


class Answers(_Part):
    """Shares of the lines: a person answers (`by_hour` where it says something, else `rate`), it fails within seconds
    (busy, no such number), a machine answers (only looked at where there is machine detection)."""

    rate: Share | None = None
    by_hour: Annotated[dict[int, Share], BeforeValidator(_hours)] = {}
    fast_fail: Share = 0.15
    fast_fail_seconds: Annotated[float, _number(0.1, 120)] = 3.0
    machines: Share = 0.15


class Length(_Part):
    """How long something takes: lognormal with a mean and a variation (standard deviation as a share of the mean), or
    as it was seen: the mean of each equal share, shortest first."""

    mean_seconds: Seconds = 0.0
    variation: Annotated[float, _number(0, 5)] = 0.0
    shares_seconds: Means = ()

    @model_validator(mode="after")
    def _check(self) -> "Length":
        if self.shares_seconds:
            _ascending(self.shares_seconds)
            if self.model_fields_set & {"mean_seconds", "variation"}:
                raise ValueError("either mean_seconds (and variation) or shares_seconds")
        return self

    @property
    def mean(self) -> float:
        """Seconds."""
        return sum(self.shares_seconds) / len(self.shares_seconds) if self.shares_seconds else self.mean_seconds


class Ring(Length):
    """Until a person answers; a line that nobody answers rings for `timeout_seconds`."""

    mean_seconds: Seconds = 12.0
    variation: Annotated[float, _number(0, 5)] = 0.5
    timeout_seconds: Annotated[float, _number(5, 120)] = 30.0


class Talk(Length):
    """An agent and a person."""

    mean_seconds: Annotated[float, _number(1, 7200)] = 120.0
    variation: Annotated[float, _number(0, 5)] = 1.0


class WrapUp(Length):
    """After the talk."""

    mean_seconds: Seconds = 15.0


class Detection(_Part):
    """Machine detection: how long it takes, and the share of its verdicts that are wrong."""

    seconds: Annotated[float, _number(0, 30)] = 2.5
    wrong: Share = 0.05


class Pacing(_Part):
    """What the campaign is told."""

    mode: Mode = "predictive"
    pacing_ratio: Annotated[float, _number(1, 10)] = 3.0
    abandonment_cap: Share = 0.03
    grace_seconds: Annotated[float, _number(0, 60)] = 2.0


class Trunk(_Part):
    """What the way out carries; None: anything."""

    calls_per_second: Annotated[float, _number(0.1, 1000)] | None = None
    max_calls: Annotated[int, _number(1, 100_000, whole=True)] | None = None


class Scenario(_Part):
    """All of it."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "Simulation"
    shift: Shift = Shift()
    agents: Annotated[tuple[Agents, ...], _items(1, 500, "blocks, each headed [[agents]]")]
    answers: Answers
    list: Contacts = Contacts()
    ring: Ring = Ring()
    talk: Talk = Talk()
    wrap_up: WrapUp = WrapUp()
    machine_detection: Detection | None = None
    pacing: Pacing = Pacing()
    trunk: Trunk = Trunk()

    @model_validator(mode="after")
    def _check(self) -> "Scenario":
        problems = [*_outside(self), *_too_many(self), *_unsaid(self)]
        if self.ring.mean >= self.ring.timeout_seconds:
            problems.append(f"ring: nobody answers after {self.ring.mean:g} s when it rings for "
                            f"{self.ring.timeout_seconds:g} s: a mean below timeout_seconds")  # fmt: skip
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def presence(self, group: Agents) -> tuple[int, int]:
        """From when to when a group is there, in seconds of the shift."""
        start = 0 if group.start is None else self.shift.second(group.start)
        end = self.shift.seconds if group.end is None else self.shift.second(group.end) or _DAY * 60
        return start, end

    def chances(self) -> tuple[tuple[float, float], ...]:
        """(second of the shift, chance that a person answers a line from then on)."""
        found = []
        first = self.shift.start // 60 * 60
        for minute in range(first, self.shift.start + self.shift.seconds // 60, 60):
            chance = self.answers.by_hour.get(minute // 60 % 24, self.answers.rate)
            if chance is not None:
                found.append((max(0.0, (minute - self.shift.start) * 60.0), chance))
        return tuple(found)


def _outside(s: Scenario) -> Iterable[str]:
    for n, group in enumerate(s.agents, 1):
        start, end = s.presence(group)
        if not start < end <= s.shift.seconds:
            shift = f"{_same_or_24(s.shift.start)} to {_same_or_24(s.shift.end)}"
            yield f"agents[{n}]: expected from and to within the shift, {shift}, from before to"
    if sum(group.count for group in s.agents) > MOST_AGENTS:
        yield f"agents: at most {MOST_AGENTS} in all"


def _too_many(s: Scenario) -> Iterable[str]:
    machines = s.answers.machines if s.machine_detection else 0.0
    for key, rate in (("rate", s.answers.rate), *((f"by_hour {h:02}:00", r) for h, r in s.answers.by_hour.items())):
        if rate is not None and rate + s.answers.fast_fail + machines > 1 + 1e-9:
            also = f" and machines {machines:g}" if machines else ""
            yield f"answers.{key}: {rate:g} with fast_fail {s.answers.fast_fail:g}{also} is more than 1 together"


def _unsaid(s: Scenario) -> Iterable[str]:
    if s.answers.rate is None:
        first = s.shift.start // 60
        last = (s.shift.start + s.shift.seconds // 60 - 1) // 60
        missing = [f"{h % 24:02}:00" for h in range(first, last + 1) if h % 24 not in s.answers.by_hour]
        if missing:
            yield f"answers.rate: missing, and answers.by_hour says nothing of {', '.join(missing)}"
