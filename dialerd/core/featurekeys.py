"""Verbs by the keys of an agent's phone: a small table, `*` first, so that no key of a conversation or of a disposition
is one of them. Pure: whoever feeds it says what time it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Verb → what is pressed. Those of `TARGETED` go on with digits, and end with #.
DEFAULT: Mapping[str, str] = {
    "hold": "*1",  # and back
    "transfer": "*2",
    "consult": "*3",
    "conference": "*4",
    "complete": "*5",
    "cancel": "*6",
    "park": "*7",
    "pickup": "*8",
    "message": "*9",
    "mute": "*0",  # and back
    "listen": "**1",
    "whisper": "**2",
    "barge": "**3",
    "takeover": "**4",
    "unwatch": "**0",
    "record": "**7",  # starts a recording, and stops it
    "record_pause": "**8",  # and goes on
    "machine": "**9",
}
# What goes by `InCall.do`; the others have doors of their own, and those with two sides two verbs each there.
VERBS = tuple(verb for verb in DEFAULT if verb not in ("hold", "mute", "record", "record_pause", "machine"))
TARGETED = frozenset({"transfer", "consult", "listen"})
_SEQUENCE = re.compile(r"\*[0-9*#]{1,3}\Z", re.ASCII)
_SECONDS = 5.0  # between two keys; after more, it begins anew
_DIGITS = 20


def problem(table: Mapping[str, str]) -> str | None:
    """What is wrong with a table, or None: a sequence may not begin another one."""
    for verb, keys in table.items():
        if verb not in DEFAULT:
            return f"no verb is called {verb!r}: {', '.join(DEFAULT)}"
        if not _SEQUENCE.match(keys):
            return f"{verb}: '*' and one to three of 0 to 9, * and #, not {keys!r}"
        for other, others in table.items():
            if other != verb and others.startswith(keys):
                return f"{verb} ({keys}) begins {other} ({others}): whoever presses the second gets the first"
    return None


@dataclass(frozen=True, slots=True)
class Pressed:
    """A verb that was asked for; `digits`: whom it is about, where it takes one."""

    verb: str
    digits: str = ""


class Keypad:
    """The keys of one phone, one after the other."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._verbs = {keys: verb for verb, keys in table.items()}
        self._typed = ""
        self._verb: str | None = None
        self._at = 0.0

    def press(self, key: str, at: float) -> tuple[bool, Pressed | None]:
        """`at`: monotonic seconds. Whether the key is part of a sequence, and the verb when it ends one."""
        if at - self._at > _SECONDS:
            self._typed, self._verb = "", None
        self._at = at
        if self._verb is not None:
            return True, self._digit(key)
        typed = self._typed + key
        if not any(keys.startswith(typed) for keys in self._verbs):
            self._typed = ""
            return bool(typed[1:]), None
        verb = self._verbs.get(typed)
        self._typed = "" if verb is not None else typed
        if verb in TARGETED:
            self._verb = verb
            return True, None
        return True, None if verb is None else Pressed(verb)

    def _digit(self, key: str) -> Pressed | None:
        if key == "#":
            done, self._verb, self._typed = Pressed(self._verb or "", self._typed), None, ""
            return done
        self._typed += key
        if len(self._typed) > _DIGITS or not key.isdigit():
            self._typed, self._verb = "", None
        return None
