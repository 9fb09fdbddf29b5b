"""Who hears whom, by tones: in the lab everybody can be a tone of their own, and a WAV file of what they hear.

`timeline` reads such a file as a row of what was heard, one after the other. Music is what is neither a tone nor quiet.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from math import cos, pi
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.live.place import Place

_RATE = 8_000
_WINDOW = 1_600  # samples: 0.2 s, so tones 5 Hz apart are told apart, and ours are 90
_QUIET = 100.0  # mean of the squares: far below a tone, above what transcoding leaves
_SHARE = 0.1  # of a window's power, from which on a tone is in it
_LASTS = 3  # windows in a row: shorter ones are the moment of a change
RINGING, MUSIC, QUIET = "ringing", "music", "quiet"
Heard = frozenset[str]


def agent_hz(name: str) -> int:
    """The tone of `agent-N`."""
    return 400 + 90 * int(name.removeprefix("agent-"))


def person_hz(e164: str) -> int:
    """The tone of a subscriber: by the last digit."""
    return 1000 + 90 * int(e164[-1])


@contextmanager
def tones(place: Place) -> Iterator[Path]:
    """Everybody whom the carrier answers for is a tone; the folder in which what they hear is written."""
    carrier = place.site.lab.carrier
    with TemporaryDirectory(prefix="dialerd-tones-") as folder:
        carrier.cli(f"dialplan set global TONES {folder}")
        try:
            yield Path(folder)
        finally:
            carrier.cli('dialplan set global TONES ""')


def timeline(path: Path, known: Mapping[str, int]) -> list[Heard]:
    """What was heard, in order: each a set of names of `known` (name → Hz), of RINGING, or {MUSIC} or {QUIET}. What is
    shorter than half a second is left out."""
    samples = _samples(path)
    known = {**known, RINGING: 425}
    windows = [_heard(samples[n : n + _WINDOW], known) for n in range(0, len(samples) - _WINDOW + 1, _WINDOW)]
    runs = [(what, len(list(run))) for what, run in groupby(windows)]
    return [what for what, _ in groupby(what for what, length in runs if length >= _LASTS)]


def quiet_seconds(path: Path) -> float:
    """The longest time in which nothing at all was heard."""
    samples = _samples(path)
    windows = [_power(samples[n : n + _WINDOW]) < _QUIET for n in range(0, len(samples) - _WINDOW + 1, _WINDOW)]
    return max((len(list(run)) for quiet, run in groupby(windows) if quiet), default=0) * _WINDOW / _RATE


def _heard(samples: tuple[int, ...], known: Mapping[str, int]) -> Heard:
    power = _power(samples)
    if power < _QUIET:
        return frozenset({QUIET})
    found = frozenset(name for name, hz in known.items() if _tone(samples, hz) > _SHARE * power)
    return found or frozenset({MUSIC})


def _power(samples: tuple[int, ...]) -> float:
    return sum(s * s for s in samples) / max(1, len(samples))


def _tone(samples: tuple[int, ...], hz: int) -> float:
    """The power of one frequency (Goertzel), on the scale of `_power`."""
    turn = 2 * cos(2 * pi * hz / _RATE)
    before, now = 0.0, 0.0
    for sample in samples:
        before, now = now, sample + turn * now - before
    return 2 * (now * now + before * before - turn * now * before) / len(samples) ** 2


def _samples(path: Path) -> tuple[int, ...]:
    """The samples of a WAV file that may be still growing: 8 kHz, 16 bit, mono, a header of 44 bytes."""
    data = path.read_bytes()[44:]
    return struct.unpack(f"<{len(data) // 2}h", data[: len(data) // 2 * 2])
