"""Amounts of money: decimal, four places, never a float."""

from decimal import Decimal, InvalidOperation

PLACES = Decimal("0.0001")
LIMIT = Decimal(10) ** 6  # of one price
BALANCE_LIMIT = Decimal(10) ** 9


class AmountRefused(ValueError):
    """A text that is no amount; the text of the error says what one looks like."""


def amount(text: str, limit: Decimal = LIMIT) -> Decimal:
    """An amount from 0 to below `limit`, with at most four decimal places. Raises `AmountRefused`."""
    try:
        value = Decimal(text.strip()) if text.isascii() and "_" not in text else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or not 0 <= value < limit or value != value.quantize(PLACES):
        raise AmountRefused(f"{text[:40]!r}: an amount is 0 or more, below {limit}, with at most four decimal places")
    return value.quantize(PLACES)
