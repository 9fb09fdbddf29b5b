"""What a campaign is made of, and the changes of state that are legal.

`stopped` can be started again; `completed` means that the list is used up, and a start gives it another look.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from dialerd.core import filters, limits, machines, phone, recording, retry, seller
from dialerd.core.calendar import Window
from dialerd.core.disposition import NONE
from dialerd.core.flow import NAME as FLOW_NAME
from dialerd.core.profile import Purpose
from dialerd.core.windows import DEFAULT

State = Literal["draft", "active", "paused", "stopped", "completed"]
Action = Literal["start", "pause", "stop", "complete"]

TRANSITIONS: Final[dict[tuple[State, Action], State]] = {
    ("draft", "start"): "active",
    ("paused", "start"): "active",
    ("stopped", "start"): "active",
    ("completed", "start"): "active",
    ("active", "pause"): "paused",
    ("active", "stop"): "stopped",
    ("paused", "stop"): "stopped",
    ("active", "complete"): "completed",
}
# The kind of the call_events row that records the change.
EVENTS: Final[dict[Action, str]] = {
    "start": "campaign.started",
    "pause": "campaign.paused",
    "stop": "campaign.stopped",
    "complete": "campaign.completed",
}
MODES = ("preview", "progressive", "predictive", "power")
PURPOSES: Final[tuple[str, ...]] = get_args(Purpose)
ORDERS = ("oldest", "fewest_attempts", "last_result", "random")
RETURNED = ("message", "agents")
SPOKEN = ("seller_name", "seller_number", "message_language", "opt_out_key")  # what that message is made of
MAX_LIMITS = 20
MAX_SCRIPT = 20_000
MODES_READY = ("preview", "progressive", "predictive", "power")  # those that this version paces
SEVERAL_LINES = frozenset({"predictive", "power"})  # modes in which pacing_ratio is lines per agent, so at least one

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MODES_WITH_AGENTS = frozenset(MODES) - {"power"}
NO_QUEUE = "no-queue"  # of a broadcast: no agent serves it
_SOUND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,31}\Z", re.ASCII)


class TransitionRefused(ValueError):
    """The campaign's state does not allow this."""

    def __init__(self, state: State, action: Action) -> None:
        legal = [a for (s, a) in TRANSITIONS if s == state and a != "complete"]
        super().__init__(f"a campaign that is {state} cannot {action}; it can {' or '.join(legal)}")
        self.state, self.action = state, action


class CampaignRefused(ValueError):
    """A campaign cannot be made or started like this; `problems` is a list of (field, what is wrong)."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{name}: {says}" for name, says in self.problems))


@dataclass(frozen=True, slots=True)
class Draft:
    """A campaign to be made; the defaults are those of the documented interface."""

    name: str
    dial_mode: str
    queue_name: str
    trunk: str
    caller_id: str | None = None
    description: str = ""
    pacing_ratio: float = 3.0
    max_retries: int = 3
    retry_delay_seconds: int = 300
    max_concurrent_calls: int = 50
    ring_timeout_seconds: int = 30
    wrap_up_seconds: int = 15
    machine_detection: str = "off"
    windows: tuple[Window, ...] = DEFAULT
    legal_profile: str | None = None
    skip_holidays: bool | None = None  # None: as the tenant has it
    purpose: str = "marketing"
    retry_rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # as core.retry.read has them
    limits: tuple[str, ...] = ()  # as core.limits.parse reads them
    abandon_lockout_seconds: int = 3 * 86_400
    callback_patience_seconds: int = 1_800
    filter: str = ""  # as core.filters.parse reads it; empty: everybody
    order_by: str = "oldest"
    serial_interval_seconds: float | None = None  # one call at a time, and so long a rest after each; None: not so
    weight: int = 1  # its share of agents and trunks that other campaigns want as well
    broadcast: str | None = None  # the sound file that answered people hear, instead of an agent; None: agents
    flow: str | None = None  # the IVR flow that answered people go through; it may lead to agents; None: none
    local_presence: bool = True  # caller IDs near the number that is called go first
    sticky_caller_id: bool = False  # whoever was called before sees the same caller ID, when it is free
    script: str = ""  # what agents read, as plain text
    preview_seconds: int = 120  # how long a contact is held for an agent who looks at it
    voicemail_sound: str | None = None  # what an agent has left on a machine, a sound file; None: nothing
    machine_parameters: Mapping[str, int] = field(default_factory=dict)  # of AMD(), as core.machines has them
    machine_message: str | None = None  # the sound file that machines hear after their beep
    machine_wait_seconds: int = 45  # for the end of a machine's greeting; then it is hung up
    machine_flow: str | None = None  # the flow that machines go through, with machine_detection = flow
    machine_check: float = 0.0  # the share of machines that agents get like persons, to say what they are
    default_disposition: str = NONE  # what a call is given of which its agent says nothing
    seller_name: str | None = None  # named to people for whom nobody is free; None: the dialplan's message
    seller_number: str | None = None  # where the seller is reached, as it is said; None: nothing is said of it
    message_language: str = "en"  # of that message: one of core.seller.LANGUAGES
    opt_out_key: str = "2"  # pressed while it plays: never call this number again
    returned: str = "message"  # what people get who call back: that message, or the campaign's agents
    recording: str = "never"  # which calls are recorded: never, always, demand (an agent asks), share (by lot)
    recording_share: float = 0.1  # of calls, with recording = share
    recording_announcement: str | None = None  # the sound that both hear before a recording begins; None: none
    recording_days: int | None = None  # that a recording is kept; None: as the tenant has it


def after(state: State, action: Action) -> State:
    """The state that `action` leads to, or `TransitionRefused`."""
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        raise TransitionRefused(state, action) from None


def state_of(text: str) -> State:
    """A stored text as a state. Raises ValueError."""
    if text not in get_args(State):
        raise ValueError(f"not a campaign's state: {text!r}")
    return cast(State, text)


def effective_ratio(dial_mode: str, pacing_ratio: float) -> float:
    """Lines per agent that the mode really dials, at most: preview none by itself, progressive one whatever is set."""
    return {"preview": 0.0, "progressive": 1.0}.get(dial_mode, pacing_ratio)


def check(draft: Draft) -> None:
    """Raises `CampaignRefused` with everything that is wrong with the draft."""
    problems: list[tuple[str, str]] = []
    for name, text, limit in (("name", draft.name, 200), ("description", draft.description, 2000)):
        if len(text) > limit or _CONTROL.search(text):
            problems.append((name, f"at most {limit} characters, no control characters"))
    if not draft.name.strip():
        problems.append(("name", "is empty"))
    for name, text in (("queue_name", draft.queue_name), ("trunk", draft.trunk)):
        if not _NAME.match(text):
            problems.append((name, "1 to 64 letters, digits, '_', '.' or '-'"))
    if draft.dial_mode not in MODES:
        problems.append(("dial_mode", f"one of {', '.join(MODES)}"))
    elif draft.dial_mode not in MODES_READY:
        problems.append(("dial_mode", f"this version has no {draft.dial_mode} pacing yet: {' or '.join(MODES_READY)}"))
    if draft.purpose not in PURPOSES:
        problems.append(("purpose", f"one of {', '.join(PURPOSES)}"))
    if draft.caller_id is not None and not phone.DIALABLE.match(draft.caller_id):
        problems.append(("caller_id", "3 to 15 digits, with or without a plus"))
    for name, value, low, high in (
        ("pacing_ratio", draft.pacing_ratio, 1 if draft.dial_mode in SEVERAL_LINES else 0, 10),
        ("max_retries", draft.max_retries, 0, 100),
        ("retry_delay_seconds", draft.retry_delay_seconds, 0, 365 * 86400),
        ("max_concurrent_calls", draft.max_concurrent_calls, 0, 10_000),
        ("ring_timeout_seconds", draft.ring_timeout_seconds, 5, 120),
        ("wrap_up_seconds", draft.wrap_up_seconds, 0, 3600),
        ("abandon_lockout_seconds", draft.abandon_lockout_seconds, 0, 3660 * 86400),
        ("callback_patience_seconds", draft.callback_patience_seconds, 0, 30 * 86400),
        ("serial_interval_seconds", draft.serial_interval_seconds or 0.0, 0, 86400),
        ("weight", draft.weight, 1, 1000),
        ("preview_seconds", draft.preview_seconds, 10, 3600),
        ("machine_wait_seconds", draft.machine_wait_seconds, 5, 120),
    ):
        if not low <= value <= high:  # NaN is refused here too
            problems.append((name, f"{low} to {high}"))
    problems += _problems_of_broadcast(draft) + _problems_of_rules(draft) + _problems_for_agents(draft)
    problems += _problems_of_message(draft) + _problems_of_recording(draft) + _problems_of_machines(draft)
    if problems:
        raise CampaignRefused(problems)


def check_message(draft: Draft) -> None:
    """Raises `CampaignRefused` with what is wrong with the message that names the seller."""
    if problems := _problems_of_message(draft):
        raise CampaignRefused(problems)


def _problems_of_broadcast(draft: Draft) -> list[tuple[str, str]]:
    problems = []
    if draft.flow is not None and not FLOW_NAME.match(draft.flow):
        problems.append(("flow", "a flow's name: 1 to 64 small letters, digits, _ and -, a letter first"))
    if draft.flow is not None and draft.queue_name == NO_QUEUE and draft.dial_mode in MODES_WITH_AGENTS:
        problems.append(("flow", f"a campaign without agents is dialled in mode power, not {draft.dial_mode}"))
    if draft.broadcast is None:
        return problems
    if draft.flow is not None:
        problems.append(("flow", "a campaign has a flow or a broadcast, not both"))
    if not _SOUND.match(draft.broadcast):
        problems.append(("broadcast", "a sound file as Asterisk names it, without its ending: letters, digits, _ - /"))
    if draft.dial_mode in MODES and draft.dial_mode != "power":
        problems.append(("broadcast", f"a campaign without agents is dialled in mode power, not {draft.dial_mode}"))
    return problems


def _problems_of_machines(draft: Draft) -> list[tuple[str, str]]:
    problems = []
    if draft.machine_detection not in machines.MODES:
        problems.append(("machine_detection", f"one of {', '.join(machines.MODES)}"))
    if draft.machine_message is not None and not _SOUND.match(draft.machine_message):
        problems.append(("machine_message", "a sound file as Asterisk names it, without its ending: letters, digits, "
                         "_ - /"))  # fmt: skip
    if draft.machine_message is None and draft.machine_detection == "message":
        problems.append(("machine_message", "machine_detection message wants the sound file that machines hear"))
    if draft.machine_flow is not None and not FLOW_NAME.match(draft.machine_flow):
        problems.append(("machine_flow", "a flow's name: 1 to 64 small letters, digits, _ and -, a letter first"))
    if draft.machine_flow is None and draft.machine_detection == "flow":
        problems.append(("machine_flow", "machine_detection flow wants the flow that machines go through"))
    if not 0 <= draft.machine_check <= machines.MOST_CHECKED:  # NaN is refused here too
        problems.append(("machine_check", f"0 to {machines.MOST_CHECKED:g}"))
    if draft.machine_check > 0 and draft.queue_name == NO_QUEUE:
        problems.append(("machine_check", "needs a queue whose agents say what answered"))
    try:
        machines.check(draft.machine_parameters)
    except machines.ParameterRefused as error:
        problems.append(("machine_parameters", str(error)))
    return problems


def _problems_for_agents(draft: Draft) -> list[tuple[str, str]]:
    problems = []
    if len(draft.script) > MAX_SCRIPT or _CONTROL.search(draft.script.replace("\n", "").replace("\t", "")):
        problems.append(("script", f"at most {MAX_SCRIPT} characters, no control characters but line ends"))
    if not _CODE.match(draft.default_disposition):
        problems.append(("default_disposition", "the code of a disposition"))
    if draft.voicemail_sound is not None and not _SOUND.match(draft.voicemail_sound):
        problems.append(("voicemail_sound", "a sound file as Asterisk names it, without its ending"))
    return problems


def _problems_of_message(draft: Draft) -> list[tuple[str, str]]:
    problems = []
    name = draft.seller_name
    if name is not None and (not name.strip() or len(name) > 100 or _CONTROL.search(name)):
        problems.append(("seller_name", "1 to 100 characters, no control characters"))
    if draft.seller_number is not None and not phone.DIALABLE.match(draft.seller_number):
        problems.append(("seller_number", "3 to 15 digits, with or without a plus"))
    if draft.seller_number is not None and name is None:
        problems.append(("seller_number", "is said together with a seller_name: give one"))
    if draft.message_language not in seller.LANGUAGES:
        problems.append(("message_language", f"one of {', '.join(seller.LANGUAGES)}"))
    if len(draft.opt_out_key) != 1 or draft.opt_out_key not in "0123456789":
        problems.append(("opt_out_key", "one key of a phone: 0 to 9"))
    if draft.returned not in RETURNED:
        problems.append(("returned", f"one of {', '.join(RETURNED)}"))
    elif draft.returned == "agents" and draft.queue_name == NO_QUEUE:
        problems.append(("returned", "'agents' needs a queue whose agents take the calls"))
    return problems


def _problems_of_recording(draft: Draft) -> list[tuple[str, str]]:
    problems = []
    if draft.recording not in recording.POLICIES:
        problems.append(("recording", f"one of {', '.join(recording.POLICIES)}"))
    if not 0 <= draft.recording_share <= 1:
        problems.append(("recording_share", "0 to 1"))
    if draft.recording_announcement is not None and not _SOUND.match(draft.recording_announcement):
        says = "a sound file as Asterisk names it, without its ending: letters, digits, _ - /"
        problems.append(("recording_announcement", says))
    if draft.recording_days is not None and not 1 <= draft.recording_days <= recording.MAX_DAYS:
        problems.append(("recording_days", f"1 to {recording.MAX_DAYS}"))
    return problems


def _problems_of_rules(draft: Draft) -> list[tuple[str, str]]:
    """What is wrong with the rules of who comes next, and when again."""
    problems: list[tuple[str, str]] = []
    readings: tuple[tuple[str, Callable[[], object]], ...] = (
        ("retry_rules", lambda: retry.read(draft.retry_rules)),
        ("limits", lambda: [limits.parse(text) for text in draft.limits]),
        ("filter", lambda: filters.parse(draft.filter) if draft.filter else None),
    )
    for name, read in readings:
        try:
            read()
        except (retry.RuleRefused, limits.LimitRefused, filters.FilterRefused) as error:
            problems.append((name, str(error)))
    if len(draft.limits) > MAX_LIMITS:
        problems.append(("limits", f"at most {MAX_LIMITS}"))
    if draft.order_by not in ORDERS:
        problems.append(("order_by", f"one of {', '.join(ORDERS)}"))
    return problems


def caller_id(text: str, default_region: str) -> str:
    """A caller ID as it is shown: E.164 where it is a full number, else the digits as they are (an extension)."""
    try:
        return phone.parse(text, default_region).e164
    except phone.NumberRefused:
        if phone.DIALABLE.match(text.strip()):
            return text.strip()
        raise CampaignRefused([("caller_id", "3 to 15 digits, with or without a plus")]) from None
