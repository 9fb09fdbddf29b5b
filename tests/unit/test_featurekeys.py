"""Verbs by the keys of a phone."""

import pytest

from dialerd.core.featurekeys import DEFAULT, Keypad, Pressed, problem


def pressed(keys: str, pause: float = 0.3) -> list[Pressed]:
    pad, at, found = Keypad(DEFAULT), 100.0, []
    for key in keys:
        at += pause
        _, verb = pad.press(key, at)
        found += [verb] if verb is not None else []
    return found


@pytest.mark.parametrize(
    ("keys", "verbs"),
    [
        ("*1", [Pressed("hold")]),
        ("5*1*1", [Pressed("hold"), Pressed("hold")]),
        ("*2100#", [Pressed("transfer", "100")]),
        ("**170#**2", [Pressed("listen", "70"), Pressed("whisper")]),
        ("*2#", [Pressed("transfer", "")]),
        ("*210*#*5", [Pressed("complete")]),
        ("**7**8**9", [Pressed("record"), Pressed("record_pause"), Pressed("machine")]),
        ("123#", []),
        ("*#1", []),
        ("*2" + "1" * 40 + "#", []),
    ],
)
def test_sequences_are_verbs_and_nothing_else_is(keys: str, verbs: list[Pressed]) -> None:
    assert pressed(keys) == verbs


def test_a_sequence_that_is_not_finished_is_forgotten_after_some_seconds() -> None:
    assert pressed("*1", pause=6.0) == []


def test_a_key_of_a_sequence_is_no_key_of_anything_else() -> None:
    pad = Keypad(DEFAULT)
    assert [pad.press(key, 1.0)[0] for key in "1*1"] == [False, True, True]


@pytest.mark.parametrize(
    ("table", "says"),
    [({"fly": "*1"}, "no verb"), ({"hold": "1"}, r"'\*'"), ({"hold": "*1", "park": "*12"}, "begins")],
)
def test_a_table_that_cannot_be_is_refused(table: dict[str, str], says: str) -> None:
    assert problem(DEFAULT) is None
    assert says.replace("\\", "") in (problem(table) or "")
