"""Is a caller ID labelled as spam? Judged from its own calls, against the other numbers of its pool.

A number is compared only where others called too: in the same area (national destination code; the country where few
were called), in the same hours of the same day, for the same campaign, and as near to the area as it is. So hard
destinations and bad hours do not make a number look sick; within each such stratum it should have had its share of what
the pool had there (Cochran, Mantel and Haenszel). Three one-sided tests: fewer answers, more calls rejected, more
answers that end within seconds. What is believed must pass a correction for all numbers and tests at once, and be large
enough to matter. `sql/queries/callerid_health.sql` does `figures` in the database; tests hold the two together.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Any

from dialerd.core.tails import at_least, at_most, believed

SHORT_SECONDS = 6.0  # an answer that ends sooner is a short call
FEW = 30  # calls of a pool into an area; with fewer it counts as the rest of its country
ENOUGH = 50  # calls beside those of others, before a number is judged
LUCK = 0.002  # how often a run over pools in which all is well may believe anything at all
REST_DAYS = (1, 3, 7, 14)  # the first rest, the second, … ; the last for all after it
FORGIVEN = timedelta(days=30)  # so long without a rest, and the next one is a first one again
_MOST_SPREAD = 2.0
_SPREAD_NUMBERS = 20  # so many numbers, before their spread is believed to be that of calls which hang together
_MEDIAN_CHI2 = 0.4549  # of chi-squared with one degree of freedom


class State(StrEnum):
    """What is believed of a number. Suspect: as sick as one that rests, but it does not rest, for a reason that
    `why` tells. Unknown: too few calls beside those of others."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    SUSPECT = "suspect"
    RESTING = "resting"


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of a number's calls into an area; `slot`: campaign, hours and nearness, whatever else must be the
    same. `timed`: answered calls whose talk is known, `short`: those under SHORT_SECONDS."""

    number: int
    pool: Hashable
    area: str
    country: str
    slot: Hashable
    calls: int
    answered: int
    rejected: int
    timed: int
    short: int


@dataclass(frozen=True, slots=True)
class Share:
    """How often something was so in a number's calls (`seen` of `of`, where others called too), and what its pool makes
    of the same calls: `expected` and `variance` if all numbers of the pool are alike, the number itself among them.
    `weight` and `own` are Mantel's and Haenszel's: own / weight is its rate, to be held against the others'."""

    of: float = 0.0
    seen: float = 0.0
    expected: float = 0.0
    variance: float = 0.0
    weight: float = 0.0
    own: float = 0.0

    def __add__(self, other: "Share") -> "Share":
        return Share(
            self.of + other.of, self.seen + other.seen, self.expected + other.expected,
            self.variance + other.variance, self.weight + other.weight, self.own + other.own,
        )  # fmt: skip

    @property
    def rate(self) -> float:
        """The number's own share."""
        return self.own / self.weight if self.weight else 0.0

    @property
    def others(self) -> float:
        """The others' share of the same calls."""
        return max(0.0, self.own - (self.seen - self.expected)) / self.weight if self.weight else 0.0

    @property
    def normal(self) -> float:
        """How many of its calls would have been so with the others' share."""
        return self.of * self.others

    @property
    def surprise(self) -> float:
        """The squared distance from what is expected, in standard deviations."""
        return (self.seen - self.expected) ** 2 / self.variance if self.variance > 0 else 0.0


NOTHING = Share()


@dataclass(frozen=True, slots=True)
class Area:
    """A number's calls into one area, where others called too."""

    area: str
    calls: int
    answered: int
    expected: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a number: all its calls, and the three shares. `areas`: the busiest."""

    calls: int = 0
    answered: Share = NOTHING
    rejected: Share = NOTHING
    short: Share = NOTHING
    areas: tuple[Area, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a pool and what is known of its rests. `rested_until` may lie in the past or in the future."""

    id: int
    pool: Hashable
    active: bool = True
    rested_until: datetime | None = None
    rests: int = 0

    def rests_at(self, now: datetime) -> bool:
        """Whether it is resting."""
        return self.rested_until is not None and self.rested_until > now


@dataclass(frozen=True, slots=True)
class Policy:
    """`rest` false: nobody rests. `at_most`: the share of a pool's active numbers that may rest at once."""

    rest: bool = True
    at_most: float = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of a number. `chance`: of its worst test, by luck alone; `sign`: which one, if it is believed.
    `until` and `rests`: of a rest that begins now."""

    number: int
    state: State
    figures: Figures
    why: str
    chance: float = 1.0
    sign: str | None = None
    until: datetime | None = None
    rests: int = 0
    days: int = 0

    def as_json(self) -> dict[str, Any]:
        """As it is kept and shown: every count and share beside what the pool would have had."""
        shares = {
            name: {"of": round(share.of), "seen": round(share.seen), "expected": round(share.normal, 1)}
            for name in ("answered", "rejected", "short")
            for share in [getattr(self.figures, name)]
        }
        areas = [[a.area, a.calls, a.answered, round(a.expected, 1)] for a in self.figures.areas]
        chance = float(f"{self.chance:.3g}")
        return {
            "state": self.state.value, "why": self.why, "sign": self.sign, "chance": chance,
            "calls": self.figures.calls, **shares, "areas": areas,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sign:
    """A test. `chance` of what was seen; `grave`: whether it is large enough to matter; `words`: the finding."""

    name: str
    chance: Callable[[Share], float]
    grave: Callable[[Share], bool]
    words: Callable[[Share], str]


def _fewer(share: Share) -> float:
    return at_most(share.seen, share.expected, share.variance)


def _more(share: Share) -> float:
    return at_least(share.seen, share.expected, share.variance, share.of)


def _counts(share: Share, what: str, would: str) -> str:
    normal = f"{share.normal:.0f}" if share.normal >= 9.5 else f"{share.normal:.1f}" if share.normal >= 0.05 else "none"
    return f"{what} {share.seen:.0f} of {share.of:.0f}{would} {normal} at the same destinations and hours"


SIGNS = (
    _Sign(
        "answered",
        _fewer,
        lambda share: share.rate <= 0.75 * share.others,
        lambda share: _counts(share, "answered:", " calls, where its pool would have had"),
    ),
    _Sign(
        "rejected",
        _more,
        lambda share: share.rate >= max(2.0 * share.others, share.others + 0.05),
        lambda share: _counts(share, "rejected:", " calls, where its pool would have had"),
    ),
    _Sign(
        "short",
        _more,
        lambda share: share.rate >= max(1.5 * share.others, share.others + 0.1),
        lambda share: _counts(
            share, f"over within {SHORT_SECONDS:.0f} seconds:", " answered calls, where its pool would have had"
        ),
    ),
)


@dataclass
class _Found:
    """What the tests say of a number."""

    chances: dict[str, float] = field(default_factory=dict)
    believed: list[str] = field(default_factory=list)  # and grave

    @property
    def worst(self) -> tuple[float, str]:
        return min((self.chances[name], name) for name in self.believed or self.chances)


def figures(cells: Collection[Cell]) -> dict[int, Figures]:
    """Each number's figures, by its id."""
    into: dict[tuple[Hashable, str], int] = defaultdict(int)
    for cell in cells:
        into[cell.pool, cell.area] += cell.calls
    strata: dict[Hashable, dict[tuple[int, str], list[int]]] = defaultdict(dict)
    for cell in cells:
        area = cell.area if into[cell.pool, cell.area] >= FEW else cell.country
        counts = strata[cell.pool, area, cell.slot].setdefault((cell.number, area), [0] * 5)
        for i, count in enumerate((cell.calls, cell.answered, cell.rejected, cell.timed, cell.short)):
            counts[i] += count
    found: dict[int, Figures] = {}
    areas: dict[int, dict[str, Share]] = defaultdict(dict)
    for stratum in strata.values():
        calls, answered, rejected, timed, short = (sum(column) for column in zip(*stratum.values(), strict=True))
        for (number, area), own in stratum.items():
            before, here = found.get(number, Figures()), share(own[0], own[1], calls, answered)
            areas[number][area] = areas[number].get(area, NOTHING) + here
            found[number] = Figures(
                before.calls + own[0],
                before.answered + here,
                before.rejected + share(own[0], own[2], calls, rejected),
                before.short + share(own[3], own[4], timed, short),
            )
    return {
        number: Figures(f.calls, f.answered, f.rejected, f.short, busiest(areas[number])) for number, f in found.items()
    }


def share(of: int, seen: int, all_of: int, all_seen: int) -> Share:
    """A number's share in one stratum, of which `all_of` and `all_seen` are everybody's. Empty without others."""
    others = all_of - of
    if not of or not others:
        return NOTHING
    variance = of * others * all_seen * (all_of - all_seen) / (all_of**2 * (all_of - 1))
    return Share(of, seen, of * all_seen / all_of, variance, of * others / all_of, seen * others / all_of)


def busiest(areas: Mapping[str, Share], most: int = 5) -> tuple[Area, ...]:
    """The areas with the most calls beside those of others."""
    ordered = sorted(((name, share) for name, share in areas.items() if share.of), key=lambda a: (-a[1].of, a[0]))
    return tuple(area_in(name, share) for name, share in ordered[:most])


def area_in(name: str, share: Share) -> Area:
    """An area by its share of answers."""
    return Area(name, round(share.of), round(share.seen), share.normal)


def judge(
    numbers: Collection[Number], of_numbers: Mapping[int, Figures], now: datetime, policy: Policy
) -> list[Verdict]:
    """A verdict on each active number that does not rest; the worst of a pool rest, as many as the policy allows."""
    pools: dict[Hashable, list[Number]] = defaultdict(list)
    for number in numbers:
        if number.active:
            pools[number.pool].append(number)
    tested = {n: found for pool in pools.values() for n, found in _test(pool, of_numbers).items()}
    all_tests = {(n, name): chance for n, found in tested.items() for name, chance in found.chances.items()}
    for n, name in believed(all_tests, LUCK):
        sign = next(sign for sign in SIGNS if sign.name == name)
        if sign.grave(getattr(of_numbers[n], name)):
            tested[n].believed.append(name)
    return [verdict for pool in pools.values() for verdict in _verdicts(pool, of_numbers, tested, now, policy)]


def _test(pool: Sequence[Number], of_numbers: Mapping[int, Figures]) -> dict[int, _Found]:
    """The chance of each test, for the numbers of a pool that have calls enough for any."""
    found: dict[int, _Found] = {}
    for sign in SIGNS:
        shares = {n.id: getattr(of_numbers[n.id], sign.name) for n in pool if n.id in of_numbers}
        shares = {n: share for n, share in shares.items() if share.of >= ENOUGH}
        spread = _spread(shares.values())
        for n, share in shares.items():
            found.setdefault(n, _Found()).chances[sign.name] = sign.chance(_thinned(share, spread))
    return found


def _spread(shares: Collection[Share]) -> float:
    """How much more the numbers of a pool differ than calls that have nothing to do with each other make them: 1.0, or
    more where the same people are called again and again from the same number. From the middle, so that sick numbers
    do not count; bounded, so that a pool of which half is sick does not hide it."""
    if len(shares) < _SPREAD_NUMBERS:
        return 1.0
    return min(_MOST_SPREAD, max(1.0, median(share.surprise for share in shares) / _MEDIAN_CHI2))


def _thinned(share: Share, spread: float) -> Share:
    """As if there were only so many calls as have nothing to do with each other."""
    if spread == 1.0:
        return share
    return Share(share.of / spread, share.seen / spread, share.expected / spread, share.variance / spread)


def _verdicts(
    pool: Sequence[Number],
    of_numbers: Mapping[int, Figures],
    tested: Mapping[int, _Found],
    now: datetime,
    policy: Policy,
) -> Iterable[Verdict]:
    room = int(len(pool) * policy.at_most + 1e-9) - sum(number.rests_at(now) for number in pool)
    awake = [number for number in pool if not number.rests_at(now)]
    for number in sorted(awake, key=lambda n: (tested[n.id].worst[0] if n.id in tested else 1.0, n.id)):
        own, found = of_numbers.get(number.id, Figures()), tested.get(number.id)
        if found is None or own.answered.of < ENOUGH:
            yield Verdict(number.id, State.UNKNOWN, own, _too_few(own))
            continue
        chance, name = found.worst
        if not found.believed:
            yield Verdict(number.id, State.HEALTHY, own, _as_others(own.answered), chance)
            continue
        finding = "; ".join(s.words(getattr(own, s.name)) for s in SIGNS if s.name in found.believed)
        finding += f"; chance of that by luck {odds(chance)}"
        if policy.rest and room > 0:
            room -= 1
            rests, days = next_rest(number, now)
            yield Verdict(number.id, State.RESTING, own, finding, chance, name, now + timedelta(days=days), rests, days)
            continue
        kept = "resting is switched off" if not policy.rest else "too many of its pool rest already"
        yield Verdict(number.id, State.SUSPECT, own, f"{finding}; does not rest: {kept}", chance, name)


def next_rest(number: Number, now: datetime) -> tuple[int, int]:
    """Which rest in a row begins now, and for how many days."""
    forgiven = number.rested_until is None or now - number.rested_until > FORGIVEN
    rests = 1 if forgiven else number.rests + 1
    return rests, REST_DAYS[min(rests, len(REST_DAYS)) - 1]


def _too_few(own: Figures) -> str:
    if not own.calls:
        return "no calls to judge it by"
    if not own.answered.of:
        return f"{own.calls} calls, none where another number of its pool called too: there is nothing to compare with"
    return f"{own.answered.of:.0f} calls where other numbers of its pool called too; judged from {ENOUGH} on"


def _as_others(share: Share) -> str:
    return _counts(share, "answered:", " calls, its pool would have had")


def odds(chance: float) -> str:
    """A small chance in words: 1 in 4,000."""
    if chance < 1e-6:
        return "less than 1 in a million"
    return f"1 in {float(f'{1 / chance:.2g}'):,.0f}" if chance < 0.5 else "more than 1 in 2"
