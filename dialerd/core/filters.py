"""The filter of a campaign: which of its contacts may be called, in a small fixed language.

    attempts < 3 and last_outcome in (busy, no_answer) and not custom.city = "Espoo" and created_at > 2026-01-01

Comparisons, joined by `and`, `or`, `not` and brackets; `and` binds closer than `or`. Texts are compared as they are
written, upper and lower case apart. Something that a contact does not have is the empty text, so that no comparison
is ever "perhaps"; `!=` is exactly `not … =`. `zone` is one of the zones, and `number` the number, that comes next.
Times are UTC.

`parse(describe(tree)) == tree` for every tree that `parse` gives. What a tree means is said twice, in `filter_match`
(Python) and in `store.filter_sql`, and tests hold them to the same answers.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal, NoReturn

from dialerd.core.causes import Outcome

MAX_TEXT = 2_000  # characters
MAX_DEPTH = 10
MAX_TERMS = 100  # comparisons and values, all together

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "startswith", "contains", "empty"]
Value = str | int | Decimal | datetime

_EQUAL: Final = ("=", "!=", "in")
_ORDER: Final = ("<", "<=", ">", ">=")
_TEXT: Final = (*_EQUAL, "startswith", "contains", "empty")
OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    "attempts": (*_EQUAL, *_ORDER),
    "priority": (*_EQUAL, *_ORDER),
    "last_outcome": (*_EQUAL, "empty"),
    "last_disposition": _TEXT,
    "name": _TEXT,
    "external_id": _TEXT,
    "list": _TEXT,
    "number": _TEXT,
    "zone": _TEXT,
    "created_at": _ORDER,
    "custom": (*_TEXT, *_ORDER),
}
NUMBERS = frozenset({"attempts", "priority"})
# How a contact's last call may have ended; the last two come from the claim and from the end of a list.
OUTCOMES = frozenset({*(outcome.value for outcome in Outcome), "dnc", "unknown_zone"})

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\x00-\x1f]|\\["\\])*")
      |(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?(?![\w.-]))
      |(?P<number>[+-]?[0-9]{1,15}(?:\.[0-9]{1,9})?(?![\w.-]))
      |(?P<word>[A-Za-z_][A-Za-z0-9_/-]*)
      |(?P<sign>!=|<=|>=|[=<>(),.])
      |(?P<end>\Z))""",
    re.VERBOSE | re.ASCII,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "empty", "startswith", "contains"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_/-]*\Z", re.ASCII)


class FilterRefused(ValueError):
    """A text is no filter: where (`column`, from 1) and what was expected there."""

    def __init__(self, column: int, says: str) -> None:
        super().__init__(f"filter, column {column}: {says}")
        self.column = column


@dataclass(frozen=True, slots=True)
class Comparison:
    """`key` is the name of a custom field. `values`: one; several with `in`; none with `empty`."""

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class Not:
    part: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    """`and` of two or more."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """`or` of two or more."""

    parts: tuple["Filter", ...]


Filter = Comparison | Not | All | Either


def parse(text: str) -> Filter:
    """A filter's tree. Raises `FilterRefused`."""
    if len(text) > MAX_TEXT:
        raise FilterRefused(MAX_TEXT + 1, f"at most {MAX_TEXT} characters")
    return _Parser(text).whole()


def describe(tree: Filter) -> str:
    """The text of a tree."""
    if isinstance(tree, Comparison):
        return _describe(tree)
    if isinstance(tree, Not):
        return f"not {_bracketed(tree.part, All, Either)}"
    if isinstance(tree, All):
        return " and ".join(_bracketed(part, All, Either) for part in tree.parts)
    return " or ".join(_bracketed(part, Either) for part in tree.parts)


def outcomes_named(tree: Filter) -> frozenset[str]:
    """The last outcomes that a filter asks for by name: with `=` or `in`, and under no `not`."""
    if isinstance(tree, Comparison):
        named = tree.field == "last_outcome" and tree.operator in ("=", "in")
        return frozenset(str(value) for value in tree.values) if named else frozenset()
    if isinstance(tree, Not):
        return frozenset()
    return frozenset().union(*map(outcomes_named, tree.parts))


def _bracketed(tree: Filter, *kinds: type) -> str:
    return f"({describe(tree)})" if isinstance(tree, kinds) else describe(tree)


def _describe(term: Comparison) -> str:
    field = f"custom.{_word(term.key)}" if term.field == "custom" else term.field
    values = ", ".join(map(_value, term.values))
    if term.operator == "empty":
        return f"{field} is empty"
    return f"{field} in ({values})" if term.operator == "in" else f"{field} {term.operator} {values}"


def _value(value: Value) -> str:
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, Decimal):
        return f"{value:f}"  # 0.0000001, not 1E-7
    return value.strftime("%Y-%m-%dT%H:%M:%S") if isinstance(value, datetime) else str(value)


def _word(text: str) -> str:
    if _PLAIN.match(text) and text not in _KEYWORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms = 0
        self._depth = 0
        self._next()

    def whole(self) -> Filter:
        tree = self._either()
        if self._kind != "end":
            self._expected("'and', 'or' or the end")
        return tree

    def _next(self) -> None:
        """Reads on. `_kind`, `_token` and `_column` are those of the token that comes next."""
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            rest = self._text[self._at :]
            column = self._at + len(rest) - len(rest.lstrip()) + 1
            raise FilterRefused(column, f'nothing can begin with {rest.strip()[:10]!r} (texts stand in "…")')
        self._kind = found.lastgroup or "end"
        self._token = found[self._kind]
        self._column = found.start(self._kind) + 1
        self._at = found.end()

    def _expected(self, what: str) -> NoReturn:
        raise FilterRefused(self._column, f"{what} expected, not {self._token[:40] or 'the end'!r}")

    def _taken(self, *tokens: str) -> str | None:
        if self._kind in ("word", "sign") and self._token in tokens:
            token = self._token
            self._next()
            return token
        return None

    def _need(self, token: str) -> None:
        if self._taken(token) is None:
            self._expected(repr(token))

    def _either(self) -> Filter:
        parts = [self._all()]
        while self._taken("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self) -> Filter:
        parts = [self._single()]
        while self._taken("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _single(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterRefused(self._column, f"more than {MAX_DEPTH} brackets and 'not' inside one another")
        tree: Filter
        if self._taken("not"):
            tree = Not(self._single())
        elif self._taken("("):
            tree = self._either()
            self._need(")")
        else:
            tree = self._comparison()
        self._depth -= 1
        return tree

    def _comparison(self) -> Comparison:
        if self._kind != "word" or self._token not in OPERATORS:
            self._expected(f"a field ({', '.join(OPERATORS)}), 'not' or '('")
        field, key = self._token, ""
        self._next()
        if field == "custom":
            self._need(".")
            if self._kind not in ("word", "text"):
                self._expected('a column\'s name, as in custom.city or custom."Home town"')
            key = self._plain()
        operator = self._operator(field)
        values: list[Value] = []
        if operator == "in":
            self._need("(")
            values.append(self._value(field, operator))
            while self._taken(","):
                values.append(self._value(field, operator))
            self._need(")")
        elif operator == "empty":
            self._count()
        else:
            values.append(self._value(field, operator))
        return Comparison(field, operator, tuple(values), key)

    def _operator(self, field: str) -> Operator:
        said, column = self._token, self._column
        legal = OPERATORS[field]
        words = ", ".join("is empty" if each == "empty" else each for each in legal)
        if self._taken("is"):
            if self._taken("empty") is None:
                self._expected("'empty'")
            said = "empty"
        elif self._taken(*(each for each in legal if each != "empty")) is None:
            self._expected(f"one of {words}")
        if said not in legal:
            raise FilterRefused(column, f"{field} knows only {words}")
        return said  # type: ignore[return-value]

    def _value(self, field: str, operator: Operator) -> Value:
        self._count()
        column = self._column
        if field in NUMBERS:
            if self._kind != "number" or "." in self._token or len(self._token.lstrip("+-")) > 8:
                self._expected("a whole number of at most 8 digits")
            return int(self._plain())
        if field == "created_at":
            if self._kind != "time":
                self._expected("a date or a time (UTC), as 2026-01-31 or 2026-01-31T14:30,")
            try:
                return datetime.fromisoformat(self._plain()).replace(tzinfo=UTC)
            except ValueError:
                raise FilterRefused(column, "there is no such date or time") from None
        if operator in _ORDER:
            if self._kind != "number":
                self._expected("a number")
            return Decimal(self._plain())
        if self._kind not in ("text", "word", "number") or (self._kind == "word" and self._token in _KEYWORDS):
            self._expected('a word or a text in "…"')
        value = self._plain()
        if field == "last_outcome" and value not in OUTCOMES:
            raise FilterRefused(
                column, f"no outcome is called {value[:40]!r}; there are: {', '.join(sorted(OUTCOMES))}"
            )
        return value

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise FilterRefused(self._column, f"more than {MAX_TERMS} comparisons and values")

    def _plain(self) -> str:
        """The token that comes next as it is meant, read past."""
        text = self._token
        if self._kind == "text":
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
            if not text.isprintable():  # and so no surrogates, which UTF-8 does not have
                raise FilterRefused(self._column, "a text has printable characters only")
        self._next()
        return text
