"""Recordings over real SIP: what both sides said is in the stored file, and nothing else is."""

import asyncio
import hashlib
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lab.bucket import BucketServer
from lab.proxy import Proxy
from lab.subscribers import Behaviour, number
from tests.live.place import Place, subscribers
from tests.live.test_agents import Refused, post
from tests.tones_recorded import Players, heard, read, silence

pytestmark = pytest.mark.live
AGENT, PERSON = 1300, 700  # Hz


class Stage:
    """A campaign with one agent and one person, who are tones once they talk."""

    def __init__(self, place: Place, campaign: int, agent: str) -> None:
        self.place = place
        self.campaign = campaign
        self.agent = agent
        self.number = number(Behaviour.PERSON, campaign * 100)
        self.folder = place.site.folder / "recordings"
        self.players = Players(place.site.lab.carrier, place.site.folder)

    def talk(self) -> None:
        """They are on the phone, and tones."""
        place = self.place
        place.connect([self.agent])
        place.wait(lambda: place.agent(self.agent)["state"] == "on_call", 20, "the call")
        assert self.players.play(self.number, PERSON)
        assert self.players.play(self.agent, AGENT)

    def call(self) -> dict[str, Any]:
        """The call as the agent's page has it."""
        found: dict[str, Any] = self.place.daemon.get(f"/agents/{self.agent}/view")["call"]
        return found

    def until(self, word: str) -> None:
        """Waits for the recording to be this."""
        self.place.wait(lambda: self.call()["recording"] == word, 15, f"the recording is {word!r}")

    async def passed(self, seconds: float) -> None:
        """Lets them talk."""
        await asyncio.sleep(seconds)

    async def hang_up(self) -> None:
        await post(self.place, f"/agents/{self.agent}/hangup")
        await self.place.until_outcomes(connected=1)

    async def stored(self, count: int = 1) -> list[Any]:
        """The rows, once so many are in their place."""
        await self.place.until("SELECT count(*) FROM recordings WHERE state = 'stored'", count, seconds=30)
        rows: list[Any] = await self.place.pool.fetch("SELECT * FROM recordings ORDER BY begun_at")
        return rows

    def file(self, row: Any) -> Path:
        return self.folder / str(row["key"])

    async def kinds(self) -> list[str]:
        """The events about the recording, in order."""
        query = "SELECT kind FROM call_events WHERE kind LIKE 'recording.%' ORDER BY id"
        return [row["kind"] for row in await self.place.pool.fetch(query)]

    async def until_kinds(self, *expected: str) -> None:
        """Waits for exactly these: the record is written beside the call."""
        limit = time.monotonic() + 10
        while (found := await self.kinds()) != list(expected):
            assert time.monotonic() < limit, f"{found}, expected {expected}"
            await asyncio.sleep(0.05)


async def stage(place: Place, **changes: Any) -> Stage:
    """Everything is ready; the daemon runs."""
    campaign = await place.campaign(Behaviour.PERSON, **changes)
    (agent,) = await place.agents(1)
    place.start()
    return Stage(place, campaign, agent)


def get(place: Place, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    headers["Authorization"] = f"Bearer {place.site.token}"
    request = urllib.request.Request(place.daemon.url + path, headers=headers)  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request) as reply:  # noqa: S310
            return reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def share(windows: list[bool]) -> float:
    return sum(windows) / max(1, len(windows))


async def test_both_sides_are_in_the_stored_file_whose_name_and_checksum_are_on_record(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always")
        here.talk()
        here.until("recording")
        await here.passed(4)
        await here.hang_up()
        (row,) = await here.stored()
    attempt = str(await place.pool.fetchval("SELECT id FROM attempts"))
    assert row["name"].startswith(attempt + "-") and here.file(row).name == row["name"] + ".wav"
    samples = read(here.file(row))
    both = [p and a for p, a in zip(heard(samples, PERSON), heard(samples, AGENT), strict=True)]
    assert sum(both) >= 15, "three of four seconds"
    assert not any(heard(samples, 1000))
    data = here.file(row).read_bytes()
    assert (row["sha256"], row["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert row["seconds"] == pytest.approx((len(data) - 44) / 16_000)
    assert here.file(row).stat().st_mode & 0o077 == 0
    assert not place.site.lab.pbx.recordings(), "Asterisk holds it no longer"
    await here.until_kinds("recording.started", "recording.stored")
    # What is played is what is stored.
    status, headers, body = get(place, f"/recordings/{attempt}")
    assert (status, body, headers["content-type"]) == (200, data, "audio/wav")
    status, headers, body = get(place, f"/recordings/{attempt}", Range="bytes=100-299")
    assert (status, body, headers["content-range"]) == (206, data[100:300], f"bytes 100-299/{len(data)}")
    played = await place.pool.fetch("SELECT detail FROM call_events WHERE kind = 'recording.played' ORDER BY id")
    assert [(d["detail"]["from"], d["detail"]["to"]) for d in played] == [(0, len(data)), (100, 300)]


async def test_of_a_share_of_calls_those_are_recorded_whose_ids_are_drawn(place: Place) -> None:
    await place.campaign(*[Behaviour.PERSON] * 5, recording="share", recording_share=0.5)
    names = await place.agents(5)
    place.start()
    place.connect(names)
    await place.until_outcomes(connected=5)
    drawn = {
        attempt for row in await place.pool.fetch("SELECT id::text FROM attempts") for attempt in row
        if int(hashlib.sha256(f"dialerd recording {attempt}".encode()).hexdigest()[:16], 16) / 2**64 < 0.5
    }  # fmt: skip
    await place.until("SELECT count(*) FROM recordings WHERE state = 'stored'", len(drawn), seconds=30)
    rows = await place.pool.fetch("SELECT attempt_id::text, why FROM recordings")
    assert {row["attempt_id"] for row in rows} == drawn and {row["why"] for row in rows} <= {"share"}
    await place.finish()
    assert await place.pool.fetchval("SELECT count(*) FROM recordings") == len(drawn)


async def test_an_agent_records_pauses_for_a_payment_and_stops_and_the_pause_is_silence(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="demand")
        here.talk()
        assert here.call()["recording"] == ""
        with pytest.raises(Refused, match="not_recording"):
            await post(place, f"/agents/{here.agent}/record/pause")
        await post(place, f"/agents/{here.agent}/record/start")
        here.until("recording")
        await here.passed(2)
        await post(place, f"/agents/{here.agent}/record/pause")
        assert here.call()["recording"] == "paused"
        await here.passed(3)
        await post(place, f"/agents/{here.agent}/record/resume")
        await here.passed(2)
        await post(place, f"/agents/{here.agent}/record/stop")
        here.until("")
        await here.passed(1)
        (row,) = await here.stored()  # while the call goes on
        await here.hang_up()
    samples = read(here.file(row))
    person, agent = heard(samples, PERSON), heard(samples, AGENT)
    assert 2.4 <= silence(samples) <= 3.6
    assert 6.0 <= row["seconds"] <= 9.0, "the pause takes its time in the file"
    gap = person.index(False, 5)
    assert min(share(person[1:gap]), share(agent[1:gap])) > 0.8
    assert min(share(person[-6:-1]), share(agent[-6:-1])) > 0.7
    await here.until_kinds("recording.started", "recording.paused", "recording.resumed", "recording.stored")


async def test_where_the_law_wants_it_both_are_told_first_and_an_agent_cannot_stop_what_the_campaign_wants(
    place: Place,
) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always", recording_announcement="vm-goodbye", legal_profile="FI")
        here.talk()
        here.until("recording")
        with pytest.raises(Refused, match="recording_is_required"):
            await post(place, f"/agents/{here.agent}/record/stop")
        await here.hang_up()
        (row,) = await here.stored()
    assert row["announced"]
    await here.until_kinds("recording.announced", "recording.started", "recording.stored")


async def test_without_an_announcement_it_is_refused_where_the_law_wants_one_and_the_operator_sees_it(
    place: Place,
) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always", legal_profile="FI")
        here.talk()
        here.until("refused")
        with pytest.raises(Refused, match="announcement_missing"):
            await post(place, f"/agents/{here.agent}/record/start")
        (campaign,) = place.daemon.status()["campaigns"]
        assert "no announcement is set" in campaign["recording_problem"]
        assert not [c for c in place.site.lab.pbx.channels() if c.name.startswith("Snoop/")]
        await here.hang_up()
    assert await place.pool.fetchval("SELECT count(*) FROM recordings") == 0
    await here.until_kinds("recording.refused")


async def test_an_announcement_that_cannot_be_played_is_none(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always", recording_announcement="no-such-sound", legal_profile="FI")
        here.talk()
        here.until("refused")
        await here.hang_up()
    detail = await place.pool.fetchval("SELECT detail FROM call_events WHERE kind = 'recording.refused'")
    assert detail["reason"] == "announcement_not_played"


async def test_a_daemon_that_is_killed_in_mid_call_loses_nothing_and_the_next_one_has_it_in_hand(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="demand")
        here.talk()
        await post(place, f"/agents/{here.agent}/record/start")
        here.until("recording")
        await here.passed(2)
        await place.until("SELECT count(*) FROM recordings", 1)
        await place.until("SELECT count(*) FROM attempts WHERE connected_at IS NOT NULL", 1)
        place.daemon.kill9()
        await here.passed(2)
        place.start()
        here.until("recording")
        await post(place, f"/agents/{here.agent}/record/pause")
        await here.passed(1)
        await post(place, f"/agents/{here.agent}/record/resume")
        await here.hang_up()
        (row,) = await here.stored()
    samples = read(here.file(row))
    person = heard(samples, PERSON)
    gap = person.index(False, 5)
    assert gap >= 18, "four seconds, two of them without a daemon"
    assert min(share(heard(samples, AGENT)[1:gap]), share(person[1:gap])) > 0.9


async def test_what_ended_while_no_daemon_was_there_is_found_and_moved(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always")
        here.talk()
        here.until("recording")
        await here.passed(2)
        await place.until("SELECT count(*) FROM attempts WHERE connected_at IS NOT NULL", 1)
        place.daemon.kill9()
        await place.pool.execute("DELETE FROM recordings")  # as if PostgreSQL had been away when it began
        place.site.lab.pbx.cli("channel request hangup all")
        assert place.site.lab.quiet(10)
        place.start()
        (row,) = await here.stored()
    assert share(heard(read(here.file(row)), PERSON)) > 0.7
    assert row["why"] == "always"


async def test_an_asterisk_that_is_killed_in_mid_call_leaves_what_it_had_written_and_it_can_be_played(
    place: Place,
) -> None:
    """Its head says that it is empty, and up to two seconds were in Asterisk's memory."""
    place.may_lose_cdrs = True
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always")
        here.talk()
        here.until("recording")
        await here.passed(6)
        place.site.lab.pbx.kill9()
        place.site.lab.pbx.start()
        place.site.lab.wait_registered(30)
        place.daemon.until_dialing(30)
        (row,) = await here.stored()
    samples = read(here.file(row))
    assert 3.5 <= row["seconds"] == len(samples) / 8_000
    assert min(share(heard(samples, PERSON)[5:]), share(heard(samples, AGENT)[5:])) > 0.9


async def test_a_bucket_holds_what_was_recorded_and_it_is_played_from_there(place: Place) -> None:
    with BucketServer(place.site.folder) as bucket, subscribers(place, TALK_MS=60_000):
        place.configure(recordings={"storage": "s3", "s3_url": bucket.url, "s3_access_key": "k", "s3_secret_key": "s"})
        place.daemon.config.chmod(0o600)
        here = await stage(place, recording="always")
        here.talk()
        here.until("recording")
        await here.passed(2)
        bucket.stop()
        await here.hang_up()
        place.wait(lambda: (place.daemon.health() or {}).get("recordings") == "unreachable", 15, "/health says it")
        bucket.start()
        (row,) = await here.stored()
        assert not [path for path in here.folder.rglob("*.wav") if row["name"] in path.name], "nothing stays here"
        status, _, body = get(place, f"/recordings/{row['attempt_id']}")
        assert (status, hashlib.sha256(body).hexdigest()) == (200, row["sha256"])
        file = place.site.folder / "played.wav"
        file.write_bytes(body)
        assert share(heard(read(file), PERSON)) > 0.5
        status, _, part = get(place, f"/recordings/{row['attempt_id']}", Range="bytes=44-143")
        assert (status, part) == (206, body[44:144])
        await place.finish()


async def test_a_connection_to_asterisk_that_breaks_costs_no_recording_and_no_call(place: Place) -> None:
    """[F7] Cut during the announcement: they are told again, all of it. Cut while it records: the same one goes on."""
    with Proxy(place.site.lab.ports.ari) as proxy, subscribers(place, TALK_MS=60_000):
        place.configure(ari={"url": f"http://127.0.0.1:{proxy.port}/ari"})
        here = await stage(place, recording="always", recording_announcement="queue-periodic-announce")
        here.talk()
        here.until("announcing")
        proxy.cut(refuse=False)
        await place.until("SELECT count(*) FROM call_events WHERE kind = 'recording.failed'", 1, seconds=15)
        here.until("recording")
        await here.until_kinds("recording.failed", "recording.announced", "recording.started")
        proxy.cut(refuse=False)
        place.wait(lambda: (place.daemon.health() or {}).get("ari") != "ok", 10, "the loss to be noticed")
        place.daemon.until_dialing()
        assert here.call()["recording"] == "recording"
        await here.passed(1)
        await here.hang_up()
        await here.stored()
        await here.until_kinds("recording.failed", "recording.announced", "recording.started", "recording.stored")
        await place.finish()


async def test_who_is_put_on_hold_during_the_announcement_is_told_again_before_it_records(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always", recording_announcement="queue-periodic-announce")
        here.talk()
        here.until("announcing")
        await post(place, f"/agents/{here.agent}/hold")
        here.until("")
        assert await here.kinds() == []
        assert not [c for c in place.site.lab.pbx.channels() if c.name.startswith("Snoop/")]
        await post(place, f"/agents/{here.agent}/unhold")
        here.until("announcing")
        here.until("recording")
        await here.until_kinds("recording.announced", "recording.started")
        await here.hang_up()
        await here.stored()


async def test_on_hold_and_after_it_the_same_recording_goes_on(place: Place) -> None:
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always")
        here.talk()
        here.until("recording")
        await post(place, f"/agents/{here.agent}/hold")
        await here.passed(1)
        await post(place, f"/agents/{here.agent}/unhold")
        await here.passed(1)
        assert here.call()["recording"] == "recording"
        await here.hang_up()
        await here.stored()
    await here.until_kinds("recording.started", "recording.stored")


async def test_a_disk_that_is_full_costs_the_recording_and_not_the_call_and_health_says_so(place: Place) -> None:
    place.configure(recordings={"min_free_mb": 1 << 30})
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always")
        here.talk()
        here.until("refused")
        health = place.daemon.health()
        assert health is not None and (health["recordings"], health["dialing"]) == ("disk_full", "ok")
        await here.hang_up()
    detail = await place.pool.fetchval("SELECT detail FROM call_events WHERE kind = 'recording.refused'")
    assert detail["reason"] == "disk_full"


async def test_a_folder_that_cannot_be_written_keeps_files_in_asterisk_until_it_can(place: Place) -> None:
    blocked = place.site.folder / "blocked"
    blocked.write_text("a file where a folder should be")
    place.configure(recordings={"folder": str(blocked)})
    with subscribers(place, TALK_MS=60_000):
        here = await stage(place, recording="always")
        here.folder = blocked
        here.talk()
        here.until("recording")
        await here.passed(1)
        await here.hang_up()
        place.wait(lambda: (place.daemon.health() or {}).get("recordings") == "refused", 15, "/health says it")
        assert len(place.site.lab.pbx.recordings()) == 1
        blocked.unlink()
        (row,) = await here.stored()
    assert share(heard(read(here.file(row)), PERSON)) > 0.5
    place.wait(lambda: (place.daemon.health() or {}).get("recordings") == "ok", 15, "/health says it")
