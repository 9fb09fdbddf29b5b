"""How the store says no; the surfaces turn these into exit codes and HTTP statuses."""

import asyncpg

# What a query may raise that is about PostgreSQL and not about us: it is away, slow, or said no. asyncpg says
# InternalClientError when a connection is lost in the middle of what it was doing.
DB_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class NotFound(LookupError):
    """There is no such thing in this tenant."""


class Refused(ValueError):
    """The database's state does not allow this; the text says why and what to do."""
