"""A JSON list into numbered rows of cells, as the older dialer kept its numbers: texts, or objects with a number each.

The first row given, number 0, is the header; the entries count from 1.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from dialerd.core.textrows import FileRefused

MAX_BYTES = 64 << 20  # it must stand in memory as a whole
_MAX_NAMES = 200
_BEGINS = re.compile(rb'(?:\xef\xbb\xbf)?\s*\[\s*(?:["{0-9+\]]|\Z)')


def is_json(head: bytes) -> bool:
    """Whether a file that begins so is a JSON list."""
    return _BEGINS.match(head) is not None


def json_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows. A text or a number alone is a `phone`. Raises `FileRefused`."""
    if len(content) > MAX_BYTES:
        raise FileRefused(f"a JSON file has at most {MAX_BYTES >> 20} MB: use CSV")
    try:
        entries = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"this is no JSON: {error}") from None
    if not isinstance(entries, list):
        raise FileRefused("a JSON list was expected: texts, or objects with a phone")
    names: dict[str, None] = {}
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, dict):
            names.update(dict.fromkeys(entry))
        elif isinstance(entry, list):
            raise FileRefused(f"entry {number} is a list: texts or objects were expected")
        else:
            names.setdefault("phone")
        if len(names) > _MAX_NAMES:
            raise FileRefused(f"more than {_MAX_NAMES} names of fields")
    yield 0, list(names)
    for number, entry in enumerate(entries, 1):
        fields = entry if isinstance(entry, dict) else {"phone": entry}
        yield number, [_cell(fields.get(name)) for name in names]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
