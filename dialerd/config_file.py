"""From files and the environment to the one `Config`, or to every mistake at once.

`dialerd.toml`, then `conf.d/*.toml` beside it in the order of their names, then the environment's
`DIALERD_SECTION_KEY` (and the older names in `LEGACY`); what comes later wins. A mistake names its file, line
and key, and says what was expected; the value of a secret is never repeated. A file that holds a secret must not
be readable by everybody.
"""

import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dialerd.config import Config, Trunk

DEFAULT_PATH = Path("/etc/dialerd/dialerd.toml")
PATH_VARIABLE = "DIALERD_CONFIG"  # where dialerd.toml is; the one DIALERD_ variable that is no key
PREFIX = "DIALERD_"
MAX_BYTES = 1_000_000

# The names under which older set-ups know the same things.
LEGACY: Mapping[str, tuple[str, str]] = {
    "ASTERISK_AMI_HOST": ("ami", "host"),
    "ASTERISK_AMI_PORT": ("ami", "port"),
    "ASTERISK_AMI_USER": ("ami", "username"),
    "ASTERISK_AMI_SECRET": ("ami", "secret"),
    "ARI_HTTP_URL": ("ari", "url"),
    "ARI_USERNAME": ("ari", "username"),
    "ARI_PASSWORD": ("ari", "password"),
    "ARI_APP": ("ari", "app"),
    "REDIS_URL": ("redis", "url"),
    "REDIS_PASSWORD": ("redis", "password"),
    "DATABASE_URL": ("postgres", "dsn"),
    "DIALER_TOKEN": ("batch", "token"),
    "ASSIGNMENT_TIMEOUT_MINUTES": ("batch", "assignment_timeout_minutes"),
    "DIAL_INTERVAL_SECONDS": ("dialing", "serial_interval_seconds"),
    "DIALER_DRY_RUN": ("calls", "dry_run"),
    "TELEPHONY_BACKEND": ("calls", "backend"),
    "DEFAULT_CONTEXT": ("calls", "context"),
    "DEFAULT_EXTENSION": ("calls", "extension"),
    "DEFAULT_TIMEOUT": ("calls", "timeout_seconds"),
    "DEFAULT_CALLER_ID": ("calls", "caller_id"),
}
_MILLISECONDS = {"DEFAULT_TIMEOUT"}
_ADDRESSES = {("postgres", "dsn"), ("redis", "url")}  # their password has a key of its own

KeyPath = tuple[str, ...]
_HEADER = re.compile(r"""\s*\[\[?\s*([^\]#]+?)\s*\]\]?\s*(?:#.*)?$""")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: `where` is `file:line`, `file`, an environment variable, or empty; `key` may be empty."""

    where: str
    key: str
    says: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.says) if part)


class ConfigError(ValueError):
    """The configuration cannot be used; `problems` holds every mistake that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read everything. Raises `ConfigError`."""
    problems: list[Problem] = []
    layers = Layers()
    for file in _files(path, problems):
        _read(file, layers, problems)
    for name, key_path, value in from_environment(environ, problems):
        layers.put(key_path, value, name)
    return build(layers, problems)


class Layers:
    """The merged tables, and where each value came from."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[KeyPath, str] = {}

    def put(self, path: KeyPath, value: object, where: str) -> None:
        """Set one value, over what earlier layers said."""
        table = self.tree
        for part in path[:-1]:
            inner = table.get(part)
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[path[-1]] = value
        self.origins[path] = where

    def origin(self, path: KeyPath) -> str:
        """Where the value was written, or what is in it, or the table around it."""
        if path in self.origins:
            return self.origins[path]
        inside = (where for known, where in self.origins.items() if known[: len(path)] == path)
        return next(inside, "") or (self.origin(path[:-1]) if len(path) > 1 else "")


def build(layers: Layers, problems: list[Problem]) -> Config:
    """The typed object, or `ConfigError` with `problems` and what the types refuse. Pure."""
    for path in sorted(_ADDRESSES):
        _refuse_password(layers, path, problems)
    for name, field in Config.model_fields.items():
        if field.is_required():
            layers.tree.setdefault(name, {})  # so that the missing key is named, not the section
    try:
        config = Config.model_validate(layers.tree)
    except ValidationError as error:
        problems += [_explain(detail, layers) for detail in error.errors(include_url=False, include_context=False)]
    if problems:
        raise ConfigError(problems)
    return config


def from_environment(environ: Mapping[str, str], problems: list[Problem]) -> Iterator[tuple[str, KeyPath, str]]:
    """(variable, key, value) of each variable that is ours; our own names come last and win."""
    for name, path in LEGACY.items():
        if name not in environ:
            continue
        value = environ[name]
        if path in _ADDRESSES:
            # SQLAlchemy names its driver in the scheme: postgresql+asyncpg://
            value, password = split_password(re.sub(r"^(\w+)\+\w+:", r"\1:", value))
            if password:
                yield name, (path[0], "password"), password
        if name in _MILLISECONDS and value.isascii() and value.isdigit():
            value = f"{int(value) / 1000:g}"
        yield name, path, value
    known = {PREFIX + "_".join(path).upper(): path for path in known_keys() if path[0] != "trunks"}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == PATH_VARIABLE:
            continue
        if name in known:
            yield name, known[name], environ[name]
        else:
            hint = _nearest(name, known)
            if name.startswith(PREFIX + "TRUNKS_"):
                hint = "; trunks are declared in files"
            problems.append(Problem(name, "", f"unknown variable{hint}"))


def known_keys() -> list[KeyPath]:
    """Every key that may be written, but for those of the single trunks."""
    found: list[KeyPath] = []
    for name, field in Config.model_fields.items():
        section = _section(field)
        found += [(name, key) for key in section.model_fields] if section else [(name,)]
    return found


def lines_of(text: str) -> dict[KeyPath, int]:
    """Where each key and table of a TOML text is written (1-based); not the keys of inline tables."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.match(line):
            table = _parts(match[1])
            found.setdefault(table, number)
        elif match := _KEY.match(line):
            found.setdefault((*table, *_parts(match[1])), number)
    return found


def split_password(address: str) -> tuple[str, str | None]:
    """An address without its password, and the password."""
    try:
        parts = urlsplit(address)
    except ValueError:  # not an address at all; who uses it will say so
        return address, None
    if not parts.password:
        return address, None
    user = f"{parts.username}@" if parts.username else ""
    host = parts.netloc.rsplit("@", 1)[1]
    return urlunsplit(parts._replace(netloc=user + host)), unquote(parts.password)


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if not path.is_file():
        problems.append(Problem(str(path), "", "no such file: 'dialer-admin setup' makes a first one"))
    folder = path.parent / "conf.d"
    extra = []
    for file in sorted(folder.glob("*.toml")):
        if not file.resolve().is_relative_to(folder.resolve()):
            problems.append(Problem(str(file), "", "a link that leads out of conf.d is not followed"))
        else:
            extra.append(file)
    return [path, *extra] if path.is_file() else extra


def _read(file: Path, layers: Layers, problems: list[Problem]) -> None:
    try:
        with file.open("rb") as source:
            mode = stat.S_IMODE(file.stat().st_mode)
            content = source.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        text = content.decode("utf-8-sig")
        tree = tomllib.loads(text)
    except (OSError, ValueError) as error:  # a syntax error is a ValueError that names its line
        where, says = _place(str(file), error)
        problems.append(Problem(where, "", says))
        return
    lines = lines_of(text)
    for table, number in lines.items():
        layers.origins.setdefault(table, f"{file}:{number}")
    for path, value in _leaves(tree):
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
        layers.put(path, value, f"{file}:{line}" if line else str(file))
        if _is_secret(path) and mode & 0o007:
            says = f"this file holds a secret and everybody may read it: chmod o= {file}"
            problems.append(Problem(str(file), ".".join(path), says))


def _place(file: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, UnicodeDecodeError):
        return file, f"not UTF-8 at byte {error.start}"
    if isinstance(error, OSError):
        return file, error.strerror or type(error).__name__
    match = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
    return (f"{file}:{match[1]}", str(error)[: match.start()]) if match else (file, str(error))


def _leaves(tree: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _explain(detail: ErrorDetails, layers: Layers) -> Problem:
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    key, where = ".".join(path), layers.origin(path)
    match detail["type"]:
        case "extra_forbidden":
            return Problem(where, key, "unknown key" + _nearest(key, _dotted(path)))
        case "missing" if _is_secret(path):
            variable = PREFIX + "_".join(path).upper()
            return Problem("", key, f"missing: 'dialer-admin setup' makes it, or set {variable}")
        case "missing":
            return Problem(where, key, "missing")
        case "string_pattern_mismatch":
            expected = "1 to 64 letters, digits, '_', '.' or '-'"
        case "too_short":
            expected = "something, not an empty text"
        case "model_type":
            expected = "a table"
        case _:
            expected = re.sub(r"^(Input|Value|String) should (be |have )?", "", detail["msg"])
    got = "" if _is_secret(path) else f", not {str(detail['input'])[:60]!r}"
    return Problem(where, key, f"expected {expected}{got}")


def _dotted(path: KeyPath) -> list[str]:
    """The names that may stand where `path` does."""
    if path[0] == "trunks":
        return [".".join((*path[:2], key)) for key in Trunk.model_fields]
    if len(path) == 1:
        return list(Config.model_fields)
    return [".".join(known) for known in known_keys()]


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; the nearest known is {close[0]}" if close else ""


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _is_secret(path: KeyPath) -> bool:
    field = Config.model_fields.get(path[0])
    section = _section(field) if field else None
    inner = section.model_fields.get(path[1]) if section and len(path) == 2 else None
    return inner is not None and _mentions_secret(inner.annotation)


def _mentions_secret(kind: object) -> bool:
    return kind is SecretStr or any(_mentions_secret(inner) for inner in get_args(kind))


def _refuse_password(layers: Layers, path: KeyPath, problems: list[Problem]) -> None:
    table = layers.tree.get(path[0])
    value = table.get(path[1]) if isinstance(table, dict) else None
    if isinstance(value, str) and split_password(value)[1]:
        says = f"an address with a password in it: the password belongs to {path[0]}.password"
        problems.append(Problem(layers.origin(path), ".".join(path), says))


def _parts(key: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(key))
