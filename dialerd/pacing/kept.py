"""Decisions as they are kept: snapshot and curves as JSON-ready data and back, exactly, and the decision made again.

The data may go through PostgreSQL's jsonb, which keeps decimals digit by digit, so a float comes back as the same
float. What JSON has no number for (infinity, NaN, −0) goes as text: an absurd snapshot must be kept as well.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from math import copysign, isfinite
from typing import Any

from dialerd.pacing.budget import Budget, Window
from dialerd.pacing.curves import Curves, Model
from dialerd.pacing.policy import decide
from dialerd.pacing.snapshot import Decision, Snapshot

_COUNTS = ("ready", "lines", "connected", "max_concurrent_calls", "headroom", "waiting")
_CURVES = ("answers", "others", "talk", "wrap_up")
_DIGITS = 32  # hexadecimal digits of a digest: nobody makes two curves that share them


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as `snapshot_of` reads it."""
    budget, wait = snapshot.budget, snapshot.serial_wait
    return {
        "mode": snapshot.mode,
        **{name: getattr(snapshot, name) for name in _COUNTS},
        "ringing": [[_number(age), _number(chance)] for age, chance in snapshot.ringing],
        "talking": [_number(age) for age in snapshot.talking],
        "wrapping_up": [_number(age) for age in snapshot.wrapping_up],
        "pacing_ratio": _number(snapshot.pacing_ratio),
        "budget": None if budget is None else _budget_json(budget),
        "serial_wait": None if wait is None else _number(wait),
        "broadcast": snapshot.broadcast,
    }


def snapshot_of(data: Mapping[str, Any]) -> Snapshot:
    """The snapshot that was kept. Raises KeyError, TypeError or ValueError where the data is none."""
    budget, wait = data["budget"], data["serial_wait"]
    return Snapshot(
        mode=data["mode"],
        **{name: int(data[name]) for name in _COUNTS},
        ringing=tuple((float(age), float(chance)) for age, chance in data["ringing"]),
        talking=_floats(data["talking"]),
        wrapping_up=_floats(data["wrapping_up"]),
        pacing_ratio=float(data["pacing_ratio"]),
        budget=None if budget is None else _budget_of(budget),
        serial_wait=None if wait is None else float(wait),
        broadcast=bool(data.get("broadcast", False)),  # those of before have none
    )


def curves_json(curves: Curves) -> dict[str, Any]:
    """Curves as `curves_of` reads them."""
    return {
        "chance": _number(curves.chance),
        **{name: [_number(value) for value in getattr(curves, name)] for name in _CURVES},
        "leaving": _number(curves.leaving),
    }


def curves_of(data: Mapping[str, Any]) -> Curves:
    """The curves that were kept. Raises KeyError, TypeError or ValueError where the data is none."""
    return Curves(
        chance=float(data["chance"]),
        **{name: _floats(data[name]) for name in _CURVES},
        leaving=float(data["leaving"]),
    )


def digest(curves: Curves) -> str:
    """A name for these curves that no others have."""
    canonical = json.dumps(curves_json(curves), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(canonical.encode()).hexdigest()[:_DIGITS]


def replay(snapshot_data: Mapping[str, Any], curves_data: Mapping[str, Any] | None, grace: float) -> Decision:
    """What is decided of the same, by the code as it is now. `grace`: seconds, as the daemon had it."""
    model = None if curves_data is None else _model(curves_of(curves_data), grace)
    return decide(snapshot_of(snapshot_data), model)


@lru_cache(maxsize=8)
def _model(curves: Curves, grace: float) -> Model:
    """Kept: a model serves thousands of decisions in a row, and remembers what it has worked out."""
    return Model(curves, grace)


def _budget_json(budget: Budget) -> dict[str, Any]:
    windows = [[w.answers, w.abandoned, *([_number(w.lost)] if w.lost else [])] for w in budget.windows]
    return {"cap": _number(budget.cap), "windows": windows}


def _budget_of(data: Mapping[str, Any]) -> Budget:
    windows = tuple(
        Window(int(answers), int(abandoned), *map(float, lost)) for answers, abandoned, *lost in data["windows"]
    )
    return Budget(float(data["cap"]), windows)


def _number(value: float) -> float | str:
    value = float(value)
    plain = isfinite(value) and (value != 0 or copysign(1.0, value) > 0)
    return value if plain else repr(value)


def _floats(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
