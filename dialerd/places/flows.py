"""The flows of an installation: `*.toml` in the configured folder, and the sounds that they name."""

from collections.abc import Callable, Iterator
from pathlib import Path

from dialerd.config import Flows
from dialerd.core import weburl
from dialerd.core.flow import MAX_BYTES, NAME, Flow, FlowRefused, Problem, Prompt, Script, Transfer, Webhook
from dialerd.core.flow_check import read
from dialerd.places import prompts


def names(config: Flows) -> list[str]:
    """The names of the flows in the folder, sorted; those of which the name is none, too."""
    return sorted(path.stem for path in Path(config.folder).glob("*.toml"))


def load(config: Flows, name: str) -> Script:
    """A flow that can run: checked, every sound there. Reads files: not on the loop. Raises `FlowRefused`."""
    return _script(config, name, _rendered)


def prepare(config: Flows, name: str) -> Script:
    """The same, and renders the texts that have no sound file yet. Raises `FlowRefused`."""
    return _script(config, name, _render)


def unlooked(config: Flows) -> bool:
    """Whether sound files cannot be looked for: none of their folders is on this machine."""
    return not any(Path(folder).is_dir() for folder in config.sounds)


# A text's sound by Asterisk's name, or what is wrong with it.
_Speech = Callable[[Flows, Prompt], tuple[str, str]]


def _script(config: Flows, name: str, speech: _Speech) -> Script:
    flow = _flow(config, name)
    sounds: dict[Prompt, str] = {}
    problems = [*_outside(config, flow)]
    for prompt, node in flow.prompts().items():
        sounds[prompt], says = speech(config, prompt) if prompt.text else _sound(config, prompt, flow.language)
        if says:
            problems.append(Problem(node, says))
    if problems:
        raise FlowRefused(_path(config, name), problems)
    return Script(flow, sounds)


def _outside(config: Flows, flow: Flow) -> Iterator[Problem]:
    """Where the flow would lead out of dialerd and the configuration does not let it."""
    for name, node in flow.nodes.items():
        if isinstance(node, Webhook):
            says = weburl.problem(node.url, config.webhook_hosts, config.webhook_private_hosts)
            if says is not None:
                yield Problem(name, f"url: {says}")
        elif isinstance(node, Transfer) and node.to not in config.transfer_to:
            yield Problem(
                name, f"to: {node.to!r} is not in transfer_to of [flows]: put it there, if flows may lead to it"
            )


def _path(config: Flows, name: str) -> str:
    return str(Path(config.folder) / f"{name[:70]}.toml")


def _flow(config: Flows, name: str) -> Flow:
    where = _path(config, name)
    if not NAME.match(name):  # before it becomes part of a path
        raise FlowRefused(
            where, [Problem("", "a flow's name is 1 to 64 small letters, digits, _ and -, a letter first")]
        )
    try:
        with Path(where).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise FlowRefused(where, [Problem("", f"is longer than {MAX_BYTES} bytes")])
        return read(data.decode(), name, where)
    except FileNotFoundError:
        there = ", ".join(names(config)) or "none"
        raise FlowRefused(where, [Problem("", f"there is no such file; flows in that folder: {there}")]) from None
    except OSError as error:
        raise FlowRefused(where, [Problem("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise FlowRefused(where, [Problem("", "is not UTF-8")]) from None


def _sound(config: Flows, prompt: Prompt, language: str) -> tuple[str, str]:
    if unlooked(config):
        return prompt.sound, ""  # Asterisk is elsewhere, and will say so itself
    for folder in map(Path, config.sounds):
        # As Asterisk looks: in a folder of a language, and without one.
        for place in (folder, *(each for each in folder.glob("*") if each.is_dir())):
            if any(place.glob(f"{prompt.sound}.*")):
                return prompt.sound, ""
    looked = ", ".join(config.sounds)
    return "", f"there is no sound file {prompt.sound!r}: put it where Asterisk has its sounds (looked in {looked})"


def _rendered(config: Flows, prompt: Prompt) -> tuple[str, str]:
    if (sound := prompts.spoken(prompt, config.tts_command, Path(config.prompts))) is not None:
        return sound, ""
    return "", f"the text {prompt.text[:30]!r} has no sound file yet: run 'dialer-admin flow check'"


def _render(config: Flows, prompt: Prompt) -> tuple[str, str]:
    try:
        return str(prompts.render(prompt, config.tts_command, Path(config.prompts)).with_suffix("")), ""
    except (prompts.NotRendered, OSError) as error:
        return "", f"the text {prompt.text[:30]!r} could not be spoken: {error}"
