"""How many leading digits decide what a number is: its validity, kind, region and zones.

Numbering plans are regular expressions whose tails are "any digit", and zones are tables of prefixes. So two numbers
of equal length whose first digits agree as far as any expression looks get the same answer, and `phone.parse` needs to
ask for it once. Derived from phonenumbers' own metadata; where an expression is not understood, every digit counts.
"""

import re
from functools import cache

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.tzdata import TIMEZONE_DATA

ALL_DIGITS = 100
_KINDS = (
    "general_desc",
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)
_PART = re.compile(r"\\d|\[[^\]\\]*\]|[0-9]|\((?:\?[:=!])?|[|)$]")
_REPEAT = re.compile(r"\?|\{([0-9]+)(?:,([0-9]+))?\}")


@cache
def depth(country_code: int, region: str, home: str) -> int:
    """How many leading national digits, at most, make a number of this country code, judged to be of `region` and
    written in the region `home`, what it is.

    The regions that share a country code are tried in order: those behind `region` have no say.
    """
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code, ())
    if region not in regions:
        return ALL_DIGITS
    zones = max((len(key) for key in _zone_keys().get(country_code, ())), default=0) - len(str(country_code))
    tried = regions[: regions.index(region) + 1]
    return max(3, zones, _plan_depth(0, home), *(_plan_depth(country_code, each) for each in tried))


@cache
def area_depth(country_code: int, region: str) -> int:
    """How many leading national digits, at most, make a number one of `region` whose area code is as long as it is."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code, ())
    if region not in regions:
        return ALL_DIGITS
    tried = regions[: regions.index(region) + 1]
    return max(_form_depth(country_code), *(_plan_depth(country_code, each) for each in tried))


@cache
def form_depth(country_code: int) -> int:
    """How many of them decide how long its area code is, once its region is known; every digit where its kind has a
    say too, because mobile numbers are written with a mark."""
    marked = phonenumbers.country_mobile_token(country_code) != ""
    return ALL_DIGITS if marked else _form_depth(country_code)


@cache
def _form_depth(country_code: int) -> int:
    """How far phonenumbers looks to tell how a number is written: by the plan of the country code's main region."""
    main = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[country_code][0]
    plan = PhoneMetadata.metadata_for_region_or_calling_code(country_code, main)
    if plan is None:
        return ALL_DIGITS
    forms = (*plan.number_format, *plan.intl_number_format)
    patterns = [pattern for form in forms for pattern in (form.pattern, *form.leading_digits_pattern) if pattern]
    return max(3, *(reach(pattern)[0] for pattern in patterns), 0)


@cache
def _plan_depth(country_code: int, region: str) -> int:
    """The same of one region's plan alone; 0 where there is none."""
    plan = PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
    if plan is None:
        return 0
    descriptions = (getattr(plan, kind) for kind in _KINDS)
    patterns = [d.national_number_pattern for d in descriptions if d is not None] + [plan.leading_digits]
    # What the expression of a prefix takes off is decided by its whole length.
    prefixes = (plan.international_prefix, plan.national_prefix_for_parsing)
    return max(
        *(reach(pattern)[0] for pattern in patterns if pattern),
        *(reach(pattern)[1] for pattern in prefixes if pattern),
        0,
        0,
    )


def reach(pattern: str) -> tuple[int, int]:
    """How far an expression looks at which digit it is, and how long its longest match is.

    Digits behind the first figure are told apart by their count only.
    """
    try:
        (looked, length), end = _either(pattern, 0)
    except ValueError:
        return ALL_DIGITS, ALL_DIGITS
    return (looked, length) if end == len(pattern) else (ALL_DIGITS, ALL_DIGITS)


def _either(pattern: str, at: int) -> tuple[tuple[int, int], int]:
    """Alternatives up to the closing bracket or the end: their reach, and where they end."""
    best_looked = best_length = looked = length = 0
    while at < len(pattern) and pattern[at] != ")":
        found = _PART.match(pattern, at)
        if found is None:
            raise ValueError(f"not understood: {pattern[at:]}")
        part, at = found.group(), found.end()
        if part == "|":
            best_looked, best_length = max(best_looked, looked), max(best_length, length)
            looked = length = 0
            continue
        one = (0, 0) if part == "$" else (0, 1) if part == r"\d" else (1, 1)
        if part[0] == "(":
            one, at = _either(pattern, at)
            if at == len(pattern):
                raise ValueError("no closing bracket")
            at += 1
        times = 1
        if repeat := _REPEAT.match(pattern, at):
            at = repeat.end()
            times = int(repeat.group(2) or repeat.group(1) or 1)
        if one[0]:
            looked = max(looked, length + (times - 1) * one[1] + one[0])
        if part not in ("(?=", "(?!"):
            length += times * one[1]
    return (max(best_looked, looked), max(best_length, length)), at


@cache
def _zone_keys() -> dict[int, list[str]]:
    """Per country code, the prefixes of its numbers that the table of zones holds."""
    found: dict[int, list[str]] = {}
    for key in TIMEZONE_DATA:
        for size in (1, 2, 3):
            if int(key[:size]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
                found.setdefault(int(key[:size]), []).append(key)
    return found
