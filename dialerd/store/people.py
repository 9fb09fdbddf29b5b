"""Whom a call is with, as its agent sees them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from dialerd.core.agentview import PastCall, Person
from dialerd.store.queries import queries

_PEOPLE = queries("agents").people


async def people(pool: asyncpg.Pool, wanted: Sequence[tuple[int, str]]) -> dict[int, Person]:
    """By contact id; `wanted`: contact ids and the numbers called. A contact that is gone is missing."""
    rows = await pool.fetch(_PEOPLE, [contact for contact, _ in wanted], [e164 for _, e164 in wanted])
    return {row["id"]: _person(row) for row in rows}


def _person(row: Mapping[str, Any]) -> Person:
    history = tuple(
        PastCall(datetime.fromisoformat(p["at"]), p["outcome"], p["disposition"], p["message"], p["agent"])
        for p in row["history"]
    )
    return Person(
        row["id"],
        row["e164"],
        row["name"],
        row["external_id"],
        row["custom"],
        row["last_message"],
        history,
        loaded=True,
    )
