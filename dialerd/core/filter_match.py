"""What a filter means, in Python: for the preview of an import, and as the measure of the SQL."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from dialerd.core.filters import NUMBERS, All, Comparison, Either, Filter, Not

Contact = Mapping[str, Any]
# What counts as a number in a custom field; the SQL asks with the same expression.
NUMERIC: Final = r"^[+-]?[0-9]{1,15}(\.[0-9]{1,9})?$"
_NUMERIC = re.compile(NUMERIC.removesuffix("$") + r"\Z", re.ASCII)
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def matches(tree: Filter, contact: Contact) -> bool:
    """Whether a contact passes. `contact`: the fields of the language by name; `zone` is a collection of names,
    `custom` a mapping of texts, `created_at` aware; what is missing or None is empty (a number: 0)."""
    if isinstance(tree, Not):
        return not matches(tree.part, contact)
    if isinstance(tree, All):
        return all(matches(part, contact) for part in tree.parts)
    if isinstance(tree, Either):
        return any(matches(part, contact) for part in tree.parts)
    return _compare(tree, contact)


def _compare(term: Comparison, contact: Contact) -> bool:
    if term.field == "custom":
        text = contact.get("custom", {}).get(term.key) or ""
        if term.operator in _ORDERS:
            return bool(_NUMERIC.match(text)) and _ORDERS[term.operator](Decimal(text), term.values[0])
        return _compare_text(term, [text])
    value = contact.get(term.field)
    if term.field in NUMBERS:
        value = value or 0
        if term.operator in _ORDERS:
            return _ORDERS[term.operator](value, term.values[0])
        return (value in term.values) != (term.operator == "!=")
    if term.field == "created_at":
        return isinstance(value, datetime) and _ORDERS[term.operator](value, term.values[0])
    return _compare_text(term, list(value or ()) if term.field == "zone" else [value or ""])


def _compare_text(term: Comparison, texts: list[str]) -> bool:
    """Whether one of the texts does."""
    wanted = [str(value) for value in term.values]
    match term.operator:
        case "empty":
            return not any(texts)
        case "startswith":
            return any(text.startswith(wanted[0]) for text in texts)
        case "contains":
            return any(wanted[0] in text for text in texts)
        case "!=":
            return wanted[0] not in texts
        case _:
            return any(text in wanted for text in texts)
