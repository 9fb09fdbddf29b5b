"""PINs: what one may be, and that its hash gives nothing away."""

import pytest

from dialerd.core import pin
from dialerd.core.throttle import Throttle


@pytest.mark.parametrize(
    "text", ["", "123", "1" * 13, "12a4", "12 4", "\uff11\uff12\uff13\uff14", "0000", "1234", "9876"]
)
def test_what_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(pin.PinRefused):
        pin.check(text)


def test_a_pin_matches_its_own_hash_and_no_other() -> None:
    pin.check("4711")
    first, second = pin.hashed("4711", b"a" * 16), pin.hashed("4711", b"b" * 16)
    assert first != second and "4711" not in first
    assert pin.matches("4711", first) and pin.matches("4711", second)
    assert not pin.matches("4712", first) and not pin.matches("", first)


@pytest.mark.parametrize(
    "stored",
    ["", "scrypt$", "plain", pin.NOBODYS, "scrypt$16384$8$1$*$*", "scrypt$9999999$99$99$AAAAAAAAAAAA$AAAAAAAAAAAA"],
)
def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not pin.matches("4711", stored)


def test_so_many_failures_block_for_a_while_and_success_forgets_them() -> None:
    throttle = Throttle(limit=2, seconds=60, keys=2)
    for now in (0.0, 1.0):
        assert not throttle.blocked("a", now)
        throttle.failed("a", now)
    assert throttle.blocked("a", 2.0) and not throttle.blocked("b", 2.0)
    assert not throttle.blocked("a", 60.5)
    throttle.failed("a", 61.0)
    assert throttle.blocked("a", 60.9)
    throttle.succeeded("a")
    assert not throttle.blocked("a", 61.0)
    for key in "xyz":
        throttle.failed(key, 62.0)
        throttle.failed(key, 62.0)
    assert [throttle.blocked(key, 62.0) for key in "xyz"] == [False, True, True], "bounded"
