"""The head of a WAV file as Asterisk writes it: 44 bytes, then 16 bit samples. Pure.

Asterisk writes the lengths when a recording ends; one whose Asterisk was killed says that it is empty.
"""

import struct

SIZE = 44  # bytes
_FORM = struct.Struct("<4sI4s4sIHHIIHH4sI")


class NoWav(ValueError):
    """Not a WAV file of this form."""


def read(head: bytes, size: int) -> tuple[bytes, float]:
    """The head as it must be in a file of `size` bytes, and how many seconds of sound it holds. Raises `NoWav`."""
    if len(head) < SIZE or size < SIZE:
        raise NoWav("shorter than the head of a WAV file")
    riff, _, wave, fmt, sixteen, code, channels, rate, per_second, block, bits, data, _ = _FORM.unpack(head[:SIZE])
    if (riff, wave, fmt, sixteen, code, data) != (b"RIFF", b"WAVE", b"fmt ", 16, 1, b"data") or per_second == 0:
        raise NoWav("not the head of a plain WAV file")
    sound = size - SIZE
    right = _FORM.pack(riff, 36 + sound, wave, fmt, sixteen, code, channels, rate, per_second, block, bits, data, sound)
    return right, sound / per_second
