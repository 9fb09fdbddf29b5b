"""The one typed, frozen configuration object. `config_file` reads it from TOML and the environment.

Every field has its meaning beside it; secrets are `SecretStr`, so that neither a log line nor `/status` can
show them. There are no default secrets: a missing one is an error that names `dialer-admin setup`.
"""

import socket
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from dialerd.core import featurekeys
from dialerd.core.calendar import clock_of

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")]  # of a channel
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Secret = Annotated[SecretStr, Field(min_length=1)]


def _known_zone(name: str) -> str:
    if clock_of(name) is None:
        raise ValueError("a time zone's IANA name, as Asia/Tehran")
    return name


Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?$")]
Transfer = Annotated[str, StringConstraints(pattern=r"^[+0-9][0-9]{1,19}@[A-Za-z0-9_.-]{1,64}$")]
Zone = Annotated[str, AfterValidator(_known_zone)]


def _template(command: tuple[str, ...]) -> tuple[str, ...]:
    try:
        filled = [part.format(language="", file="*") for part in command]
    except (LookupError, ValueError, AttributeError):
        raise ValueError("knows {language} and {file}; other braces are doubled") from None
    if not filled[0] or not any("*" in part for part in filled):
        raise ValueError("a program, and {file} where it is to write")
    return command


class Section(BaseModel):
    """A table of the file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Postgres(Section):
    """PostgreSQL: the memory."""

    dsn: str = "postgresql:///dialerd"  # without the password
    password: Secret | None = None  # not needed with peer authentication over the local socket
    pool_size: Annotated[int, Field(ge=2, le=100)] = 8
    statement_timeout_seconds: Seconds = 5.0


class Redis(Section):
    """Redis: only what may be lost."""

    url: str = "redis://127.0.0.1:6379/1"  # without the password
    password: Secret | None = None
    timeout_seconds: Seconds = 2.0


class Ami(Section):
    """Asterisk's manager interface: originate, and how calls end."""

    host: str = "127.0.0.1"
    port: Port = 5038
    username: Name = "dialerd"
    secret: Secret
    ping_seconds: Seconds = 3.0  # a link that answers no ping for this long is dead


class Ari(Section):
    """Asterisk's REST interface: calls that were answered, and agents' legs."""

    url: str = "http://127.0.0.1:8088/ari"
    username: Name = "dialerd"
    password: Secret
    app: Name = "dialerd"
    timeout_seconds: Seconds = 3.0


class FastAgi(Section):
    """The server that Asterisk's dialplan asks for caller IDs."""

    host: str = "127.0.0.1"
    port: Port = 4573
    timeout_seconds: Seconds = 5.0  # for the whole request's headers, and for each reply
    max_connections: Annotated[int, Field(ge=1)] = 1000
    site_verbs: str = "/etc/dialerd/agi"  # a folder of the site's own verbs, one file each; need not be there


class CallerIds(Section):
    """Caller IDs for whoever asks, our own calls apart; also for dialplans whose campaigns are none of ours."""

    foreign_tenant: str | None = None  # whose pool they draw from; none: the only tenant's, with several nobody's
    fallback: Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{3,15}$")] | None = None  # when it gives nothing
    requests_per_minute_per_agent: Annotated[int, Field(ge=0)] = 600  # over it: the fallback only; 0: no limit
    requests_per_minute_per_address: Annotated[int, Field(ge=0)] = 60000
    # Every number's health from its own calls (docs/callerid-health.md).
    health_seconds: Annotated[float, Field(ge=10, le=86400)] = 600.0  # how often it is judged
    rest_labelled: bool = True  # a number that is probably labelled as spam rests; false: it is only shown
    rest_at_most: Annotated[float, Field(ge=0, le=1)] = 0.5  # the share of a pool that may rest at once


class Web(Section):
    """HTTP: health, status, the agents' doors."""

    host: str = "127.0.0.1"
    port: Port = 8000
    token: Secret  # `Authorization: Bearer …`, until users and roles come


class Batch(Section):
    """The batch API: an outside dialer fetches its numbers here and reports what became of them."""

    token: Secret | None = None  # what that dialer sends; none: the batch API is off
    tenant: str = "default"
    campaign: str | None = None  # name or id; none: the tenant's only campaign that is active
    timezone: Zone = "Asia/Tehran"  # whose time and holidays the replies are about
    assignment_timeout_minutes: Annotated[int, Field(ge=1, le=10080)] = 60  # then a number without a result is free
    short_retry_seconds: Annotated[int, Field(ge=1, le=86400)] = 300  # the wait asked for when disabled or out of funds
    long_retry_seconds: Annotated[int, Field(ge=1, le=86400)] = 900  # and when it is a matter of time
    default_size: Annotated[int, Field(ge=1, le=1000)] = 100
    max_size: Annotated[int, Field(ge=1, le=1000)] = 1000


class Flows(Section):
    """IVR flows (docs/flows.md)."""

    folder: str = "/etc/dialerd/flows"  # NAME.toml is the flow NAME; those that are shipped are examples to copy there
    # Where sound files are looked for when a flow is checked; with none of these here they are not.
    sounds: tuple[str, ...] = ("/usr/share/asterisk/sounds", "/var/lib/asterisk/sounds")
    prompts: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_./-]*$")] = "/var/lib/dialerd-prompts"
    # ^ texts as sound files; 'dialer-admin flow check' writes there, and Asterisk must be able to read it.
    # The program that speaks, without a shell: the text on its standard input, a 16-bit WAV file into {file}.
    tts_command: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_template)] = (
        "espeak-ng", "-b", "1", "-v", "{language}", "--stdin", "-w", "{file}",
    )  # fmt: skip
    webhook_hosts: tuple[Host, ...] = ()  # whom nodes `webhook` may tell things, over https; none of these: nobody
    webhook_private_hosts: tuple[Host, ...] = ()  # these may have private addresses, and be told without TLS
    webhook_seconds: Seconds = 5.0  # for one
    transfer_to: tuple[Transfer, ...] = ()  # where nodes `transfer` may lead: "NUMBER@TRUNK", as in "700@trunk-out"


class Returned(Section):
    """People who call one of our caller IDs back (docs/flows.md)."""

    days: Annotated[int, Field(ge=0, le=366)] = 30  # so long ago at most we called them; 0: nobody is recognised
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "FI"  # reads numbers without a country code
    # A sound file, as Asterisk names it, for those whom we do not know; none: sounds of Asterisk's.
    message: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}$")] | None = None


class Trunk(Section):
    """A way out: a PJSIP endpoint of the admin's Asterisk."""

    endpoint: Name  # the PJSIP endpoint's name
    route: Literal["direct", "dialplan"] = "direct"  # dialplan: through [dialerd-out], which asks for its caller ID
    max_calls: Annotated[int, Field(ge=0)] = 30
    calls_per_second: Annotated[float, Field(gt=0, le=1000)] = 10.0
    tenant: str | None = None  # whose line it is; none: every tenant's


class Agents(Section):
    """What agents hear, and how a phone of theirs is called that is no PJSIP endpoint."""

    # A sound file, as Asterisk names it, that they hear before a caller's voice; "": none.
    tone: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_/-]{0,127})?$")] = "beep"
    music: bool = False  # while nobody talks to them; else it is quiet
    caller_id: Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{3,15}$")] | None = None  # what their phones show


class Recordings(Section):
    """Recordings of calls (docs/recordings.md). Campaigns say which calls are recorded."""

    # Where they are kept, with storage = "folder"; with "s3" files pass through here, and go to the bucket.
    folder: Annotated[str, StringConstraints(pattern=r"^/")] = "/var/lib/dialerd/recordings"
    storage: Literal["folder", "s3"] = "folder"
    spool: str = "/var/spool/asterisk"  # where Asterisk records; with less free space no recording begins
    min_free_mb: Annotated[int, Field(ge=0)] = 500  # there, and in `folder`
    s3_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@]+/.*[^/]$")] | None = None  # with the bucket
    s3_region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")] = "us-east-1"
    s3_access_key: str = ""
    s3_secret_key: Secret | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Recordings":
        if self.storage == "s3" and not (self.s3_url and self.s3_access_key and self.s3_secret_key):
            raise ValueError("have s3_url, s3_access_key and s3_secret_key with storage = 's3'")
        return self


def _feature_keys(table: Mapping[str, str]) -> Mapping[str, str]:
    wrong = featurekeys.problem(table)
    if wrong is not None:
        raise ValueError(wrong)
    return table


class InCall(Section):
    """What agents may do with a call (docs/agents.md): where it may go, and how long the person waits."""

    contexts: tuple[Name, ...] = ()  # dialplan contexts whose extensions a call may be sent to; none: no extensions
    answer_seconds: Annotated[int, Field(ge=5, le=120)] = 25  # that a third party may ring
    queue_seconds: Annotated[float, Field(ge=2, le=3600)] = 60.0  # that a person with music waits for the next agent
    park_seconds: Annotated[float, Field(ge=5, le=3600)] = 120.0  # then they go back to who parked them, or the queue
    # Verb → the keys of the agent's phone; only those in the table are there.
    keys: Annotated[Mapping[str, str], AfterValidator(_feature_keys)] = featurekeys.DEFAULT


class Dialing(Section):
    """What holds for every campaign of this node."""

    enabled: bool = True  # false: this node claims nothing
    grace_seconds: Seconds = 2.0  # an answer without an agent for this long is abandoned
    max_call_seconds: Annotated[int, Field(ge=10, le=86400)] = 3600  # TIMEOUT(absolute) of every channel
    reservation_seconds: Annotated[int, Field(ge=1, le=86400)] = 300  # backstop of a caller-ID reservation
    reconcile_seconds: Seconds = 10.0
    # Of new campaigns: one call at a time, and so long a rest after each; none: as many as pacing says.
    serial_interval_seconds: Annotated[float, Field(ge=0, le=86400)] | None = None
    drain_seconds: Seconds = 60.0  # how long a stop waits for live calls before it ends them


class Calls(Section):
    """Single calls, which programs ask for one by one (docs/calls.md); and the dry run, which is campaigns' too."""

    backend: Literal["asterisk"] = "asterisk"  # what places calls; there is no other
    dry_run: bool = False  # true: everything is decided and nothing is dialled
    trunk: Name | None = None  # of a tenant's campaign for single calls when it is made; none: the only one
    # What a request may name; each context means the one in which dialerd takes answered calls.
    contexts: tuple[Name, ...] = ("outbound-ivr", "dialer-outbound")
    variables: tuple[Variable, ...] = ("CUSTOMER_ID", "PRIORITY")  # that a request may set on the channel
    max_timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 120  # of ringing
    # Of a request to /api/v2 that does not name them.
    context: Name = "outbound-ivr"
    extension: Annotated[str, StringConstraints(pattern=r"^(s|\+?[0-9]{2,20})$")] = "s"
    timeout_seconds: Annotated[float, Field(ge=1, le=120)] = 30.0
    caller_id: Annotated[str, Field(max_length=40)] = "Outbound Call"  # a name beside the number; or one of our numbers


class Log(Section):
    """Log lines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "pretty", "json", "journal"] = "auto"  # auto: pretty on a terminal, else journal
    mask_numbers: bool = True


class Config(Section):
    """Everything. Immutable: a reload builds another one."""

    node: Name = Field(default_factory=lambda: socket.gethostname() or "node")
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    ami: Ami
    ari: Ari
    fastagi: FastAgi = FastAgi()
    callerids: CallerIds = CallerIds()
    web: Web
    batch: Batch = Batch()
    agents: Agents = Agents()
    recordings: Recordings = Recordings()
    incall: InCall = InCall()
    dialing: Dialing = Dialing()
    calls: Calls = Calls()
    flows: Flows = Flows()
    returned: Returned = Returned()
    log: Log = Log()
    trunks: dict[Name, Trunk] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _transfers_have_trunks(self) -> "Config":
        for to in self.flows.transfer_to:
            if (trunk := to.partition("@")[2]) not in self.trunks:
                raise ValueError(f"flows.transfer_to: {to!r} names a trunk that is none: there is no [trunks.{trunk}]")
        return self
