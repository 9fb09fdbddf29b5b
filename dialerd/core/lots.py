"""Lots that whoever has the record can draw again: they are in the attempt's id. Pure."""

import hashlib

_DRAWS = 1 << 64


def drawn(what: str, attempt: str, share: float) -> bool:
    """Whether an attempt is one of a share (0 to 1) of calls.

    The first eight bytes of SHA-256 over "dialerd <what> <attempt>", as a number, are below share × 2^64. Lots about
    different things have nothing to do with each other."""
    digest = hashlib.sha256(f"dialerd {what} {attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * _DRAWS
