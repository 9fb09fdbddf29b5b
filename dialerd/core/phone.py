"""Numbers: from what people type to one E.164 key with its zones, or a named refusal.

Nothing but a string that `parse` returned ever reaches Asterisk.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import timezone as phone_zones

from dialerd.core.phoneplan import depth

E164 = re.compile(r"\+[1-9][0-9]{5,14}\Z", re.ASCII)
DIALABLE = re.compile(r"\+?[0-9]{3,15}\Z", re.ASCII)  # a number or an extension, as it is shown or dialled inside
# What people write around digits. Anything else in the text is refused, never stripped: '1555&PJSIP/…' is an
# attack or a broken file, and both deserve to be told. ASCII only: Python's isdigit() says yes to '١٢٣'.
_TYPED = re.compile(r"(?:\+?[0-9]|\(\+?[0-9]{1,5}\))[0-9 ()./\-\u00a0]{0,39}\Z", re.ASCII)
_AROUND = dict.fromkeys(map(ord, " ()./-\u00a0"))
_UNKNOWN_ZONE = "Etc/Unknown"
_NEVER = {
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium",
    phonenumbers.PhoneNumberType.SHARED_COST: "premium",
    phonenumbers.PhoneNumberType.PAGER: "pager",
    phonenumbers.PhoneNumberType.UAN: "company_number",
    phonenumbers.PhoneNumberType.VOICEMAIL: "voicemail",
}


class NumberRefused(ValueError):
    """Why a text is not a number that may be dialled.

    `reason` is one of: empty, characters, not_a_number, invalid, short, emergency, satellite, premium, pager,
    company_number, voicemail.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text[:40]!r}")
        self.reason = reason


@dataclass(slots=True)
class Number:
    """A number that may be dialled: E.164 key, region (ISO 3166, or '001'), IANA zones (may be empty).

    Not frozen, only because making a frozen one takes three times as long, and a list has millions.
    """

    e164: str
    region: str
    zones: tuple[str, ...]


def known_region(region: str) -> bool:
    """Whether numbers without a country code can be read by it (ISO 3166, upper case)."""
    return region in phonenumbers.SUPPORTED_REGIONS


def parse(text: str, default_region: str) -> Number:
    """The one key of a number however it was spelled, or `NumberRefused`.

    `default_region` (ISO 3166, upper case) is used where the text has no country code.
    """
    text = text.strip()
    if not text:
        raise NumberRefused("empty", text)
    if not _TYPED.match(text):
        raise NumberRefused("characters", text)
    digits = text if text.isalnum() else text.translate(_AROUND)
    if len(digits.lstrip("+")) <= 4:
        kind = "emergency" if phonenumbers.is_emergency_number(digits, default_region) else "short"
        raise NumberRefused(kind, text)
    alike = _judged.get((default_region, len(digits)))
    if alike is not None:
        for size in alike.sizes:
            if answer := alike.answers.get(digits[:size]):
                cut, start, region, zones = answer
                return Number(start + digits[cut:], region, zones)
    return _judge(digits, default_region)


class _Alike:
    """Answers by leading digits, for numbers of one length written in one region."""

    def __init__(self) -> None:
        self.sizes: list[int] = []  # how many digits the keys of `answers` have
        self.answers: dict[str, tuple[int, str, str, tuple[str, ...]]] = {}


_ANSWERS = 100_000  # per length and region; some 25 MB
_judged: dict[tuple[str, int], _Alike] = {}


def _judge(digits: str, default_region: str) -> Number:
    """What phonenumbers says of it. A good answer is kept for all whose deciding digits are the same."""
    try:
        parsed = phonenumbers.parse(digits, default_region)
    except phonenumbers.NumberParseException:
        raise NumberRefused("not_a_number", digits) from None
    if parsed.country_code in (881, 882, 883, 870, 979):
        raise NumberRefused("satellite", digits)
    kind_of = phonenumbers.number_type(parsed)
    if kind_of == phonenumbers.PhoneNumberType.UNKNOWN:  # just what is_valid_number asks
        raise NumberRefused("invalid", digits)
    if kind_of in _NEVER:
        raise NumberRefused(_NEVER[kind_of], digits)
    national = phonenumbers.national_significant_number(parsed)
    start = f"+{parsed.country_code}"
    if not E164.match(start + national):
        raise NumberRefused("invalid", digits)
    zones = tuple(z for z in phone_zones.time_zones_for_number(parsed) if z != _UNKNOWN_ZONE)
    number = Number(start + national, phonenumbers.region_code_for_number(parsed) or "001", zones)
    if digits.endswith(national):
        cut = len(digits) - len(national)
        size = cut + depth(parsed.country_code, number.region, default_region)
        _keep(digits, default_region, size, (cut, start, number))
    return number


def _keep(digits: str, default_region: str, size: int, answer: tuple[int, str, Number]) -> None:
    if len(_judged) > 500:  # default regions are few, whoever asks
        _judged.clear()
    alike = _judged.setdefault((default_region, len(digits)), _Alike())
    if len(alike.answers) >= _ANSWERS:
        alike.answers.clear()
    if size not in alike.sizes:
        alike.sizes.append(size)
    cut, start, number = answer
    alike.answers[digits[:size]] = (cut, start, number.region, number.zones)


def national(e164: str) -> str:
    """A number as it is dialled inside its country, digits only (`+989123456789` is `09123456789`)."""
    parsed = phonenumbers.parse(e164)
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return re.sub(r"[^0-9]", "", written)


def area_code(e164: str) -> str:
    """The national destination code of a number, in any country; empty where the plan knows none."""
    parsed = phonenumbers.parse(e164)
    length = phonenumbers.length_of_national_destination_code(parsed)
    return phonenumbers.national_significant_number(parsed)[:length]


@lru_cache(maxsize=16384)
def significant(caller_id: str) -> str:
    """The national significant number of a caller ID (`+14155550101` is `4155550101`), as some dialplans show it; of
    what is no E.164 number, its digits."""
    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(caller_id))
    except phonenumbers.NumberParseException:
        return caller_id.removeprefix("+")


def familiar(e164: str) -> str:
    """A number as clients of the older panel know it: `national` inside Iran, else E.164."""
    return "0" + e164[3:] if e164.startswith("+98") else e164


def masked(e164: str) -> str:
    """A number for a log: country and operator show, the person not (`+358401234567` is `+35840***67`)."""
    return e164[:6] + "***" + e164[-2:] if len(e164) > 8 else "***"
