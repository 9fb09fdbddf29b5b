"""Flows and messages over real SIP: what people heard, which keys they pressed, and what stays in the record."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dialerd.core.flow_check import read
from lab.subscribers import Behaviour, number
from tests.live.hearing import Words, heard
from tests.live.manager import Manager
from tests.live.place import Place, subscribers

pytestmark = pytest.mark.live

PERSON, ONE, TWO, BUSY = Behaviour.PERSON, Behaviour.PRESSES_1, Behaviour.PRESSES_2, Behaviour.BUSY
ACME = {"seller_name": "Acme", "seller_number": "+358401100000", "message_language": "fi"}
ALONE: dict[str, Any] = {"dial_mode": "power", "queue_name": "no-queue", "max_concurrent_calls": 5}


async def inputs(place: Place) -> list[tuple[str, str]]:
    rows = await place.pool.fetch("SELECT node_name, digits FROM inputs ORDER BY node_name, id")
    return [(row["node_name"], row["digits"]) for row in rows]


async def barred(place: Place, e164: str) -> bool:
    """Whether there is one opt-out of this number, in both places."""
    consents = await place.pool.fetchval("SELECT count(*) FROM consents WHERE e164 = $1 AND kind = 'opt_out'", e164)
    numbers = await place.pool.fetchval("SELECT count(*) FROM dnc_numbers WHERE number = $1", int(e164[1:]))
    assert consents == numbers
    return bool(numbers == 1)


async def no_agent_when_it_rings(place: Place, *behaviours: Behaviour, **campaign: Any) -> int:
    """A campaign whose only agents go away before the people answer; `words`: who makes its message."""
    words = campaign.pop("words", None)
    id_ = await place.campaign(*behaviours, state="paused", **campaign)
    if words is not None:
        words.message(id_)
    await place.pool.execute("UPDATE campaigns SET state = 'active'")
    names = await place.agents(len(behaviours))
    place.start()
    place.connect(names)
    await asyncio.to_thread(place.wait, lambda: place.calls().get("ringing") == len(names), 20, "calls that ring")
    for name in names:
        place.daemon.post(f"/agents/{name}/pause", {"reason": "lunch"})
    return id_


@pytest.mark.accepts("IVR-01", "IVR-02", "IVR-03", "IVR-04", "IVR-05")
async def test_the_finnish_flow_is_heard_in_finnish_and_each_key_leads_where_it_says(
    place: Place, tmp_path: Path
) -> None:
    """With the real text-to-speech program."""
    words = Words(place, tmp_path, tone_seconds=None)
    words.add()
    campaign = await place.campaign(ONE, TWO, PERSON, flow="finnish")
    names = await place.agents(3)
    with subscribers(place, TALK_MS=60_000), heard(place) as ears:
        place.start()
        place.connect(names)
        place.wait(lambda: [place.agent(n)["state"] for n in names].count("on_call") == 1, 40, "a conversation")
        await place.until("SELECT count(*) FROM attempts WHERE outcome = 'played'", 2)
        name = next(n for n in names if place.agent(n)["state"] == "on_call")
        place.daemon.post(f"/agents/{name}/hangup")
        await place.until_outcomes(connected=1, played=2)
    one, two, quiet = (number(each, campaign * 100) for each in (ONE, TWO, PERSON))
    assert sorted(await inputs(place)) == [("welcome", "1"), ("welcome", "2")]
    text = (words.flows / "finnish.toml").read_text(encoding="utf-8")
    prompts = [prompt.text for prompt in read(text, "finnish", "finnish.toml").prompts()]
    welcome = words.sound(next(each for each in prompts if each.startswith("Hyvää päivää. Jos haluatte")), "fi")
    thanks, goodbye = (
        words.sound(t, "fi") for t in ("Kiitos. Emme soita teille enää.", "Kiitos ja hyvää päivänjatkoa.")
    )
    assert ears.like(quiet, welcome) > 0.8 and ears.like(quiet, goodbye) > 0.8
    assert ears.like(two, thanks) > 0.8 and ears.like(two, goodbye) < 0.8
    assert ears.like(one, thanks) < 0.8 and ears.like(one, goodbye) < 0.8
    assert [await barred(place, each) for each in (one, two, quiet)] == [False, True, False]
    assert await place.pool.fetchval("SELECT outcome FROM attempts WHERE e164 = $1", one) == "connected"


MENU = """\
language = "fi"
[nodes.ask]
type = "menu"
prompt = [{ text = "one" }, { text = "two" }, { text = "three" }]
keys = { KEY = "fine" }
barge_in = BARGE
retries = RETRIES
timeout_seconds = 1
timeout = "silence"
invalid = "wrong"
[nodes.fine]
type = "hangup"
prompt = { text = "fine" }
[nodes.silence]
type = "hangup"
prompt = { text = "silence" }
[nodes.wrong]
type = "hangup"
prompt = { text = "wrong" }
"""


def menu(key: str = "2", barge_in: bool = True, retries: int = 0) -> str:
    return (
        MENU.replace("KEY", key).replace("BARGE", str(barge_in).lower()).replace("RETRIES", str(retries))
    )  # fmt: skip


@pytest.mark.accepts("IVR-04", "IVR-05")
async def test_keys_end_a_prompt_or_do_not_and_silence_and_wrong_keys_lead_where_the_menu_says(
    place: Place, tmp_path: Path
) -> None:
    """Each part of the prompt takes two seconds; people press their key some three seconds after they answered."""
    words = Words(place, tmp_path, tone_seconds=2.0)
    words.add(barge=menu(), hear=menu(barge_in=False), wrong=menu("5"), quiet=menu(retries=1))
    people = {}
    for flow, behaviour in (("barge", TWO), ("hear", TWO), ("wrong", TWO), ("quiet", PERSON)):
        id_ = await place.campaign(behaviour, flow=flow, **ALONE)
        people[flow] = number(behaviour, id_ * 100)
    with subscribers(place, TALK_MS=90_000), heard(place) as ears:
        place.start()
        await place.until_outcomes(played=4)

    def told(flow: str) -> list[float]:
        texts = ("one", "two", "three", "fine", "silence", "wrong")
        return [round(ears.seconds(people[flow], text)) for text in texts]

    assert told("barge")[:1] == [2] and told("barge")[2:] == [0, 2, 0, 0], "the key ended the prompt"
    assert ears.seconds(people["barge"], "two") < 1.8
    assert told("hear") == [2, 2, 2, 2, 0, 0], "the key counted when the prompt was over"
    assert told("wrong")[2:] == [0, 0, 0, 2]
    assert told("quiet") == [4, 4, 4, 0, 2, 0], "said twice"
    assert await inputs(place) == [("ask", "2")] * 3


async def test_with_nobody_free_the_seller_is_named_and_a_key_ends_all_calls(place: Place, tmp_path: Path) -> None:
    """[F26] The call stays an abandoned one, and the number gets its lockout."""
    words = Words(place, tmp_path, tone_seconds=3.0)
    rules = {"retry_rules": {"abandoned": {"times": 3, "delay_seconds": 0}}, "max_retries": 3}
    with subscribers(place, RING_MS=3_000, TALK_MS=60_000), heard(place) as ears:
        campaign = await no_agent_when_it_rings(place, TWO, ONE, words=words, **ACME, **rules)
        await place.until_outcomes(abandoned=2)
        no_more, other = (number(each, campaign * 100) for each in (TWO, ONE))
        text = words.message(campaign)
        assert text.startswith("Teille soitti Acme.") and "+ 3 5 8 4 0 1 1 0 0 0 0 0" in text
        assert 0.3 < ears.seconds(no_more, text) < 2.9, "the key ended it"
        assert ears.seconds(other, text) > 2.5
        assert sorted(await inputs(place)) == [("safe-harbour message", "1"), ("safe-harbour message", "2")]
        source = await place.pool.fetchval("SELECT source FROM consents")
        assert source == "safe-harbour message"
        assert [await barred(place, each) for each in (no_more, other)] == [True, False]
        # Both would be due again at once; nobody is called.
        for agent in place.daemon.status()["agents"]:
            place.daemon.post(f"/agents/{agent['name']}/ready")
        asked = "SELECT count(*) FROM call_events WHERE kind = 'not_dialed' AND detail ->> 'rule' = $1"
        await place.until(f"SELECT least(1, ({asked}))", 1, "lockout_abandon")
        await place.until(f"SELECT least(1, ({asked}))", 1, "dnc")
    assert len(place.invites()) == 2
    window = await place.pool.fetchrow("SELECT count(*) AS n, count(connected_at) AS talked FROM attempts")
    assert tuple(window) == (2, 0)


async def test_while_dialerd_is_away_the_dialplan_names_the_seller(place: Place, tmp_path: Path) -> None:
    words = Words(place, tmp_path, tone_seconds=2.0)
    with subscribers(place, RING_MS=3_000, TALK_MS=60_000), heard(place) as ears:
        campaign = await no_agent_when_it_rings(place, PERSON, words=words, **ACME)
        e164 = number(PERSON, campaign * 100)
        place.daemon.kill9()
        place.wait(ears.file(e164).exists, 10, "an answer")
        pbx = place.site.lab.pbx
        place.wait(lambda: not [c for c in pbx.channels() if "trunk" in c.name], 20, "the end of the call")
        assert ears.seconds(e164, words.message(campaign)) > 1.5
        place.start()
        await place.until_outcomes(unknown=1)  # nobody saw it answered


async def test_a_campaign_whose_message_has_no_sound_calls_nobody_and_says_what_to_do(
    place: Place, tmp_path: Path
) -> None:
    words = Words(place, tmp_path)
    campaign = await place.campaign(PERSON, **ACME)
    names = await place.agents(1)
    place.start()

    def why() -> str:
        [found] = [c for c in place.daemon.status()["campaigns"] if c["id"] == campaign]
        return str((found["decision"] or {}).get("reason", ""))

    place.wait(lambda: f"'dialer-admin campaign message {campaign}'" in why(), 20, "the reason")
    assert place.invites() == []
    words.message(campaign)
    place.connect(names)
    await place.pool.execute("UPDATE campaigns SET updated_at = now()")
    await place.until_outcomes(connected=1)


POLL = """\
language = "fi"
[nodes.ask]
type = "menu"
prompt = { text = "ask" }
keys = { 1 = "yes", 2 = "out" }
timeout = "end"
[nodes.yes]
type = "set"
values = { answer = "yes" }
next = "tell"
[nodes.tell]
type = "webhook"
url = "URL"
next = "say"
[nodes.say]
type = "record"
prompt = { text = "say" }
seconds = 3
next = "thanks"
[nodes.thanks]
type = "play"
prompt = { text = "thanks" }
next = "end"
[nodes.out]
type = "transfer"
to = "TO"
prompt = { text = "wait" }
[nodes.end]
type = "hangup"
"""


@asynccontextmanager
async def outside() -> AsyncIterator[tuple[str, list[Any]]]:
    """Another system's address, and what it was told."""
    told: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        told.append(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", told


@pytest.mark.parametrize("there", [PERSON, BUSY])
async def test_a_flow_tells_another_system_records_and_puts_people_through(
    place: Place, tmp_path: Path, there: Behaviour
) -> None:
    helpdesk = number(there, 9_999)
    to = f"{helpdesk}@trunk-out"
    async with outside() as (url, told):
        allowed = {"webhook_private_hosts": ["127.0.0.1"], "transfer_to": [to]}
        words = Words(place, tmp_path, flows=allowed)
        words.add(poll=POLL.replace("URL", url).replace("TO", to))
        campaign = await place.campaign(ONE, TWO, flow="poll", **ALONE)
        with subscribers(place, TALK_MS=30_000), heard(place) as ears:
            place.start()
            await place.until_outcomes(played=2)
            one, two = (number(each, campaign * 100) for each in (ONE, TWO))
            assert ears.seconds(one, "say") > 0.7 and ears.seconds(one, "thanks") > 0.7
            assert ears.seconds(two, "wait") > 0.7
            assert ears.file(helpdesk).exists() is (there is PERSON)
    [post] = told
    attempt = str(await place.pool.fetchval("SELECT id FROM attempts WHERE e164 = $1", one))
    assert (post["call_id"], post["flow"], post["node"]) == (attempt, "poll", "tell")
    assert (post["keys"], post["values"]) == ([{"node": "ask", "key": "1"}], {"answer": "yes"})
    assert one not in json.dumps(post), "no number leaves us"
    assert await place.pool.fetchval("SELECT detail ->> 'answer' FROM call_events WHERE kind = 'flow.webhook'") == "204"
    # What was said, under a name that we made.
    [(_, name)] = [row for row in await inputs(place) if row[0] == "say"]
    assert name.startswith(f"{attempt}-")
    assert (place.site.lab.folder / f"pbx/spool/recording/{name}.wav").stat().st_size > 16_000 * 1.5
    # And who was put through, showing the number that they were called with.
    [invite] = [each for each in place.all_invites() if each.number == helpdesk]
    assert invite.caller_id.lstrip("+") == "358401109999"
    assert await place.pool.fetchval("SELECT detail ->> 'to' FROM call_events WHERE kind = 'flow.transfer'") == to


PUT_THROUGH = """\
[nodes.out]
type = "transfer"
to = "TO"
"""


async def test_whom_a_flow_puts_through_counts_against_the_trunk_also_after_a_restart(
    place: Place, tmp_path: Path
) -> None:
    helpdesk = number(PERSON, 9_998)
    desk = {"endpoint": place.site.lab.trunk, "max_calls": 1, "calls_per_second": 50}
    words = Words(
        place,
        tmp_path,
        flows={"transfer_to": [f"{helpdesk}@desk"]},
        trunks={**place.site.settings()["trunks"], "desk": desk},
    )
    words.add(through=PUT_THROUGH.replace("TO", f"{helpdesk}@desk"))
    campaign = await place.campaign(PERSON, flow="through", **ALONE)
    refused = (
        "SELECT count(*) FROM call_events WHERE kind = 'flow.transfer_refused' AND detail ->> 'why' = 'trunk_full'"
    )
    with subscribers(place, TALK_MS=60_000), heard(place) as ears:
        place.start()
        place.wait(ears.file(helpdesk).exists, 20, "the help desk")
        await place.contacts(campaign, ONE)
        await place.until(refused, 1)
        place.daemon.kill9()
        place.start()
        await place.contacts(campaign, TWO)
        await place.until(refused, 2)
        await place.until_outcomes(live=1, played=2)
        assert ears.loud(number(TWO, campaign * 100)) > 2, "the safe-harbour message"
        assert [trunk["calls"] for trunk in place.daemon.status()["trunks"] if trunk["name"] == "desk"] == [1]
        place.site.lab.carrier.cli("channel request hangup all")
        await place.until_outcomes(played=3)
    assert len([each for each in place.all_invites() if each.number == helpdesk]) == 1


@pytest.mark.accepts("IVR-06")
async def test_the_shipped_context_of_ivr_calls_leads_into_dialerd_and_on_to_a_message_without_it(
    place: Place, tmp_path: Path
) -> None:
    words = Words(place, tmp_path)
    words.add()
    lab, with_it, without = place.site.lab, number(PERSON, 9_001), number(PERSON, 9_002)
    with subscribers(place, TALK_MS=60_000), heard(place) as ears:
        place.start()
        async with Manager(lab) as manager:
            for e164, extension in ((with_it, "0401234567"), (without, "s")):
                await manager.send(
                    Action="Originate", ActionID=e164, Channel=f"PJSIP/{e164}@trunk-out", Async="true",
                    Context="outbound-ivr", Exten=extension, Priority="1", Timeout="20000",
                )  # fmt: skip
                answer = await manager.originated(e164)
                await manager.hangup(answer["Uniqueid"])
                place.daemon.kill9()  # the second one has nobody
        assert min(ears.file(each).stat().st_size for each in (with_it, without)) > 16_000 * 2
        assert "call.unknown" in place.daemon.tail(200)
