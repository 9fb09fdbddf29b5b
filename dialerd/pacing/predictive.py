"""Predictive pacing: how many lines to start so that agents wait little and hardly anybody waits for an agent.

One more line is started as long as its own risk is small enough: the chance that, when it is answered, no agent is free
then or within the grace. The risk is taken over the moments at which it may be answered. By each of them some of the
lines out will have been answered, each with a chance that depends on its age; and some agents will be free: those who
are now, and with chances that depend on their age those who talk or wrap up. How large a risk is small enough is the
budget's matter (`budget.py`).

With few lines and agents the chances are multiplied out; with many, the normal curve is close enough and as fast for
five hundred agents as for fifty.
"""

from collections.abc import Iterable, Sequence
from math import erf, sqrt

from dialerd.pacing.curves import MOMENTS, Model, Row
from dialerd.pacing.snapshot import Snapshot

_EXACT = 24  # agents and lines of which the chances are multiplied out
_NEVER = 1e-9


def lines_within_risk(s: Snapshot, model: Model, risk: float, most: int) -> tuple[int, float]:
    """How many lines to start, at most `most`; and the risk of the last of them, or of the first one refused."""
    out = [model.line(age, chance) for age, chance in s.ringing]
    back = [model.talking(age) for age in s.talking] + [model.wrapping_up(age) for age in s.wrapping_up]
    counts = len(out) + len(back) + max(0, s.ready)
    state: _Exact | _Normal
    if counts <= _EXACT:
        state = _Exact(s.ready, s.waiting, out, back, model)
    else:
        state = _Normal(s.ready, s.waiting, out, back, model)
    started, last = 0, 0.0
    while started < most:
        now = state.risk()
        if now > risk:
            return started, now if not started else last
        started, last = started + 1, now
        state.add(model.new_line)
    return started, last


class _Exact:
    """The distributions of answers and of agents, at each moment."""

    def __init__(self, ready: int, waiting: int, out: Sequence[Row], back: Sequence[Row], model: Model) -> None:
        self._answers = [_sum_of(row[n] for row in out) for n in range(MOMENTS)]
        here = [model.stays] * ready if model.curves.leaving > 0 else []
        # fewer[n][k]: the chance that at most k agents are free at moment n, those who are sure to be not counted
        self._fewer = [_running(_sum_of(row[n] for row in (*back, *here))) for n in range(MOMENTS)]
        self._sure = (0 if here else ready) - waiting

    def risk(self) -> float:
        total = 0.0
        for answers, fewer in zip(self._answers, self._fewer, strict=True):
            for count, chance in enumerate(answers):
                lacking = count - self._sure  # so many of the agents who may be free must not be
                if lacking >= 0:
                    total += chance * (fewer[lacking] if lacking < len(fewer) else 1.0)
        return total / MOMENTS

    def add(self, row: Row) -> None:
        self._answers = [_with(answers, chance) for answers, chance in zip(self._answers, row, strict=True)]


class _Normal:
    """Mean and variance of free agents less answers, at each moment."""

    def __init__(self, ready: int, waiting: int, out: Sequence[Row], back: Sequence[Row], model: Model) -> None:
        self._mean = [ready * stay - waiting for stay in model.stays]
        self._variance = [ready * stay * (1 - stay) for stay in model.stays]
        for rows, sign in ((out, -1), (back, 1)):
            for n, column in enumerate(zip(*rows, strict=True)):
                total = sum(column)
                self._mean[n] += sign * total
                self._variance[n] += total - sum([chance * chance for chance in column])

    def risk(self) -> float:
        total = 0.0
        for mean, variance in zip(self._mean, self._variance, strict=True):
            total += 0.5 * (1 + erf((0.5 - mean) / sqrt(2 * max(variance, _NEVER))))
        return total / MOMENTS

    def add(self, row: Row) -> None:
        for n, chance in enumerate(row):
            self._mean[n] -= chance
            self._variance[n] += chance * (1 - chance)


def _sum_of(chances: Iterable[float]) -> list[float]:
    """How likely 0, 1, 2 … of these happen."""
    found = [1.0]
    for chance in chances:
        if chance > _NEVER:
            found = _with(found, chance)
    return found


def _with(counts: list[float], chance: float) -> list[float]:
    """The same with one more of them."""
    rest = 1.0 - chance
    found = [count * rest for count in counts]
    found.append(0.0)
    for n, count in enumerate(counts, 1):
        found[n] += count * chance
    return found


def _running(counts: list[float]) -> list[float]:
    total, found = 0.0, []
    for count in counts:
        total += count
        found.append(total)
    return found
