"""Numbers: from what people type to one E.164 key with its zones, or a named refusal.

Nothing but a string that `parse` returned ever reaches Asterisk.
"""

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import timezone as phone_zones

E164 = re.compile(r"\+[1-9][0-9]{5,14}\Z", re.ASCII)
# What people write around digits. Anything else in the text is refused, never stripped: '1555&PJSIP/…' is an
# attack or a broken file, and both deserve to be told. ASCII only: Python's isdigit() says yes to '١٢٣'.
_TYPED = re.compile(r"(?:\+?[0-9]|\(\+?[0-9]{1,5}\))[0-9 ()./\-\u00a0]{0,39}\Z", re.ASCII)
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


@dataclass(frozen=True, slots=True)
class Number:
    """A number that may be dialled: E.164 key, region (ISO 3166, or '001'), IANA zones (may be empty)."""

    e164: str
    region: str
    zones: tuple[str, ...]


def parse(text: str, default_region: str) -> Number:
    """The one key of a number however it was spelled, or `NumberRefused`.

    `default_region` (ISO 3166, upper case) is used where the text has no country code.
    """
    text = text.strip()
    if not text:
        raise NumberRefused("empty", text)
    if not _TYPED.match(text):
        raise NumberRefused("characters", text)
    digits = re.sub(r"[^0-9+]", "", text)
    if len(digits.lstrip("+")) <= 4:
        kind = "emergency" if phonenumbers.is_emergency_number(digits, default_region) else "short"
        raise NumberRefused(kind, text)
    try:
        parsed = phonenumbers.parse(digits, default_region)
    except phonenumbers.NumberParseException:
        raise NumberRefused("not_a_number", text) from None
    if parsed.country_code in (881, 882, 883, 870, 979):
        raise NumberRefused("satellite", text)
    if not phonenumbers.is_valid_number(parsed):
        raise NumberRefused("invalid", text)
    kind_of = phonenumbers.number_type(parsed)
    if kind_of in _NEVER:
        raise NumberRefused(_NEVER[kind_of], text)
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not E164.match(e164):
        raise NumberRefused("invalid", text)
    zones = tuple(z for z in phone_zones.time_zones_for_number(parsed) if z != _UNKNOWN_ZONE)
    return Number(e164, phonenumbers.region_code_for_number(parsed) or "001", zones)


def masked(e164: str) -> str:
    """A number for a log: country and operator show, the person not (`+358401234567` is `+35840***67`)."""
    return e164[:6] + "***" + e164[-2:] if len(e164) > 8 else "***"
