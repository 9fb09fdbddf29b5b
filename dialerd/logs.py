"""Log lines: one event each, safe to show on a terminal and to keep, with people's numbers masked.

On a terminal pretty; under systemd `<priority>` and logfmt without a time (journald has it); or JSON. No
control character, no endless value and no secret gets through, whoever wrote the text. What libraries say to
the standard `logging` comes out the same way, from warnings upwards.

    log = logs.logger().bind(attempt=attempt_id)
    log.info("ringing", trunk=trunk)
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from dialerd.config import Log
from dialerd.core.phone import masked

MAX_VALUE = 500  # characters of one value
MAX_TRACE = 8000  # characters of a traceback
_MAX_ITEMS = 50  # of a list or a table in a value
_MAX_DEPTH = 4

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_SECRET = re.compile(r"passw|secret|token|authorization|api_?key|cookie", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(://[^/\s:@]*:)[^@\s/]+(@)|(api_key=)[^&\s]+")
# A number is known by its plus, or by what stands before it in a channel's name or an address.
_NUMBER = re.compile(r"(?:\+|(?<=PJSIP/)|(?<=Local/)|(?<=sip:)|(?<=tel:))[1-9][0-9]{5,14}(?![0-9])", re.ASCII)
# C0, DEL and C1 controls, line and paragraph separators, and the marks that turn the writing direction.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WORD = re.compile(r"[a-z0-9_.-]*", re.ASCII)
_PLAIN = re.compile(r"[^\s=\"\\]+\Z")


def configure(log: Log, stream: TextIO | None = None) -> None:
    """Set up logging of the whole process; may be called again. `stream` is stderr unless given."""
    out = sys.stderr if stream is None else stream
    form = log.format
    if form == "auto":
        form = "pretty" if out.isatty() else "journal"
    level = getattr(logging, log.level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            Cleaner(mask=log.mask_numbers, keep_lines=form == "pretty"),
            *_render(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=stream is None,  # a process that logs where it should is set up once
    )
    logging.captureWarnings(True)
    logging.root.handlers = [_Forward(logging.WARNING)]
    logging.root.setLevel(logging.WARNING)


def logger() -> FilteringBoundLogger:
    """A logger; `.bind(attempt=…)` gives one whose every line carries the attempt."""
    return cast(FilteringBoundLogger, structlog.get_logger())


class Cleaner:
    """The processor that makes every key and value of an event harmless."""

    def __init__(self, mask: bool, keep_lines: bool) -> None:
        self._mask = mask
        self._keep_lines = keep_lines  # of tracebacks, where people read them

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Clean one event; structlog's processor interface."""
        clean: EventDict = {}
        for key, value in event.items():
            name, secret = _key(key)
            if secret and not isinstance(value, bool | int | float | None):
                clean[name] = "***"
            elif name == "exception":
                lines = [self._text(line, MAX_TRACE) for line in str(value)[-MAX_TRACE:].splitlines()]
                clean[name] = ("\n" if self._keep_lines else "\\n").join(lines)
            else:
                clean[name] = self._value(value, _MAX_DEPTH)
        return clean

    def _value(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth and isinstance(value, Mapping):
            items = list(value.items())[:_MAX_ITEMS]
            return {
                self._text(str(k), 64): "***" if _SECRET.search(str(k)) else self._value(v, depth - 1) for k, v in items
            }
        if depth and isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth - 1) for item in list(value)[:_MAX_ITEMS]]
        return self._text(str(value), MAX_VALUE)

    def _text(self, text: str, limit: int) -> str:
        if len(text) > limit:
            text = f"{text[:limit]}… ({len(text)} characters)"
        if _WORD.fullmatch(text):  # nothing in it can be a secret, a number or a control character
            return text
        text = _CREDENTIALS.sub(lambda m: f"{m[1]}***{m[2]}" if m[1] else f"{m[3]}***", text)
        if self._mask:
            text = _NUMBER.sub(lambda m: masked(m[0]), text)
        return _CONTROL.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), text)


@lru_cache(1000)
def _key(key: str) -> tuple[str, bool]:
    """A key that is harmless, and whether its values are secret."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", key)[:64]
    return name, _SECRET.search(name) is not None


def logfmt(_logger: object, _method: str, event: EventDict) -> str:
    """`<priority>event key=value …`, in one line."""
    priority = _PRIORITIES.get(str(event.pop("level", "info")), 6)
    words = [str(event.pop("event", ""))]
    words += [f"{key}={_quoted(value)}" for key, value in event.items()]
    return f"<{priority}>" + " ".join(words)


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    if value is None or _PLAIN.match(text):
        return "-" if value is None else text
    return '"' + text.replace('"', '\\"') + '"'


def _render(form: str) -> list[Processor]:
    if form == "json":
        return [
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    if form == "pretty":
        return [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), structlog.dev.ConsoleRenderer()]
    return [logfmt]


class _Forward(logging.Handler):
    """Hands the libraries' records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = logger().bind(logger=record.name)
        try:
            log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)
        except Exception:  # a library's broken record must not end the daemon
            self.handleError(record)
