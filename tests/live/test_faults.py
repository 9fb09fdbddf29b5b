"""Connections cut, servers killed, the daemon killed: nothing is dialled twice, nothing is lost, it recovers by itself.

The names in brackets are the rows of the fault matrix. The invariants are asserted at the end of each test by `place`.
"""

import time

import pytest
import redis

from lab.proxy import Proxy
from lab.subscribers import Behaviour
from tests.live.place import Place, subscribers

pytestmark = pytest.mark.live

RECOVERY_SECONDS = 30
LAST_HEADER = b"DIALERD_AMD=0\r\n\r\n"  # how our Originate ends on the wire


def through(place: Place, **proxies: Proxy) -> None:
    """A daemon that reaches Asterisk through these."""
    changes: dict[str, dict[str, object]] = {
        name: {"port": p.port, "ping_seconds": 1.0} if name == "ami" else {"url": f"http://127.0.0.1:{p.port}/ari"}
        for name, p in proxies.items()
    }
    place.configure(**changes)


async def test_an_originate_whose_answer_was_lost_is_never_sent_again_and_its_call_is_not_lost(
    ami: Proxy, place: Place
) -> None:
    """[F2] The connection goes after the Originate and before the Response."""
    through(place, ami=ami)
    await place.campaign(Behaviour.PERSON)
    names = await place.agents(1)
    place.start()
    ami.cut_after(LAST_HEADER, "up")
    place.connect(names)
    await place.until_outcomes(connected=1)
    kinds = [row["kind"] for row in await place.pool.fetch("SELECT kind FROM call_events ORDER BY id")]
    assert "link_lost" in kinds and "sent" not in kinds
    assert len(place.invites()) == 1


async def test_an_unknown_attempt_that_never_reached_asterisk_is_closed_as_unknown_and_not_dialled_again(
    ami: Proxy, place: Place
) -> None:
    """[F2] The connection goes before the whole Originate has passed."""
    through(place, ami=ami)
    await place.campaign(Behaviour.PERSON, ring_timeout_seconds=5, max_retries=3, retry_delay_seconds=0)
    names = await place.agents(1)
    place.start()
    ami.cut_after(b"DIALERD_APP", "up")
    place.connect(names)
    place.wait(lambda: place.calls().get("unknown") == 1, 10, "the attempt to be unknown")
    await place.until_outcomes(unknown=1)
    assert place.invites() == []
    assert await place.pool.fetchval("SELECT state FROM contacts") == "done"


async def test_a_manager_that_falls_silent_stops_the_dialling_and_recovery_needs_nobody(
    ami: Proxy, place: Place
) -> None:
    """[F4] No FIN, no reset: only the ping notices."""
    through(place, ami=ami)
    await place.campaign(*[Behaviour.BUSY] * 400)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: len(place.invites()) > 3, 10, "dialling")
    ami.silence()
    place.wait(lambda: place.link("ami") == "down", 10, "the silence to be noticed")
    place.wait(lambda: not place.calls(), 60, "the attempts in flight to be closed")
    seen = len(place.invites())
    assert place.daemon.health()["dialing"] != "ok"  # type: ignore[index]
    ami.heal()
    place.wait(lambda: len(place.invites()) > seen, RECOVERY_SECONDS, "dialling again")


async def test_conversations_and_agents_survive_the_loss_of_ari(ari: Proxy, place: Place) -> None:
    """[F7] Two calls talk, the websocket goes and comes back."""
    through(place, ari=ari)
    with subscribers(place, TALK_MS=8000):
        await place.campaign(Behaviour.PERSON, Behaviour.PERSON)
        names = await place.agents(3)
        place.start()
        place.connect(names)
        place.wait(lambda: place.calls() == {"connected": 2}, 15, "two conversations")
        ari.cut()
        place.wait(lambda: place.link("ari") == "down", 10, "the loss to be noticed")
        assert place.calls() == {"connected": 2}
        ari.heal()
        place.wait(lambda: place.link("ari") == "ok", RECOVERY_SECONDS, "ARI again")
        await place.until_outcomes(connected=2)
        place.wait(lambda: all(place.agent(n)["state"] == "ready" for n in names), 10, "every agent ready again")


async def test_an_answer_while_ari_is_away_hears_the_message_and_counts_as_abandoned(ari: Proxy, place: Place) -> None:
    """[F7] Rule 4: nobody is left in silence."""
    through(place, ari=ari)
    with subscribers(place, RING_MS=4000):
        await place.campaign(Behaviour.PERSON)
        names = await place.agents(1)
        place.start()
        place.connect(names)
        place.wait(lambda: place.calls() == {"ringing": 1}, 10, "a ringing line")
        ari.cut()
        heard = lambda: any(c.application == "Playback" for c in place.site.lab.pbx.channels())  # noqa: E731
        place.wait(heard, 10, "the message")
        ari.heal()
        await place.until_outcomes(abandoned=1)


async def test_an_asterisk_killed_in_mid_call_ends_every_attempt_and_dialling_resumes_when_it_is_back(
    place: Place,
) -> None:
    """[F11]"""
    place.may_lose_cdrs = True
    await place.campaign(Behaviour.PERSON, Behaviour.PERSON, *[Behaviour.BUSY] * 5)
    names = await place.agents(2)
    place.start()
    place.connect(names)
    place.wait(lambda: place.calls() == {"connected": 2}, 15, "two conversations")
    place.site.lab.pbx.kill9()
    place.wait(lambda: place.link("ami") == place.link("ari") == "down", 10, "the loss to be noticed")
    place.site.lab.pbx.start()
    place.site.lab.wait_registered(30)
    place.daemon.until_dialing(RECOVERY_SECONDS)
    await place.until_outcomes(connected=2)
    assert all(place.agent(name)["state"] == "offline" for name in names)
    place.connect(names)
    await place.until_outcomes(connected=2, busy=5)


async def test_a_carrier_that_says_nothing_is_a_failed_trunk_and_not_an_unanswered_call(place: Place) -> None:
    """[F12] No SIP reply at all: the person was never offered the call, so the contact may be tried again."""
    place.configure(trunks={"trunk-out": {"endpoint": "nowhere", "max_calls": 5}})
    await place.campaign(Behaviour.PERSON, ring_timeout_seconds=5, max_retries=1, retry_delay_seconds=3600)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    await place.until_outcomes(failed=1)
    assert await place.pool.fetchval("SELECT state FROM contacts") == "waiting"


async def test_postgresql_killed_in_mid_call_loses_no_result_and_dialling_resumes(place: Place) -> None:
    """[F13]"""
    await place.campaign(Behaviour.PERSON, Behaviour.PERSON, *[Behaviour.BUSY] * 5)
    names = await place.agents(2)
    place.start()
    place.connect(names)
    place.wait(lambda: place.calls() == {"connected": 2}, 15, "two conversations")
    place.site.postgres.kill9()
    place.wait(lambda: place.link("postgres") == "down", 10, "the loss to be noticed")
    place.wait(lambda: not place.calls(), 15, "both conversations to end while PostgreSQL is away")
    before = len(place.invites())
    place.site.postgres.start()
    await place.pool.expire_connections()
    place.daemon.until_dialing(RECOVERY_SECONDS)
    assert before == 2
    await place.until_outcomes(connected=2, busy=5)


async def test_a_database_that_falls_silent_stops_the_dialling_within_two_seconds(place: Place) -> None:
    """[I10] No FIN, no reset; what no claim has answered for is not dialled."""
    port = place.site.lab.ports.postgres
    with Proxy(port) as proxy:
        dsn = place.site.postgres.dsn(place.site.database).replace(str(port), str(proxy.port))
        place.configure(postgres={"dsn": dsn})
        await place.campaign(*[Behaviour.BUSY] * 400, ring_timeout_seconds=5)
        names = await place.agents(2)
        place.start()
        place.connect(names)
        place.wait(lambda: len(place.invites()) > 3, 10, "dialling")
        proxy.silence()
        silent = time.time()
        place.wait(lambda: place.link("postgres") == "down", 10, "the silence to be noticed")
        place.wait(lambda: not place.calls(), 60, "the calls in flight to end")
        seen = len(place.invites())
        late = [invite.at - silent for invite in place.invites() if invite.at > silent + 2]
        assert late == []
        proxy.heal()
        place.wait(lambda: len(place.invites()) > seen, RECOVERY_SECONDS, "dialling again")
        await place.finish()


async def test_redis_flushed_and_restarted_in_mid_run_loosens_nothing(place: Place) -> None:
    """[F17] One caller ID with a limit of six uses an hour."""
    await place.pool.execute("INSERT INTO caller_ids (tenant_id, e164, hourly_limit) VALUES (1, '+358401108888', 6)")
    await place.campaign(*[Behaviour.BUSY] * 12)
    names = await place.agents(1)
    place.start()
    place.connect(names)
    place.wait(lambda: len(place.invites()) >= 3, 10, "dialling")
    with redis.Redis.from_url(place.site.redis.url_with_password(1)) as client:
        client.flushall()
    place.wait(lambda: len(place.invites()) >= 5, 10, "dialling on")
    place.site.redis.restart()
    await place.until_outcomes(busy=12)
    shown = [invite.caller_id for invite in place.invites()]
    assert shown.count("+358401108888") == 6
    assert shown.count("+358401109999") == 6  # the campaign's fallback


@pytest.mark.parametrize("moment", ["ringing", "connected"])
async def test_a_daemon_killed_in_mid_call_takes_its_calls_over_when_it_is_back(place: Place, moment: str) -> None:
    """[F18] kill -9; the people go on talking meanwhile."""
    with subscribers(place, TALK_MS=8000, RING_MS=3000):
        await place.campaign(Behaviour.PERSON)
        names = await place.agents(1)
        place.start()
        place.connect(names)
        place.wait(lambda: place.calls() == {moment: 1}, 15, moment)
        place.daemon.kill9()
        place.start()
        if moment == "connected":
            assert place.calls() == {"connected": 1}
            assert place.agent(names[0])["state"] == "on_call"
        await place.until_outcomes(connected=1)
        place.wait(lambda: place.agent(names[0])["state"] == "ready", 10, "the agent ready again")
        assert len(place.invites()) == 1


async def test_a_second_daemon_on_the_same_app_makes_the_first_one_stop(place: Place) -> None:
    """[F9] What is on the air is the second one's: the first ends nothing of it."""
    names = await place.agents(2)
    place.start()
    place.connect(names)
    first = place.daemon
    ports = {"web": {"port": place.site.lab.ports.base + 20}, "fastagi": {"port": place.site.lab.ports.base + 21}}
    place.configure(**ports)
    place.start()
    assert first.wait(30) == 3
    assert {place.agent(name)["state"] for name in names} == {"ready"}
    assert place.site.lab.pbx.channels()


async def test_term_drains_and_a_second_term_does_not_wait(place: Place) -> None:
    """[F19]"""
    with subscribers(place, TALK_MS=20000):
        await place.campaign(Behaviour.PERSON)
        names = await place.agents(1)
        place.start()
        place.connect(names)
        place.wait(lambda: place.calls() == {"connected": 1}, 15, "a conversation")
        place.daemon.signal("SIGTERM")
        place.wait(lambda: place.daemon.status()["draining"], 5, "draining")
        assert place.calls() == {"connected": 1}
        place.daemon.signal("SIGTERM")
        assert place.daemon.wait(5) == 1


@pytest.mark.parametrize("missing", ["postgres", "redis", "ami", "ari"])
async def test_a_daemon_that_starts_without_one_of_its_servers_waits_for_it(place: Place, missing: str) -> None:
    """The state is plain in /health, nothing is dialled, and it comes up by itself."""
    lab = place.site.lab
    target = {
        "postgres": lab.ports.postgres, "redis": lab.ports.redis, "ami": lab.ports.ami, "ari": lab.ports.ari,
    }[missing]  # fmt: skip
    with Proxy(target) as proxy:
        changes: dict[str, dict[str, object]] = {
            "postgres": {"dsn": place.site.postgres.dsn(place.site.database).replace(str(target), str(proxy.port))},
            "redis": {"url": f"redis://127.0.0.1:{proxy.port}/1"},
            "ami": {"port": proxy.port},
            "ari": {"url": f"http://127.0.0.1:{proxy.port}/ari"},
        }
        proxy.cut()
        place.configure(**{missing: changes[missing]})
        place.daemon.start()
        place.wait(lambda: place.link(missing) == "down", 10, "the missing server in /health")
        health = place.daemon.health()
        assert health is not None and health["status"] == "degraded" and health["dialing"] != "ok"
        proxy.heal()
        place.daemon.until_dialing(RECOVERY_SECONDS)
        await place.finish()
        place.finished = True
