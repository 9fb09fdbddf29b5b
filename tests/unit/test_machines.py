"""Parameters of AMD(), and what becomes of a machine's call."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core import attempt as core
from dialerd.core import machines, recording
from dialerd.core.abandonment import of_profile, unchecked
from dialerd.core.attempt import Event, Facts, Kind
from dialerd.core.campaign import CampaignRefused, Draft, check
from dialerd.core.causes import LIVE_ANSWERS, Outcome
from dialerd.places import profiles

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_parameters_become_variables_in_the_order_of_amds_arguments() -> None:
    found = machines.parse(["silence_threshold=300", " greeting=1200 "])
    assert found == {"silence_threshold": 300, "greeting": 1200}
    assert list(machines.variables(found).items()) == [
        ("DIALERD_AMD_GREETING", "1200"), ("DIALERD_AMD_SILENCE_THRESHOLD", "300"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["greeting", "greeting=", "greeting=x", "greeting=-1", "greeting=1e3", "greeting=99", "greeting=10001", "beep=5",
     "greeting=١٢٠٠", "greeting=1200,400", "=5", "greeting=1200)", "audiofile=/etc/passwd", "greeting=999999999999"],
)  # fmt: skip
def test_what_is_no_parameter_or_out_of_its_range_is_refused(text: str) -> None:
    with pytest.raises(machines.ParameterRefused):
        machines.parse([text])


def test_a_parameter_twice_is_refused() -> None:
    with pytest.raises(machines.ParameterRefused, match="twice"):
        machines.parse(["greeting=1200", "greeting=1300"])


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"machine_detection": "message"}, "machine_message"),
        ({"machine_detection": "flow"}, "machine_flow"),
        ({"machine_flow": "../etc/passwd"}, "machine_flow"),
        ({"machine_check": -0.1}, "machine_check"),
        ({"machine_check": 0.51}, "machine_check"),
        ({"machine_check": float("nan")}, "machine_check"),
        ({"machine_detection": "maybe"}, "machine_detection"),
        ({"machine_message": "http://example.org/x"}, "machine_message"),
        ({"machine_message": "/etc/passwd"}, "machine_message"),
        ({"machine_wait_seconds": 4}, "machine_wait_seconds"),
        ({"machine_parameters": {"greeting": "1500"}}, "machine_parameters"),
        ({"machine_parameters": {"greeting": True}}, "machine_parameters"),
    ],
)
def test_a_campaign_that_cannot_do_it_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(CampaignRefused) as refused:
        check(Draft("n", "progressive", "q", "t", **settings))
    assert [name for name, _ in refused.value.problems] == [field]


@pytest.mark.parametrize(
    ("verdict", "cause", "mode", "outcome"),
    [
        ("MACHINE", 31, "message", Outcome.MESSAGE_LEFT),
        ("MACHINE", 16, "message", Outcome.MACHINE),  # it hung up, or its greeting did not end
        ("MACHINE", 79, "message", Outcome.MACHINE),
        ("MACHINE", 31, "drop", Outcome.MACHINE),
        ("MACHINE", 16, "flow", Outcome.MACHINE),  # it hung up before the flow's end
        ("MACHINE", 16, "connect", Outcome.ABANDONED),  # perhaps a person after all, for whom nobody came
        ("HUMAN", 31, "message", Outcome.ABANDONED),
        ("NOTSURE", 31, "message", Outcome.ABANDONED),
    ],
)
def test_only_a_machine_that_heard_the_whole_message_has_been_left_one(
    verdict: str, cause: int, mode: str, outcome: Outcome
) -> None:
    facts, later = Facts(NOW), NOW + timedelta(seconds=5)
    for event in (
        Event(Kind.ENTERED, NOW, status=verdict, detail="LONGGREETING-1500-1500"),
        Event(Kind.LEFT, later),
        Event(Kind.HUNG_UP, later, cause=cause),
    ):
        facts = core.apply(facts, event)
    assert core.is_over(facts)
    assert facts.machine_cause == "LONGGREETING-1500-1500"
    assert core.outcome(facts, 2.0, machines=mode) is outcome


def test_without_a_queue_nobody_can_check_a_machine() -> None:
    with pytest.raises(CampaignRefused, match="machine_check: needs a queue"):
        check(Draft("n", "power", "no-queue", "t", broadcast="x", machine_check=0.1))


def test_a_message_left_is_no_live_answer() -> None:
    assert Outcome.MESSAGE_LEFT not in LIVE_ANSWERS


@pytest.mark.parametrize(
    ("event", "outcome"),
    [(Event(Kind.MESSAGE, NOW), Outcome.MESSAGE_LEFT), (Event(Kind.HANDED, NOW), Outcome.ABANDONED),
     (Event(Kind.JOINED, NOW, agent_id=1), Outcome.CONNECTED)],
)  # fmt: skip
def test_a_machine_in_a_flow_has_heard_its_end_or_is_a_call_as_any_other_once_it_is_handed_over(
    event: Event, outcome: Outcome
) -> None:
    facts, later = Facts(NOW), NOW + timedelta(seconds=5)
    for each in (Event(Kind.ENTERED, NOW, status="MACHINE"), event, Event(Kind.LEFT, later),
                 Event(Kind.HUNG_UP, later, cause=16)):  # fmt: skip
        facts = core.apply(facts, each)
    assert core.outcome(facts, 2.0, machines="flow") is outcome


def test_the_share_of_machines_that_is_checked_is_in_the_attempts_ids() -> None:
    attempts = [f"018f{n:028x}" for n in range(4000)]
    drawn = {share: {a for a in attempts if machines.checked(a, share)} for share in (0.0, 0.1, 0.5, 1.0)}
    assert [len(drawn[0.0]), len(drawn[1.0])] == [0, 4000]
    assert 330 < len(drawn[0.1]) < 470 and 1900 < len(drawn[0.5]) < 2100
    assert drawn[0.1] < drawn[0.5], "a greater share has the same ones and more"
    recorded = {a for a in attempts if recording.drawn(a, 0.1)}
    assert len(recorded & drawn[0.1]) < 70, "another lot than that of recordings"


# -- persons who are taken for machines


@given(st.integers(0, 3000), st.data())
def test_the_bound_is_a_share_above_what_was_seen_and_falls_with_every_machine_that_was_heard(
    checked: int, data: st.DataObject
) -> None:
    persons = data.draw(st.integers(0, checked))
    bound = machines.false_positive_bound(checked, persons)
    assert bound == 1.0 if persons == checked else persons / checked < bound < 1.0
    assert (
        machines.false_positive_bound(checked + 1, persons)
        < bound
        <= machines.false_positive_bound(checked + 1, persons + 1)
    )


def test_nothing_checked_means_that_every_machine_may_be_a_person() -> None:
    assert machines.false_positive_bound(0, 0) == 1.0
    assert machines.Tally((40, 900), (0, 0), 0, 0).lost(2) == (42.0, 902.0)
    assert machines.Tally((40, 900), (0, 0), 200, 0).lost() == pytest.approx((0.534, 12.01), abs=0.01)


@pytest.mark.parametrize("checked", [10, 20, 50, 200])
def test_the_true_share_is_above_the_bound_in_one_case_of_ten_at_most(checked: int) -> None:
    """One of twenty on average; counts are whole, so that it is a little more for some shares."""
    bounds = [machines.false_positive_bound(checked, n) for n in range(checked + 1)]
    missed = []
    for share in (each / 1000 for each in range(2, 500, 3)):
        chances = (math.comb(checked, n) * share**n * (1 - share) ** (checked - n) for n in range(checked + 1))
        missed.append(sum(chance for chance, bound in zip(chances, bounds, strict=True) if bound < share))
    assert max(missed) < 0.1 and sum(missed) / len(missed) < 0.05


def test_a_profile_that_counts_them_says_so_to_a_campaign_that_checks_none() -> None:
    profiles_ = {name: profiles.profile(name) for name in profiles.names()}
    assert [name for name, each in profiles_.items() if of_profile(each).false_positives] == ["UK"]
    assert "UK" in unchecked(profiles_["UK"], "drop", 0.0) and "--machine-check" in unchecked(
        profiles_["UK"], "flow", 0
    )
    for profile, mode, share in ((None, "drop", 0.0), (profiles_["UK"], "connect", 0.0), (profiles_["UK"], "drop", 0.1),
                                 (profiles_["US-FED"], "drop", 0.0)):  # fmt: skip
        assert unchecked(profile, mode, share) == ""
