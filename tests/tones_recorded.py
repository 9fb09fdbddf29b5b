"""Tones in a recorded file: which of them are there, and when. Also what lets people and agents of the lab play one."""

import math
import struct
import wave
from collections.abc import Sequence
from pathlib import Path

from lab.asterisk import Asterisk

RATE = 8_000
WINDOW = 1_600  # samples: 0.2 s, so that tones 50 Hz apart are told apart with ease
SECONDS = WINDOW / RATE
_LOUD = 0.02  # of the greatest amplitude, from which on a tone is there


def write_tone(path: Path, hz: int, seconds: int = 20) -> None:
    """A WAV file that every Asterisk plays; whole waves, so that it can be played again and again."""
    one = [round(8_000 * math.sin(2 * math.pi * hz * n / RATE)) for n in range(RATE)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack(f"<{RATE}h", *one) * seconds)


def read(path: Path) -> Sequence[int]:
    """The samples of a file, which must be 8 kHz, 16 bit, mono and as long as its head says."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 2, 1)
        data = file.readframes(file.getnframes())
    assert len(data) == path.stat().st_size - 44
    return struct.unpack(f"<{len(data) // 2}h", data)


def heard(samples: Sequence[int], hz: int) -> list[bool]:
    """For each fifth of a second, whether this tone is in it (Goertzel)."""
    turn = 2 * math.cos(2 * math.pi * hz / RATE)
    found = []
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        before = now = 0.0
        for sample in samples[start : start + WINDOW]:
            before, now = now, sample + turn * now - before
        power = max(0.0, now * now + before * before - turn * now * before)
        found.append(2 * math.sqrt(power) / WINDOW > _LOUD * 32_768)
    return found


def silence(samples: Sequence[int]) -> float:
    """The longest time without any sound, in seconds."""
    longest = run = 0
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        quiet = max(map(abs, samples[start : start + WINDOW])) < 200
        run = run + 1 if quiet else 0
        longest = max(longest, run)
    return longest * SECONDS


class Players:
    """Lets channels of the carrier play a tone each: `play(channel's extension, Hz)`."""

    def __init__(self, carrier: Asterisk, folder: Path) -> None:
        self._carrier = carrier
        self._folder = folder

    def play(self, exten: str, hz: int) -> bool:
        """The channels of a person (their number) or an agent's phone (its name) play it from now on; whether there is
        one."""
        context = f"tone-{hz}"
        path = self._folder / context
        if not path.with_suffix(".wav").exists():
            write_tone(path.with_suffix(".wav"), hz)
        self._carrier.cli(f"dialplan add extension s,1,Playback,{path} into {context} replace")
        self._carrier.cli(f"dialplan add extension s,2,Goto,1 into {context} replace")
        names = [c.name for c in self._carrier.channels() if c.exten == exten and c.state == "Up"]
        for name in names:
            self._carrier.cli(f"channel redirect {name} {context},s,1")
        return bool(names)
