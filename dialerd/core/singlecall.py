"""A single call as a program asks for it: what may be asked, and how it is refused. Pure.

Values that reach Asterisk are refused, never escaped; contexts, the names of variables and the longest ring time come
from the configuration.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, Literal

from dialerd.core.phone import Number

_EXTENSION = re.compile(r"(?:s|\+?[0-9]{2,20})\Z", re.ASCII)  # each context of ours has them: s, _X. and _+X.
_VALUE = re.compile(r"[A-Za-z0-9 _.:/@+=-]{1,128}\Z", re.ASCII)  # nothing that AMI splits at or a dialplan evaluates
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}\Z", re.ASCII)
_NUMBER = re.compile(r"\+?[0-9][0-9 ]{2,20}\Z", re.ASCII)
_KEY = re.compile(r"[!-~]{1,255}\Z", re.ASCII)

Kind = Literal["invalid", "refused", "unavailable"]


class CallRefused(Exception):
    """A single call is not placed. `reason`: the rule's name; the text says why.

    `kind`: "invalid" what was asked for is no call, "refused" a gate is shut (`until`: when it opens by itself, if that
    is known), "unavailable" this daemon places no calls now.
    """

    def __init__(self, kind: Kind, reason: str, words: str, until: datetime | None = None) -> None:
        super().__init__(words)
        self.kind = kind
        self.reason = reason
        self.until = until


@dataclass(frozen=True, slots=True)
class Options:
    """How a call is to be placed. `ring_seconds` None: as long as the campaign has it. `name`: shown beside the caller
    ID's number; `number`: the caller ID that is wished for, as it was typed."""

    ring_seconds: int | None = None
    name: str | None = None
    number: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that is asked for. Without `campaign_id` it belongs to the tenant's campaign for single calls; with it,
    `contact_id` is a contact of that campaign, and the number one of theirs. `key`: the client's, by which the same
    request is known again."""

    number: Number
    options: Options = field(default_factory=Options)
    campaign_id: int | None = None
    contact_id: int | None = None
    key: str | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is asked for; not of the key."""
        options = self.options
        asked = [
            self.number.e164, self.campaign_id, self.contact_id, options.ring_seconds, options.name, options.number,
            sorted(options.variables.items()),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(asked).encode()).digest()


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that was handed to Asterisk, or the one that an earlier request with the same key was about (`again`). In
    a dry run nothing was dialled, and there is no attempt of that id."""

    call_id: str
    e164: str
    at: datetime
    dry_run: bool = False
    again: bool = False


def check_place(context: str, extension: str, contexts: Collection[str]) -> None:
    """Raises `CallRefused`: no such context, or no extension of a context."""
    if context not in contexts:
        says = f"context: {context[:40]!r} is not allowed; [calls] contexts are: {', '.join(sorted(contexts))}"
        raise CallRefused("invalid", "context_not_allowed", says)
    if not _EXTENSION.match(extension):
        says = f"extension: 's' or 2 to 20 digits, not {extension[:40]!r}"
        raise CallRefused("invalid", "extension_not_allowed", says)


def ring_seconds(seconds: float, most: int) -> int:
    """Whole seconds, never fewer than asked for. Raises `CallRefused`."""
    if not 1 <= seconds <= most:  # NaN is refused here too
        raise CallRefused("invalid", "bad_timeout", f"timeout: 1 to {most} seconds, not {seconds:g}")
    return ceil(seconds)


def shown(text: str) -> tuple[str | None, str | None]:
    """A caller ID as clients give it: (name, None), or (None, number). Raises `CallRefused`."""
    text = text.strip()
    if _NUMBER.match(text):
        return None, text
    if _NAME.match(text):
        return text, None
    says = "caller_id: one of your numbers, or a name of at most 40 letters, digits, spaces, '.', '_' and '-'"
    raise CallRefused("invalid", "bad_caller_id", says)


def is_name(text: str) -> bool:
    """Whether it may be shown beside a caller ID's number."""
    return _NAME.match(text) is not None


def variables(given: Mapping[str, Any], allowed: Collection[str]) -> dict[str, str]:
    """Channel variables as texts. Raises `CallRefused`."""
    found = {}
    for name, value in given.items():
        if name not in allowed:
            says = f"variables: {name[:40]!r} is not allowed; [calls] variables are: {', '.join(sorted(allowed))}"
            raise CallRefused("invalid", "variable_not_allowed", says)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not _VALUE.match(text):
            says = f"variables: {name} is 1 to 128 letters, digits, spaces or any of _ . : / @ + = -"
            raise CallRefused("invalid", "bad_variable", says)
        found[name] = text
    return found


def check_key(text: str) -> str:
    """An idempotency key. Raises `CallRefused`."""
    if not _KEY.match(text):
        says = "Idempotency-Key: 1 to 255 printable ASCII characters without spaces"
        raise CallRefused("invalid", "bad_key", says)
    return text
