"""Agents' PINs: what one may be, and the slow hash that is kept of it.

A PIN has few digits, so whoever reads the table may try all of them: scrypt makes that cost money, and the limit of
tries (engine.logins) is what keeps it from being guessed at the door.
"""

import base64
import hashlib
import hmac
import re

SALT_BYTES = 16
_PIN = re.compile(r"[0-9]{4,12}\Z", re.ASCII)
_N, _R, _P = 2**14, 8, 1  # 16 MB and some 40 ms each time
_MAX_MEMORY = 64 * 1024 * 1024
_STORED = re.compile(
    r"scrypt\$([0-9]{1,7})\$([0-9]{1,2})\$([0-9]{1,2})\$([A-Za-z0-9+/=]{8,64})\$([A-Za-z0-9+/=]{8,128})\Z"
)
# Of nobody: to be compared with where there is no agent, so that it takes as long as where there is one.
NOBODYS = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


class PinRefused(ValueError):
    """A text that cannot be a PIN; says why."""


def check(pin: str) -> None:
    """Raises `PinRefused`."""
    if not _PIN.match(pin):
        raise PinRefused("a PIN has 4 to 12 digits")
    if len(set(pin)) == 1 or pin in "0123456789" or pin in "9876543210":
        raise PinRefused("this PIN is among the first that are tried: not one digit alone, no digits in a row")


def hashed(pin: str, salt: bytes) -> str:
    """What is stored; `salt`: `SALT_BYTES` random ones. Takes tens of milliseconds: not on an event loop."""
    found = _derive(pin, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(found)}"


def matches(pin: str, stored: str) -> bool:
    """Whether this is the PIN. As slow as `hashed`; a text that is no hash matches nothing."""
    parts = _STORED.match(stored)
    if parts is None:
        return False
    try:
        salt, wanted = (base64.b64decode(part, validate=True) for part in parts.groups()[3:])
        found = _derive(pin, salt, *(int(part) for part in parts.groups()[:3]))
    except ValueError:
        return False
    return hmac.compare_digest(found, wanted)


def _derive(pin: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(pin.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
