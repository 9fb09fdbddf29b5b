"""The database as the HTTP surface sees it: always as one tenant, or a 503 that says that it is away."""

from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection

from dialerd.store import campaigns
from dialerd.store.errors import NotFound
from dialerd.store.pool import TenantPool
from dialerd.web.errors import Problem

DEFAULT_TENANT = "default"
HEADER = "x-tenant"


class Database:
    """`pool` gives the pool that sees all tenants, or None while PostgreSQL is away."""

    def __init__(self, pool: Callable[[], Any]) -> None:
        self._pool = pool

    def everything(self) -> Any:
        """The pool that sees all tenants, for what belongs to the installation. Raises `Problem` 503."""
        pool = self._pool()
        if pool is None:
            raise Problem(503, "postgres_down", "PostgreSQL is not connected.", "Look at /health; try again.")
        return pool

    async def tenant(self, name: str) -> tuple[TenantPool, campaigns.Tenant]:
        """A tenant by name, and a pool that sees nothing else. Raises `Problem` 404 or 503."""
        pool = self.everything()
        try:
            found = await campaigns.tenant(pool, name)
        except NotFound as error:
            raise Problem(404, "no_such_tenant", str(error), "dialer-admin tenant list") from None
        return TenantPool(pool, found.id), found

    async def tenant_of(self, request: HTTPConnection) -> tuple[TenantPool, campaigns.Tenant]:
        """The tenant that a request names: header X-Tenant, else ?tenant=, else "default"."""
        name = request.headers.get(HEADER) or request.query_params.get("tenant") or DEFAULT_TENANT
        return await self.tenant(name)
