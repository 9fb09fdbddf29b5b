"""The table of states against the geocoder that it was made from."""

import subprocess
import sys
from pathlib import Path

import pytest

from dialerd.core.nearness import _states, levels

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.accepts("CID-08")
@pytest.mark.parametrize(
    ("e164", "state"),
    [
        ("+14155550101", "US/CA"), ("+12135550101", "US/CA"), ("+12125550101", "US/NY"), ("+15185550101", "US/NY"),
        ("+14455550101", "US/PA"),  # described by its state's name alone
        ("+14165550101", "CA/ON"), ("+16045550101", "CA/BC"), ("+918022345678", "IN/Karnataka"),
        ("+912222345678", "IN/Maharashtra"),
        ("+551131234567", "BR/SP"), ("+5511912345678", "BR/SP"), ("+81312345678", "JP/Tokyo"),
        ("+8675512345678", "CN/Guangdong"), ("+543514123456", "AR/Córdoba"),
        ("+18005550199", None), ("+358401234567", None), ("+8613812345678", None), ("+18675550101", None),
    ],
)  # fmt: skip
def test_a_numbers_state_is_that_of_its_area_code(e164: str, state: str | None) -> None:
    assert next((level for level in levels(e164) if "/" in level), None) == state


def test_every_state_of_the_united_states_is_known_by_its_letters() -> None:
    states = {state.removeprefix("US/") for state in _states().values() if state.startswith("US/")}
    assert all(len(state) == 2 for state in states)
    assert len(states) == 51  # with the District of Columbia
    provinces = {state.removeprefix("CA/") for state in _states().values() if state.startswith("CA/")}
    assert provinces == {"AB", "BC", "MB", "NB", "NL", "ON", "QC", "SK"}  # the others share area codes


def test_the_geocoder_says_the_same_of_a_sample() -> None:
    """In a process of its own, as the geocoder costs memory for good."""
    script = """
import random, phonenumbers
from phonenumbers import geocoder
from dialerd.core.nearness import _states
from dialerd.places.states import _number, _state
draw, wrong, asked = random.Random(5), [], 0
for area, state in draw.sample(sorted(_states().items()), 600):
    country, _, code = area.partition("-")
    number = _number(f"{phonenumbers.country_code_for_region(country)}{code}")
    said = geocoder.description_for_number(number, "en") if number else ""
    if said:
        asked += 1
        if country + "/" + _state(said) != state:
            wrong.append((area, state, said))
print(asked, len(wrong), wrong[:5])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    asked, wrong = map(int, done.stdout.split()[:2])
    assert asked > 300
    assert wrong <= asked * 0.1, done.stdout


def test_the_daemon_does_not_carry_the_geocoder() -> None:
    script = "import sys, dialerd.daemon; print(*(m for m in sys.modules if m.startswith('phonenumbers.geo')))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [], done.stderr
