"""The recogniser of tones: what the tests of who hears whom rest on."""

import struct
from math import pi, sin
from pathlib import Path

from tests.tones import MUSIC, QUIET, quiet_seconds, timeline

KNOWN = {"one": 490, "two": 1090}


def sound(seconds: float, *hz: int) -> list[int]:
    return [
        sum((round(8000 * sin(2 * pi * f * n / 8000)) for f in hz), 0) for n in range(round(seconds * 8000))
    ]  # fmt: skip


def written(path: Path, samples: list[int]) -> Path:
    path.write_bytes(bytes(44) + struct.pack(f"<{len(samples)}h", *samples))
    return path


def test_tones_together_alone_other_sound_and_quiet_are_told_apart_in_their_order(tmp_path: Path) -> None:
    samples = sound(1, 490) + sound(0.3, 777) + sound(1, 490, 1090) + sound(1, 777) + sound(1.2) + sound(1, 1090)
    path = written(tmp_path / "a.wav", samples)
    both = frozenset({"one", "two"})
    assert timeline(path, KNOWN) == [
        frozenset({"one"}), both, frozenset({MUSIC}), frozenset({QUIET}), frozenset({"two"})
    ]  # fmt: skip
    assert 1.0 <= quiet_seconds(path) <= 1.2
