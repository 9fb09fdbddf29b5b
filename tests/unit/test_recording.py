"""Which calls are recorded, what stands in the way, and the head of the file."""

import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from dialerd.archive.place import ArchiveFailed, checked, key_of
from dialerd.core import ids, recording, wavehead
from dialerd.core.recording import refusal
from dialerd.engine.mover import free_bytes
from dialerd.places.profiles import names, profile
from tests.tones_recorded import heard, read, silence, write_tone

ATTEMPT = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
LOT = 0.141882583992  # of this attempt
NAME = recording.name(ATTEMPT, "00112233aabbccdd")


def test_a_share_is_drawn_from_the_attempts_id_and_from_nothing_else() -> None:
    calls = [str(UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))) for n in range(1, 4001)]
    drawn = [call for call in calls if recording.drawn(call, 0.1)]
    assert 320 < len(drawn) < 480
    assert drawn == [call for call in calls if recording.drawn(call, 0.1)], "the same ones again"
    assert set(drawn) <= {call for call in calls if recording.drawn(call, 0.2)}, "a larger share only adds"
    assert not any(recording.drawn(call, 0.0) for call in calls)
    assert all(recording.drawn(call, 1.0) for call in calls)


def test_the_draw_is_the_documented_one() -> None:
    # python3 -c "import hashlib; print(int(hashlib.sha256(b'dialerd recording <id>').hexdigest()[:16], 16) / 2**64)"
    assert not recording.drawn(ATTEMPT, LOT - 1e-9)
    assert recording.drawn(ATTEMPT, LOT + 1e-9)


@pytest.mark.parametrize(
    ("policy", "share", "expected"),
    [("never", 1.0, False), ("always", 0.0, True), ("demand", 1.0, False), ("share", 1.0, True), ("share", 0.0, False)],
)
def test_what_is_recorded_by_itself(policy: str, share: float, expected: bool) -> None:
    assert recording.by_itself(policy, share, ATTEMPT) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ATTEMPT,
        NAME + "x",
        NAME.upper(),
        "../" + NAME,
        NAME + "\n",
        NAME + ".wav",
        NAME[:-1],
        "a/" + NAME,
        "Ä" + NAME,
    ],
)
def test_only_names_that_we_made_are_recordings(text: str) -> None:
    assert recording.attempt_of(NAME) == ATTEMPT
    assert recording.attempt_of(text) is None
    with pytest.raises(ArchiveFailed, match="not the key"):
        checked(f"1/2026/11/25/{text}.wav")


def test_the_listening_channel_and_the_key_are_made_of_the_name() -> None:
    assert ids.recording_of(ids.recorder(NAME)) == NAME
    assert ids.recording_of(ids.agent_bridge(1, "0a1b2c3d")) is None
    assert ids.agent_of(ids.recorder(NAME)) is None
    late = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert key_of(7, late, NAME) == f"7/2025/12/31/{NAME}.wav", "by UTC, wherever it is asked"


def test_where_everybody_must_consent_an_announcement_is_wanted() -> None:
    assert "FI wants everybody's consent" in refusal("always", None, profile("FI"))
    assert refusal("always", "told", profile("FI")) == ""
    assert refusal("never", None, profile("FI")) == ""
    assert refusal("always", None, profile("US-FED")) == refusal("always", None, profile("IR")) == ""
    assert refusal("always", None, None) == ""
    strict = [name for name in names() if refusal("demand", None, profile(name))]
    assert strict == ["AU", "CA", "CO", "DE", "ES", "FI", "FR", "UK", "US-FL"]


def head(sound: int, data: bytes = b"data") -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + sound, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, data, sound
    )


def test_a_file_whose_asterisk_was_killed_gets_its_lengths_back() -> None:
    assert wavehead.read(head(0), 44 + 32_000) == (head(32_000), 2.0)
    assert wavehead.read(head(32_000), 44 + 32_000) == (head(32_000), 2.0)


@pytest.mark.parametrize("bad", [b"", b"RIFF", head(0)[:40], head(0, b"LIST"), bytes(44)])
def test_what_is_no_wav_file_is_left_alone(bad: bytes) -> None:
    with pytest.raises(wavehead.NoWav):
        wavehead.read(bad, 1000)


def test_the_recogniser_knows_its_tone_and_silence(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 700, 1)
    samples = read(tmp_path / "a.wav")
    assert heard(samples, 700) == [True] * 5
    assert not any(heard(samples, 800)) and not any(heard(samples, 1300))
    assert silence(samples) == 0
    assert silence([0] * 16_000 + list(samples)) == 2.0


def test_free_space_is_that_of_the_disk_even_before_the_folder_is_there(tmp_path: Path) -> None:
    assert (free_bytes(tmp_path / str(uuid4()) / "b") or 0) > 0
