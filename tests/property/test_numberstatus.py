"""The older panel's statuses and our own words: there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialerd.core.causes import Outcome
from dialerd.core.numberstatus import (
    DNC,
    EDITABLE,
    REPORTABLE,
    WAITING,
    NumberStatus,
    contact_as,
    of_contact,
    of_result,
    result_of,
)

STATES = (*sorted(WAITING), "done", "suppressed")
OUTCOMES = (None, DNC, "unknown_zone", *(o.value for o in Outcome))
DISPOSITIONS = (None, "not_interested", "power_off", "banned", "disconnected", "sale")


@pytest.mark.accepts("STA-05")
@given(st.sampled_from(sorted(REPORTABLE)))
def test_a_status_comes_back_from_the_result_and_the_contact_that_it_makes(status: NumberStatus) -> None:
    result = result_of(status)
    assert of_result(result.outcome, result.disposition) is status
    assert of_contact(*contact_as(status)) is status


@given(st.sampled_from(STATES), st.sampled_from(OUTCOMES), st.one_of(st.sampled_from(DISPOSITIONS), st.text()))
def test_every_contact_has_a_status_and_one_in_the_queue_has_just_that(
    state: str, outcome: str | None, disposition: str | None
) -> None:
    status = of_contact(state, outcome, disposition)
    assert (status is NumberStatus.IN_QUEUE) == (state in WAITING)


@pytest.mark.accepts("STA-06", "NUM-13")
def test_only_five_statuses_may_be_changed_and_unknown_is_none_of_them() -> None:
    assert len(NumberStatus) == 11
    assert sorted(EDITABLE) == ["BANNED", "BUSY", "IN_QUEUE", "MISSED", "POWER_OFF"]
