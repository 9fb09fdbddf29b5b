"""What each meaning of a disposition does to the contact, and what may be one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialerd.core.causes import Outcome
from dialerd.core.disposition import (
    CALLBACK_DELAY,
    DEFAULTS,
    KEYS,
    Choices,
    Disposition,
    DispositionRefused,
    Effect,
    Meaning,
    check,
    check_message,
    effect,
    meaning_of,
    read,
)
from dialerd.core.limits import Lockout, of_dispositions
from dialerd.core.retry import History, Rule, Rules

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
RULES = Rules(3, 300.0, {Outcome.MACHINE: Rule(2, 3600.0, number="next")})


def of(meaning: Meaning, attempts: int = 1, **changes: Any) -> Effect:
    return effect(meaning, History(attempts, {}), RULES, NOW, **changes)


@pytest.mark.parametrize("meaning", [Meaning.SALE, Meaning.REFUSAL, Meaning.NO_INTEREST])
def test_who_said_yes_or_no_is_done(meaning: Meaning) -> None:
    assert of(meaning) == Effect("done")


def test_each_other_meaning_has_its_effect() -> None:
    assert of(Meaning.OTHER) == Effect("keep")
    assert of(Meaning.DNC) == Effect("suppressed")
    assert of(Meaning.WRONG_NUMBER) == Effect("waiting", NOW, "dead")
    at = NOW + timedelta(days=1)
    assert of(Meaning.CALLBACK, callback_at=at) == Effect("waiting", at, callback=True)
    assert of(Meaning.CALLBACK) == Effect("waiting", NOW + CALLBACK_DELAY, callback=True)


def test_a_machine_is_tried_again_as_the_campaign_says_of_machines() -> None:
    assert of(Meaning.MACHINE) == Effect("waiting", NOW + timedelta(hours=1), "next")
    assert of(Meaning.MACHINE, attempts=4) == Effect("done"), "no attempts are left"


def test_every_meaning_is_among_the_defaults_with_a_key_of_its_own() -> None:
    assert {d.meaning for d in DEFAULTS} == set(Meaning)
    keys = [str(d.key) for d in DEFAULTS]
    assert len(set(keys)) == len(keys) and set(keys) <= set(KEYS)
    for each in DEFAULTS:
        check(each)


def test_a_campaigns_own_choices_take_the_place_of_its_tenants_and_those_of_the_defaults() -> None:
    row = {"label": "x", "meaning": "other", "key": None, "active": True}
    choices = Choices(read([
        row | {"tenant_id": 1, "campaign_id": None, "code": "b", "key": 9},
        row | {"tenant_id": 1, "campaign_id": None, "code": "a", "key": 2},
        row | {"tenant_id": 1, "campaign_id": None, "code": "gone", "active": False},
        row | {"tenant_id": 1, "campaign_id": 7, "code": "own"},
    ]))  # fmt: skip
    assert [d.code for d in choices.of(1, 7)] == ["own"]
    assert [d.code for d in choices.of(1, 8)] == ["a", "b"]
    assert choices.of(2, 9) == tuple(sorted(DEFAULTS, key=lambda d: d.key or 0))
    assert [choices.find(1, 8, text) for text in ("gone", "3", "", "None")] == [None] * 4
    found = choices.find(1, 8, "9")
    assert found is not None and found.code == "b"
    assert choices.unsaid(1, 8, "none").meaning is Meaning.OTHER
    assert choices.unsaid(1, 8, "a").label == "x"


@pytest.mark.parametrize(
    "changes",
    [{"code": "A"}, {"code": "1a"}, {"code": ""}, {"code": "x" * 33}, {"label": " "}, {"label": "x" * 61},
     {"label": "a\nb"}, {"key": 0}, {"key": 10}, {"code": "none", "meaning": Meaning.SALE}],
)  # fmt: skip
def test_what_is_no_disposition_is_refused(changes: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"code": "a", "label": "A", "meaning": Meaning.OTHER, "key": 1}
    with pytest.raises(DispositionRefused):
        check(Disposition(**{**fields, **changes}))


def test_meanings_and_notes_are_checked() -> None:
    with pytest.raises(DispositionRefused, match="wrong_number"):
        meaning_of("maybe")
    assert check_message(" two\nlines ") == "two\nlines"
    for bad in ("\x1b[31m", "x" * 1001):
        with pytest.raises(DispositionRefused):
            check_message(bad)


def test_a_tenants_own_word_for_no_locks_out_as_ours_does() -> None:
    meanings = (("ei_kiitos", "no_interest"), ("kiellot", "dnc"), ("kauppa", "sale"))
    refusal = of_dispositions(Lockout("r", ("refusal", "not_interested"), 60), meanings)
    assert refusal.after == ("refusal", "not_interested", "ei_kiitos")
    assert of_dispositions(Lockout("o", ("objection", "dnc"), None), meanings).after == ("objection", "dnc", "kiellot")
    assert of_dispositions(Lockout("a", ("abandoned",), 60), meanings).after == ("abandoned",)
