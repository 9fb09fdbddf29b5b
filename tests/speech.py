"""A text-to-speech command of the tests' own: each text is a tone of its own pitch, which can be recognised again."""

import sys
import wave
from array import array
from math import cos, pi, sin
from pathlib import Path

_SCRIPT = """\
import math, struct, sys
language, seconds = sys.argv[1], float(sys.argv[2])
text = sys.stdin.buffer.read()
if language == "xx":
    sys.exit("no voice for it")
hertz, rate = 500 + 25 * (sum(text) % 100), 22050
samples = [int(12000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(int(rate * seconds))]
body = struct.pack(f"<{len(samples)}h", *samples)
size = 0x7FFFF000  # as a program that writes into a pipe leaves it
sys.stdout.buffer.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", size, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2,
                                    16, b"data", size) + body)
"""


def command(folder: Path, seconds: float = 1.0) -> list[str]:
    """The command, written into a folder; every text takes so long to say."""
    script = folder / "tone.py"
    script.write_text(_SCRIPT)
    return [sys.executable, str(script), "{language}", str(seconds)]


def hertz(text: str) -> int:
    """The pitch of a text."""
    return 500 + 25 * (sum(text.encode()) % 100)


def seconds_of(tone: int, path: Path) -> float:
    """For how long a tone is heard in a WAV file of 8 kHz: in stretches of 50 ms where it is most of the sound."""
    with wave.open(str(path)) as file:
        rate, samples = file.getframerate(), array("h", file.readframes(file.getnframes()))
    size = rate // 20
    return sum(_holds(samples[at : at + size], tone, rate) for at in range(0, len(samples) - size, size)) / 20


def _holds(samples: "array[int]", tone: int, rate: int) -> bool:
    energy = sum(s * s for s in samples)
    turn = [2 * pi * tone * n / rate for n in range(len(samples))]
    real = sum(s * cos(t) for s, t in zip(samples, turn, strict=True))
    imaginary = sum(s * sin(t) for s, t in zip(samples, turn, strict=True))
    loud = energy > len(samples) * 500**2
    return loud and 2 * (real**2 + imaginary**2) / len(samples) > 0.7 * energy
