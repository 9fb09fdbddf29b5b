"""Which promises are proven: docs/features.toml joined with the tests that carry `@pytest.mark.accepts(id)`.

    python -m tests.features            writes docs/features.md
    python -m tests.features --check    fails when that file is stale, or a test names an unknown id

Tests are read with ast, not run: "proven" means that a test claims it, and `make test` that the claim holds.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class BadMark(ValueError):
    """A mark that cannot be read or names an unknown id; the message says where."""


def read_sections(path: Path) -> dict[str, dict[str, str]]:
    """Section → id → its line, from features.toml."""
    sections: dict[str, dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return sections


def find_marks(tests: Path, known: set[str]) -> dict[str, list[str]]:
    """Id → the tests that prove it, as `path::name`, sorted. Raises `BadMark`."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        place = path.relative_to(tests.parent).as_posix()
        for name, ids, line in marks_of(ast.parse(path.read_text(encoding="utf-8"), place), place):
            for id_ in ids:
                if id_ not in known:
                    raise BadMark(f"{place}:{line}: {name} accepts {id_!r}, unknown to features.toml")
                found.setdefault(id_, []).append(f"{place}::{name}")
    return {id_: sorted(set(names)) for id_, names in found.items()}


def marks_of(tree: ast.Module, place: str) -> Iterator[tuple[str, list[str], int]]:
    """(test, ids, line) of every marked test; marks of a class or a module count for each test in it."""
    yield from _marks_in(tree.body, _module_marks(tree, place), "", place)


def _marks_in(
    body: list[ast.stmt], inherited: list[str], prefix: str, place: str
) -> Iterator[tuple[str, list[str], int]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _marks_in(node.body, inherited + _ids(node, place), f"{prefix}{node.name}::", place)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            ids = _ids(node, place)
            if node.name.startswith("test_"):
                ids = inherited + ids
            elif ids:
                raise BadMark(f"{place}:{node.lineno}: {node.name} is no test and accepts {', '.join(ids)}")
            if ids:
                yield prefix + node.name, ids, node.lineno


def _module_marks(tree: ast.Module, place: str) -> list[str]:
    """Ids of `pytestmark = …` at the top of a file."""
    ids: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            marks = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value]
            for mark in marks:
                ids += _accepted(mark, place)
    return ids


def _ids(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, place: str) -> list[str]:
    return [id_ for decorator in node.decorator_list for id_ in _accepted(decorator, place)]


def _accepted(mark: ast.expr, place: str) -> list[str]:
    """The ids of one `pytest.mark.accepts(…)`; [] for another mark."""
    called = mark.func if isinstance(mark, ast.Call) else mark
    if not (isinstance(called, ast.Attribute) and called.attr == "accepts"):
        return []
    ids = [a.value for a in mark.args if isinstance(a, ast.Constant)] if isinstance(mark, ast.Call) else []
    if not isinstance(mark, ast.Call) or len(ids) != len(mark.args) or not ids or mark.keywords:
        raise BadMark(f"{place}:{mark.lineno}: accepts() takes ids as plain strings")
    return [str(id_) for id_ in ids]


def write(sections: dict[str, dict[str, str]], marks: dict[str, list[str]]) -> str:
    """The text of features.md."""
    total = sum(len(lines) for lines in sections.values())
    out = [
        "# Features",
        "",
        "Written by `make features` from `features.toml` and the tests; do not edit.",
        "",
        f"{len(marks)} of {total} proven.",
    ]
    for section, lines in sections.items():
        out += ["", f"## {section}", "", "| id | what | proven by |", "|---|---|---|"]
        for id_, words in lines.items():
            tests = "<br>".join(f"`{name}`" for name in marks.get(id_, ())) or "not yet"
            out.append(f"| {id_} | {words.replace('|', chr(92) + '|')} | {tests} |")
    return "\n".join(out) + "\n"


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Exit status 0; 1 when --check finds the file stale; 2 for a bad mark or a bad call."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    sections = read_sections(root / "docs" / "features.toml")
    try:
        marks = find_marks(root / "tests", {id_ for lines in sections.values() for id_ in lines})
    except BadMark as error:
        sys.stderr.write(f"{error}\n")
        return 2
    target, text = root / "docs" / "features.md", write(sections, marks)
    if arguments:
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            sys.stderr.write("docs/features.md is stale: run make features\n")
            return 1
        return 0
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
