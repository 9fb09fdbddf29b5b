"""What becomes of a contact after an attempt: tried again when, on which of its numbers, or done.

A campaign has one delay and one count for all (`retry_delay_seconds`, `max_retries`), and may have a rule for an
outcome. `max_retries` bounds all attempts of a contact together, whatever the rules say.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from dialerd.core.causes import Outcome

# A person was reached, or said no; or a machine has the message. `unknown` is here because of rule 1: an attempt whose
# fate is lost is never dialled again by itself.
FINAL = frozenset({
    Outcome.CONNECTED, Outcome.PLAYED, Outcome.MESSAGE_LEFT, Outcome.ABANDONED, Outcome.UNKNOWN, Outcome.REJECTED,
})  # fmt: skip
NEVER = frozenset({Outcome.UNKNOWN, Outcome.NOT_SENT})  # no rule may be made for these
MAX_DELAY_SECONDS = 365 * 86_400
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TEXT = re.compile(
    r"([a-z_]{1,20})=([0-9]{1,3})x([0-9]{1,8})([smhd])(?:\*([0-9]{1,2}(?:\.[0-9]{1,3})?))?(/next)?\Z", re.ASCII
)
_AT_ONCE_SECONDS = 10.0  # another number of the same person, or one that never left us

Which = Literal["same", "next", "dead"]


class RuleRefused(ValueError):
    """A retry rule that cannot be: of which outcome, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Rule:
    """After an outcome: at most `times` more attempts because of it, `delay_seconds` later, each time `backoff` times
    longer, on the same or on the contact's next number."""

    times: int
    delay_seconds: float
    backoff: float = 1.0
    number: Literal["same", "next"] = "same"


@dataclass(frozen=True, slots=True)
class Rules:
    """A campaign's."""

    max_retries: int
    delay_seconds: float
    by_outcome: Mapping[Outcome, Rule]


@dataclass(frozen=True, slots=True)
class History:
    """What a contact has behind it. `attempts`: this one included; `tries`: outcome → how often before this one."""

    attempts: int
    tries: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Retry:
    """`next_at` None: the contact is done. `counts`: whether the attempt is used up (not when it never left us).
    `number`: whose turn it is then; "dead": this one is not dialled again, so the next. Where there is no other, "next"
    is the same one again, and the contact of a dead one is done: the record knows (record_v2)."""

    next_at: datetime | None
    counts: bool
    why: str
    number: Which = "same"


def after(outcome: Outcome, history: History, rules: Rules, now: datetime) -> Retry:
    """What to do after an attempt that ended with `outcome` at `now`."""
    if outcome is Outcome.NOT_SENT:
        seconds = min(rules.delay_seconds, _AT_ONCE_SECONDS)
        return Retry(now + timedelta(seconds=seconds), False, "never left us")
    if history.attempts > rules.max_retries:
        return Retry(None, True, f"{history.attempts} attempts made, {1 + rules.max_retries} allowed")
    if outcome is Outcome.INVALID:
        at = now + timedelta(seconds=_AT_ONCE_SECONDS)
        return Retry(at, True, "this number is not in service: the contact's next one, if there is one", "dead")
    rule = rules.by_outcome.get(outcome)
    if outcome is Outcome.UNKNOWN or (rule is None and outcome in FINAL):
        return Retry(None, True, f"{outcome} is final")
    rule = rule or Rule(rules.max_retries, rules.delay_seconds)
    before = history.tries.get(outcome.value, 0)
    if before >= rule.times:
        return Retry(None, True, f"{outcome} {before + 1} times, {rule.times} more attempts allowed after it")
    seconds = min(rule.delay_seconds * rule.backoff**before, MAX_DELAY_SECONDS)
    on = " on the next number" if rule.number == "next" else ""
    return Retry(now + timedelta(seconds=seconds), True, f"{outcome}: again in {seconds:g} s{on}", rule.number)


def read(stored: Mapping[str, Mapping[str, Any]]) -> dict[Outcome, Rule]:
    """Rules as a campaign keeps them: {"busy": {"times": 5, "delay_seconds": 60, "backoff": 2, "number": "next"}}.
    Raises `RuleRefused`."""
    return {_outcome(name): _rule(name, fields) for name, fields in stored.items()}


def parse(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Rules as people write them, into the form that a campaign keeps: OUTCOME=TIMESxDELAY, then perhaps *BACKOFF and
    /next, as in `busy=5x60s` or `no_answer=3x1h*2/next`. Raises `RuleRefused`."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        match = _TEXT.match(text.strip())
        if match is None:
            raise RuleRefused(
                f"{text[:60]!r} is no retry rule: OUTCOME=TIMESxDELAY, then perhaps *BACKOFF (each time so much "
                "longer) and /next (on the contact's next number), as in busy=5x60s or no_answer=3x1h*2/next"
            )
        name, times, count, unit, backoff, following = match.groups()
        if name in found:
            raise RuleRefused(f"{name}: two rules")
        found[name] = {"times": int(times), "delay_seconds": int(count) * _UNITS[unit]}
        if backoff:
            found[name]["backoff"] = float(backoff)
        if following:
            found[name]["number"] = "next"
    read(found)
    return found


def describe(stored: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The texts of stored rules; those that `parse` wrote, it reads as the same again."""
    return [_describe(outcome, rule) for outcome, rule in read(stored).items()]


def _describe(outcome: Outcome, rule: Rule) -> str:
    unit = next((u for u in "dhm" if rule.delay_seconds and rule.delay_seconds % _UNITS[u] == 0), "s")
    backoff = f"*{rule.backoff:g}" if rule.backoff != 1 else ""
    following = "/next" if rule.number == "next" else ""
    return f"{outcome}={rule.times}x{rule.delay_seconds / _UNITS[unit]:.10g}{unit}{backoff}{following}"


def _outcome(name: str) -> Outcome:
    try:
        outcome = Outcome(name)
    except ValueError:
        raise RuleRefused(f"no outcome is called {name[:40]!r}; there are: {', '.join(Outcome)}") from None
    if outcome in NEVER or outcome is Outcome.INVALID:
        raise RuleRefused(f"{name}: what follows it is not for a campaign to decide")
    return outcome


def _rule(name: str, fields: Mapping[str, Any]) -> Rule:
    if unknown := set(fields) - {"times", "delay_seconds", "backoff", "number"}:
        raise RuleRefused(f"{name}: no field is called {sorted(unknown)[0]!r}")
    times, delay, backoff = fields.get("times"), fields.get("delay_seconds"), fields.get("backoff", 1.0)
    if not isinstance(times, int) or isinstance(times, bool) or not 0 <= times <= 100:
        raise RuleRefused(f"{name}: times is 0 to 100")
    if not _is_between(delay, 0, MAX_DELAY_SECONDS):
        raise RuleRefused(f"{name}: delay_seconds is 0 to {MAX_DELAY_SECONDS}")
    if not _is_between(backoff, 1, 10):
        raise RuleRefused(f"{name}: backoff is 1 to 10")
    if fields.get("number", "same") not in ("same", "next"):
        raise RuleRefused(f"{name}: number is 'same' or 'next'")
    return Rule(times, delay, backoff, fields.get("number", "same"))  # type: ignore[arg-type]


def _is_between(value: object, low: float, high: float) -> bool:
    """NaN is between nothing."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
