"""Whom a call goes to, or who is asked about it, as agents type it. Pure.

    agent:aino  or  aino          a colleague, by name or login number
    queue:support                 the agents of a queue
    extension:100  or  100@desk   an extension of a dialplan context that the configuration allows
    number:+358401234567  or  +358401234567    a telephone number, over the campaign's trunk

Without a word before it, a plus or seven digits and more are a number, fewer digits the login number of a colleague, or
else an extension; letters are a colleague's name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_NUMBER = re.compile(r"\+?[0-9][0-9 ()./-]{1,30}\Z", re.ASCII)
_EXTENSION = re.compile(r"([0-9*#]{1,20})(?:@([A-Za-z0-9_.-]{1,64}))?\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)
_NUMBER_DIGITS = 7


class Kind(StrEnum):
    """What is meant."""

    AGENT = "agent"
    QUEUE = "queue"
    EXTENSION = "extension"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Target:
    """`context`: of an extension; None: the first that is allowed."""

    kind: Kind
    value: str
    context: str | None = None


class TargetRefused(ValueError):
    """Nobody can be meant by this; the message says what is wanted."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:40]!r} is nobody: agent:NAME, queue:NAME, extension:DIGITS@CONTEXT or number:+DIGITS is wanted"
        )


def parse(text: str, is_login: Callable[[str], bool] = lambda digits: False) -> Target:
    """What is meant by `text`. `is_login`: whether a colleague has this login number. Raises `TargetRefused`."""
    word, colon, value = text.strip().partition(":")
    if not colon:
        return _guess(text.strip(), is_login)
    try:
        kind = Kind(word)
    except ValueError:
        raise TargetRefused(text) from None
    return _checked(kind, value.strip(), text)


def _guess(text: str, is_login: Callable[[str], bool]) -> Target:
    digits = sum(c.isdigit() for c in text)
    if text.startswith("+") or ("@" not in text and digits >= _NUMBER_DIGITS and _NUMBER.match(text)):
        return _checked(Kind.NUMBER, text, text)
    if _EXTENSION.match(text) and not is_login(text):
        return _checked(Kind.EXTENSION, text, text)
    return _checked(Kind.AGENT, text, text)


def _checked(kind: Kind, value: str, text: str) -> Target:
    if kind is Kind.EXTENSION and (match := _EXTENSION.match(value)):
        return Target(kind, match.group(1), match.group(2))
    if kind is Kind.NUMBER and _NUMBER.match(value):
        return Target(kind, value)
    if kind in (Kind.AGENT, Kind.QUEUE) and _NAME.match(value):
        return Target(kind, value)
    raise TargetRefused(text)
