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

_EXACT = 14  # agents and lines of which the chances are multiplied out
_NEVER = 1e-6


def lines_within_risk(s: Snapshot, model: Model, risk: float, most: int) -> tuple[int, float]:
    """How many lines to start, at most `most`; and the risk of the last of them, or of the first one refused."""
    out = [model.line(age, chance) for age, chance in s.ringing]
    back = [model.talking(age) for age in s.talking] + [model.wrapping_up(age) for age in s.wrapping_up]
    few = len(out) + len(back) + s.ready <= _EXACT
    state = (_Exact if few else _Normal)(s.ready, s.waiting, out, back, model)
    return state.within(risk, most)


class _Exact:
    """The distributions of answers and of agents, at each moment."""

    def __init__(self, ready: int, waiting: int, out: Sequence[Row], back: Sequence[Row], model: Model) -> None:
        self._answers = [_sum_of(row[n] for row in out) for n in range(MOMENTS)]
        here = [model.stays] * ready
        # fewer[n][k]: the chance that at most k agents are free at moment n
        self._fewer = [_running(_sum_of(row[n] for row in (*back, *here))) for n in range(MOMENTS)]
        self._waiting = waiting
        self._new = model.new_line

    def risk(self) -> float:
        total = 0.0
        for answers, fewer in zip(self._answers, self._fewer, strict=True):
            for count, chance in enumerate(answers):
                taken = count + self._waiting  # if there are no more agents than that, one more answer finds none
                total += chance * (fewer[taken] if taken < len(fewer) else 1.0)
        return total / MOMENTS

    def within(self, risk: float, most: int) -> tuple[int, float]:
        """How many further lines have no larger risk; and the risk of the last one, or of the first one refused."""
        started, last = 0, 0.0
        while started < most:
            now = self.risk()
            if now > risk:
                return started, last if started else now
            started, last = started + 1, now
            self._answers = [_with(answers, chance) for answers, chance in zip(self._answers, self._new, strict=False)]
        return started, last


class _Normal:
    """Mean and variance of free agents less answers, at each moment."""

    def __init__(self, ready: int, waiting: int, out: Sequence[Row], back: Sequence[Row], model: Model) -> None:
        answers, frees = _sums(out), _sums(back)
        here = [ready * value for value in model.stays]
        self._mean = [here[n] - waiting + frees[n] - answers[n] for n in range(MOMENTS)]
        self._variance = [here[n] + frees[n] + answers[n] for n in range(MOMENTS, 2 * MOMENTS)]

        self._new = model.new_line

    def risk(self, more: int) -> float:
        """Of one line, after so many more."""
        total = 0.0
        for n in range(MOMENTS):
            mean = self._mean[n] - more * self._new[n]
            variance = self._variance[n] + more * self._new[n + MOMENTS]
            total += 1.0 + erf((0.5 - mean) / sqrt(2.0 * variance + _NEVER))
        return total / (2 * MOMENTS)

    def within(self, risk: float, most: int) -> tuple[int, float]:
        """As `_Exact.within`; looked for in ever larger steps, then halved: thousands of lines cost a dozen looks."""
        if most < 1 or (first := self.risk(0)) > risk:
            return 0, 0.0 if most < 1 else first
        low, step = 0, 1  # low: the last line known to be within the risk, counted from 0
        while low + step < most and self.risk(low + step) <= risk:
            low, step = low + step, step * 2
        high = min(most, low + step)  # not within, or not wanted
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.risk(middle) <= risk else (low, middle)
        return low + 1, self.risk(low)


def _sums(rows: Sequence[Row]) -> list[float]:
    return [sum(column, 0.0) for column in zip(*rows, strict=True)] if rows else [0.0] * (2 * MOMENTS)


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
