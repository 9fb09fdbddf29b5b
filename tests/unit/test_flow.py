"""Flows are checked before a caller meets them: every mistake with its file, its node and what to do."""

import sys
import wave
from itertools import pairwise
from pathlib import Path

import pytest

from dialerd.config import Flows
from dialerd.core.flow import FlowRefused, Menu, Prompt
from dialerd.core.flow_check import read
from dialerd.engine.campaign import read_flow
from dialerd.paths import shipped
from dialerd.places import flows, prompts
from dialerd.places.prompts import NotRendered
from tests.unit.test_conversations import campaign

MENU = """\
[nodes.menu]
type = "menu"
prompt = "hello"
keys = { 1 = "agent", 2 = "out" }
timeout = "end"
[nodes.agent]
type = "agent"
[nodes.out]
type = "opt_out"
next = "end"
[nodes.end]
type = "hangup"
"""

# Writes half a second of 440 Hz at 22050 Hz, and what it was told.
SPEAKER = """\
import math, sys, wave
text = sys.stdin.buffer.read().decode()
with open(sys.argv[2] + ".told", "w") as told:
    print(sys.argv[1], repr(text), file=told)
open(LOG, "a").write(repr((sys.argv[1], text)) + "\\n")
with wave.open(sys.argv[2], "wb") as out:
    out.setnchannels(1); out.setsampwidth(2); out.setframerate(22050)
    out.writeframes(b"".join(int(9000 * math.sin(n / 22050 * 440 * 2 * math.pi)).to_bytes(2, "little", signed=True)
                             for n in range(11025)))
"""


def refused(text: str) -> list[str]:
    with pytest.raises(FlowRefused) as caught:
        read(text, "f", "flows/f.toml")
    assert all(line.startswith("flows/f.toml: ") for line in str(caught.value).splitlines())
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def config(tmp_path: Path) -> Flows:
    """A folder for flows, one with the sound `hello`, and a program that speaks."""
    for name in ("flows", "sounds/en"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sounds/en/hello.gsm").touch()
    speaker = tmp_path / "speak.py"
    speaker.write_text(SPEAKER.replace("LOG", repr(str(tmp_path / "spoken"))))
    return Flows(
        folder=str(tmp_path / "flows"), sounds=(str(tmp_path / "sounds"), "/no/such/folder"),
        prompts=str(tmp_path / "prompts"), tts_command=(sys.executable, str(speaker), "{language}", "{file}"),
    )  # fmt: skip


def test_a_flow_is_read_with_its_defaults() -> None:
    flow = read(MENU, "f", "f.toml")
    menu = flow.nodes["menu"]
    assert isinstance(menu, Menu)
    assert (flow.start, menu.barge_in, menu.retries, menu.timeout_seconds) == ("menu", True, 1, 5.0)
    assert flow.wants_agents


@pytest.mark.accepts("IVR-01")
def test_the_shipped_finnish_flow_is_in_order() -> None:
    text = (shipped("flows") / "finnish.toml").read_text(encoding="utf-8")
    flow = read(text, "finnish", "finnish.toml")
    menu = flow.nodes[flow.start]
    assert isinstance(menu, Menu)
    assert [flow.nodes[menu.keys[key]].type for key in "12"] == ["agent", "opt_out"]
    assert {prompt.language for prompt in flow.prompts()} == {"fi"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('timeout = "end"', 'timeout = "nowhere"'), "node 'menu': timeout leads to 'nowhere': there is no such node"),
        (('"agent", 2 = "out"', '"agent"'), "node 'out': nothing leads here from 'menu'"),
        (('prompt = "hello"\n', ""), "node 'menu': prompt is missing: name a sound, or a text"),
        (('timeout = "end"', 'timeout = "menu"'), "node 'menu': goes round without a key being pressed: menu → menu"),
        (('timeout = "end"', 'timeout = "end"\nretry = 3'), "node 'menu': unknown field 'retry': a menu has prompt, "),
        (('2 = "out"', '1 = "out"'), "node 'menu': is given twice, keep one"),
        (("[nodes.out]", "[nodes.agent]"), "node 'agent': is given twice, keep one"),
        (('2 = "out"', '12 = "out"'), "node 'menu': keys: '12' is no key of a phone"),
        (('type = "agent"', 'type = "webhook"'), "node 'agent': url is missing"),
        (('type = "agent"', 'type = "transfer"\nto = "$(id)@t"'), "node 'agent': to: NUMBER@TRUNK"),
        (('type = "agent"', 'type = "transfer"\nto = "700"'), "node 'agent': to: NUMBER@TRUNK"),
        (('type = "agent"', 'type = "transfer"\nto = "70@t"\nnext = "end"'), "node 'agent': unknown field 'next'"),
        (('type = "agent"', 'type = "record"\nnext = "x"'), "next leads to 'x': there is no such node"),
        (('type = "agent"', 'type = "record"\nnext = "end"\nseconds = 0.1'), "node 'agent': seconds: "),
        (('type = "agent"', 'type = "record"\nnext = "agent"'), "node 'agent': goes round without a key being pressed"),
        (('type = "agent"', 'type = "system"'), "node 'agent': type: 'system' is none"),
        (('type = "agent"', 'type = "queue"\nseconds = nan'), "node 'agent': seconds: "),
        (('type = "agent"', 'type = "queue"\nseconds = 9\nmusic = "../x"'), "node 'agent': music: true, false, or"),
        (('type = "agent"', 'type = "queue"\nseconds = 9\nmusic = 1'), "node 'agent': music: true, false, or"),
        (('type = "agent"', 'type = "queue"\nseconds = 9\nmessage = "/etc/x"'), "node 'agent': message: a sound"),
        (('type = "agent"', 'type = "queue"\nseconds = 9\nevery_seconds = 0'), "node 'agent': every_seconds: "),
        (('type = "agent"', 'type = "queue"\nseconds = 9\nnext = "menu"'), "node 'agent': next leads to 'menu'"),
        (('"hello"', '{ text = "Hei" }'), "node 'menu': the text 'Hei' has no language"),
        (('"hello"', "[]"), "node 'menu': prompt: is an empty list"),
        (("[nodes.menu]", 'begin = "menu"\n[nodes.menu]'), "unknown field 'begin'"),
        (("[nodes.menu]", 'start = "x"\n[nodes.menu]'), "start: there is no node 'x'"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_node_and_what_to_do(change: tuple[str, str], problem: str) -> None:
    if "next leads to 'menu'" in problem:  # back to a menu is fine: somebody pressed a key to get here
        assert read(MENU.replace(*change), "f", "f").wants_agents
        return
    assert any(problem in found for found in refused(MENU.replace(*change)))


def test_a_circle_of_several_nodes_is_told_once_and_all_mistakes_at_once() -> None:
    text = (
        MENU.replace('timeout = "end"', 'timeout = "say"')
        + """\
[nodes.say]
type = "play"
prompt = "hello"
next = "back"
[nodes.back]
type = "goto"
next = "menu"
[nodes.lost]
type = "set"
values = { a = "b" }
next = "end"
"""
    )
    circles = refused(text)
    assert len(circles) == 2
    assert "menu → say → back → menu" in circles[1] and "nothing leads here" in circles[0]


@pytest.mark.parametrize(
    "sound",
    [
        "../../etc/passwd", "/etc/asterisk/x", "..%2f", "a\\u0000.wav", "sound:http://169.254.169.254/", "recording:x",
        "tone:ring", "number:5", "hello&tt-weasels", "hello.wav", "${SHELL(id)}", "-rf", "", "a b", "x" * 200, "ä",
    ],
)  # fmt: skip
def test_a_prompt_that_is_no_plain_name_of_a_sound_is_refused(sound: str) -> None:
    """[bad input 23]"""
    assert any("node 'menu': prompt: " in found for found in refused(MENU.replace('"hello"', f'"{sound}"')))


@pytest.mark.parametrize("language", ["../fi", "-w", "fi;id", "fi/../x", "FI", "f"])
def test_a_language_that_is_none_is_refused(language: str) -> None:
    prompt = '{ text = "Hei", language = "' + language + '" }'
    assert any("language: as in 'fi'" in found for found in refused(MENU.replace('"hello"', prompt)))


@pytest.mark.parametrize("text", ["", "x = ", "nodes = 3", "[nodes]", "[nodes.A]\ntype='hangup'", "a" + "[" * 5000])
def test_what_is_no_flow_at_all_is_refused_in_words(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize("name", ["../finnish", "/etc/passwd", "a/b", "", "A", "x" * 70, "a\0", "-a"])
def test_the_name_of_a_flow_leads_nowhere_else(config: Flows, name: str) -> None:
    with pytest.raises(FlowRefused, match="a flow's name is"):
        flows.load(config, name)


def test_a_missing_sound_is_told_and_one_of_any_language_is_found(config: Flows) -> None:
    (Path(config.folder) / "f.toml").write_text(MENU)
    script = flows.load(config, "f")
    assert script.sounds == {Prompt("hello"): "hello"}
    (Path(config.folder) / "g.toml").write_text(MENU.replace("hello", "no/such"))
    with pytest.raises(FlowRefused, match="node 'menu': there is no sound file 'no/such': put it where"):
        flows.load(config, "g")
    with pytest.raises(FlowRefused, match="there is no such file; flows in that folder: f, g"):
        flows.load(config, "h")


def test_a_text_is_spoken_once_by_the_check_and_never_by_the_daemon(config: Flows, tmp_path: Path) -> None:
    said = '$(id); `id` -w /etc/x \\"ä\\"'
    (Path(config.folder) / "f.toml").write_text(MENU.replace('"hello"', f'{{ text = "{said}", language = "fi" }}'))
    with pytest.raises(FlowRefused, match="run 'dialer-admin flow check'"):
        flows.load(config, "f")
    script = flows.prepare(config, "f")
    assert flows.prepare(config, "f") == flows.load(config, "f") == script
    spoken = (tmp_path / "spoken").read_text().splitlines()
    assert spoken == [repr(("fi", '$(id); `id` -w /etc/x "ä"'))], "once, and as it is"
    [sound] = script.sounds.values()
    file = Path(f"{sound}.wav")
    assert file.parent == Path(config.prompts) and file.stat().st_mode & 0o777 == 0o644
    with wave.open(str(file)) as made:
        assert (made.getnchannels(), made.getsampwidth(), made.getframerate(), made.getnframes()) == (1, 2, 8000, 4000)
        samples = memoryview(made.readframes(4000)).cast("h")
    crossings = sum((a < 0) != (b < 0) for a, b in pairwise(samples))
    assert 430 <= crossings <= 450, "half a second of 440 Hz"
    assert [each.name for each in Path(config.prompts).iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("/no/such/program", "{file}"), "is not installed"),
        (("false", "{file}"), "false failed"),
        (("true", "{file}"), "wrote no WAV file"),
        (("cp", "/etc/hostname", "{file}"), "wrote no WAV file"),
    ],
)
def test_a_program_that_does_not_speak_is_told(tmp_path: Path, command: tuple[str, ...], says: str) -> None:
    with pytest.raises(NotRendered, match=says):
        prompts.render(Prompt("", "Hei", "fi"), command, tmp_path / "prompts")
    assert list((tmp_path / "prompts").iterdir()) == []


OUT = """\
[nodes.tell]
type = "webhook"
url = "URL"
next = "say"
[nodes.say]
type = "record"
next = "through"
[nodes.through]
type = "transfer"
to = "+358401234567@trunk-out"
"""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://crm.example.com/x", None),
        ("https://other.example.com/x", "node 'tell': url: 'other.example.com' is not in webhook_hosts"),
        ("http://crm.example.com/x", "node 'tell': url: https, or put 'crm.example.com' into webhook_private_hosts"),
    ],
)
def test_a_flow_leads_out_only_where_the_configuration_lets_it(config: Flows, url: str, problem: str | None) -> None:
    (Path(config.folder) / "f.toml").write_text(OUT.replace("URL", url))
    open_to = config.model_copy(
        update={"webhook_hosts": ("crm.example.com",), "transfer_to": ("+358401234567@trunk-out",)}
    )
    if problem is None:
        assert not flows.load(open_to, "f").flow.wants_agents
    else:
        with pytest.raises(FlowRefused, match=problem.replace("(", ".")):
            flows.load(open_to, "f")
    with pytest.raises(FlowRefused) as caught:
        flows.load(config, "f")
    assert [problem.node for problem in caught.value.problems] == ["tell", "through"]
    assert "'+358401234567@trunk-out' is not in transfer_to of [flows]" in str(caught.value)


BYE = '[nodes.bye]\ntype = "hangup"\n'
AGENT = '[nodes.agent]\ntype = "agent"\n'


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        (None, {}, "machine flow m: "),
        (BYE.replace("hangup", "fly"), {}, "'fly'"),
        (AGENT, {"broadcast": "demo-thanks"}, "machine flow m hands calls to agents, and the campaign's own calls go"),
        (AGENT, {}, None),
        (BYE, {"broadcast": "demo-thanks"}, None),
        (None, {"machine_detection": "drop"}, None),
    ],
)
def test_a_campaign_whose_flow_for_machines_cannot_run_dials_nobody(
    config: Flows, text: str | None, settings: dict[str, str], says: str | None
) -> None:
    if text is not None:
        (Path(config.folder) / "m.toml").write_text(text)
    found = campaign(**{"machine_detection": "flow", "machine_flow": "m", **settings})
    read_flow(found, config)
    if says is None:
        assert found.mute is None and (found.machine_script is not None) == (text is not None)
    else:
        assert says in (found.mute or "") and found.machine_script is None
