"""Taking contacts: the one statement with every gate inside (rule 3; sql/migrations/0003_claim.sql)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from dialerd.store.queries import queries

_CLAIM = queries("engine").claim


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that is written and committed, and may be dialled once. `attempts` counts this one."""

    attempt: str
    contact_id: int
    e164: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim gave: attempts, or the gate that refused (its names are in the migration)."""

    taken: tuple[Claimed, ...]
    refusal: str | None


async def claim(
    pool: asyncpg.Pool, campaign_id: int, want: int, node: str, zones: Sequence[str], valid_until: datetime
) -> Claim:
    """Takes up to `want` contacts. When it returns, their attempts are committed (rule 1).

    `zones`: where calling is allowed until `valid_until`. Raises asyncpg's errors and OSError; whether the claim was
    committed is then not known, and reconcile finds out.
    """
    rows = await pool.fetch(_CLAIM, campaign_id, want, node, zones, valid_until)
    if rows and rows[0]["refusal"] is not None:
        return Claim((), rows[0]["refusal"])
    return Claim(
        tuple(Claimed(r["attempt_id"], r["contact_id"], r["e164"], r["attempts"]) for r in rows),
        None,
    )
