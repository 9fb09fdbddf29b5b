"""What agents may say of a call, and what each meaning does to the contact.

Codes and labels are a tenant's own; what follows is decided by the meaning, so that a code in any language drives
retries, callbacks and do-not-call lists alike.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from dialerd.core.causes import Outcome
from dialerd.core.retry import History, Rules, Which, after


class Meaning(StrEnum):
    """What a disposition means to the dialer."""

    SALE = "sale"
    REFUSAL = "refusal"
    CALLBACK = "callback"
    DNC = "dnc"  # never call this number again
    WRONG_NUMBER = "wrong_number"
    MACHINE = "machine"  # what answered was no person
    NO_INTEREST = "no_interest"
    OTHER = "other"


NONE = "none"  # the code of a call of which nothing was said
MAX_MESSAGE = 1_000
CALLBACK_DELAY = timedelta(hours=1)  # of a callback for which no time was said: by a key of the phone
KEYS = "123456789"
_CODE = re.compile(r"[a-z][a-z0-9_]{0,31}\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class DispositionRefused(ValueError):
    """No disposition can be like this; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """One choice. `key`: 1 to 9, on the phone and on the page; None: none."""

    code: str
    label: str
    meaning: Meaning
    key: int | None = None
    active: bool = True


# Of a tenant that has made none. The codes are those that other parts know already (core.numberstatus, core.limits).
DEFAULTS = (
    Disposition("sale", "Sale", Meaning.SALE, 1),
    Disposition("callback", "Call back later", Meaning.CALLBACK, 2),
    Disposition("not_interested", "Not interested", Meaning.NO_INTEREST, 3),
    Disposition("refusal", "Refused", Meaning.REFUSAL, 4),
    Disposition("wrong_number", "Wrong number", Meaning.WRONG_NUMBER, 5),
    Disposition("machine", "Answering machine", Meaning.MACHINE, 6),
    Disposition("other", "Other", Meaning.OTHER, 8),
    Disposition("dnc", "Do not call again", Meaning.DNC, 9),
)

Fate = Literal["keep", "done", "waiting", "suppressed"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of the contact. keep: as the end of the call has it; `next_at`: until when it waits; `number`: whose
    turn it is then, as in `core.retry.Retry`; `callback`: agreed with the person."""

    contact: Fate
    next_at: datetime | None = None
    number: Which = "same"
    callback: bool = False


def effect(
    meaning: Meaning, history: History, rules: Rules, now: datetime, callback_at: datetime | None = None
) -> Effect:
    """What a meaning does. `history` and `rules` as for `core.retry.after`."""
    match meaning:
        case Meaning.DNC:
            return Effect("suppressed")
        case Meaning.CALLBACK:
            return Effect("waiting", callback_at or now + CALLBACK_DELAY, callback=True)
        case Meaning.WRONG_NUMBER:
            return Effect("waiting", now, "dead")
        case Meaning.MACHINE:
            again = after(Outcome.MACHINE, history, rules, now)
            return Effect("done") if again.next_at is None else Effect("waiting", again.next_at, again.number)
        case Meaning.SALE | Meaning.REFUSAL | Meaning.NO_INTEREST:
            return Effect("done")
        case Meaning.OTHER:
            return Effect("keep")


def check(disposition: Disposition) -> None:
    """Raises `DispositionRefused`."""
    if not _CODE.match(disposition.code):
        raise DispositionRefused("code: a letter, then at most 31 letters, digits or '_', all in lower case")
    if disposition.code == NONE and disposition.meaning is not Meaning.OTHER:
        raise DispositionRefused(f"code: {NONE!r} is what a call is given of which nothing was said")
    label = disposition.label
    if not label.strip() or len(label) > 60 or _CONTROL.search(label):
        raise DispositionRefused("label: 1 to 60 characters, no control characters")
    if disposition.key is not None and not 1 <= disposition.key <= 9:
        raise DispositionRefused("key: 1 to 9")


def meaning_of(text: str) -> Meaning:
    """Raises `DispositionRefused`."""
    try:
        return Meaning(text)
    except ValueError:
        raise DispositionRefused(f"no meaning is called {text[:40]!r}; there are: {', '.join(Meaning)}") from None


def check_message(text: str) -> str:
    """A note on a call, as it is kept. Raises `DispositionRefused`."""
    if len(text) > MAX_MESSAGE or _CONTROL.search(text.replace("\n", " ")):
        raise DispositionRefused(f"message: at most {MAX_MESSAGE} characters, no control characters")
    return text.strip()


Stored = Mapping[tuple[int, int | None], Sequence[Disposition]]


def read(rows: Iterable[Mapping[str, Any]]) -> Stored:
    """Stored rows by (tenant, campaign or None)."""
    found: dict[tuple[int, int | None], list[Disposition]] = {}
    for row in rows:
        made = Disposition(row["code"], row["label"], Meaning(row["meaning"]), row["key"], row["active"])
        found.setdefault((row["tenant_id"], row["campaign_id"]), []).append(made)
    return found


class Choices:
    """What may be said of which campaign's calls: its own dispositions, else its tenant's, else `DEFAULTS`."""

    def __init__(self, stored: Stored | None = None) -> None:
        self._stored = stored or {}

    def load(self, stored: Stored) -> None:
        """What is stored now."""
        self._stored = stored

    def of(self, tenant_id: int, campaign_id: int) -> tuple[Disposition, ...]:
        """Those that may be chosen, by key; those without one last."""
        own = self._stored.get((tenant_id, campaign_id)) or self._stored.get((tenant_id, None)) or DEFAULTS
        return tuple(sorted((d for d in own if d.active), key=lambda d: (d.key is None, d.key or 0)))

    def find(self, tenant_id: int, campaign_id: int, code_or_key: str) -> Disposition | None:
        """By its code, or by its key."""
        choices = self.of(tenant_id, campaign_id)
        found = [d for d in choices if d.code == code_or_key] or [d for d in choices if str(d.key) == code_or_key]
        return found[0] if found else None

    def unsaid(self, tenant_id: int, campaign_id: int, code: str) -> Disposition:
        """What a call is given of which nothing was said: the campaign's default."""
        return self.find(tenant_id, campaign_id, code) or Disposition(code, code.replace("_", " "), Meaning.OTHER)
