"""Lines (trunks) as the panel sees and switches them. They are declared in the nodes' configuration, never here."""

from dataclasses import dataclass
from typing import Any

from dialerd.store.errors import NotFound, Refused
from dialerd.store.queries import queries

_Q = queries("batch")
_LINES, _SET, _DELETE = _Q.lines, _Q.set_line, _Q.delete_line
_ADD_EVENT = queries("admin").add_event


@dataclass(frozen=True, slots=True)
class Line:
    """A trunk. `shared`: the installation's, for every tenant; `live`: calls on it that the asker may see."""

    name: str
    node: str
    max_calls: int
    active: bool
    shared: bool
    live: int


async def all_of(pool: Any, tenant_id: int) -> list[Line]:
    """The tenant's lines and the installation's."""
    return [Line(**row) for row in await pool.fetch(_LINES, tenant_id)]


async def set_active(pool: Any, tenant_id: int, name: str, active: bool, shared: bool, by: str) -> Line:
    """Switch a line: no new call leaves by one that is off, calls that live go on. `shared`: the installation's too,
    which takes a pool that sees all tenants. Raises `NotFound`, `Refused`."""
    line = await _find(pool, tenant_id, name, shared)
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(_SET, tenant_id, name, active, shared) is None:
            raise NotFound(f"there is no line {name!r}")
        kind = "line.activated" if active else "line.deactivated"
        await connection.execute(_ADD_EVENT, tenant_id, None, kind, {"by": by, "line": line.name})
    return await _find(pool, tenant_id, name, shared)


async def delete(pool: Any, tenant_id: int, name: str, shared: bool, by: str) -> None:
    """Take a line away. One that is still in a node's configuration is back when that node starts again.

    Raises `NotFound`, and `Refused` while calls live on it.
    """
    line = await _find(pool, tenant_id, name, shared)
    if line.live:
        raise Refused(f"{line.live} calls live on {name!r}: deactivate it first, and wait for their end")
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(_DELETE, tenant_id, name, shared) is None:
            raise NotFound(f"there is no line {name!r}")
        await connection.execute(_ADD_EVENT, tenant_id, None, "line.deleted", {"by": by, "line": name})


async def _find(pool: Any, tenant_id: int, name: str, shared: bool) -> Line:
    for line in await all_of(pool, tenant_id):
        if line.name == name:
            if line.shared and not shared:
                raise Refused(f"{name!r} is the installation's line, and other tenants call over it")
            return line
    raise NotFound(f"there is no line {name[:60]!r}")
