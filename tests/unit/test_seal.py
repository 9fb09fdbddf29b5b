"""The chain's definition: fixed values, so that no change of the code can go unnoticed."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import pytest

from dialerd.core.seal import GENESIS, Event, Seal, canonical, content, digest, follows, link, matches

EVENT = Event(
    7, 1, None, UUID("01890000-0000-7000-8000-000000000001"), datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC), 900, "claimed",
    '{"zones": ["Europe/Helsinki"], "n": 1.50}',
)  # fmt: skip
SALT = bytes(range(16))


def seal(event: Event = EVENT, before: bytes = GENESIS) -> Seal:
    found = digest(event, content(SALT, event.detail))
    return Seal(1, event.id, event.xid, SALT, None, found, link(before, 1, found))


def test_a_seal_is_what_its_definition_says_byte_by_byte() -> None:
    inner = sha256(SALT + b'{"n": 1.50, "zones": ["Europe/Helsinki"]}').digest()
    header = b"7|1||01890000-0000-7000-8000-000000000001|00000000000f4240|900|claimed"
    found = sha256(header + inner).digest()
    assert seal().digest == found
    assert seal().hash == sha256(bytes(32) + bytes([0, 0, 0, 0, 0, 0, 0, 1]) + found).digest()
    assert matches(seal(), EVENT)
    assert follows(seal(), GENESIS)


@pytest.mark.parametrize(
    "changed",
    [
        replace(EVENT, id=8), replace(EVENT, tenant_id=2), replace(EVENT, campaign_id=1),
        replace(EVENT, attempt_id=None), replace(EVENT, at=datetime(2000, 1, 1, 0, 0, 1, 1, UTC)),
        replace(EVENT, xid=901), replace(EVENT, kind="ended"), replace(EVENT, detail='{"n": 1.5}'),
    ],
)  # fmt: skip
def test_no_part_of_an_event_can_change(changed: Event) -> None:
    assert not matches(seal(), changed)


def test_an_erased_event_keeps_all_but_its_detail() -> None:
    erased = replace(seal(), salt=None, content=content(SALT, EVENT.detail))
    assert matches(erased, replace(EVENT, detail="{}"))
    assert not matches(erased, EVENT)
    assert not matches(erased, replace(EVENT, detail="{}", kind="other"))


def test_times_before_the_epoch_have_a_header_too() -> None:
    assert digest(replace(EVENT, at=datetime(1999, 12, 31, 23, 59, 59, 999999, UTC)), GENESIS)


def test_the_canonical_text_does_not_depend_on_order_or_spaces() -> None:
    assert (
        canonical('{"bb":1,"a":[true,null,"ä\\u00e4\\n"], "": {}}') == '{"": {}, "a": [true, null, "ää\\n"], "bb": 1}'
    )
