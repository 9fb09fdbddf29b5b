"""The demo's figures, from rows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dialerd.core.contactfile import Contact, Remark, contacts
from lab import contactlist
from lab.carrier import Invite
from lab.summary import Attempt, Record, Stay, faults, occupancy, percentile, summarise

T0 = datetime(2026, 1, 1, 9, tzinfo=UTC)


def attempt(id_: str, outcome: str | None, refused: bool = False) -> Attempt:
    return Attempt(id_, "ended" if outcome else "dialing", outcome, 16, None, refused)


def invite(attempt: str, caller_id: str = "+358401109000") -> Invite:
    return Invite(0.0, "+358401000000", caller_id, attempt)


def stay(state: str, begin: float, end: float | None) -> Stay:
    return Stay(state, T0 + timedelta(seconds=begin), None if end is None else T0 + timedelta(seconds=end))


def summary(attempts: list[Attempt], invites: list[Invite], **more: Any) -> dict[str, Any]:
    record = Record(attempts, more.get("connect_ms", []), more.get("stays", []))
    leaked = more.get("channels", 0), more.get("bridges", 0)
    return summarise(record, invites, T0, T0 + timedelta(seconds=100), *leaked)


def test_a_percentile_is_a_sample_that_so_many_do_not_exceed() -> None:
    samples = [float(n) for n in range(100, 0, -1)]
    assert [percentile(samples, q) for q in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert [percentile([7.0], q) for q in (0, 50, 99)] == [7.0, 7.0, 7.0]
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([], 50) is None


def test_occupancy_is_calls_and_wrap_up_over_all_time_logged_in() -> None:
    stays = [
        stay("offline", 0, 10),
        stay("connecting", 10, 20),
        stay("ready", 20, 50),
        stay("reserved", 50, 51),
        stay("on_call", 51, 80),
        stay("wrap_up", 80, 90),
        stay("paused", 90, None),  # lasts: to the end of what is asked for
    ]
    assert occupancy(stays, T0, T0 + timedelta(seconds=100)) == pytest.approx((29 + 10) / 80)


def test_occupancy_counts_only_what_lies_in_the_time_asked_for() -> None:
    stays = [stay("ready", -50, 10), stay("on_call", 10, 200), stay("wrap_up", 200, 300)]
    assert occupancy(stays, T0, T0 + timedelta(seconds=100)) == pytest.approx(0.9)
    assert occupancy([stay("ready", 200, 300)], T0, T0 + timedelta(seconds=100)) is None


def test_outcomes_are_counted_by_kind() -> None:
    outcomes = ["connected", "connected", "hung_up", "abandoned", "machine", "busy", "no_answer"]
    failed = ["rejected", "invalid", "failed", "not_sent", "unknown"]
    attempts = [attempt(str(n), outcome) for n, outcome in enumerate(outcomes + failed)]
    found = summary(attempts, [invite(a.id, f"+35840110900{n % 2}") for n, a in enumerate(attempts)])
    counted = {name: found[name] for name in ("attempts", "live_answers", "machines", "busy", "no_answer", "failed")}
    assert counted == {"attempts": 12, "live_answers": 4, "machines": 1, "busy": 1, "no_answer": 1, "failed": 5}
    assert (found["connected"], found["abandoned"], found["abandonment_rate"]) == (2, 1, 0.25)
    assert (found["caller_ids_used"], found["invites_seen_by_carrier"]) == (2, 12)
    assert faults(found) == []


def test_an_attempt_that_asterisk_refused_needs_no_invite_and_is_listed_with_its_cause() -> None:
    found = summary([attempt("a", "connected"), attempt("b", "failed", refused=True)], [invite("a")])
    assert (found["attempts_without_invite"], faults(found)) == (0, [])
    assert found["attempts_without_invite_causes"] == [
        {"attempt": "b", "outcome": "failed", "cause": 16, "detail": None}
    ]


def test_whatever_only_one_of_the_two_records_knows_is_a_fault() -> None:
    attempts = [attempt("a", "connected"), attempt("lost", "no_answer"), attempt("open", None)]
    invites = [invite("a"), invite("a"), invite("open"), invite(""), invite("strange")]
    found = summary(attempts, invites, channels=1, bridges=2)
    zeros = "attempts_without_invite", "invites_without_attempt", "unfinished_attempts"
    assert [found[name] for name in zeros] == [1, 3, 1]  # a's second INVITE has no attempt of its own
    assert faults(found) == [
        "attempts_without_invite is 1, and must be 0",
        "invites_without_attempt is 3, and must be 0",
        "unfinished_attempts is 1, and must be 0",
        "leaked_channels is 1, and must be 0",
        "leaked_bridges is 2, and must be 0",
    ]


def test_a_run_in_which_nobody_talked_is_not_a_good_one() -> None:
    found = summary([], [])
    assert (found["abandonment_rate"], found["occupancy"], found["connect_ms"]["p50"]) == (None, None, None)
    assert faults(found) == ["connected is 0: nobody talked to an agent"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_contact_list_holds_what_it_says(tmp_path: Path, seed: int) -> None:
    people = contactlist.write(tmp_path / "contacts.csv", 300, seed)
    rows = list(contacts([people.path.read_text(encoding="utf-8")], "FI"))
    good = [row for row in rows if isinstance(row, Contact)]
    numbers = [row.numbers[0].e164 for row in good]
    assert (len(set(numbers)), len(rows)) == (people.good, people.good + people.bad)
    assert len(numbers) - len(set(numbers)) == 1  # the duplicate is the import's business
    assert sum(isinstance(row, Remark) for row in rows) == people.bad - 1
    assert max(good, key=lambda row: row.priority).numbers[0].e164 == people.barred
