"""The best that any policy can do that sees only counts, in a world where every time is exponential.

N agents. A busy one is free again at rate 1/service; a line out leaves at rate 1/ring and is then, with probability
`chance`, a person; a person who finds no free agent waits, and gives up at rate 1/patience. At any instant any number
of lines may be started, none can be taken back. The largest busy share of the agents' time with at most `cap` of the
persons giving up is an average-reward Markov decision process with a price on each one who gives up (Altman,
Constrained Markov Decision Processes, 1999). For each price Howard's policy iteration finds the best policy; the best
under the cap mixes two policies that are neighbours on the frontier, so that the cap is met exactly.

A state is (x, l): free agents, or less than none by those who wait; and lines out. An event changes x by one at most,
so the equations of a policy are block tridiagonal in x and are solved block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SURE = 1e-7  # seconds of busy time: what is worth more by less is taken for rounding
_SAME = 1e-6  # of occupancy: the frontier is not searched any finer
_ROUNDS = 50
_DEAR = 40.0  # the first price of one who gives up: agents' services


@dataclass(frozen=True, slots=True)
class Markov:
    """Means in seconds. `patience` 0: who finds no agent free has given up."""

    agents: int
    chance: float = 0.25
    ring: float = 12.0
    service: float = 120.0
    patience: float = 2.0

    @property
    def most_waiting(self) -> int:
        """Beyond so many waiting, a further one gives up at once: far more than any good policy lets wait."""
        return 0 if self.patience <= 0 else 6 + self.agents // 5

    @property
    def most_lines(self) -> int:
        """Lines out that are enough: what keeps every agent busy, and as much again and more for chance."""
        needed = self.agents * self.ring / (self.service * self.chance)
        return int(1.5 * needed + 5 * needed**0.5 + 2 / self.chance) + 4


@dataclass(frozen=True, slots=True)
class Point:
    """The long run of a policy: `busy` share of the agents' time, `given_up` and `answers` per second. `dial_to`:
    lines out after the decision, by x (lowest first) and lines out before it."""

    busy: float
    given_up: float
    answers: float
    dial_to: Integers

    def over(self, cap: float) -> float:
        """Persons per second who give up beyond the cap."""
        return self.given_up - cap * self.answers


@dataclass(frozen=True, slots=True)
class Reference:
    """`levels`: lines to have out with 0, 1, 2 … free agents, by the more careful one of the policies mixed."""

    occupancy: float
    abandonment: float
    levels: tuple[int, ...]


class Chain:
    """The equations of a policy, and the best answer to what they say of each state. Arrays by x and lines out."""

    def __init__(self, world: Markov) -> None:
        self.world, self.waits = world, world.most_waiting
        x, lines = np.mgrid[-self.waits : world.agents + 1, 0 : world.most_lines + 1].astype(float)
        idle, gives_up = np.maximum(x, 0), np.zeros_like(x)
        if self.waits:
            gives_up = np.maximum(-x, 0) / world.patience
        self._up = (world.agents - idle) / world.service + gives_up
        self._answered = lines / world.ring * world.chance
        self._unanswered = lines / world.ring * (1 - world.chance)
        lost = gives_up + np.where(x == -self.waits, self._answered, 0.0)
        self._rewards = np.stack((1 - idle / world.agents, lost, self._answered, np.ones_like(x)))

    def up_to(self, levels: Sequence[int]) -> Integers:
        """The policy that has levels[x] lines out with x free agents, and starts none while people wait."""
        lines = np.arange(self._up.shape[1])
        by_x = np.array([0] * self.waits + list(levels), dtype=np.int64)
        dial_to: Integers = np.maximum(np.minimum(by_x, lines[-1])[:, None], lines)
        return dial_to

    def evaluate(self, dial_to: Integers, price: float, busy: float) -> tuple[Point, Floats]:
        """The long run of a policy, and the worth of each state after the decision: busy time less priced loss.
        `busy`: about how large a share of the time agents are busy."""
        for _ in range(3):
            point, worth = self._evaluate(dial_to, price, self._usual(busy))
            if abs(self._usual(point.busy) - self._usual(busy)) <= 1 + self.world.agents // 10:
                break
            busy = min(1.0, max(0.0, point.busy))
        return point, worth

    def _usual(self, busy: float) -> int:
        """The place of the x that is often seen then. Cycles that begin and end there are short, and sums over them
        exact; over cycles from a state that is hardly ever seen they are all rounding."""
        return self.waits + max(1, round(self.world.agents * (1 - busy)))

    def _evaluate(self, dial_to: Integers, price: float, x: int) -> tuple[Point, Floats]:
        lines = int(dial_to[x, 0])  # the origin of cycles: an agent got free, and lines are dialled for that
        sums = self._until(dial_to, x, lines)
        cycle = self._rewards[:, x, lines].copy()  # for each second that is spent in the origin
        top = min(x + 1, self.world.agents + self.waits)
        for rate, to, left in (
            (self._up[x, lines], top, lines),
            (self._answered[x, lines], x - 1, lines - 1),
            (self._unanswered[x, lines], x, lines - 1),
        ):
            cycle += rate * sums[:, to, dial_to[to, left]]
        busy, given_up, answers = (float(gain) for gain in cycle[:3] / cycle[3])
        worth = sums[0] - price * sums[1] - (busy - price * given_up) * sums[3]
        return Point(busy, given_up, answers, dial_to), worth

    def _until(self, dial_to: Integers, origin: int, origin_lines: int) -> Floats:
        """What is gathered of each reward from each state until the origin is entered: elimination upwards in x,
        then back. Shape: rewards, x, lines out."""
        count, width = self._up.shape
        every, fewer = np.arange(width), np.maximum(np.arange(width) - 1, 0)
        solved: list[Floats] = []
        for x in range(count):
            here, above, right = np.zeros((width, width)), np.zeros((width, width)), self._rewards[:, x].T.copy()
            here[every, every] = self._up[x] + self._answered[x] + self._unanswered[x]
            here[every, dial_to[x, fewer]] -= self._unanswered[x]
            if x + 1 < count:
                above[every, dial_to[x + 1]] = self._up[x]
            if x == 0:  # the person is lost, x stays
                here[every, dial_to[x, fewer]] -= self._answered[x]
            else:
                below = self._answered[x][:, None] * solved[-1][dial_to[x - 1, fewer]]
                here -= below[:, :width]
                right += below[:, width:]
            if x == origin:
                here[origin_lines], above[origin_lines], right[origin_lines] = every == origin_lines, 0.0, 0.0
            if x + 1 == count:
                here[0, 0] = max(here[0, 0], 1e-9)  # all are free and no line is out: hardly ever left, never chosen
            solved.append(np.linalg.solve(here, np.concatenate((above, right), axis=1)))
        sums = np.empty((self._rewards.shape[0], count, width))
        after = np.zeros((width, sums.shape[0]))
        for x in range(count - 1, -1, -1):
            after = solved[x][:, width:] + solved[x][:, :width] @ after
            sums[:, x] = after.T
        return sums

    def better(self, worth: Floats, dial_to: Integers) -> Integers:
        """From each state to what is worth most of all that has as many lines out or more; as before where that is as
        good."""
        best = np.maximum.accumulate(worth[:, ::-1], axis=1)[:, ::-1]
        lines = np.arange(worth.shape[1])
        first = np.where(worth >= best, lines, lines[-1])  # the next one that is the best of all after it
        found = np.minimum.accumulate(first[:, ::-1], axis=1)[:, ::-1]
        as_good = np.take_along_axis(worth, dial_to, axis=1) >= best - _SURE
        return np.where(as_good, dial_to, found)

    def best(self, price: float, start: Point) -> Point:
        """The policy with most busy time less price for each who gives up; looked for from another one on."""
        point, dial_to = start, start.dial_to
        for _ in range(_ROUNDS):
            point, worth = self.evaluate(dial_to, price, point.busy)
            improved = self.better(worth, dial_to)
            if np.array_equal(improved, dial_to):
                return point
            dial_to = improved
        raise ArithmeticError(f"no best policy found for {self.world}")

    def progressive(self) -> Point:
        """One line per free agent."""
        world = self.world
        ring = world.ring / world.chance
        return self.evaluate(self.up_to(range(world.agents + 1)), 0.0, world.service / (world.service + ring))[0]


@cache
def reference(world: Markov, cap: float = 0.03) -> Reference:
    """The best occupancy under the cap."""
    chain = Chain(world)
    careful = bold = chain.progressive()
    price = _DEAR * world.service / world.agents
    while bold.over(cap) <= 0:  # step by step: policies that are far from the last one are found badly
        careful, bold = bold, chain.best(price, bold)
        price *= 0.5
    while True:
        # The price at which both are as good. If nothing is better there, no policy lies between them.
        price = (bold.busy - careful.busy) / (bold.given_up - careful.given_up)
        middle = chain.best(price, careful)
        if (middle.busy - careful.busy) - price * (middle.given_up - careful.given_up) <= _SAME:
            break
        if middle.over(cap) > 0:
            bold = middle
        else:
            careful = middle
    share = -careful.over(cap) / (bold.over(cap) - careful.over(cap))
    mixed = np.array([bold.busy, bold.given_up, bold.answers]) * share
    mixed += np.array([careful.busy, careful.given_up, careful.answers]) * (1 - share)
    busy, given_up, answers = (float(value) for value in mixed)
    return Reference(busy, given_up / answers, tuple(int(n) for n in careful.dial_to[chain.waits :, 0]))
