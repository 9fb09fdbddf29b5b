"""Legal profiles: what a jurisdiction's rules say about outbound calls, as reviewed data with sources.

A profile narrows what a campaign may do; it is no legal advice and never widens anything. Every section says where
it comes from and how sure that is. A section that is missing means that no rule was found, not that there is none.
"""

import tomllib
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from dialerd.core.calendar import Window
from dialerd.core.windows import WindowRefused, parse

Purpose = Literal["marketing", "debt", "research", "service"]
# primary: the rule's own text was seen; quoted: its words on a mirror; secondary: somebody's account of it;
# memory: not verified.
Mark = Literal["primary", "quoted", "secondary", "memory"]
Calls = Literal["allowed", "refused"]
Text = Annotated[str, Field(min_length=1)]


class ProfileRefused(ValueError):
    """A text is no legal profile: which one, where, and what is wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Section(_Part):
    """A group of rules: where it comes from, how sure that is, and what the fields cannot say."""

    source: Text
    mark: Mark
    note: str = ""


def _windows(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse(texts)
    except WindowRefused as error:
        raise ValueError(str(error)) from None
    return texts


class Hours(Section):
    """When calls of these purposes are allowed, in the called person's zone; `weekly` as `core.windows` reads it."""

    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)]
    weekly: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_windows)]
    consent_lifts: bool = False  # provable consent allows other hours


class Holidays(Section):
    """Whether calls are refused on public holidays, and on which: the country's, or also those of any region of it."""

    calls: Calls
    scope: Literal["national", "regional"] = "national"


class Marketing(Section):
    """Whether marketing calls are legal at all."""

    calls: Calls


class Abandon(Section):
    """The cap on abandoned calls: share of the denominator, over a window; the clock of the grace period."""

    cap: Annotated[float, Field(gt=0, le=1)] | None = None  # None: abandoned calls are counted, no share is safe
    denominator: Literal["live_answered"]
    window: Literal["campaign_30d_blocks", "calendar_month", "24h"] | None = None
    grace_seconds: PositiveFloat
    clock_start: Literal["answer", "greeting_end"]
    false_positives: bool = False  # persons who were taken for machines count as abandoned, by an estimate


class Ring(Section):
    """How long it must ring before a call may be given up; the longer of the two."""

    seconds: PositiveInt | None = None
    rings: PositiveInt | None = None


class Message(Section):
    """What a person must be told when no agent is there."""

    fields: Annotated[tuple[Text, ...], Field(min_length=1)]
    within_seconds: PositiveFloat | None = None


class Cap(Section):
    """At most `calls` to one key in a period."""

    calls: PositiveInt
    key: Literal["person", "person_debt", "person_business", "person_subject"]
    period: Literal["24h", "day", "week", "7d", "30d"]
    attempts_count: bool = True  # not only calls that were answered


class Lockout(Section):
    """No calls to a person for `days` after something."""

    after: Literal["abandon", "refusal", "conversation", "objection"]
    days: PositiveInt | None = None  # None: for ever


class Consent(Section):
    """What consent is asked for, and how old it may be."""

    text: Text
    max_age_days: PositiveInt | None = None


class Register(Section):
    """A do-not-call register that must be asked, and how old its copy may be."""

    name: Text
    max_age_days: PositiveInt | None = None


class CallerId(Section):
    """What the shown number must be like; prefixes are national, without the trunk prefix's country code."""

    text: Text
    allowed_prefixes: tuple[Text, ...] = ()
    refused_prefixes: tuple[Text, ...] = ()


class Retention(Section):
    """How long something must be kept."""

    record: Text
    days: PositiveInt


class Recording(Section):
    """Whose consent the recording of a call wants: that of everybody on it, who is told by an announcement, or that of
    one of them; and how long a recording must be kept where calls are recorded."""

    consent: Literal["all", "one"]
    days: PositiveInt | None = None


class Effective(Section):
    """From when to when the rules hold, as far as it is known."""

    since: date | None = Field(None, alias="from")
    until: date | None = None


class Profile(_Part):
    """The rules of one jurisdiction."""

    name: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z]+)?$")]
    title: Text
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    gathered: date
    check: Text  # what the operator is told wherever the profile is shown
    effective: tuple[Effective, ...] = ()
    marketing: Marketing | None = None
    hours: tuple[Hours, ...] = ()
    holidays: Holidays | None = None
    abandon: Abandon | None = None
    ring: Ring | None = None
    message: Message | None = None
    caps: tuple[Cap, ...] = ()
    lockouts: tuple[Lockout, ...] = ()
    consent: tuple[Consent, ...] = ()
    registers: tuple[Register, ...] = ()
    caller_id: CallerId | None = None
    retention: tuple[Retention, ...] = ()
    recording: Recording | None = None

    def windows(self, purpose: str) -> tuple[Window, ...] | None:
        """The hours for calls of a purpose; None: no rule found. Purposes that are not named get the first hours."""
        if not self.hours:
            return None
        named = [hours for hours in self.hours if purpose in hours.purposes]
        return tuple(parse((named or self.hours)[0].weekly))

    def refuses(self, purpose: str) -> bool:
        """Whether calls of this purpose are barred altogether."""
        return purpose == "marketing" and self.marketing is not None and self.marketing.calls == "refused"

    def keeps_holidays(self) -> bool:
        """Whether calls are refused on public holidays."""
        return self.holidays is not None and self.holidays.calls == "refused"


def read(text: str, name: str) -> Profile:
    """A profile from the TOML of its file, which is named `name`. Raises `ProfileRefused`; unknown keys are errors."""
    try:
        profile = Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileRefused(f"profile {name}: {error}") from None
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ProfileRefused(f"profile {name}: {places}") from None
    if profile.name != name:
        raise ProfileRefused(f"profile {name}: calls itself {profile.name}")
    return profile
