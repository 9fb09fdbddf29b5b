"""Answering machines: what a campaign does about them, and the parameters of Asterisk's AMD() that it may set.

All times are milliseconds. What is not set is as amd.conf has it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from dialerd.core.lots import drawn

# off: nobody listens. connect: the verdict is kept, and an agent gets the call. drop: it is hung up. message: after the
# greeting, and its beep, it hears the campaign's message. flow: it goes into a flow of its own.
MODES: Final = ("off", "drop", "connect", "message", "flow")
WITHOUT_AGENT: Final = frozenset({"drop", "message", "flow"})  # unless a flow hands it to them
VERDICT: Final = "MACHINE"
MOST_CHECKED: Final = 0.5
_Z: Final = 1.6448536269514722  # of the normal distribution, 95 % lie below
_DIGITS: Final = 3

# In the order of AMD()'s arguments: name → smallest and greatest value.
PARAMETERS: Final[Mapping[str, tuple[int, int]]] = {
    "initial_silence": (500, 10_000),  # before the greeting; longer: a machine
    "greeting": (300, 10_000),  # longer: a machine
    "after_greeting_silence": (100, 5_000),  # after a greeting; longer: a person
    "total_analysis_time": (1_000, 15_000),  # then it is not sure
    "min_word_length": (20, 1_000),
    "between_words_silence": (20, 1_000),
    "maximum_number_of_words": (1, 30),  # more: a machine
    "silence_threshold": (1, 32_767),  # the level below which it is silence
    "maximum_word_length": (500, 15_000),
}


def checked(attempt: str, share: float) -> bool:
    """Whether an attempt is one of the share (0 to 0.5) of machines that go to an agent like persons, so that somebody
    hears what they are. The lot is in the attempt's id: see `core.lots`."""
    return drawn("machine check", attempt, share)


def false_positive_bound(checked: int, persons: int) -> float:
    """The share of machines (by their verdict) that were persons, of which `checked` were heard and `persons` of them
    were: no estimate but a bound that the true share is above in one of twenty cases, so that few checks err on the
    careful side; 1 where none was checked.

    The upper end of E. B. Wilson's interval (J. Am. Stat. Assoc. 22, 1927, p. 209), one-sided at 95 %. Of the intervals
    that L. D. Brown, T. T. Cai and A. DasGupta recommend for few cases (Statistical Science 16, 2001, p. 101) it is the
    one that is also right about nothing: 0 of 0 gives 1, where the mean of a Beta(1/2, 1/2) prior gives 1/2."""
    n, x = max(0, checked), max(0, min(persons, checked))
    if n == x:
        return 1.0
    half = _Z * _Z / 2
    return min(1.0, (x + half + _Z * sqrt(x * (n - x) / n + half / 2)) / (n + 2 * half))


def lost(machines: int, checked: int, persons: int) -> float:
    """How many of these machines, which no agent had, were persons at most, by what was heard of the checked ones."""
    return round(machines * false_positive_bound(checked, persons), _DIGITS)


@dataclass(frozen=True, slots=True)
class Tally:
    """In each of some windows the machines by their verdict that no agent had (`unheard`), and the conversations that
    were with a machine, as the agent said (`known`). And how many machines were `checked` by an agent, who found so
    many `persons` among them."""

    unheard: tuple[int, ...]
    known: tuple[int, ...]
    checked: int
    persons: int

    def lost(self, more: int = 0) -> tuple[float, ...]:
        """The persons among the unheard, at most, in each window; `more`: machines that are in all of them as well."""
        return tuple(lost(n + more, self.checked, self.persons) for n in self.unheard)


class ParameterRefused(ValueError):
    """A parameter of AMD() that cannot be: which, and what is wrong."""


def parse(texts: Iterable[str]) -> dict[str, int]:
    """Parameters as people write them: NAME=NUMBER, as in `greeting=1500`. Raises `ParameterRefused`."""
    found: dict[str, int] = {}
    for text in texts:
        name, _, value = text.strip().partition("=")
        if not (value.isascii() and value.isdigit() and len(value) < 9):
            raise ParameterRefused(f"{text[:60]!r} is no parameter: NAME=NUMBER, as in greeting=1500")
        if name in found:
            raise ParameterRefused(f"{name[:40]}: twice")
        found[name] = int(value)
    check(found)
    return found


def check(parameters: Mapping[str, Any]) -> None:
    """Raises `ParameterRefused` unless every one is known, a whole number and in its range."""
    for name, value in parameters.items():
        if name not in PARAMETERS:
            raise ParameterRefused(f"{name[:40]!r}: there are {', '.join(PARAMETERS)}")
        low, high = PARAMETERS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ParameterRefused(f"{name}: a whole number from {low} to {high}")


def variables(parameters: Mapping[str, int]) -> dict[str, str]:
    """The channel variables from which the dialplan makes AMD()'s arguments."""
    return {f"DIALERD_AMD_{name.upper()}": str(parameters[name]) for name in PARAMETERS if name in parameters}
