"""The verbs: each file of `agi/` is one, known by its file's name; a site's own folder adds to them. All are loaded at
the start.

A request only ever looks its verb up in the loaded ones: nothing of it reaches a path or an import.
"""

import inspect
import os
import re
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType

import structlog

from dialerd.fastagi.desk import Desk
from dialerd.fastagi.wire import AgiCall

log = structlog.get_logger(__name__)

Verb = Callable[[AgiCall, Desk], Awaitable[None]]
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z", re.ASCII)
_MAX_BYTES = 1_000_000


class BadVerb(ValueError):
    """A file of the verbs' folders cannot serve: which, why, and what to do."""


def load(shipped: Path, site: Path | None = None) -> Mapping[str, Verb]:
    """The verbs by name: the shipped ones, then those of the site's folder, which need not be there.

    A site's file with the name of a shipped one takes its place, and the log says so. Raises `BadVerb` at the first
    file that is no verb, or that somebody other than root and the daemon's own user could change.
    """
    verbs = {path.stem: _verb(path, path.read_bytes()) for path in sorted(shipped.glob("*.py"))}
    if not verbs:
        raise BadVerb(f"{shipped} holds no verb")
    for path in _site_files(site) if site is not None else ():
        event = "fastagi.site_verb_replaces_shipped" if path.stem in verbs else "fastagi.site_verb"
        verbs[path.stem] = _verb(path, _read_trusted(path))
        log.info(event, verb=path.stem, file=str(path))
    return verbs


def _site_files(folder: Path) -> list[Path]:
    try:
        where = folder.resolve(strict=True)
        files = sorted(where.glob("*.py"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadVerb(f"{folder}: {error.strerror}") from error
    if not where.is_dir():
        raise BadVerb(f"{folder}: not a folder")
    for place in (where, *where.parents):
        # Whoever can rename in a folder can put another in its place; a sticky one (/tmp) does not let them.
        _check_owner(place, place.stat(), sticky_is_safe=place != where)
    return files


def _read_trusted(path: Path) -> bytes:
    """The contents of a file that only root or we could have written. What is checked is what is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise BadVerb(f"{path}: not a file")
            _check_owner(path, found)
            source = file.read(_MAX_BYTES + 1)
    except OSError as error:  # a symbolic link as well: what is behind it would have to be checked with all its folders
        raise BadVerb(f"{path}: not a file that can be read ({error.strerror}); links are not followed") from error
    if len(source) > _MAX_BYTES:
        raise BadVerb(f"{path}: larger than {_MAX_BYTES} bytes")
    return source


def _check_owner(path: Path, found: os.stat_result, sticky_is_safe: bool = False) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise BadVerb(
            f"{path}: belongs to user {found.st_uid}, who could have the daemon run anything: chown root {path}"
        )
    if found.st_mode & 0o022 and not (sticky_is_safe and found.st_mode & stat.S_ISVTX):
        raise BadVerb(f"{path}: others than its owner may write it: chmod go-w {path}")


def _verb(path: Path, source: bytes) -> Verb:
    name = path.stem
    if not _NAME.match(name) or len(name) > 40:
        raise BadVerb(f"{path}: a verb's file is named like next-cid.py")
    module = ModuleType(f"dialerd_agi_{name.replace('-', '_')}")
    module.__file__ = str(path)
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - a plug-in, whose owner was checked
    except (Exception, SystemExit) as error:
        raise BadVerb(f"{path}: {type(error).__name__}: {error}") from error
    run: object = getattr(module, "run", None)
    if not inspect.iscoroutinefunction(run) or len(inspect.signature(run).parameters) != 2:
        raise BadVerb(f"{path}: has no `async def run(call, desk)`")
    return run
