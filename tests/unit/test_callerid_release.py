"""How a dialplan's words for the end of a call become what the health of a caller ID counts."""

import pytest

from dialerd.core.callerid import RESULTS, CallEnd
from dialerd.core.callerid_release import call_end


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (("ANSWER", "17", "16", "200"), "answered"),
        (("ANSWER", "0", "21", "603"), "answered"),  # answered first: what came after is no refusal
        (("NOANSWER", "", "19", ""), "no_answer"),
        (("CANCEL", "", "0", ""), "no_answer"),
        (("BUSY", "", "17", "486"), "busy"),
        (("CHANUNAVAIL", "", "21", ""), "rejected"),  # a 603 whose code is not known
        (("NOANSWER", "", "21", "603"), "rejected"),
        (("CONGESTION", "", "127", "607"), "rejected"),
        (("CHANUNAVAIL", "", "127", "608"), "rejected"),
        (("CHANUNAVAIL", "", "21", "403"), "failed"),  # our own trunk was refused, not the caller ID
        (("CHANUNAVAIL", "", "1", "404"), "failed"),
        (("CONGESTION", "", "34", "503"), "failed"),
        (("CHANUNAVAIL", "", "", ""), "failed"),
        (("DONTCALL", "", "", ""), "rejected"),
        (("rejected", "", "16", "486"), "rejected"),
        (("unknown", "", "", ""), "unknown"),
        (("answered", "3.5", "", ""), "answered"),
        (("BUSY", "", "\u0662\u0661", "6\u0660\u0663"), "busy"),
    ],
)
def test_dial_status_cause_and_sip_code_say_how_it_went(said: tuple[str, str, str, str], result: str) -> None:
    end = call_end(*said)
    assert end is not None
    assert end.result == result
    assert result in RESULTS


@pytest.mark.parametrize("said", [("",), ("", "", "16"), ("", "5", "21", "603"), ("a new word", "1", "21", "603")])
def test_without_a_dial_status_nothing_is_known(said: tuple[str, ...]) -> None:
    assert call_end(*said) is None


@pytest.mark.parametrize(
    ("seconds", "talked"),
    [("17", 17.0), ("0", 0.0), ("3.25", 3.25), ("", None), ("-1", None), ("1e9", None), ("nan", None), ("٣", None)],
)
def test_seconds_are_taken_only_when_they_are_some(seconds: str, talked: float | None) -> None:
    assert call_end("ANSWER", seconds) == CallEnd("answered", talked)
