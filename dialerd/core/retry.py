"""What becomes of a contact after an attempt: tried again and when, or done."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialerd.core.causes import Outcome

# A person was reached, or the number will never be any good. `unknown` is here because of rule 1: an attempt whose
# fate is lost is never dialled again by itself. Abandoned people are not called back by a machine in this version.
FINAL = frozenset({Outcome.CONNECTED, Outcome.ABANDONED, Outcome.UNKNOWN, Outcome.INVALID, Outcome.REJECTED})


@dataclass(frozen=True, slots=True)
class Retry:
    """`next_at` None: the contact is done. `counts`: whether the attempt is used up (not when it never left us)."""

    next_at: datetime | None
    counts: bool
    why: str


def after(outcome: Outcome, attempts: int, max_retries: int, retry_delay_seconds: float, now: datetime) -> Retry:
    """`attempts`: how many this contact has had, this one included. `max_retries`: how many after the first."""
    if outcome is Outcome.NOT_SENT:
        return Retry(now + timedelta(seconds=min(retry_delay_seconds, 10.0)), False, "never left us")
    if outcome in FINAL:
        return Retry(None, True, f"{outcome} is final")
    if attempts > max_retries:
        return Retry(None, True, f"{attempts} attempts made, {1 + max_retries} allowed")
    return Retry(now + timedelta(seconds=retry_delay_seconds), True, f"{outcome}: again in {retry_delay_seconds:g} s")
