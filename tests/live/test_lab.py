"""The lab itself: every kind of subscriber is what it says, the witness writes down every INVITE, nothing is left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from lab.asterisk import AsteriskFailed, Channel, until
from lab.lab import Lab
from lab.subscribers import Behaviour, Subscribers, number
from tests.live.manager import Manager

pytestmark = pytest.mark.live
RING_CAUSE_NO_ANSWER = "19"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all: people ring about half a second and talk for about six."""
    subscribers = Subscribers(ring_seconds=0.5, talk_seconds=6)
    with Lab(tmp_path_factory.mktemp("lab"), agents=2, subscribers=subscribers) as lab:
        yield lab


@pytest.fixture(autouse=True)
def quiet_afterwards(lab: Lab) -> Iterator[None]:
    """Whatever a test did, its calls are over when it ends."""
    yield
    assert lab.quiet(30), lab.pbx.channels()
    assert not lab.leftovers()


def subscriber(behaviour: Behaviour, index: int = 1) -> str:
    return f"PJSIP/{number(behaviour, index)}@trunk-out"


@pytest.mark.parametrize(
    ("behaviour", "status", "cause", "sip"),
    [
        (Behaviour.BUSY, "BUSY", "17", "486"),
        (Behaviour.REJECTED, "NOANSWER", "21", "603"),
        (Behaviour.UNALLOCATED, "NOANSWER", "1", "404"),
    ],
)
async def test_a_refused_call_carries_its_true_cause(
    lab: Lab, behaviour: Behaviour, status: str, cause: str, sip: str
) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(behaviour))
        response = await manager.originated(attempt)
        hangup = await manager.hangup(attempt)
        assert (response["Response"], response["Uniqueid"]) == ("Failure", attempt)
        assert (hangup["Cause"], hangup.get("TechCause", sip)) == (cause, sip)
        assert manager.dial_status(attempt) == [status]


async def test_a_call_that_nobody_takes_ends_when_the_caller_gives_up(lab: Lab) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(Behaviour.NO_ANSWER), timeout_seconds=1)
        response = await manager.originated(attempt)
        assert (response["Response"], response["Reason"]) == ("Failure", "3")
        assert (await manager.hangup(attempt))["Cause"] == RING_CAUSE_NO_ANSWER


async def test_a_subscriber_may_answer_and_hang_up_at_once(lab: Lab) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(Behaviour.HANGS_UP))
        assert (await manager.originated(attempt))["Response"] == "Success"
        assert (await manager.hangup(attempt))["Cause"] == "16"


async def test_a_slow_subscriber_answers_after_a_quarter_of_a_minute(lab: Lab) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(Behaviour.SLOW))
        begun = time.monotonic()
        assert (await manager.originated(attempt))["Response"] == "Success"
        assert time.monotonic() - begun > 14


@pytest.mark.parametrize(("behaviour", "verdict"), [(Behaviour.PERSON, "HUMAN"), (Behaviour.MACHINE, "MACHINE")])
async def test_answering_machine_detection_tells_people_from_machines(
    lab: Lab, behaviour: Behaviour, verdict: str
) -> None:
    login = {"Authorization": aiohttp.encode_basic_auth(lab.ari_username, lab.ari_password)}
    async with Manager(lab) as manager, aiohttp.ClientSession(headers=login) as session:
        async with session.ws_connect(f"{lab.ari_url}/events?app=dialerd") as events:
            attempts = [await manager.originate(subscriber(behaviour, 100 + i), "DIALERD_AMD=1") for i in range(5)]
            arguments = [(await events.receive_json(timeout=15))["args"][:3] for _ in attempts]
        assert sorted(arguments) == sorted(["customer", attempt, verdict] for attempt in attempts)
        for attempt in attempts:
            await session.delete(f"{lab.ari_url}/channels/{attempt}")


async def test_an_answered_call_without_dialerd_hears_the_message_and_ends(lab: Lab) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(Behaviour.PERSON, 2))
        await manager.originated(attempt)
        contexts: list[Channel] = []

        def in_message() -> bool:
            contexts.extend(c for c in lab.pbx.channels() if c.uniqueid == attempt)
            return any(c.context == "dialerd-safe-harbour" and c.application == "Playback" for c in contexts)

        assert until(in_message, 5), contexts
        assert (await manager.hangup(attempt))["Cause"] == "16"


async def test_no_call_outlives_its_absolute_limit(lab: Lab) -> None:
    """An application holds the call and does nothing; the person would talk for three seconds at least."""
    login = {"Authorization": aiohttp.encode_basic_auth(lab.ari_username, lab.ari_password)}
    async with (
        Manager(lab) as manager,
        aiohttp.ClientSession(headers=login) as session,
        session.ws_connect(f"{lab.ari_url}/events?app=dialerd") as events,
    ):
        attempt = await manager.originate(subscriber(Behaviour.PERSON, 3), "DIALERD_MAX_SECONDS=1")
        assert (await events.receive_json(timeout=10))["type"] == "StasisStart"
        begun = time.monotonic()
        await manager.hangup(attempt)
        assert time.monotonic() - begun < 2.5


async def test_a_campaigns_own_message_plays(lab: Lab) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(Behaviour.PERSON, 4), "DIALERD_MESSAGE=demo-instruct")
        await manager.originated(attempt)
        assert until(lambda: "Data: demo-instruct" in _details(lab), 5), _details(lab)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "sound:http://127.0.0.1/x", "no-such-sound"])
async def test_a_message_name_that_is_not_allowed_gives_the_default_message(lab: Lab, name: str) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(subscriber(Behaviour.PERSON, 4), f"DIALERD_MESSAGE={name}")
        await manager.originated(attempt)
        assert until(lambda: "Data: im-sorry&vm-nobodyavail&goodbye" in _details(lab), 5), _details(lab)


async def test_the_witness_writes_down_every_invite(lab: Lab) -> None:
    async with Manager(lab) as manager:
        before = time.time()
        attempt = await manager.originate(subscriber(Behaviour.BUSY, 77))
        await manager.hangup(attempt)
    [invite] = [i for i in lab.invites() if i.attempt == attempt]
    assert (invite.number, invite.caller_id) == (number(Behaviour.BUSY, 77), "+358401109999")
    assert before - 1 < invite.at < time.time() + 1
    assert until(lambda: attempt in lab.cdrs(), 5)


async def test_through_the_dialplan_the_invite_carries_the_attempt_and_the_fallback_caller_id(
    lab: Lab,
) -> None:
    async with Manager(lab) as manager:
        attempt = await manager.originate(f"Local/{number(Behaviour.BUSY, 78)}@dialerd-out/n", ours=True)
        assert (await manager.hangup(attempt))["Cause"] == "17"
        assert manager.dial_status(attempt) == ["BUSY"]
    [invite] = [i for i in lab.invites() if i.number == number(Behaviour.BUSY, 78)]
    assert (invite.attempt, invite.caller_id) == (attempt, "+358401100000")


@pytest.mark.parametrize("dialled", ["12+34", "+3584011*1", "1555@evil", "123456789012345678901", "+", "s"])
async def test_the_dialplan_refuses_what_is_not_a_number(lab: Lab, dialled: str) -> None:
    seen = len(lab.invites())
    async with Manager(lab) as manager:
        attempt = await manager.originate(f"Local/{dialled}@dialerd-out/n")
        assert (await manager.originated(attempt))["Response"] == "Failure"
    assert len(lab.invites()) == seen


async def test_an_agents_phone_is_registered_and_without_dialerd_dials_nothing(lab: Lab) -> None:
    lab.wait_registered()
    target = number(Behaviour.PERSON, 5)
    lab.phone_dial("agent-1", target)
    assert until(lambda: [r.note for r in lab.pbx.records() if r.destination == target] == ["unproven unreachable"], 15)
    assert not any(i.number == target for i in lab.invites())
    assert lab.quiet(5)


async def test_the_mix_does_what_its_seed_says(lab: Lab) -> None:
    """The dialplan's draw and Python's are the same: refusals are compared one by one."""
    numbers = [number(Behaviour.MIX, i) for i in range(40)]
    expected = {n: lab.subscribers.behaviour(n) for n in numbers}
    causes = {Behaviour.BUSY: "17", Behaviour.REJECTED: "21", Behaviour.UNALLOCATED: "1"}
    async with Manager(lab) as manager:
        attempts = {n: await manager.originate(f"PJSIP/{n}@trunk-out", timeout_seconds=3) for n in numbers}
        for n, attempt in attempts.items():
            response = await manager.originated(attempt)
            hangup = await manager.hangup(attempt)
            answered = expected[n] in (Behaviour.PERSON, Behaviour.MACHINE, Behaviour.HANGS_UP)
            assert (response["Response"] == "Success") == answered, (n, expected[n])
            if expected[n] in causes:
                assert hangup["Cause"] == causes[expected[n]], (n, expected[n])


async def test_fifty_calls_at_once_are_all_answered(lab: Lab) -> None:
    async with Manager(lab) as manager:
        attempts = [await manager.originate(subscriber(Behaviour.PERSON, 200 + i), "DIALERD_AMD=1") for i in range(50)]
        responses = await asyncio.gather(*(manager.originated(a) for a in attempts))
        assert {r["Response"] for r in responses} == {"Success"}
        await asyncio.gather(*(manager.hangup(a) for a in attempts))
    assert sorted(i.attempt for i in lab.invites() if i.attempt in attempts) == sorted(attempts)


async def test_the_manager_shows_only_what_dialerd_needs(lab: Lab) -> None:
    async with Manager(lab) as manager:
        await manager.hangup(await manager.originate(subscriber(Behaviour.HANGS_UP, 6)))
        kinds = {e["Event"] for e in manager.events if "Event" in e}
        assert kinds == {"FullyBooted", "DialState", "DialEnd", "OriginateResponse", "Hangup"}
        for action in ("CoreShowChannels", "Command", "GetVar", "DBGet"):
            await manager.send(Action=action, ActionID=action, Command="core show version")
            answer = await manager.wait(lambda e, a=action: e.get("ActionID") == a)  # type: ignore[misc]
            assert answer["Response"] == "Error"


async def test_without_the_secrets_nobody_logs_in(tmp_path: Path) -> None:
    lab = Lab(tmp_path, agents=0)
    for name in ("manager.conf", "ari.conf"):
        (lab.pbx.etc / "dialerd-secrets" / name).unlink()
    with lab:
        for line in ("Secret: \r\n", "", f"Secret: {lab.ami_secret}\r\n"):
            reader, writer = await asyncio.open_connection(lab.ami_host, lab.ami_port)
            await reader.readline()
            writer.write(f"Action: Login\r\nUsername: dialerd\r\n{line}\r\n".encode())
            assert b"Response: Error" in await asyncio.wait_for(reader.readline(), 5)
            writer.close()
        for password in ("", lab.ari_password):
            login = {"Authorization": aiohttp.encode_basic_auth("dialerd", password)}
            async with (
                aiohttp.ClientSession(headers=login) as session,
                session.get(f"{lab.ari_url}/channels") as answer,
            ):
                assert answer.status == 401


def test_the_logs_of_a_start_have_no_errors(tmp_path: Path) -> None:
    with Lab(tmp_path, agents=1) as lab:
        logs = lab.pbx.log_tail(200) + lab.carrier.log_tail(200)
    assert "ERROR" not in logs
    assert "WARNING" not in logs


def test_two_labs_run_at_once_and_leave_nothing(lab: Lab, tmp_path: Path) -> None:
    with Lab(tmp_path, agents=1) as other:
        assert other.ports != lab.ports
        other.wait_registered()
        pids = [other.pbx.pid, other.carrier.pid]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_pbx_that_is_killed_comes_back_with_its_phones(tmp_path: Path) -> None:
    with Lab(tmp_path, agents=1) as lab:
        lab.wait_registered()
        lab.pbx.kill9()
        with pytest.raises(AsteriskFailed):
            lab.pbx.cli("core show version")
        lab.pbx.restart()
        assert "fully booted" in lab.pbx.cli("core waitfullybooted")


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path, agents=0)
    lab.carrier.write("asterisk.conf", "[directories]\nastmoddir = /nonexistent\n")
    with pytest.raises(AsteriskFailed, match="carrier"):
        lab.start()
    assert not lab.pbx.running()
    assert not lab.carrier.running()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_lab_dies_with_its_python(tmp_path: Path, end: signal.Signals) -> None:
    argv = [sys.executable, "-m", "lab", "--folder", str(tmp_path), "--agents", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as child:
        assert child.stdout is not None
        said = ""
        while "Ctrl+C ends it." not in said:
            line = child.stdout.readline()
            assert line, said
            said += line
        secret = (tmp_path / "pbx/etc/dialerd-secrets/manager.conf").read_text().split("= ")[1].strip()
        assert secret not in said
        child.send_signal(end)
        assert child.wait(10) == (-end if end is signal.SIGKILL else 0)
    assert until(lambda: not _processes_of(tmp_path), 5), _processes_of(tmp_path)


def _details(lab: Lab) -> str:
    return "".join(lab.pbx.cli(f"core show channel {c.name}") for c in lab.pbx.channels())


def _processes_of(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command.replace("\0", " "))
    return found
