"""Texts as sound files: rendered once, when a flow is checked, by a text-to-speech command, and kept by their hash.

The daemon never renders. The command is run without a shell: the text goes in on its standard input, the language has
been checked, and `{file}` is a name of our own. What it writes becomes what every Asterisk plays: 8 kHz, mono, 16 bits.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import wave
from array import array
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from dialerd.core.flow import Prompt

_RATE = 8000
_SECONDS = 60.0  # that a command may take
_MAX_BYTES = 50_000_000  # of what it writes


class NotRendered(RuntimeError):
    """The command could not be run, failed, or wrote no WAV file."""


def name_of(prompt: Prompt, command: Sequence[str]) -> str:
    """The file's name, without an ending; another text, language or command is another file."""
    parts = [*command, prompt.language, prompt.text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def spoken(prompt: Prompt, command: Sequence[str], folder: Path) -> str | None:
    """Asterisk's name of the sound of a text, or None while there is no file of it."""
    path = folder / name_of(prompt, command)
    return str(path) if path.with_suffix(".wav").is_file() else None


def render(prompt: Prompt, command: Sequence[str], folder: Path) -> Path:
    """The sound file of a text, which is made unless it is there. Raises `NotRendered`, OSError."""
    target = folder / f"{name_of(prompt, command)}.wav"
    if target.is_file():
        return target
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="render-", dir=folder) as scratch:
        raw, ready = Path(scratch) / "raw.wav", Path(scratch) / "ready.wav"
        _run([part.format(language=prompt.language, file=str(raw)) for part in command], prompt.text)
        _for_asterisk(raw, ready)
        ready.chmod(0o644)  # Asterisk is another user
        ready.replace(target)
    return target


def _run(argv: list[str], text: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command, no shell, the text on stdin
            argv, input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_SECONDS, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except FileNotFoundError:
        raise NotRendered(f"{argv[0]} is not installed: install it, or name another in [flows] tts_command") from None
    except subprocess.TimeoutExpired:
        raise NotRendered(f"{argv[0]} was not done within {_SECONDS:g} s") from None
    if done.returncode != 0:
        raise NotRendered(f"{argv[0]} failed: {done.stderr.decode(errors='replace').strip()[-200:] or done.returncode}")


def _for_asterisk(raw: Path, ready: Path) -> None:
    try:
        if raw.stat().st_size > _MAX_BYTES:
            raise NotRendered(f"the text-to-speech command wrote more than {_MAX_BYTES} bytes")
        with wave.open(str(raw), "rb") as source:
            channels, width, rate = source.getnchannels(), source.getsampwidth(), source.getframerate()
            frames = source.readframes(_MAX_BYTES)
    except (FileNotFoundError, EOFError, wave.Error) as error:
        raise NotRendered(f"the text-to-speech command wrote no WAV file: {error}") from None
    if width != 2 or not 1 <= channels <= 2 or not 4000 <= rate <= 192_000 or not frames:
        raise NotRendered(f"its WAV file has {channels} channels of {8 * width} bits at {rate} Hz: 16 bits are read")
    samples = array("h", frames[: len(frames) // (2 * channels) * 2 * channels])
    if sys.byteorder == "big":
        samples.byteswap()
    at_8k = resampled(samples[::channels], rate)
    if sys.byteorder == "big":
        at_8k.byteswap()
    with wave.open(str(ready), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(_RATE)
        target.writeframes(at_8k.tobytes())


def resampled(samples: "array[int]", rate: int) -> "array[int]":
    """The same sound at 8 kHz: each sample the mean of those that it stands for, so that little folds back."""
    if rate == _RATE:
        return samples
    sums = [0, *accumulate(samples)]
    count = len(samples) * _RATE // rate
    out = array("h", bytes(2 * count))
    for n in range(count):
        begin = n * rate // _RATE
        end = max(begin + 1, (n + 1) * rate // _RATE)
        out[n] = (sums[end] - sums[begin]) // (end - begin)
    return out
