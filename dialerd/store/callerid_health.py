"""The health of caller IDs: what the log of requests says of each, and the rests that follow, each with its event.

A rest, or its end, and the event that tells of it are one statement: the record never lacks one of them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dialerd.core.callerid_health import FEW, SHORT_SECONDS, Figures, Number, Share, State, Verdict, area_in
from dialerd.core.nearness import levels
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_Q = queries("callerid_health")
_DESTINATIONS, _FIGURES, _NUMBERS, _RETURNED = _Q.destinations, _Q.figures, _Q.numbers, _Q.returned
_REST, _KEEP, _REST_BY_HAND, _WAKE = _Q.rest, _Q.keep, _Q.rest_by_hand, _Q.wake
PERIOD = timedelta(days=7)
_SECONDS = 60.0  # for one query: a million calls take some seconds
_SETTINGS = (
    *(f"{name} = '{int(_SECONDS)}s'" for name in ("statement_timeout", "idle_in_transaction_session_timeout")),
    "work_mem = '128MB'",  # else the groups of a million calls go through the disk
    # Calls with numbers, then with destinations: every join is of many rows with few, and the planner does not see it.
    "join_collapse_limit = 1",
    "enable_mergejoin = off",
    "enable_nestloop = off",
)
_BATCH = 1_000  # verdicts kept in one statement


@dataclass(frozen=True, slots=True)
class Changed:
    """A number whose rest has begun, or is over. `until`: of a rest that has begun."""

    id: int
    tenant_id: int
    e164: str
    until: datetime | None = None
    rests: int = 0


async def numbers(pool: Any) -> list[Number]:
    """Every number of every pool."""
    return [
        Number(row["id"], (row["tenant_id"], row["campaign_id"]), row["active"], row["resting_until"], row["rests"])
        for row in await pool.fetch(_NUMBERS)
    ]


async def traffic(pool: Any, now: datetime) -> dict[int, Figures]:
    """What the calls of the last seven days say of each number, by its id; of one that has rested, those since."""
    since = now - PERIOD
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for setting in _SETTINGS:
            await connection.execute(f"SET LOCAL {setting}")
        destinations = await connection.fetch(_DESTINATIONS, since, timeout=_SECONDS)
        of_pools = await connection.fetch(_NUMBERS, timeout=_SECONDS)
        places = await asyncio.to_thread(_Places, of_pools, destinations)
        rows = await connection.fetch(
            _FIGURES, since, SHORT_SECONDS, *places.numbers, *places.destinations, timeout=_SECONDS
        )
    return await asyncio.to_thread(_figures, rows, places.names)


async def returned(pool: Any, now: datetime) -> list[Changed]:
    """Puts on record whose rest is over."""
    return [Changed(**row) for row in await pool.fetch(_RETURNED, now)]


async def keep(pool: Any, verdicts: Iterable[Verdict], now: datetime) -> list[Changed]:
    """Keeps verdicts where they are new, and begins the rests; those that rest now. A number that another node has sent
    to rest meanwhile stays as it is."""
    rests: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for verdict in verdicts:
        row: dict[str, Any] = {"id": verdict.number, "health": verdict.as_json() | {"at": now.isoformat()}}
        if verdict.state is State.RESTING and verdict.until is not None:
            rests.append(row | {"until": verdict.until.isoformat(), "rests": verdict.rests})
        else:
            others.append(row)
    rested = [
        Changed(row["id"], row["tenant_id"], row["e164"], row["resting_until"], row["rests"])
        for row in (await pool.fetch(_REST, now, rests) if rests else ())
    ]
    for batch in _batches(others):
        await pool.execute(_KEEP, batch)
    return rested


async def rest(pool: Any, tenant_id: int, id_: int, now: datetime, until: datetime, by: str) -> None:
    """Lets a number rest until then, as an operator wishes; a rest under way gets the new end."""
    if await pool.fetchval(_REST_BY_HAND, tenant_id, id_, now, until, by) is None:
        raise Refused(f"caller ID {id_} is gone")


async def wake(pool: Any, tenant_id: int, id_: int, now: datetime, by: str) -> None:
    """Ends a rest; only calls since then count. Raises `Refused` when the number does not rest."""
    if await pool.fetchval(_WAKE, tenant_id, id_, now, by) is None:
        raise Refused("it does not rest")


class _Places:
    """Where numbers and destinations are, in columns of small whole numbers, as the query wants them: quick to compare.
    `names`: of the places that destinations count as."""

    def __init__(self, of_pools: Sequence[Any], destinations: Sequence[Any]) -> None:
        self._codes: dict[Hashable, int] = {}
        self.names: dict[int, str] = {}
        self.numbers = _columns([(row["id"], *self._levels(row["e164"])) for row in of_pools], 4)
        calls: dict[Hashable, int] = defaultdict(int)
        for row in destinations:
            calls[_pool(row), area_of(row["e164"])[0]] += row["calls"]
        rows = []
        for row in destinations:
            area, _, country = area_of(row["e164"])
            name = area if calls[_pool(row), area] >= FEW else country
            place = self._code((_pool(row), name))
            self.names[place] = name
            rows.append((*_pool(row), row["prefix"], *self._levels(row["e164"]), place))
        self.destinations = _columns(rows, 7)

    def _levels(self, e164: str) -> tuple[int | None, int | None, int | None]:
        area, state, country = area_of(e164)
        return self._code(area), self._code(state) if state else None, self._code(country)

    def _code(self, of: Hashable) -> int:
        return self._codes.setdefault(of, len(self._codes))


def area_of(e164: str) -> tuple[str, str | None, str]:
    """Area, state if any is known, and country of a number; the country stands for the area where it has none."""
    own = levels(e164)
    names = own[:-1] or own  # without "anywhere", where anything else is known
    return names[0], names[1] if len(names) == 3 else None, names[-1]


def _pool(row: Any) -> tuple[int, int]:
    return row["tenant_id"], row["campaign_id"] or 0


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[i] for row in rows] for i in range(width)]


def _figures(rows: Sequence[Any], names: Mapping[int, str]) -> dict[int, Figures]:
    found: dict[int, Figures] = {}
    for row in rows:
        busiest = zip(row["places"] or (), row["of_places"] or (), strict=True)
        areas = tuple(area_in(names[place], _share(sums)) for place, sums in busiest)
        answered, rejected, short = (_share(row[name]) for name in ("answered", "rejected", "short"))
        found[row["id"]] = Figures(row["calls"], answered, rejected, short, areas)
    return found


def _share(sums: Sequence[float | None]) -> Share:
    return Share(*(value or 0.0 for value in sums))


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    return (rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH))
