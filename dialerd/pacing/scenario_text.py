"""A scenario as TOML. What is wrong with a text is said all at once: the key, what may stand there, and what does."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dialerd.pacing.scenario import Mode, Scenario


class ScenarioRefused(ValueError):
    """A text is no scenario; one line for each mistake."""


def read(text: str, name: str) -> Scenario:
    """The scenario that a text holds; `name` says where the text is from. Raises `ScenarioRefused`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioRefused(f"{name}: not TOML: {error}") from None
    try:
        return Scenario.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise ScenarioRefused("\n".join(f"{name}: {said}" for detail in details for said in _said(detail))) from None


def write(scenario: Scenario) -> str:
    """A text that `read` turns into this scenario again; what is as usual is left out."""
    tree = scenario.model_dump(by_alias=True, exclude_defaults=True)
    lines = [f"{key} = {_value(value)}" for key, value in tree.items() if not isinstance(value, dict | tuple)]
    for group in tree["agents"]:
        lines += ["", "[[agents]]", *_pairs(group)]
    for key, table in tree.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *_pairs(table)]
            for inner, hours in table.items():
                if isinstance(hours, dict):
                    lines += ["", f"[{key}.{inner}]", *(f'"{hour:02}:00" = {_value(hours[hour])}' for hour in hours)]
    return "\n".join(lines).strip() + "\n"


def _pairs(table: Mapping[str, Any]) -> Iterable[str]:
    return [
        f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict) and value is not None
    ]


def _value(value: object) -> str:
    """JSON's texts (without control characters that JSON lets stand), numbers and lists are TOML's."""
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _said(detail: ErrorDetails) -> Iterable[str]:
    path = _path(detail["loc"])
    words = re.sub(r"^(Value error, |(Input|Value|String|Tuple|List) should (be |have )?)", "", detail["msg"])
    match detail["type"]:
        case "missing":
            yield f"{path}: missing"
        case "extra_forbidden":
            yield f"{path}: unknown key{_nearest(detail['loc'])}"
        case "value_error" if not path:  # of the whole scenario: each line names its place
            yield from words.splitlines()
        case "model_type" | "model_attributes_type":
            yield f"{path}: expected a table"
        case "literal_error":
            yield f"{path}: expected {' or '.join(get_args(Mode))}, not {str(detail['input'])[:40]!r}"
        case "value_error" if isinstance(detail["input"], Mapping):
            yield f"{path}: {words}"
        case _:
            yield f"{path}: expected {words}, not {str(detail['input'])[:40]!r}"


def _path(loc: tuple[int | str, ...]) -> str:
    """agents[2].count: the second group of agents is number 2."""
    found = ""
    for part in loc:
        if isinstance(part, int) and found == "agents":
            found += f"[{part + 1}]"
        else:
            found += f".{part}" if found else str(part)
    return found


def _nearest(loc: tuple[int | str, ...]) -> str:
    fields: Mapping[str, Any] = Scenario.model_fields
    for part in loc[:-1]:
        if isinstance(part, str):
            fields = next((x.model_fields for x in _models(fields[part].annotation)), {})
    known = [field.alias or name for name, field in fields.items()]
    close = get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    return f"; the nearest known is {close[0]}" if close else f"; known are {', '.join(known)}"


def _models(kind: object) -> Iterable[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)
