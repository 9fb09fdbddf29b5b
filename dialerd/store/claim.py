"""Taking contacts: the one statement with every gate inside (rule 3; claim_v2 in sql/migrations)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dialerd.core.terms import Judgement
from dialerd.store.queries import queries

_CLAIM = queries("engine").claim


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that is written and committed, and may be dialled once.

    `attempts` counts this one, `tries` (outcome → how often) does not. `for_agent`: whose agreed callback this is.
    `list_id`: the list that the contact came with.
    """

    attempt: str
    contact_id: int
    number_id: int
    e164: str
    attempts: int
    tries: Mapping[str, int]
    for_agent: int | None = None
    list_id: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim gave: attempts, or the gate that refused (its names are in the migration)."""

    taken: tuple[Claimed, ...]
    refusal: str | None


async def claim(
    pool: asyncpg.Pool,
    campaign_id: int,
    want: int,
    node: str,
    judgement: Judgement,
    agents: Sequence[int] = (),
    trunk: str | None = None,
    batch: UUID | None = None,
    contact: int | None = None,
) -> Claim:
    """Takes up to `want` contacts. When it returns, their attempts are committed (rule 1).

    `agents`: those who are free, for callbacks that are theirs. `trunk`: another one than the campaign's. `contact`:
    this one and nobody else; with an agent, one that is held for them. Raises asyncpg's errors and OSError; whether the
    claim was committed is then not known, and reconcile finds out.
    """
    if judgement.refusal is not None:
        return Claim((), judgement.refusal)
    rows = await pool.fetch(_CLAIM, campaign_id, want, node, judgement.parameters(), agents, trunk, batch, contact)
    if rows and rows[0]["refusal"] is not None:
        return Claim((), rows[0]["refusal"])
    return Claim(tuple(_claimed(row) for row in rows), None)


def _claimed(row: Mapping[str, Any]) -> Claimed:
    fields = ("contact_id", "number_id", "e164", "attempts", "tries", "for_agent", "list_id")
    return Claimed(row["attempt_id"], *(row[name] for name in fields))
