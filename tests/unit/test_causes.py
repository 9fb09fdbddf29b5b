"""What Asterisk's words for an unanswered call mean; each row was recorded from Asterisk 22.10 and a real carrier."""

import pytest

from dialerd.core.causes import Outcome, of_unanswered


@pytest.mark.parametrize(
    ("what", "status", "cause", "rang", "outcome"),
    [
        ("486", "BUSY", 17, False, Outcome.BUSY),
        ("603: DialEnd says NOANSWER, the cause decides", "NOANSWER", 21, False, Outcome.REJECTED),
        ("404: DialEnd says NOANSWER, the cause decides", "NOANSWER", 1, False, Outcome.INVALID),
        ("rang out, direct: no DialEnd at all", "", 19, True, Outcome.NO_ANSWER),
        ("rang out, through the dialplan", "CANCEL", 19, True, Outcome.NO_ANSWER),
        ("480 by the far end, which said so", "NOANSWER", 19, False, Outcome.NO_ANSWER),
        ("carrier down: never rang, nothing said", "", 19, False, Outcome.FAILED),
        ("carrier down, as the next Asterisk may call it", "", 18, False, Outcome.FAILED),
        ("trunk does not exist", "CHANUNAVAIL", 3, False, Outcome.FAILED),
        ("congestion", "CONGESTION", 34, False, Outcome.FAILED),
        ("congestion after a first ring", "CONGESTION", 34, True, Outcome.FAILED),
        ("number changed", "", 22, False, Outcome.INVALID),
        ("number of a wrong form", "CONGESTION", 28, False, Outcome.INVALID),
        ("the Hangup was lost, its DialEnd was not", "BUSY", None, False, Outcome.BUSY),
        ("both were lost", "", None, True, Outcome.FAILED),
        ("a cause that says nothing", "BUSY", 0, False, Outcome.BUSY),
        ("a cause that nobody knows", "", 127, True, Outcome.FAILED),
    ],
)
def test_the_cause_decides_and_the_status_where_it_is_silent(
    what: str, status: str, cause: int | None, rang: bool, outcome: Outcome
) -> None:
    assert of_unanswered(status, cause, rang) is outcome


def test_no_unanswered_call_is_ever_a_live_answer() -> None:
    for status in ("", "ANSWER", "BUSY", "NOANSWER", "CANCEL", "CONGESTION", "CHANUNAVAIL", "nonsense"):
        for cause in (None, *range(128)):
            for rang in (True, False):
                assert of_unanswered(status, cause, rang) in {
                    Outcome.BUSY, Outcome.NO_ANSWER, Outcome.REJECTED, Outcome.INVALID, Outcome.FAILED,
                }  # fmt: skip
