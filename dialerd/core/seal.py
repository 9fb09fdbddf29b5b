"""The chain that seals the record, computed without PostgreSQL: what sql/migrations/0010_record_chain.sql describes.

Changing anything here makes every seal that exists look broken.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

GENESIS = bytes(32)  # what the first seal follows
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """A row of call_events; `detail` is its JSON, in any rendering."""

    id: int
    tenant_id: int
    campaign_id: int | None
    attempt_id: UUID | None
    at: datetime
    xid: int
    kind: str
    detail: str

    @property
    def is_empty(self) -> bool:
        return canonical(self.detail) == "{}"


@dataclass(frozen=True, slots=True)
class Seal:
    """A row of seals. `content` is there, and `salt` is not, when the event's detail was erased."""

    seq: int
    event_id: int
    xid: int
    salt: bytes | None
    content: bytes | None
    digest: bytes
    hash: bytes

    @property
    def is_erased(self) -> bool:
        return self.salt is None


def matches(seal: Seal, event: Event) -> bool:
    """Whether the event is what was sealed; of an erased one, all but its detail, which must be empty now."""
    if seal.event_id != event.id or seal.xid != event.xid or (seal.is_erased and not event.is_empty):
        return False
    rest = seal.content or b"" if seal.salt is None else content(seal.salt, event.detail)
    return digest(event, rest) == seal.digest


def follows(seal: Seal, before: bytes) -> bool:
    """Whether the seal is the one that comes after the hash `before`."""
    return link(before, seal.seq, seal.digest) == seal.hash


def content(salt: bytes, detail: str) -> bytes:
    """The digest of a detail."""
    return sha256(salt + canonical(detail).encode()).digest()


def digest(event: Event, content: bytes) -> bytes:
    """The digest of an event, given that of its detail."""
    at = (event.at - _EPOCH) // (datetime.resolution) % (1 << 64)
    fields = (event.id, event.tenant_id, event.campaign_id, event.attempt_id, f"{at:016x}", event.xid, event.kind)
    header = "|".join("" if field is None else str(field) for field in fields)
    return sha256(header.encode() + content).digest()


def link(before: bytes, seq: int, digest: bytes) -> bytes:
    """The hash of a seal."""
    return sha256(before + seq.to_bytes(8, "big") + digest).digest()


def canonical(text: str) -> str:
    """JSON as jsonb prints it, whatever rendering it is given in; numbers keep their digits."""
    return _render(json.loads(text, parse_int=_Number, parse_float=_Number))


class _Number(str):
    """A number by its digits: no float may round it."""

    __slots__ = ()


def _render(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        members = (f"{json.dumps(name, ensure_ascii=False)}: {_render(value[name])}" for name in names)
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_render, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
