"""IVR flows: what an answered call hears, which keys it may press, and where each leads. A TOML file a flow.

Nodes have names. Everything that is wrong with a file is told at once, each with its node and what to do
(`core/flow_check.py` looks at how the nodes hang together).
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z", re.ASCII)  # of flows and of nodes
KEYS: Final = "0123456789*#"
MAX_BYTES: Final = 200_000
_SOUND = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}\Z", re.ASCII
)  # the letters of DIALERD_MESSAGE, not from the root
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MOST_NODES = 500
_MUSIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z", re.ASCII)
_TRANSFER = re.compile(r"[+0-9][0-9]{1,19}@[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: of a node, or of the whole file (`node` is empty)."""

    node: str
    says: str

    def __str__(self) -> str:
        return f"node {self.node!r}: {self.says}" if self.node else self.says


class FlowRefused(ValueError):
    """A text is no flow that could run: `problems` holds everything that is wrong with it."""

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.where, self.problems = where, tuple(problems)
        super().__init__("\n".join(f"{where}: {problem}" for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be heard: a sound file by Asterisk's name, or a text in a language."""

    sound: str = ""
    text: str = ""
    language: str = ""


def _prompts(value: object) -> tuple[Prompt, ...]:
    found = tuple(_prompt(each) for each in (value if isinstance(value, list) else [value]))
    if not found:
        raise ValueError("is an empty list: name a sound, or a text")
    return found


def _prompt(value: object) -> Prompt:
    if isinstance(value, Prompt):
        return value
    if isinstance(value, str):
        if not _SOUND.match(value):
            raise ValueError("a sound is named as Asterisk does, without its ending: letters, digits, _ - / only, not "
                             "from the root; words to be spoken are { text = \"…\" }")  # fmt: skip
        return Prompt(value)
    if not isinstance(value, dict) or not {"text"} <= value.keys() <= {"text", "language"}:
        raise ValueError('a sound\'s name, or { text = "…", language = "fi" }')
    text, language = value["text"], value.get("language", "")
    if not isinstance(text, str) or not text.strip() or len(text) > 1000 or _CONTROL.search(text):
        raise ValueError("text: 1 to 1000 characters, no control characters")
    if not isinstance(language, str) or (language and not _LANGUAGE.match(language)):
        raise ValueError("language: as in 'fi' or 'en-gb'")
    return Prompt("", text, language)


def _pressable(keys: dict[str, str]) -> dict[str, str]:
    for key in keys:
        if len(key) != 1 or key not in KEYS:
            raise ValueError(f"{key[:20]!r} is no key of a phone: 0 to 9, * or #")
    return keys


def _storable(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _VARIABLE.match(name):
            raise ValueError(f"{name[:40]!r}: a name is 1 to 32 letters, digits and _, not beginning with a digit")
        if len(value) > 200 or _CONTROL.search(value):
            raise ValueError(f"{name}: at most 200 characters, no control characters")
    return values


def _music(value: object) -> object:
    if not isinstance(value, bool) and not (isinstance(value, str) and _MUSIC.match(value)):
        raise ValueError("true, false, or the name of a class of musiconhold.conf: letters, digits, _ and - only")
    return value


def _place(to: str) -> str:
    if not _TRANSFER.match(to):
        raise ValueError("NUMBER@TRUNK, as in transfer_to of [flows]: digits, perhaps a plus before them")
    return to


Prompts = Annotated[tuple[Prompt, ...], BeforeValidator(_prompts)]
Target = Annotated[str, Field(min_length=1, max_length=64)]  # the name of a node


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Play(_Node):
    """Says something, to the end."""

    type: Literal["play"]
    prompt: Prompts
    next: Target


class Menu(_Node):
    """Says something and waits for a key; after `retries` more tries in vain it goes on to what the last one was."""

    type: Literal["menu"]
    prompt: Prompts
    keys: Annotated[dict[str, Target], Field(min_length=1), AfterValidator(_pressable)]
    timeout: Target  # where silence leads
    invalid: Target | None = None  # where another key leads; None: where silence does
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0  # after the prompt
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    barge_in: bool = True  # a key ends the prompt


class Agent(_Node):
    """Hands the call to the campaign's agents, within the campaign's grace; then the safe-harbour message."""

    type: Literal["agent"]
    prompt: Prompts | None = None  # said before


class Queue(_Node):
    """As `agent`, and waits for so long; then goes on to `next`, or to the safe-harbour message. Who waits hears music,
    and `message` in between."""

    type: Literal["queue"]
    seconds: Annotated[float, Field(gt=0, le=3600)]
    prompt: Prompts | None = None
    music: Annotated[bool | str, BeforeValidator(_music)] = True  # true: Asterisk's default class; or a class by name
    message: Prompts | None = None
    every_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0  # of waiting before each message
    next: Target | None = None


class OptOut(_Node):
    """Never again: the consent row and the do-not-call row."""

    type: Literal["opt_out"]
    prompt: Prompts | None = None  # said after
    next: Target


class Set(_Node):
    """Puts values on the call's record."""

    type: Literal["set"]
    values: Annotated[dict[str, str], Field(min_length=1, max_length=20), AfterValidator(_storable)]
    next: Target


class Webhook(_Node):
    """Tells another system where the call is and what was pressed; the call does not wait for it."""

    type: Literal["webhook"]
    url: Annotated[str, Field(min_length=1, max_length=2000)]  # which hosts: [flows] webhook_hosts
    next: Target


class Record(_Node):
    """Records what the person says, after a beep: until a key, silence or the limit."""

    type: Literal["record"]
    prompt: Prompts | None = None  # said before
    seconds: Annotated[float, Field(ge=1, le=600)] = 120.0  # at most
    silence_seconds: Annotated[float, Field(ge=1, le=60)] = 3.0  # that end it
    next: Target


class Transfer(_Node):
    """Puts the call through to a number or an extension over a trunk; it is out of the flow then."""

    type: Literal["transfer"]
    to: Annotated[str, AfterValidator(_place)]  # one of [flows] transfer_to
    prompt: Prompts | None = None  # said before


class Goto(_Node):
    """Goes on elsewhere."""

    type: Literal["goto"]
    next: Target


class Hangup(_Node):
    """Ends the call."""

    type: Literal["hangup"]
    prompt: Prompts | None = None  # said before


Node = Play | Menu | Agent | Queue | OptOut | Set | Webhook | Record | Transfer | Goto | Hangup
_NODES: Final[dict[str, type[Node]]] = {
    "play": Play, "menu": Menu, "agent": Agent, "queue": Queue, "opt_out": OptOut, "set": Set,
    "webhook": Webhook, "record": Record, "transfer": Transfer, "goto": Goto, "hangup": Hangup,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that has been read: its nodes by name. `language`: of the texts that name none."""

    name: str
    start: str
    nodes: Mapping[str, Node]
    language: str = ""

    @property
    def wants_agents(self) -> bool:
        """Whether any call of it may be handed to an agent."""
        return any(isinstance(node, Agent | Queue) for node in self.nodes.values())

    def prompts(self) -> dict[Prompt, str]:
        """Everything that may be heard, each with a node that says it; texts have their language."""
        return {prompt: name for name, node in reversed(list(self.nodes.items())) for prompt in self.heard(node)}

    def heard(self, node: Node) -> tuple[Prompt, ...]:
        """Everything that a node says."""
        return self.spoken(node, "prompt") + self.spoken(node, "message")

    def spoken(self, node: Node, field: str) -> tuple[Prompt, ...]:
        """What a node says by one of its fields: `prompt` or `message`."""
        given = getattr(node, field, None) or ()
        return tuple(
            Prompt(p.sound, p.text, p.language or self.language) if p.text else p for p in given
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """A flow that can run: for each prompt Asterisk's name of the sound."""

    flow: Flow
    sounds: Mapping[Prompt, str] = field(default_factory=dict)

    def sounds_of(self, node: Node, field: str = "prompt") -> list[str]:
        """What a node plays: its prompt, or its `message`."""
        return [self.sounds[prompt] for prompt in self.flow.spoken(node, field)]


def targets(node: Node) -> dict[str, str]:
    """Where a node may lead: what leads there ("next", "timeout", "key 1") → the node's name."""
    found: dict[str, str] = {}
    if isinstance(node, Menu):
        found = {f"key {key}": target for key, target in node.keys.items()}
        found |= {"timeout": node.timeout, "invalid": node.invalid or node.timeout}
    elif isinstance(node, Queue):
        found = {} if node.next is None else {"next": node.next}
    elif not isinstance(node, Agent | Transfer | Hangup):
        found = {"next": node.next}
    return found


def parse(text: str, name: str, where: str) -> Flow:
    """The flow `name` from the TOML of the file `where`; the nodes may not yet hang together. Raises `FlowRefused`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FlowRefused(where, [_broken(text, str(error))]) from None
    except RecursionError:
        raise FlowRefused(where, [Problem("", "is nested too deeply")]) from None
    problems: list[Problem] = []
    if unknown := sorted(tree.keys() - {"start", "language", "nodes"}):
        problems.append(Problem("", f"unknown field {unknown[0][:40]!r}: start, language and the tables [nodes.NAME]"))
    language, tables = tree.get("language", ""), tree.get("nodes")
    if not isinstance(language, str) or (language and not _LANGUAGE.match(language)):
        problems.append(Problem("", "language: as in 'fi' or 'en-gb'"))
        language = ""
    if not isinstance(tables, dict) or not 0 < len(tables) <= _MOST_NODES:
        problems.append(Problem("", f"it has no nodes: write tables [nodes.NAME], at most {_MOST_NODES}"))
        raise FlowRefused(where, problems)
    nodes = {str(key): node for key, table in tables.items() if (node := _node(str(key), table, problems)) is not None}
    start = tree.get("start", next(iter(tables)))
    if not isinstance(start, str) or start not in tables:
        problems.append(Problem("", f"start: there is no node {str(start)[:64]!r}"))
    if problems:
        raise FlowRefused(where, problems)
    return Flow(name, start, nodes, language)


def _node(name: str, table: object, problems: list[Problem]) -> Node | None:
    if not NAME.match(name):
        problems.append(Problem(name[:64], "a node's name is 1 to 64 small letters, digits, _ and -, a letter first"))
        return None
    kind = table.get("type") if isinstance(table, dict) else None
    model = _NODES.get(kind) if isinstance(kind, str) else None
    if model is None:
        problems.append(Problem(name, f"type: {str(kind)[:40]!r} is none; there are {', '.join(_NODES)}"))
        return None
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems += [Problem(name, _words(each, model)) for each in error.errors()]
        return None


def _words(error: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"])[:100]
    if error["type"] == "extra_forbidden":
        return f"unknown field {where!r}: a {model.model_fields['type'].annotation.__args__[0]} has " + ", ".join(  # type: ignore[union-attr]
            field for field in model.model_fields if field != "type"
        )
    if error["type"] == "missing":
        return f"{where} is missing" + (": name a sound, or a text" if where == "prompt" else "")
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _broken(text: str, says: str) -> Problem:
    """TOML's own complaint, with the node in whose table it lies: a key that is given twice is one."""
    node = ""
    if line := re.search(r"at line (\d+)", says):
        above = "\n".join(text.splitlines()[: int(line[1])])
        headers = re.findall(r"^\s*\[\s*nodes\s*\.\s*\"?([A-Za-z0-9_-]+)", above, re.MULTILINE)
        node = headers[-1] if headers else ""
    if re.search(r"overwrite|[Dd]uplicate|twice", says):
        says = f"is given twice, keep one: {says}"
    return Problem(node, says)
