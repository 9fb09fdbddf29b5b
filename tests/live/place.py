"""What a live test works with: the installation, a database and daemon of its own, and the invariants at its end."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import asyncpg

from dialerd.core.ids import is_attempt
from lab.carrier import Invite
from lab.daemon import Daemon
from lab.robots import Habits, Robots
from lab.site import Site
from lab.subscribers import Behaviour, number
from tests.terms import add_contacts

QUIET_SECONDS = 40.0


class Place:
    """`site` is shared by the session; database, daemon and what is counted are this test's own."""

    def __init__(self, site: Site, pool: asyncpg.Pool) -> None:
        self.site = site
        self.pool = pool
        self.daemon: Daemon = site.daemon
        self.may_lose_cdrs = False  # an Asterisk that is killed writes none: such a test says so
        self.finished = False
        self._seen_invites = len(site.lab.invites())

    def configure(self, **settings: Mapping[str, Any]) -> None:
        """A daemon with other settings (before it is started)."""
        self.daemon = self.site.new_daemon(**settings)

    def start(self) -> None:
        """Starts the daemon and waits until it may dial."""
        self.daemon.start()
        self.daemon.until_dialing()

    async def campaign(self, *behaviours: Behaviour, **changes: Any) -> int:
        """An active campaign that may call at any hour, with one contact per behaviour."""
        await self.pool.execute("INSERT INTO trunks (name, node, max_calls) VALUES ('trunk-out', 'lab', 200)"
                                " ON CONFLICT DO NOTHING")  # fmt: skip
        columns: dict[str, Any] = {
            "tenant_id": 1, "name": f"campaign-{time.monotonic_ns()}", "state": "active",
            "dial_mode": "progressive", "queue_name": "sales", "trunk": "trunk-out", "caller_id": "+358401109999",
            "wrap_up_seconds": 0, "max_retries": 0, "skip_holidays": False, **changes,
        }  # fmt: skip
        names, places = ", ".join(columns), ", ".join(f"${i}" for i in range(1, len(columns) + 1))
        insert = f"INSERT INTO campaigns ({names}) VALUES ({places}) RETURNING id"  # noqa: S608 - our own names
        id_: int = await self.pool.fetchval(insert, *columns.values())
        await self.pool.execute(
            "INSERT INTO campaign_windows SELECT $1, day, '00:00', '24:00' FROM generate_series(1, 7) AS day", id_
        )
        await self.contacts(id_, *behaviours)
        return id_

    async def contacts(self, campaign: int, *behaviours: Behaviour) -> None:
        """More contacts: each behaviour gets the next free number of its kind."""
        taken: Counter[Behaviour] = Counter()
        for behaviour in behaviours:
            e164 = number(behaviour, campaign * 100 + taken[behaviour])
            taken[behaviour] += 1
            await add_contacts(self.pool, campaign, [e164], ["Europe/Helsinki"])
        await self.pool.execute("SELECT pg_notify('dialerd', 'campaigns')")  # there may be a zone that is new to it

    async def agents(self, count: int, queue: str = "sales") -> list[str]:
        """Agents with phones; not connected yet."""
        names = self.site.lab.agents[:count]
        for name in names:
            await self.pool.execute(
                "WITH a AS (INSERT INTO agents (tenant_id, name, endpoint) VALUES (1, $1, $1) RETURNING id)"
                " INSERT INTO agent_queues SELECT id, $2 FROM a", name, queue,
            )  # fmt: skip
        return names

    def connect(self, names: list[str]) -> None:
        """Calls the agents' phones and waits until everyone is ready."""
        for name in names:
            self.daemon.post(f"/agents/{name}/connect")
        self.wait(lambda: all(self.agent(n)["state"] == "ready" for n in names), 15, "every agent ready")

    def agent(self, name: str) -> dict[str, Any]:
        """An agent as `/status` shows them."""
        found: dict[str, Any] = next(a for a in self.daemon.status()["agents"] if a["name"] == name)
        return found

    def calls(self) -> dict[str, int]:
        """Live calls by state."""
        found: dict[str, int] = self.daemon.status()["calls_by_state"]
        return found

    async def outcomes(self) -> Counter[str]:
        """How this test's attempts ended, as PostgreSQL has it."""
        rows = await self.pool.fetch("SELECT outcome, count(*) AS n FROM attempts GROUP BY outcome")
        return Counter({row["outcome"] or "live": row["n"] for row in rows})

    async def until_outcomes(self, seconds: float = 60.0, **expected: int) -> None:
        """Waits until the attempts ended exactly like that."""
        limit = time.monotonic() + seconds
        while (found := await self.outcomes()) != Counter(expected):
            if time.monotonic() > limit:
                raise AssertionError(f"outcomes are {dict(found)}, expected {expected}\n{self.daemon.tail(60)}")
            time.sleep(0.1)

    async def until(self, query: str, expected: int, *args: object, seconds: float = 60.0) -> None:
        """Waits until a query's number is the expected one."""
        limit = time.monotonic() + seconds
        while (found := await self.pool.fetchval(query, *args)) != expected:
            if time.monotonic() > limit:
                raise AssertionError(f"{query}: {found}, expected {expected}\n{self.daemon.tail(60)}")
            time.sleep(0.1)

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits for a condition; fails with the daemon's log when it does not come."""
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{self.daemon.tail(60)}")
            time.sleep(0.05)

    def link(self, name: str) -> str:
        """A link's state as `/health` shows it."""
        return str((self.daemon.health() or {}).get(name))

    def all_invites(self) -> list[Invite]:
        """The INVITEs that reached the carrier in this test."""
        return self.site.lab.invites()[self._seen_invites :]

    def invites(self) -> list[Invite]:
        """Those of attempts; the others are calls that agents dialled by hand."""
        return [invite for invite in self.all_invites() if is_attempt(invite.attempt)]

    # -- the end of every live test -------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Everything comes to rest, and the invariants I1, I3, I4, I5, I6, I7, I13 hold."""
        await self.pool.execute("UPDATE campaigns SET state = 'paused' WHERE state = 'active'")
        if not self.daemon.running():
            self.start()  # a test that killed it: the next start has to put everything in order
        self.daemon.until_dialing()
        self.wait(lambda: not self.calls(), QUIET_SECONDS, "no live call")
        busy = [a for a in self.daemon.status()["agents"] if a["state"] in ("reserved", "on_call")]
        assert not busy, f"I6: agents without a call: {busy}"
        assert self.daemon.stop() == 0
        await self._invariants()
        self.finished = True

    async def _invariants(self) -> None:
        live = await self.pool.fetch("SELECT id, state FROM attempts WHERE state <> 'ended'")
        assert not live, f"I4: attempts without an end: {live}"
        assert self.site.lab.quiet(10) and not self.site.lab.leftovers(), f"I5: {self.site.lab.leftovers()}"
        states = await self.pool.fetch("SELECT name FROM agents WHERE state <> 'offline'")
        assert not states, f"I6: agents still on: {states}"
        invites = Counter(invite.attempt for invite in self.invites())
        twice = {attempt: n for attempt, n in invites.items() if n > 1}
        assert not twice, f"I1: dialled more than once: {twice}"
        per_number = Counter(invite.number for invite in self.invites())
        allowed = {
            row["e164"]: row["n"]
            for row in await self.pool.fetch("SELECT e164, count(*) AS n FROM attempts GROUP BY 1")
        }
        over = {e164: n for e164, n in per_number.items() if n > allowed.get(e164, 0)}
        assert not over, f"I1: more INVITEs than attempts: {over}"
        rows = {
            str(r["id"]): r["outcome"]
            for r in await self.pool.fetch("SELECT id, outcome FROM attempts WHERE returns IS NULL")
        }
        assert not set(invites) - set(rows), f"I7: INVITEs without an attempt: {set(invites) - set(rows)}"
        sent = {a for a, outcome in rows.items() if outcome not in ("not_sent", "failed", "unknown")}
        assert not sent - set(invites), f"I7: attempts without an INVITE: {sent - set(invites)}"
        late = await self.pool.fetch(
            "SELECT a.id, a.dialed_at, e.detail->>'open_until' AS until FROM attempts a"
            " JOIN call_events e ON e.attempt_id = a.id AND e.kind = 'claimed'"
            " WHERE a.dialed_at >= (e.detail->>'open_until')::timestamptz"
        )
        assert not late, f"I3: dialled after what was judged had ended: {late}"
        unexplained = await self.pool.fetch(
            "SELECT a.id FROM attempts a WHERE a.returns IS NULL AND (SELECT count(*) FROM call_events e"
            " WHERE e.attempt_id = a.id AND e.kind = 'claimed'"
            " AND e.detail ?& '{version,zones,open_until,calls_24h}') <> 1"
        )
        assert not unexplained, f"I13: dialled without a decision on record: {unexplained}"
        if not self.may_lose_cdrs:
            missing = set(invites) - self.site.lab.cdrs()
            assert not missing, f"I7: no CDR for {missing}"


@contextmanager
def subscribers(place: Place, **milliseconds: int) -> Iterator[None]:
    """Other ring and talk times for a while."""
    usual = {"RING_MS": 500, "TALK_MS": 3000}
    try:
        for name, value in milliseconds.items():
            place.site.lab.carrier.cli(f"dialplan set global {name} {value}")
        yield
    finally:
        for name, value in usual.items():
            place.site.lab.carrier.cli(f"dialplan set global {name} {value}")


@asynccontextmanager
async def robots(
    place: Place, names: list[str], wrap_up_seconds: float, talk_seconds: float | None = None
) -> AsyncIterator[None]:
    """Agents who come, and again when their phone died, wrap up for about so long, and never pause. With `talk_seconds`
    they hang up after about so long, else never."""
    habits = Habits(wrap_up_seconds=wrap_up_seconds, pause_chance=0.0, hangup_chance=0.0)
    if talk_seconds is not None:
        habits = replace(habits, hangup_chance=1.0, talk_seconds=talk_seconds)
    stop = asyncio.Event()
    running = asyncio.create_task(Robots(place.daemon.url, place.site.token, names, habits).run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
