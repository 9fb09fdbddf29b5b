"""Who hears whom, by tones: in the lab everybody can be a tone of their own, and what each one hears comes to us.

The carrier hands each call's sound to us over AudioSocket, as it comes from the wire: nothing is kept back, and a time
in which nothing came is silence. Music is what is neither a tone nor quiet.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from math import cos, pi, sin
from uuid import UUID

from tests.live.place import Place

_RATE = 8_000
_FRAME = 160  # samples: 20 ms
_WINDOW = 1_600  # samples: 0.2 s, so tones 5 Hz apart are told apart, and ours are 90
_QUIET = 1_000.0  # mean of the squares: far below a tone, above what transcoding leaves
_SHARE = 0.05  # of a window's power, from which on a tone is in it
_LASTS = 3  # windows in a row: shorter ones are the moment of a change
_LATE = 0.1  # seconds without a frame, from which on it was silence
_UUID, _SOUND = 1, 0x10
RINGING, MUSIC, QUIET = "ringing", "music", "quiet"
Heard = frozenset[str]


def agent_hz(name: str) -> int:
    """The tone of `agent-N`."""
    return 400 + 90 * int(name.removeprefix("agent-"))


def person_hz(e164: str) -> int:
    """The tone of a subscriber: by the last digit."""
    return 1000 + 90 * int(e164[-1])


class Tones:
    """What everybody heard so far, by their name: `agent-N`, or the number of a subscriber."""

    def __init__(self) -> None:
        self._heard: dict[str, list[int]] = {}
        self._sockets: set[socket.socket] = set()
        self._calls: dict[str, socket.socket] = {}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more calls; those that there are end."""
        self._listening.close()
        for one in list(self._sockets):
            one.close()

    def hang_up(self, who: str) -> None:
        """Their phone hangs up, if it is in a call."""
        if (call := self._calls.get(who)) is not None:
            call.sendall(b"\x00\x00\x00")

    def is_up(self, who: str) -> bool:
        """Whether they are in a call, and are their tone."""
        return who in self._calls

    def samples(self, who: str) -> Sequence[int]:
        """8 kHz, 16 bit; of all their calls, one after the other."""
        return list(self._heard.get(who, ()))

    def length(self, who: str) -> int:
        """How many samples they heard so far."""
        return len(self._heard.get(who, ()))

    def _accept(self) -> None:
        while True:
            try:
                call, _ = self._listening.accept()
            except OSError:
                return
            self._sockets.add(call)
            threading.Thread(target=self._serve, args=(call,), daemon=True).start()

    def _serve(self, call: socket.socket) -> None:
        who = ""
        try:
            with call, call.makefile("rb") as stream:
                last = time.monotonic()
                while len(head := stream.read(3)) == 3:
                    kind, body = head[0], stream.read(int.from_bytes(head[1:], "big"))
                    now = time.monotonic()
                    if kind == _UUID:
                        who = _name(UUID(bytes=body))
                        self._calls[who] = call
                        threading.Thread(target=self._play, args=(call, _hz(who)), daemon=True).start()
                    elif kind == _SOUND:
                        heard = self._heard.setdefault(who, [])
                        if now - last > _LATE:
                            heard.extend([0] * round((now - last) * _RATE))
                        heard.extend(struct.unpack(f"<{len(body) // 2}h", body))
                        last = now
        except OSError:
            pass
        finally:
            self._sockets.discard(call)
            if self._calls.get(who) is call:
                del self._calls[who]

    def _play(self, call: socket.socket, hz: int) -> None:
        second = [round(6000 * sin(2 * pi * hz * n / _RATE)) for n in range(_RATE)]  # whole waves: it can be repeated
        frames = [struct.pack(f"<{_FRAME}h", *second[n : n + _FRAME]) for n in range(0, _RATE, _FRAME)]
        started, sent = time.monotonic(), 0
        try:
            while True:
                call.sendall(bytes([_SOUND]) + (2 * _FRAME).to_bytes(2, "big") + frames[sent % len(frames)])
                sent += 1
                time.sleep(max(0.0, started + sent * _FRAME / _RATE - time.monotonic()))  # the pace of a telephone
        except OSError:
            return


@contextmanager
def tones(place: Place) -> Iterator[Tones]:
    """Everybody whom the carrier answers for is a tone."""
    found = Tones()
    carrier = place.site.lab.carrier
    carrier.cli(f"dialplan set global TONES {found.address}")
    try:
        yield found
    finally:
        carrier.cli('dialplan set global TONES ""')
        found.close()


def timeline(samples: Sequence[int], known: Mapping[str, int]) -> list[Heard]:
    """What was heard, in order: each a set of names of `known` (name → Hz), of RINGING, or {MUSIC} or {QUIET}. What is
    shorter than half a second is left out."""
    known = {**known, RINGING: 425}
    windows = [_what(part, known) for part in _windows(samples)]
    runs = [(what, len(list(run))) for what, run in groupby(windows)]
    return [what for what, _ in groupby(what for what, length in runs if length >= _LASTS)]


def quiet_seconds(samples: Sequence[int]) -> float:
    """The longest time in which nothing at all was heard."""
    quiet = [_power(part) < _QUIET for part in _windows(samples)]
    return max((len(list(run)) for is_quiet, run in groupby(quiet) if is_quiet), default=0) * _WINDOW / _RATE


def _windows(samples: Sequence[int]) -> Iterator[Sequence[int]]:
    for n in range(0, len(samples) - _WINDOW + 1, _WINDOW):
        yield samples[n : n + _WINDOW]


def _what(samples: Sequence[int], known: Mapping[str, int]) -> Heard:
    power = _power(samples)
    if power < _QUIET:
        return frozenset({QUIET})
    found = frozenset(name for name, hz in known.items() if _tone(samples, hz) > _SHARE * power)
    return found or frozenset({MUSIC})


def _power(samples: Sequence[int]) -> float:
    return sum(s * s for s in samples) / max(1, len(samples))


def _tone(samples: Sequence[int], hz: int) -> float:
    """The power of one frequency (Goertzel), on the scale of `_power`."""
    turn = 2 * cos(2 * pi * hz / _RATE)
    before, now = 0.0, 0.0
    for sample in samples:
        before, now = now, sample + turn * now - before
    return 2 * (now * now + before * before - turn * now * before) / len(samples) ** 2


def _name(told: UUID) -> str:
    digits = told.hex[-12:]
    return f"+{digits}" if int(digits) > 99 else f"agent-{int(digits)}"


def _hz(who: str) -> int:
    return person_hz(who) if who.startswith("+") else agent_hz(who)
