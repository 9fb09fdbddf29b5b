"""Schema versions: `sql/migrations/NNNN_name.sql`, each applied once, whole, in its own transaction.

Two runs at once are safe (each step takes an advisory lock and looks again); a second run does nothing. A
schema that is newer than this program, or was made by a file that has changed since, is refused and left as
it is.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from dialerd.paths import shipped

_FILE = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql\Z", re.ASCII)
_LOCK = 0x6469616C  # the advisory lock of schema changes, in this database only
_STEP_TIMEOUT_SECONDS = 600.0  # a migration may rewrite a large table
_WAIT_SECONDS = 120.0  # for another run that is at work

_CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""
_READ_LEDGER = "SELECT version, checksum FROM schema_migrations"
_WRITE_LEDGER = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"


class SchemaError(Exception):
    """The database's schema and this program do not fit together."""


class SchemaOutdated(SchemaError):
    """Migrations are missing: run `dialer-admin db migrate`."""


class SchemaTooNew(SchemaError):
    """A newer dialerd has migrated this database: upgrade this one."""


class SchemaChanged(SchemaError):
    """An applied migration's file is no longer what it was: install the release that made the schema."""


class MigrationFailed(SchemaError):
    """PostgreSQL refused a migration; nothing of it is left behind."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, text, and the checksum (SHA-256, hex) by which it is known again."""

    version: int
    name: str
    sql: str
    checksum: str


def shipped_migrations(folder: Path | None = None) -> list[Migration]:
    """The migrations of `folder` (default: the shipped ones), numbered 1, 2, 3 … or ValueError."""
    folder = folder or shipped("sql") / "migrations"
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise ValueError(f"{path}: a migration is named NNNN_name.sql")
        sql = path.read_bytes()
        checksum = hashlib.sha256(sql).hexdigest()
        found.append(Migration(int(match[1]), match[2], sql.decode("utf-8"), checksum))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{folder}: migrations must be numbered 0001, 0002 … without gaps or repetition")
    return found


def pending(known: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """The migrations still to be applied. `applied` is version → checksum, as the database has it.

    Raises `SchemaTooNew` or `SchemaChanged`.
    """
    newest = len(known)
    if unknown := sorted(version for version in applied if version > newest):
        raise SchemaTooNew(
            f"the database is at schema version {unknown[-1]}, this dialerd knows {newest}: upgrade dialerd"
        )
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaChanged(
                f"migration {migration.version:04d}_{migration.name} was applied from a different file: "
                "install the release that made this schema, or restore the file"
            )
    return [m for m in known if m.version not in applied]


async def migrate(pool: asyncpg.Pool, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing, in order; the migrations that this call applied.

    Raises `SchemaTooNew`, `SchemaChanged`, `MigrationFailed`, and asyncpg's errors when the link breaks.
    """
    known = shipped_migrations() if migrations is None else migrations
    done: list[Migration] = []
    async with pool.acquire(timeout=_WAIT_SECONDS) as connection:
        # The pool's limits are for short statements; they come back when the connection is released.
        await connection.alter(f"SET statement_timeout = '{_STEP_TIMEOUT_SECONDS}s'")
        await connection.alter(f"SET lock_timeout = '{_WAIT_SECONDS}s'")
        while (step := await _apply_next(connection, known)) is not None:
            done.append(step)
    return done


async def _apply_next(connection: asyncpg.Connection, known: Sequence[Migration]) -> Migration | None:
    async with connection.transaction():
        # Held to the end of the transaction, so that it also works behind a transaction pooler.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_WAIT_SECONDS + 5)
        await connection.execute(_CREATE_LEDGER)
        rows = await connection.fetch(_READ_LEDGER)
        missing = pending(known, {row["version"]: row["checksum"] for row in rows})
        if not missing:
            return None
        step = missing[0]
        try:
            await connection.execute(step.sql, timeout=_STEP_TIMEOUT_SECONDS)
        except asyncpg.PostgresError as error:
            raise MigrationFailed(f"migration {step.version:04d}_{step.name}: {error}") from error
        await connection.execute(_WRITE_LEDGER, step.version, step.name, step.checksum)
        return step


async def check(pool: asyncpg.Pool, migrations: Sequence[Migration] | None = None) -> int:
    """The schema's version. Raises `SchemaOutdated`, `SchemaTooNew` or `SchemaChanged` unless it is the one known."""
    known = shipped_migrations() if migrations is None else migrations
    try:
        rows = await pool.fetch(_READ_LEDGER)
    except asyncpg.UndefinedTableError:
        rows = []
    missing = pending(known, {row["version"]: row["checksum"] for row in rows})
    if missing:
        names = ", ".join(f"{m.version:04d}_{m.name}" for m in missing)
        raise SchemaOutdated(f"the database lacks {names}: run 'dialer-admin db migrate'")
    return len(known)
