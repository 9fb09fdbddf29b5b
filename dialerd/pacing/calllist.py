"""The list of a simulated campaign: contacts who have not been called yet, and those who are to be tried again."""

from collections import deque
from math import inf


class CallList:
    """`contacts`: how many (infinity: never used up). Each is called until a person answers, at most `attempts` times,
    with at least `pause` seconds between two calls."""

    def __init__(self, contacts: float, attempts: int = 1, pause: float = 0.0) -> None:
        self._fresh = contacts
        self._once = attempts == 1 or contacts == inf  # of an endless list nobody need come again
        self._attempts, self._pause = attempts, pause
        self._resting: deque[tuple[float, int]] = deque()  # until when, and calls so far; in the order of their times
        self._due: deque[int] = deque()  # calls so far
        self._out: dict[int, int] = {}  # line → calls of its contact with this one; only where more may follow

    def room(self, now: float) -> float:
        """How many contacts may be called now."""
        while self._resting and self._resting[0][0] <= now:
            self._due.append(self._resting.popleft()[1])
        return self._fresh + len(self._due)

    @property
    def left(self) -> float:
        """Contacts who may still be called, now or later; those who are being called are not among them."""
        return self._fresh + len(self._due) + len(self._resting)

    @property
    def used_up(self) -> bool:
        """Whether nobody is left to be called, whatever becomes of the lines that are out."""
        return self.left <= 0 and not self._out

    def take(self, line: int) -> None:
        """One contact is called by this line: whoever has been due longest, else a fresh one."""
        if self._once:
            self._fresh -= 1
            return
        if self._due:
            calls = self._due.popleft() + 1
        else:
            calls = 1
            self._fresh -= 1
        if calls < self._attempts:
            self._out[line] = calls

    def line_ended(self, now: float, line: int, answered: bool) -> None:
        """The contact of this line comes again, unless a person answered or it was the last call."""
        calls = self._out.pop(line, None)
        if calls is not None and not answered:
            self._resting.append((now + self._pause, calls))
