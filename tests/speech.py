"""Sounds that are recognised again in what somebody heard: tones of a text-to-speech command of our own, and speech."""

import sys
import wave
from array import array
from math import cos, pi, sin, sqrt
from pathlib import Path

_SCRIPT = """\
import array, math, sys, wave
language, file, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
text = sys.stdin.buffer.read()
hertz, rate = 500 + 25 * (sum(text) % 100), 22050
samples = (int(12000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(int(rate * seconds)))
with wave.open(file, "wb") as out:
    out.setnchannels(1); out.setsampwidth(2); out.setframerate(rate)
    out.writeframes(array.array("h", samples).tobytes())
"""


def command(folder: Path, seconds: float = 1.0) -> list[str]:
    """A text-to-speech command, written into a folder: each text is a tone of its own pitch, for so long."""
    script = folder / "tone.py"
    script.write_text(_SCRIPT)
    return [sys.executable, str(script), "{language}", "{file}", str(seconds)]


def hertz(text: str) -> int:
    """The pitch of a text."""
    return 500 + 25 * (sum(text.encode()) % 100)


def seconds_of(text: str, path: Path) -> float:
    """For how long a text's tone is heard in a WAV file: in stretches of 50 ms where it is most of the sound."""
    rate, samples = _read(path)
    size, tone = rate // 20, hertz(text)
    return sum(_holds(samples[at : at + size], tone, rate) for at in range(0, len(samples) - size, size)) / 20


def likeness(spoken: Path, heard: Path) -> float:
    """How like a stretch of what was heard is to something spoken, at the best place: 1 is the same. Their loudness in
    steps of 20 ms is compared, which a telephone line leaves as it is."""
    word, line = _loudness(spoken), _loudness(heard) + [0.0] * 25  # the hang-up may cut off the last moment
    return max((_correlation(word, line[at : at + len(word)]) for at in range(len(line) - len(word) + 1)), default=0.0)


def loud_seconds(path: Path) -> float:
    """For how long there was anything to hear."""
    return sum(each > 300 for each in _loudness(path)) / 50


def _read(path: Path) -> tuple[int, "array[int]"]:
    with wave.open(str(path)) as file:
        return file.getframerate(), array("h", file.readframes(file.getnframes()))


def _loudness(path: Path) -> list[float]:
    rate, samples = _read(path)
    size = rate // 50
    return [sqrt(sum(s * s for s in samples[at : at + size]) / size) for at in range(0, len(samples) - size, size)]


def _correlation(a: list[float], b: list[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    ours, theirs = [x - mean_a for x in a], [x - mean_b for x in b]
    size = sqrt(sum(x * x for x in ours) * sum(x * x for x in theirs))
    return sum(x * y for x, y in zip(ours, theirs, strict=True)) / size if size else 0.0


def _holds(samples: "array[int]", tone: int, rate: int) -> bool:
    energy = sum(s * s for s in samples)
    turn = [2 * pi * tone * n / rate for n in range(len(samples))]
    real = sum(s * cos(t) for s, t in zip(samples, turn, strict=True))
    imaginary = sum(s * sin(t) for s, t in zip(samples, turn, strict=True))
    loud = energy > len(samples) * 500**2
    return loud and 2 * (real**2 + imaginary**2) / len(samples) > 0.7 * energy
