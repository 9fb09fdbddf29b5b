"""A running campaign as the engine holds it: its settings, its counts, its last decision."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

from dialerd.config import Flows
from dialerd.core import retry
from dialerd.core.abandonment import Allowance
from dialerd.core.campaign import NO_QUEUE
from dialerd.core.causes import REACHED, Outcome
from dialerd.core.disposition import NONE
from dialerd.core.flow import FlowRefused, Script
from dialerd.core.recording import refusal
from dialerd.core.seller import Seller
from dialerd.core.status import Counts, Decision, Percentiles
from dialerd.core.terms import Judgement, Terms, ZoneSets, judge
from dialerd.engine.books import Book
from dialerd.pacing.pilot import Pilot
from dialerd.pacing.snapshot import Snapshot
from dialerd.places import flows, prompts
from dialerd.places.terms import allowance, legal_profile, of_campaign

_SAMPLES = 2_000  # connect times kept for the percentiles
_TO_LEAVE = timedelta(seconds=5)  # that a claimed call may take until it has left: caller ID, lists, its turn

_COUNTED_AS = {
    Outcome.CONNECTED: "connected",
    Outcome.ABANDONED: "abandoned",
    Outcome.HUNG_UP: "hung_up",
    Outcome.PLAYED: "played",
    Outcome.MACHINE: "machines",
    Outcome.MESSAGE_LEFT: "machines",
    Outcome.BUSY: "busy",
    Outcome.NO_ANSWER: "no_answer",
}  # every other outcome: failed


@dataclass(slots=True)
class Campaign:
    """Settings come from PostgreSQL and are replaced as a whole; the rest is this node's live knowledge."""

    id: int
    tenant_id: int
    name: str
    state: str
    dial_mode: str
    queue_name: str
    trunk: str
    caller_id: str | None
    retry: retry.Rules
    max_concurrent_calls: int
    ring_timeout_seconds: int
    wrap_up_seconds: int
    machine_detection: str
    terms: Terms
    default_region: str  # the tenant's
    started_at: datetime | None
    completed_at: datetime | None
    pacing_ratio: float = 3.0
    serial_interval_seconds: float | None = None  # one call at a time, and so long between two
    weight: float = 1.0  # its share where campaigns dial for the same agents
    tenant_max_calls: int | None = None
    single_calls: bool = False  # for calls that are asked for one by one: nothing is dialled for it by itself
    broadcast: str | None = None  # the sound file that people hear; None: agents talk to them
    flow: str | None = None  # the IVR flow that answered people go through; None: none
    flow_script: Script | None = None  # that flow, when it can run
    flow_problem: str = ""  # why it cannot: then nothing is dialled
    script: str = ""  # what agents read
    preview_seconds: int = 120  # how long a contact is held for an agent who looks at it
    voicemail_sound: str | None = None  # what an agent has left on a machine; None: nothing
    machine_parameters: Mapping[str, int] = field(default_factory=dict)  # of AMD(), as core.machines has them
    machine_message: str | None = None  # what machines hear after their beep
    machine_wait_seconds: int = 45  # for the end of a machine's greeting
    machine_flow: str | None = None  # the flow that machines go through, with machine_detection = flow
    machine_script: Script | None = None  # that flow, when it can run
    machine_problem: str = ""  # why it cannot: then nothing is dialled
    machine_check: float = 0.0  # the share of machines that agents get like persons
    default_disposition: str = NONE  # of a call of which its agent says nothing
    seller_name: str | None = None  # named to people for whom nobody is free; None: the dialplan's message
    seller_number: str | None = None
    message_language: str = "en"
    opt_out_key: str = "2"
    message: str | None = None  # Asterisk's name of that message's sound, when it can be played
    message_problem: str = ""  # why it cannot: then nothing is dialled
    recording: str = "never"  # which calls are recorded (core.recording)
    recording_share: float = 0.1
    recording_announcement: str | None = None
    recording_problem: str = ""  # why none may be, though some were to be
    allowance: Allowance = field(default_factory=Allowance)
    grace_seconds: float = 2.0  # that an answered call may wait for an agent
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    pending: int = 0
    connect_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    decision: Decision | None = None
    idle_until: float = 0.0  # monotonic; the claim found nothing to take and is not asked again before
    judged: Judgement | None = None
    noted: tuple[str, tuple[int, ...]] | None = None  # version and open zone sets as last put on record
    promoted: float = 0.0  # monotonic; when contacts whose time had come were last put back into the queue
    pilot: Pilot = field(default_factory=lambda: Pilot(2.0))
    list_id: int | None = None  # of the contact that was claimed last
    book: Book = field(default_factory=Book)
    seen: Snapshot | None = None  # what its last decision was made from
    asked_monotonic: float = 0.0
    claiming: int = 0  # lines that a claim under way has asked for
    held: bool = False  # it wanted more lines than its trunk's rate lets out at once
    ended_monotonic: float | None = None  # when its last call ended

    def judge(self, sets: ZoneSets, country_of: Mapping[str, str], now: datetime) -> Judgement:
        """Where this campaign may call now (kept until shortly before it holds no more)."""
        if self.judged is None or now >= self.judged.until - _TO_LEAVE:
            self.judged = judge(self.terms, sets, country_of, now, _TO_LEAVE)
        return self.judged

    def take_settings(self, other: "Campaign") -> None:
        """The settings of a newer reading; what is known live stays."""
        for name in _SETTINGS:
            setattr(self, name, getattr(other, name))
        self.pilot.grace = self.patience_seconds
        self.judged = None
        self.idle_until = 0.0

    @property
    def mute(self) -> str | None:
        """Why nothing may be dialled as long as what it is to say cannot be played, or None."""
        return self.flow_problem or self.machine_problem or self.message_problem or None

    @property
    def seller(self) -> Seller | None:
        """Who is named to people for whom nobody is free."""
        if self.seller_name is None:
            return None
        return Seller(self.seller_name, self.seller_number, self.message_language, self.opt_out_key)

    @property
    def wants_agents(self) -> bool:
        """Whether an answered call may need an agent."""
        return self.broadcast is None and (self.flow_script is None or self.flow_script.flow.wants_agents)

    @property
    def check_share(self) -> float:
        """Of the machines by their verdict, the share whose agent says what they are."""
        if self.machine_detection == "connect":
            return 1.0
        return self.machine_check if self.wants_agents else 0.0

    @property
    def from_answer(self) -> bool:
        """Whether the grace of an answered call runs from the answer, not from the end of the greeting: from when
        machine detection has heard it, which is when the call is ours."""
        return self.allowance.clock_start == "answer"

    @property
    def patience_seconds(self) -> float:
        """What is left of the grace, as a rule, when an answered call is ours: machine detection uses it up."""
        return 0.0 if self.from_answer and self.machine_detection != "off" else self.grace_seconds

    def counts(self) -> Counts:
        """How its attempts ended so far."""
        sums = dict.fromkeys(
            ("connected", "abandoned", "hung_up", "played", "machines", "busy", "no_answer", "failed"), 0
        )
        dialled = {outcome: n for outcome, n in self.outcomes.items() if outcome is not Outcome.RETURNED}
        for outcome, n in dialled.items():
            sums[_COUNTED_AS.get(outcome, "failed")] += n
        live = sum(n for outcome, n in dialled.items() if outcome in REACHED)
        return Counts(attempts=sum(dialled.values()), live_answers=live, **sums)

    def percentiles(self) -> Percentiles:
        """Milliseconds from StasisStart to both in one bridge, by Asterisk's own clock."""
        if not self.connect_ms:
            return Percentiles()
        ordered = sorted(self.connect_ms)
        return Percentiles(*(ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, 0.95, 0.99)))


_SAME = (
    "name", "state", "dial_mode", "queue_name", "trunk", "caller_id", "max_concurrent_calls", "ring_timeout_seconds",
    "wrap_up_seconds", "machine_detection", "default_region", "started_at", "completed_at", "pacing_ratio",
    "serial_interval_seconds", "weight", "tenant_max_calls", "single_calls", "broadcast", "flow", "script",
    "preview_seconds", "default_disposition", "seller_name", "seller_number", "message_language", "opt_out_key",
    "recording", "recording_share", "recording_announcement", "voicemail_sound", "machine_parameters",
    "machine_message", "machine_wait_seconds", "machine_flow", "machine_check",
)  # fmt: skip
_SETTINGS = (
    *_SAME, "recording_problem", "flow_script", "flow_problem", "machine_script", "machine_problem", "message",
    "message_problem", "retry", "terms", "allowance", "grace_seconds",
)  # fmt: skip


def from_row(row: Mapping[str, Any], grace_seconds: float) -> Campaign:
    """A campaign from a row of the query `terms.campaigns`. `grace_seconds`: the installation's; a legal profile's
    that is shorter replaces it. Reads data files the first time: not on the loop."""
    rules = retry.Rules(row["max_retries"], row["retry_delay_seconds"], retry.read(row["retry_rules"]))
    settings = {name: row[name] for name in _SAME}
    allowed = allowance(row["legal_profile"])
    settings["ring_timeout_seconds"] = max(row["ring_timeout_seconds"], ceil(allowed.min_ring_seconds))
    campaign = Campaign(
        id=row["id"], tenant_id=row["tenant_id"], retry=rules, terms=of_campaign(row), allowance=allowed,
        grace_seconds=min(grace_seconds, allowed.grace_seconds), **settings,
    )  # fmt: skip
    campaign.pilot.grace = campaign.patience_seconds
    legal = legal_profile(row["legal_profile"])
    campaign.recording_problem = refusal(campaign.recording, campaign.recording_announcement, legal)
    return campaign


def read_flow(campaign: Campaign, config: Flows) -> None:
    """Gives a campaign the flows that it names, or the reason why not. Reads files: not on the loop."""
    if campaign.flow is not None:
        script, campaign.flow_problem = _load(config, campaign.flow, "flow")
        if script is not None and script.flow.wants_agents and campaign.queue_name == NO_QUEUE:
            says = "hands calls to agents, and the campaign has no queue: set one"
            campaign.flow_problem = f"flow {campaign.flow} {says}"
        elif script is not None and not script.flow.wants_agents and campaign.dial_mode != "power":
            campaign.flow_problem = f"flow {campaign.flow} wants no agents: such a campaign is dialled in mode power"
        else:
            campaign.flow_script = script
    if campaign.machine_flow is not None and campaign.machine_detection == "flow":
        script, campaign.machine_problem = _load(config, campaign.machine_flow, "machine flow")
        if script is not None and script.flow.wants_agents and not campaign.wants_agents:
            says = "hands calls to agents, and the campaign's own calls go to none: name another flow"
            campaign.machine_problem = f"machine flow {campaign.machine_flow} {says}"
        else:
            campaign.machine_script = script


def _load(config: Flows, name: str, what: str) -> tuple[Script | None, str]:
    """A flow that can run, or why it cannot."""
    try:
        return flows.load(config, name), ""
    except FlowRefused as error:
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        return None, f"{what} {name}: {error.problems[0]}{more}; see 'dialer-admin flow check'"


def read_message(campaign: Campaign, config: Flows) -> None:
    """Gives a campaign that names its seller the sound of its message, or the reason why not. Reads files: not on the
    loop."""
    if campaign.seller is None:
        return
    campaign.message = prompts.spoken(campaign.seller.prompt, config.tts_command, Path(config.prompts))
    if campaign.message is None:
        says = f"run 'dialer-admin campaign message {campaign.id}'"
        campaign.message_problem = f"the message that names its seller has no sound file yet: {says}"
