"""The verbs: each file of `agi/` is one, known by its file's name. All are loaded at the start.

A request only ever looks its verb up in the loaded ones: nothing of it reaches a path or an import.
"""

import importlib.util
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from dialerd.fastagi.desk import Desk
from dialerd.fastagi.wire import AgiCall

Verb = Callable[[AgiCall, Desk], Awaitable[None]]
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z", re.ASCII)


class BadVerb(ValueError):
    """A file of the verbs' folder cannot serve: which, and why."""


def load(folder: Path) -> Mapping[str, Verb]:
    """The verbs of a folder by name. Raises `BadVerb` at the first file that is not one."""
    verbs = {path.stem: _load(path) for path in sorted(folder.glob("*.py"))}
    if not verbs:
        raise BadVerb(f"{folder} holds no verb")
    return verbs


def _load(path: Path) -> Verb:
    name = path.stem
    if not _NAME.match(name) or len(name) > 40:
        raise BadVerb(f"{path}: a verb's file is named like next-cid.py")
    spec = importlib.util.spec_from_file_location(f"dialerd_agi_{name.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise BadVerb(f"{path}: cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadVerb(f"{path}: {type(error).__name__}: {error}") from error
    run: object = getattr(module, "run", None)
    if not inspect.iscoroutinefunction(run) or len(inspect.signature(run).parameters) != 2:
        raise BadVerb(f"{path}: has no `async def run(call, desk)`")
    return run
