"""IVR flows over real SIP: people who press keys, and one who does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dialerd.paths import shipped
from lab.proxy import Proxy
from lab.subscribers import Behaviour, number
from tests.live.place import Place, subscribers
from tests.terms import add_contacts
from tests.unit.test_flow import SPEAKER

pytestmark = pytest.mark.live

PEOPLE, ONE, TWO = Behaviour.PERSON, Behaviour.PRESSES_1, Behaviour.PRESSES_2


def configure(place: Place, tmp_path: Path, url: str | None = None, **texts: str) -> None:
    """Gives the daemon these flows and the shipped ones, with their texts spoken; `url`: another way to ARI."""
    folder, speaker = tmp_path / "flows", tmp_path / "speak.py"
    folder.mkdir()
    for part in (tmp_path, *tmp_path.parents[:2]):
        part.chmod(0o755)  # Asterisk is another user
    for example in shipped("flows").glob("*.toml"):
        (folder / example.name).write_text(example.read_text(encoding="utf-8"))
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    speaker.write_text(SPEAKER.replace("LOG", repr(str(tmp_path / "spoken"))))
    place.configure(
        dialing={"drain_seconds": 20.0, "reconcile_seconds": 2.0},
        ari={} if url is None else {"url": url},
        flows={
            "folder": str(folder), "sounds": [str(tmp_path / "elsewhere")], "prompts": str(tmp_path / "prompts"),
            "tts_command": [sys.executable, str(speaker), "{language}", "{file}"],
        },
    )  # fmt: skip


def check(place: Place) -> None:
    argv = [sys.executable, "-m", "dialerd.cli.main", "--config", str(place.daemon.config), "flow", "check", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problems"] == []


@pytest.mark.accepts("IVR-01", "IVR-02", "IVR-03", "IVR-04", "IVR-05")
async def test_in_the_finnish_flow_1_joins_an_agent_and_2_is_never_called_again(place: Place, tmp_path: Path) -> None:
    configure(place, tmp_path)
    check(place)
    campaign = await place.campaign(ONE, TWO, flow="finnish")
    names = await place.agents(2)
    with subscribers(place, TALK_MS=20_000):
        place.start()
        place.connect(names)
        await place.until_outcomes(connected=1, played=1)
    keys = await place.pool.fetch("SELECT a.e164, i.digits, i.node_name FROM inputs i JOIN attempts a ON"
                                  " a.id = i.attempt_id AND a.tenant_id = i.tenant_id ORDER BY i.digits")  # fmt: skip
    refuser = number(TWO, campaign * 100)
    assert [tuple(row) for row in keys] == [
        (number(ONE, campaign * 100), "1", "welcome"), (refuser, "2", "welcome")
    ]  # fmt: skip
    consents = await place.pool.fetch("SELECT c.e164, c.kind, c.source, a.outcome FROM consents c JOIN attempts a ON"
                                      " a.id = c.attempt_id")  # fmt: skip
    assert [tuple(row) for row in consents] == [(refuser, "opt_out", "ivr:finnish", "played")]
    barred = await place.pool.fetchval("SELECT count(*) FROM dnc_numbers")
    assert barred == 1
    handed = await place.pool.fetch("SELECT detail ->> 'detail' AS node FROM call_events WHERE kind = 'handed'")
    assert [row["node"] for row in handed] == ["agent"]
    # Another campaign of the tenant does not call who said no.
    other = await place.campaign(Behaviour.BUSY)
    await add_contacts(place.pool, other, [refuser], ["Europe/Helsinki"])
    await place.until("SELECT count(*) FROM contacts WHERE campaign_id = $1 AND state = 'suppressed'", 1, other)
    await place.until_outcomes(connected=1, played=1, busy=1)
    assert len([i for i in place.invites() if i.number == refuser]) == 1


NOTICE = """\
[nodes.notice]
type = "menu"
prompt = ["demo-thanks", "demo-thanks"]
keys = { 2 = "no" }
timeout = "bye"
timeout_seconds = 1
retries = 0
[nodes.no]
type = "opt_out"
next = "bye"
[nodes.bye]
type = "hangup"
prompt = "vm-goodbye"
"""


async def test_a_flow_without_agents_needs_none_and_survives_the_daemon(place: Place, tmp_path: Path) -> None:
    configure(place, tmp_path, notice=NOTICE)
    await place.campaign(PEOPLE, PEOPLE, flow="notice", dial_mode="power", queue_name="no-queue")
    with subscribers(place, TALK_MS=60_000):  # nobody hangs up before the flow does
        place.start()
        place.wait(lambda: place.calls().get("answered", 0) == 2, 20, "two people in the flow")
        place.daemon.kill9()
        place.start()
        await place.until_outcomes(played=2)
    longest = await place.pool.fetchval("SELECT max(extract(epoch FROM ended_at - answered_at))::float FROM attempts")
    assert longest < 45, "the flow did not end the call"


SHORT = """\
[nodes.person]
type = "play"
prompt = "vm-theperson"
next = "bye"
[nodes.bye]
type = "hangup"
"""  # two seconds


def talks(place: Place) -> bool:
    """Whether the only person has gone on to talk, some three seconds after they answered."""
    return any(line.isdigit() and int(line) > 7 for line in priorities(place))


def priorities(place: Place) -> list[str]:
    """How far in their dialplan the people are."""
    rows = [line.split("!") for line in place.site.lab.carrier.cli("core show channels concise").splitlines()]
    return [row[3] for row in rows if len(row) == 14 and row[1] == "person"]


async def test_a_flow_whose_sound_ends_while_ari_is_away_goes_on_when_it_is_back(place: Place, tmp_path: Path) -> None:
    with Proxy(place.site.lab.ports.ari) as ari:
        configure(place, tmp_path, short=SHORT, url=f"http://127.0.0.1:{ari.port}/ari")
        await place.campaign(TWO, flow="short", dial_mode="power", queue_name="no-queue")
        with subscribers(place, TALK_MS=60_000):
            place.start()
            place.wait(lambda: place.calls().get("answered", 0) == 1, 20, "somebody in the flow")
            ari.cut()
            place.wait(lambda: (place.daemon.health() or {})["ari"] == "down", 10, "the loss to be noticed")
            place.wait(lambda: talks(place), 20, "the person to have pressed a key, by when the sound is over")
            ari.heal()
            await place.until_outcomes(played=1)
        longest = await place.pool.fetchval("SELECT extract(epoch FROM ended_at - answered_at)::float FROM attempts")
        assert longest < 25, "the flow did not end the call"
        await place.finish()


async def test_a_campaign_whose_flow_is_broken_dials_nobody_and_says_why(place: Place, tmp_path: Path) -> None:
    configure(place, tmp_path, broken=NOTICE.replace('keys = { 2 = "no" }', 'keys = { 2 = "nowhere" }'))
    campaign = await place.campaign(PEOPLE, flow="broken", dial_mode="power", queue_name="no-queue")
    place.start()

    def reason() -> str:
        found = next(c for c in place.daemon.status()["campaigns"] if c["id"] == campaign)
        return str((found["decision"] or {"reason": ""})["reason"])

    place.wait(lambda: "node 'notice': key 2 leads to 'nowhere'" in reason(), 20, "the reason")
    assert await place.outcomes() == {}


async def test_who_wants_an_agent_that_does_not_come_is_counted_as_abandoned(place: Place, tmp_path: Path) -> None:
    configure(place, tmp_path, want="""\
[nodes.wait]
type = "queue"
seconds = 2.5
next = "sorry"
[nodes.sorry]
type = "hangup"
prompt = "vm-goodbye"
""")  # fmt: skip
    await place.campaign(PEOPLE, flow="want")
    names = await place.agents(1)
    with subscribers(place, TALK_MS=60_000):
        place.start()
        place.connect(names)
        place.wait(lambda: place.calls().get("ringing", 0) + place.calls().get("dialing", 0) > 0, 20, "a line")
        place.daemon.post(f"/agents/{names[0]}/pause", {"reason": "lunch"})
        await place.until_outcomes(abandoned=1)
    waited = await place.pool.fetchval("SELECT extract(epoch FROM ended_at - answered_at)::float FROM attempts")
    assert 2.4 < waited < 20, "it went on to the node after the queue, which ended it"
