"""One installation for all live tests; each gets a database and a daemon of its own, and cannot skip the invariants."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
import pytest_asyncio
import redis

from lab.proxy import Proxy
from lab.site import Site
from lab.subscribers import Subscribers
from tests.live.place import Place
from tests.live.scene import Scene
from tests.tones import tones

_numbers = count(1)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """PBX, carrier, six phones, PostgreSQL and Redis. People ring for half a second and talk for about three."""
    with Site(agents=6, subscribers=Subscribers(ring_seconds=0.5, talk_seconds=3), fsync=False) as site:
        site.lab.wait_registered()
        yield site


@pytest.fixture
def ami(site: Site) -> Iterator[Proxy]:
    """Between dialerd and the manager interface. (Asked for before `place`, so that it outlives its daemon.)"""
    with Proxy(site.lab.ami_port) as proxy:
        yield proxy


@pytest.fixture
def ari(site: Site) -> Iterator[Proxy]:
    """Between dialerd and ARI."""
    with Proxy(site.lab.ports.ari) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def place(site: Site) -> AsyncIterator[Place]:
    """A fresh database and a daemon that is not started yet. At the end everything must come to rest."""
    template, site.database = "dialerd", f"live_{next(_numbers)}"
    await site.postgres.create_database(site.database, template)
    with redis.Redis.from_url(site.redis.url_with_password(1)) as client:
        client.flushdb()
    site.new_daemon(dialing={"drain_seconds": 20.0, "reconcile_seconds": 2.0})
    pool = await site.pool()
    place = Place(site, pool)
    try:
        yield place
        if not place.finished:
            await place.finish()
    finally:
        site.kill_daemons()
        pool.terminate()
        await asyncio.to_thread(_clear, site)


@pytest.fixture
def scene(place: Place) -> Iterator[Scene]:
    place.configure(
        dialing={"drain_seconds": 20.0, "reconcile_seconds": 2.0},
        incall={"contexts": ["desk"], "answer_seconds": 5, "queue_seconds": 8.0, "park_seconds": 5.0},
    )
    with tones(place) as found:
        yield Scene(place, found)


@pytest_asyncio.fixture
async def ended(scene: Scene) -> AsyncIterator[None]:
    """At the end of a test the person hangs up, and everything comes to rest."""
    yield
    scene.hang_up("person")
    await scene.place.until_outcomes(connected=1)


def _clear(site: Site) -> None:
    """Nothing that a test left, failed or not, meets the next one."""
    if not site.lab.quiet(0.2):
        site.lab.pbx.cli("channel request hangup all")
        site.lab.quiet(10)
    for recording in site.lab.pbx.recordings():
        recording.unlink()
