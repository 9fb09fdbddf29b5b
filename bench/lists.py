"""`make bench-lists`: how fast a long, dirty list comes in, beside a bare COPY of the same rows in the same run.

A PostgreSQL of its own (fsync on) on the same machine. The importer runs in a process of its own, so that its peak
of memory is its own. Figures go into bench/results/lists.json.
"""

import argparse
import asyncio
import csv
import json
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from pydantic import SecretStr

from bench import claims
from dialerd import config
from dialerd.core.contactfile import contacts_of
from dialerd.store.contacts import import_contacts
from dialerd.store.listfile import read_rows
from dialerd.store.migrate import migrate
from dialerd.store.pool import connect
from lab.services import Postgres, scratch

# What a server of this size would be given; commits wait for the disk.
SERVER = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min", "work_mem": "32MB"}
RESULTS = Path(__file__).parent / "results" / "lists.json"
ROWS = 1_000_000
_BAD = ("", "call me maybe", "112", "0600 123456", "+882 16 1234567", "040 12", "3.58401E+11", "500&PJSIP/itsp/1")
_NAMES = ("Aino Korhonen", "Väinö Mäkinen", "José Rodríguez", "Maryam Ahmadi", '"Öberg, Åsa"', "Sean O'Brien")
_CONTACTS = "id, tenant_id, campaign_id, list_id, external_id, name, priority, custom, position, zone_set, state, rank"
_NUMBERS = "contact_id, tenant_id, campaign_id, position, e164, zone_set"
_COPIED = (("contacts", _CONTACTS), ("numbers", _NUMBERS))


def write_list(path: Path, count: int, seed: int = 1) -> None:
    """A list as people send them: 5 % rows of no use, 2 % duplicates, several countries, every spelling."""
    lots = Random(seed)
    with path.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, delimiter=";")
        table.writerow(["Phone", "Name", "Priority", "Customer ID", "City"])
        recent = ["0401234567"]
        for row in range(count):
            dirt = lots.random()
            phone = lots.choice(_BAD) if dirt < 0.05 else lots.choice(recent) if dirt < 0.07 else _phone(lots)
            if dirt >= 0.07 and row % 97 == 0:
                recent = [*recent[-500:], phone]
            name = lots.choice(_NAMES)
            table.writerow([phone, name, lots.randrange(10), f"C-{row}", "Espoo" if row % 3 else ""])


def _phone(lots: Random) -> str:
    kind = lots.random()
    if kind < 0.1:
        return f"+1 (212) {lots.randrange(200, 1000)}-{lots.randrange(10_000):04}"
    if kind < 0.2:
        return f"00 98 912 {lots.randrange(10_000_000):07}"
    if kind < 0.25:
        return f"+57 300 {lots.randrange(10_000_000):07}"
    area, rest = lots.choice(("40", "41", "44", "45", "46", "50")), f"{lots.randrange(10_000_000):07}"
    return lots.choice((
        f"+358{area}{rest}",
        f"+358 {area} {rest[:3]} {rest[3:]}",
        f"0{area} {rest[:3]} {rest[3:]}",
        f"0{area}-{rest}",
        f"(0{area}) {rest}",
        f"00358{area}{rest}",
    ))  # fmt: skip


async def take(pool: asyncpg.Pool, path: Path, size: int) -> dict[str, Any]:
    """Import the list; its time, and memory at a quarter and at the end."""
    begun = time.perf_counter()
    quarter = 0.0

    def progress(done: int) -> None:
        nonlocal quarter
        if done > size / 4 and not quarter:
            quarter = _peak_mb()

    entries = contacts_of(read_rows(path, progress), "FI")
    report = await import_contacts(pool, 1, await _campaign(pool, "import"), entries, "bench")
    seconds = time.perf_counter() - begun
    return {
        "rows": report.rows,
        "imported": report.imported,
        "refused": sum(report.refused.values()),
        "seconds": round(seconds, 2),
        "rows_per_s": round(report.rows / seconds),
        "cpu_us_per_row": round(time.process_time() / report.rows * 1e6, 1),  # without the database's
        "peak_rss_mb": round(_peak_mb()),
        "peak_rss_mb_at_a_quarter": round(quarter),
    }


async def bare_copy(pool: asyncpg.Pool, folder: Path, rows: int) -> float:
    """Seconds that COPY alone takes for what the import has written, into emptied tables with the same indexes."""
    async with pool.acquire() as connection:
        for table, columns in _COPIED:
            query = f"SELECT {columns} FROM {table}"  # noqa: S608 -- constants
            await connection.copy_from_query(query, output=folder / f"{table}.copy")
        await connection.execute("TRUNCATE contacts, numbers CASCADE")
        for (
            table,
            _,
        ) in _COPIED:  # COPY knows no row-level security, which binds the owner too; the bench's database only
            await connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        begun = time.perf_counter()
        async with connection.transaction():
            for table, columns in _COPIED:
                await connection.copy_to_table(table, source=folder / f"{table}.copy", columns=columns.split(", "))
        return time.perf_counter() - begun


async def _campaign(pool: asyncpg.Pool, name: str) -> int:
    found: int = await pool.fetchval(
        "INSERT INTO campaigns (tenant_id, name, dial_mode, queue_name, trunk) VALUES (1, $1, 'power', 'q', 't')"
        " RETURNING id",
        name,
    )
    return found


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory_gb": round(memory / 2**30, 1), "python": platform.python_version()}


def record(figures: dict[str, Any], quick: bool = False) -> None:
    """Put figures into the file of results, or of the quick ones; what it holds beside stays."""
    path = RESULTS.with_suffix(".quick.json") if quick else RESULTS
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**kept, "machine": machine(), **figures}, indent=2) + "\n")
    print(json.dumps(figures, indent=2), flush=True)


async def _importer(dsn: str, path: Path, size: int) -> None:
    """The process that imports: the password comes on stdin, the figures go to stdout."""
    pool = await connect(_settings(dsn, sys.stdin.readline().strip()), "bench")
    try:
        print(json.dumps(await take(pool, path, size)))
    finally:
        await pool.close()


def _settings(dsn: str, password: str) -> config.Postgres:
    return config.Postgres(dsn=dsn, password=SecretStr(password), statement_timeout_seconds=300)


async def bench_import(server: Postgres, folder: Path, rows: int) -> dict[str, Any]:
    """The figures of the import."""
    path = folder / "list.csv"
    write_list(path, rows)
    dsn = await server.create_database("import")
    pool = await connect(_settings(dsn, server.password), "bench")
    try:
        await migrate(pool)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.lists", "--importer", dsn, str(path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await child.communicate(server.password.encode() + b"\n")
        if child.returncode:
            raise SystemExit("the import has failed")
        figures: dict[str, Any] = json.loads(out)
        seconds = await bare_copy(pool, folder, rows)
    finally:
        await pool.close()
    copied = figures["imported"] / seconds
    return {**figures, "copy_rows_per_s": round(copied), "ratio_to_copy": round(figures["rows_per_s"] / copied, 2)}


async def _main(scale: int, parts: Sequence[str]) -> None:
    """At 1: a million rows imported, claims from ten million contacts. A larger scale is so many times less."""
    folder = scratch("bench")
    try:
        with Postgres(folder / "pg", settings=SERVER) as server:
            if "import" in parts:
                record({"import": await bench_import(server, folder, ROWS // scale)}, scale > 1)
            if "claim" in parts:
                large = 10 * ROWS // scale
                sizes = min(100_000, large // 10), large, large, ROWS // scale
                claimed = await claims.measure(server, *sizes, lambda text: print(text, file=sys.stderr))
                record({"claim": claimed, **await claims.doors(server, large)}, scale > 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=100 if os.environ.get("QUICK") == "1" else 1)
    parser.add_argument("--part", choices=["import", "claim"], action="append", help="Only this.  [default: both]")
    parser.add_argument("--importer", nargs=2, metavar=("DSN", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.importer:
        file = Path(options.importer[1])
        asyncio.run(_importer(options.importer[0], file, file.stat().st_size))
    else:
        asyncio.run(_main(options.scale, options.part or ("import", "claim")))
