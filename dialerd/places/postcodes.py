"""In which zones a postcode may lie, where a country has several: `postcodes.csv`, which names its sources."""

import csv
import re
from bisect import bisect_right
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

# What decides, after the zeros that spreadsheets drop have been put back.
_FORMS = {
    "US": re.compile(r"([0-9]{3})[0-9]{2}(?:-?[0-9]{4})?\Z", re.ASCII),
    "CA": re.compile(r"([A-Z])[0-9][A-Z](?: ?[0-9][A-Z][0-9])?\Z", re.ASCII),
    "AU": re.compile(r"([0-9]{4})\Z", re.ASCII),
}
_DIGITS = {"US": 5, "AU": 4}


@lru_cache(maxsize=50_000)
def zones_of(region: str, postcode: str) -> tuple[str, ...] | None:
    """The zones of a postcode in a country (ISO 3166): all of its state. None: not known there. Empty: of this country
    nothing is known, as a rule because it has one zone."""
    if region not in _FORMS:
        return ()
    text = postcode.strip().upper()
    if text.isdigit() and len(text) >= 3:
        text = text.zfill(_DIGITS.get(region, 0))
    match = _FORMS[region].match(text)
    if match is None:
        return None
    ranges = _ranges()[region]
    at = bisect_right(ranges, match[1], key=lambda each: each[0]) - 1
    return ranges[at][2] if at >= 0 and match[1] <= ranges[at][1] else None


@cache
def _ranges() -> Mapping[str, list[tuple[str, str, tuple[str, ...]]]]:
    """Country → (first, last, zones), in order."""
    text = (files("dialerd.places") / "postcodes.csv").read_text(encoding="utf-8")
    found: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        found.setdefault(row["country"], []).append((row["first"], row["last"], tuple(row["zones"].split())))
    return {country: sorted(ranges) for country, ranges in found.items()}
