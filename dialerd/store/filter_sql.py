"""What a filter means, in SQL: fixed fragments and parameters; nothing that somebody wrote becomes text of a statement.

The condition is about a row of contacts called `c`, and is never null.
"""

from typing import Any

from dialerd.core.filter_match import NUMERIC
from dialerd.core.filters import NUMBERS, All, Comparison, Either, Filter, Not

_COLUMNS = {
    "attempts": "c.attempts",
    "priority": "c.priority",
    "created_at": "c.created_at",
    "last_outcome": "coalesce(c.last_outcome, '')",
    "last_disposition": "coalesce(c.last_disposition, '')",
    "name": "c.name",
    "external_id": "coalesce(c.external_id, '')",
    "list": "coalesce((SELECT l.name FROM lists l WHERE l.id = c.list_id), '')",
    "number": "coalesce((SELECT n.e164 FROM numbers n WHERE n.contact_id = c.id AND n.position = c.position), '')",
}
_ZONES = "EXISTS (SELECT FROM zone_sets s, unnest(s.zones) AS z (name) WHERE s.id = c.zone_set{condition})"
_TEXT = {
    "=": "{left} = ANY ({right}::text[])",
    "in": "{left} = ANY ({right}::text[])",
    "!=": "{left} <> ALL ({right}::text[])",
    "startswith": "starts_with({left}, ({right}::text[])[1])",
    "contains": "strpos({left}, ({right}::text[])[1]) > 0",
    "empty": "{left} = ''",
}


def condition(tree: Filter | None, first: int) -> tuple[str, list[Any]]:
    """The condition and its parameters, which are $first and so on. Without a filter everything passes."""
    if tree is None:
        return "true", []
    work = _Work(first)
    return work.of(tree), work.parameters


class _Work:
    def __init__(self, first: int) -> None:
        self.parameters: list[Any] = []
        self._first = first

    def of(self, tree: Filter) -> str:
        if isinstance(tree, Not):
            return f"NOT {self.of(tree.part)}"
        if isinstance(tree, All | Either):
            word = " AND " if isinstance(tree, All) else " OR "
            return "(" + word.join(map(self.of, tree.parts)) + ")"
        return "(" + self._compare(tree) + ")"

    def _put(self, value: Any) -> str:
        self.parameters.append(value)
        return f"${self._first + len(self.parameters) - 1}"

    def _compare(self, term: Comparison) -> str:
        if term.field == "zone":
            return self._zone(term)
        if term.field == "custom":
            left = f"coalesce(c.custom ->> {self._put(term.key)}::text, '')"
            if term.operator in ("<", "<=", ">", ">="):
                value = self._put(term.values[0])
                return (
                    f"CASE WHEN {left} ~ '{NUMERIC}' THEN ({left})::numeric {term.operator} {value}::numeric"
                    " ELSE false END"
                )
            return self._text(term, left)
        left = _COLUMNS[term.field]
        if term.field == "created_at":
            return f"{left} {term.operator} {self._put(term.values[0])}::timestamptz"
        if term.field not in NUMBERS:
            return self._text(term, left)
        if term.operator in ("=", "in", "!="):
            word = "<> ALL" if term.operator == "!=" else "= ANY"
            return f"{left} {word} ({self._put(list(term.values))}::bigint[])"
        return f"{left} {term.operator} {self._put(term.values[0])}::bigint"

    def _text(self, term: Comparison, left: str) -> str:
        right = self._put([str(value) for value in term.values]) if term.values else ""
        return _TEXT[term.operator].format(left=left, right=right)

    def _zone(self, term: Comparison) -> str:
        """One of the zones does; for `!=` and `is empty`, none."""
        if term.operator == "empty":
            return "NOT " + _ZONES.format(condition="")
        text = {"!=": "="}.get(term.operator, term.operator)
        right = self._put([str(value) for value in term.values])
        found = _ZONES.format(condition=" AND " + _TEXT[text].format(left="z.name", right=right))
        return f"NOT {found}" if term.operator == "!=" else found
