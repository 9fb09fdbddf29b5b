"""External scrubs: somebody else's check of a campaign's numbers, its hits kept as a do-not-call list with a date.

A scrub is a plug-in: a factory under the entry-point group `dialerd.scrub` that takes the text after 'name:' and gives
a `Scrub`. `file` is shipped: `file:/srv/lists/robinson.txt.gz`.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import asyncpg

from dialerd.clock import Clock
from dialerd.store.dnc import Scope, check_text
from dialerd.store.dnc_import import Report, fill, read_numbers, replace, staging
from dialerd.store.errors import Refused
from dialerd.store.queries import queries

_WAITING = queries("dnc").waiting_numbers
_BATCH = 100_000
GROUP = "dialerd.scrub"


class Scrub(Protocol):
    """Who is asked. `source` says in a few words where the answers come from; it goes on record."""

    source: str

    async def check(self, numbers: Sequence[str]) -> frozenset[str]:
        """Those of the E.164 numbers (at most 100,000) that must not be called.

        An error means that nothing is known: raise, and the scrub as a whole has not been.
        """


class FileScrub:
    """Checks against a file, as `dnc_import.read_numbers` reads it. Reads it once per batch: constant memory."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.source = f"file {self._path.name}"

    async def check(self, numbers: Sequence[str]) -> frozenset[str]:
        """See `Scrub`. Raises OSError, and `Refused` when a line of the file cannot be read as E.164."""
        wanted = {int(number[1:]) for number in numbers}
        report = Report()
        hits = {n for n in read_numbers(self._path, "ZZ", report, bare_e164=True) if n in wanted}
        if report.refused or not report.rows:
            line, reason, text = report.examples[0] if report.examples else (0, "empty", "")
            raise Refused(f"{self._path}: line {line} is no E.164 number ({reason} {text!r}): nobody is cleared by it")
        return frozenset(f"+{n}" for n in hits)


BUILT_IN: Mapping[str, Callable[[str], Scrub]] = {"file": FileScrub}


def find(spec: str) -> Scrub:
    """The scrub that 'name:argument' means. Raises `Refused`."""
    name, _, argument = spec.partition(":")
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in BUILT_IN:
        return BUILT_IN[name](argument)
    if name in installed:
        scrub: Scrub = installed[name].load()(argument)
        return scrub
    known = ", ".join(sorted({*BUILT_IN, *installed}))
    raise Refused(f"there is no scrub {name!r}; known: {known}")


async def scrub(
    pool: asyncpg.Pool,
    tenant_id: int,
    campaign_id: int,
    list_name: str,
    by_whom: Scrub,
    by: str,
    max_age_days: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Have the numbers of a campaign that may still be called checked; the hits become the campaign's scrub list.

    The list's date is the scrub's beginning; contacts that come later are not covered by it. In the report, `rows` are
    the numbers that were checked. Raises what the scrub raises; then the list is what it was.
    """
    check_text("list", list_name)
    began, report, last = Clock().now(), Report(), 0
    async with staging(pool) as connection:
        while batch := await connection.fetch(_WAITING, campaign_id, last, _BATCH):
            numbers = [row["e164"] for row in batch]
            hits = await by_whom.check(numbers)
            if unasked := hits - set(numbers):
                raise Refused(f"the scrub answered numbers that it was not asked, {min(unasked)!r} among them")
            await fill(connection, (int(number[1:]) for number in hits))
            report.rows += len(numbers)
            last = batch[-1]["id"]
            progress(report.rows)
        where = Scope(tenant_id, campaign_id)
        await replace(connection, tenant_id, where, list_name, "scrub", report, by, by_whom.source, began, max_age_days)
    return report
