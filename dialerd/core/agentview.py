"""What one agent sees: their state, the call with its contact, script and history, and what may be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in. `stamp` changes with the PIN: what was opened with an older one is closed."""

    id: int
    tenant_id: int
    name: str
    full_name: str
    stamp: str


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call of this number before. `disposition`: an agent's word for it; `outcome`: the machine's."""

    at: datetime
    outcome: str | None
    disposition: str | None
    message: str | None
    agent: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a call is with. `loaded` false: it is not known yet, and comes with the next view."""

    contact_id: int
    number: str
    name: str = ""
    external_id: str | None = None
    custom: Mapping[str, Any] = field(default_factory=dict)
    last_message: str | None = None
    history: Sequence[PastCall] = ()
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A disposition that may be said."""

    code: str
    label: str
    meaning: str
    key: int | None


@dataclass(frozen=True, slots=True)
class CallView:
    """The call that the agent is on, or wraps up; or the contact that they look at before one (`attempt` None).

    `until`: when the wrap-up, or the hold of a preview, is over by itself. `said`: the disposition that was chosen."""

    attempt: str | None
    campaign_id: int
    campaign: str
    script: str
    person: Person
    choices: Sequence[Choice] = ()
    said: str | None = None
    until: datetime | None = None
    dialing: bool = False  # a previewed contact is being called
    returned: bool = False  # they called us back
    recording: str = ""  # announcing, recording, paused or refused; "": none of these
    records: str = "never"  # which calls the campaign records (core.recording)


@dataclass(frozen=True, slots=True)
class ParkedView:
    """Somebody whom the agent may pick up. `mine`: they are meant for this agent alone."""

    attempt: str
    campaign: str
    number: str
    since: datetime
    mine: bool


@dataclass(frozen=True, slots=True)
class AgentView:
    """`at`: the server's clock. `pause_after`: the reason of a pause that was asked for during the call. `notice`: what
    became of the last thing that was asked for, where the state does not tell. `can_preview`: whether a campaign in
    mode preview is there for this agent. `call`: on_call, wrap_up, or a preview. `talk`: with a third party
    in the call, ringing, consulting or three_way, and `third` is who that is; `asked`: a colleague asks this agent
    about the call. `message`: there is one to leave on a machine. `watching`: whom a supervisor listens to, and how."""

    name: str
    full_name: str
    state: str
    since: datetime
    at: datetime
    reason: str = ""
    pause_after: str | None = None
    queues: Sequence[str] = ()
    on_hold: bool = False
    muted: bool = False
    can_preview: bool = False
    notice: str = ""
    talk: str = ""
    third: str = ""
    asked: bool = False
    message: bool = False
    parked: Sequence[ParkedView] = ()
    supervisor: bool = False
    watching: str = ""
    call: CallView | None = None
