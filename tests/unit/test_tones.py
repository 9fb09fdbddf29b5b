"""The recogniser of tones: what the tests of who hears whom rest on."""

from math import pi, sin

from tests.tones import MUSIC, QUIET, quiet_seconds, timeline

KNOWN = {"one": 490, "two": 1090}


def sound(seconds: float, *hz: int) -> list[int]:
    return [sum(round(8000 * sin(2 * pi * f * n / 8000)) for f in hz) for n in range(round(seconds * 8000))]


def test_tones_together_alone_other_sound_and_quiet_are_told_apart_in_their_order() -> None:
    samples = sound(1, 490) + sound(0.3, 777) + sound(1, 490, 1090) + sound(1, 777) + sound(1.2) + sound(1, 1090)
    both = frozenset({"one", "two"})
    assert timeline(samples, KNOWN) == [
        frozenset({"one"}), both, frozenset({MUSIC}), frozenset({QUIET}), frozenset({"two"})
    ]  # fmt: skip
    assert 1.0 <= quiet_seconds(samples) <= 1.2
