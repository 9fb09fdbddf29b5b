"""Where a number belongs, from near to far: its area code, the state of that area, its country, anywhere.

Countries, area codes and their lengths are phonenumbers' own metadata; states are a table made from its geocoder.
"""

from functools import cache
from typing import Final, Literal

import phonenumbers

from dialerd.core.phoneplan import area_depth, form_depth
from dialerd.core.states import AREAS

Distance = Literal["area", "state", "country", "any"]
ANYWHERE: Final = "*"
EVERYWHERE: Final = (ANYWHERE,)
_KEPT = 100_000  # answers; some 25 MB
# By the digits that decide it and the length of the number: its country, where its area code begins, how long it is.
_kept: dict[str, tuple[str, int, int]] = {}
# The same where the region is known: then the form in which a number is written decides, as a rule by few digits.
_kept_of: dict[str, tuple[str, int, int]] = {}
_form_sizes: dict[str, int] = {}
_sizes: dict[str, list[int]] = {}  # by the first digits: how many of them the keys of `_kept` have


def levels(e164: str, region: str | None = None) -> tuple[str, ...]:
    """The levels of a number, nearest first: `("US-415", "US/CA", "US", "*")`; the first two are left out where a
    country has none, or none is known.

    A caller ID is a candidate at each of its levels; a destination is tried at each of its own, in order. A number
    that no numbering plan knows belongs to "*" only. `region`: that of the number where it is known already, which
    makes it much cheaper for a number that nobody asked for before.
    """
    size = _form_sizes.get(e164[:4], 0)
    if size and region is not None and (place := _kept_of.get(f"{region}{e164[:size]}/{len(e164)}")):
        return _levels(e164, *place)
    for size in _sizes.get(e164[:4], ()):
        if place := _kept.get(f"{e164[:size]}/{len(e164)}"):
            return _levels(e164, *place)
    place = _place(e164)
    return EVERYWHERE if place is None else _levels(e164, *place)


def distance(here: tuple[str, ...], there: tuple[str, ...]) -> Distance:
    """How near two numbers are, by their levels: the nearest that they share."""
    for level in here:
        if level in there:
            return _word(level)
    return "any"


def _word(level: str) -> Distance:
    if level == ANYWHERE:
        return "any"
    if "-" in level[:3]:
        return "area"
    return "state" if "/" in level else "country"


def _levels(e164: str, country: str, start: int, length: int) -> tuple[str, ...]:
    if not length:
        return (country, ANYWHERE)
    area = f"{country}-{e164[start : start + length]}"
    state = _states().get(area)
    return (area, country, ANYWHERE) if state is None else (area, state, country, ANYWHERE)


def _place(e164: str) -> tuple[str, int, int] | None:
    """What phonenumbers says of it, kept for all whose deciding digits are the same."""
    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(number)
    start = 1 + len(str(number.country_code))
    length = phonenumbers.length_of_national_destination_code(number)
    place = region or f"+{number.country_code}", start, length
    if region is not None and e164[start:] == phonenumbers.national_significant_number(number):
        if len(_kept) >= _KEPT:
            _kept.clear()
        size = start + area_depth(number.country_code, region)
        _kept[f"{e164[:size]}/{len(e164)}"] = place
        if len(_kept_of) >= _KEPT:
            _kept_of.clear()
        form_size = _form_sizes.setdefault(e164[:4], start + form_depth(number.country_code))
        _kept_of[f"{region}{e164[:form_size]}/{len(e164)}"] = place
        sizes = _sizes.setdefault(e164[:4], [])
        if size not in sizes:
            sizes.append(size)
    return place


@cache
def _states() -> dict[str, str]:
    """`US-415` → `US/CA`."""
    found: dict[str, str] = {}
    for country, text in AREAS.items():
        for listed in text.split(","):
            state, *words = listed.split()
            for word in words:
                start, _, last = word.partition(":")
                found |= {f"{country}-{start}{digit}": f"{country}/{state}" for digit in last or ("",)}
    return found
