"""The named queries of `sql/queries/`: SQL lives in files that a database person can read, not in strings.

A file holds blocks of `-- name: xyz`, at least one comment line on what the query does, and one statement:

    CREATE = queries("campaigns").create

Take each query at module level, so that a missing name stops the import and not the first call.
"""

import re
from collections.abc import Mapping
from functools import cache

from dialerd.paths import shipped

_NAME = re.compile(r"^-- name: *(\S*) *$", re.MULTILINE)
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)


class BadQueryFile(ValueError):
    """A file of named queries breaks the form: file, query, and what is wrong."""


class Queries:
    """The queries of one file, as attributes."""

    def __init__(self, file: str, texts: Mapping[str, str]) -> None:
        self._file = file
        self._texts = dict(texts)

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"{self._file} has no query '{name}'") from None


@cache
def queries(name: str) -> Queries:
    """The queries of `sql/queries/<name>.sql`. Raises FileNotFoundError or `BadQueryFile`."""
    path = shipped("sql") / "queries" / f"{name}.sql"
    return Queries(path.name, parse(path.name, path.read_text(encoding="utf-8")))


def parse(file: str, text: str) -> dict[str, str]:
    """Name → statement, the comment kept (it shows in PostgreSQL's log). Raises `BadQueryFile`."""
    parts = _NAME.split(text)
    found: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if not _IDENTIFIER.match(name):
            raise BadQueryFile(f"{file}: '{name}' is not a query name (a-z, 0-9, _)")
        if name in found:
            raise BadQueryFile(f"{file}: two queries are named '{name}'")
        lines = [line for line in body.strip().splitlines() if line.strip()]
        if not lines or not lines[0].startswith("--"):
            raise BadQueryFile(f"{file}: query '{name}' has no comment on what it does")
        if all(line.lstrip().startswith("--") for line in lines):
            raise BadQueryFile(f"{file}: query '{name}' has no statement")
        found[name] = body.strip()
    if not found:
        raise BadQueryFile(f"{file}: no '-- name: …' line")
    return found
