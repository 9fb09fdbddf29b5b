"""Which calls are recorded, by what names, and what stands in the way. Pure."""

import re
from typing import Final, Literal, get_args

from dialerd.core import lots
from dialerd.core.profile import Profile

Policy = Literal["never", "always", "demand", "share"]
POLICIES: Final[tuple[str, ...]] = get_args(Policy)
MAX_DAYS = 36_500
_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[0-9a-f]{16}\Z", re.ASCII)


def drawn(attempt: str, share: float) -> bool:
    """Whether an attempt is one of a share (0 to 1) of calls. Whoever has the record can check each draw."""
    return lots.drawn("recording", attempt, share)


def by_itself(policy: str, share: float, attempt: str) -> bool:
    """Whether a call is recorded without anybody's asking."""
    return policy == "always" or (policy == "share" and drawn(attempt, share))


def name(attempt: str, nonce: str) -> str:
    """The name of a new recording, in Asterisk and in the store. `nonce`: 16 hex digits that nobody can guess."""
    return f"{attempt}-{nonce}"


def attempt_of(name: str) -> str | None:
    """The attempt behind a recording's name; None when it is none of ours."""
    match = _NAME.match(name)
    return match.group(1) if match else None


def refusal(policy: str, announcement: str | None, profile: Profile | None) -> str:
    """Why a campaign's calls must not be recorded though it wants that, in words; empty: they may."""
    if policy == "never" or announcement is not None:
        return ""
    if profile is None or profile.recording is None or profile.recording.consent != "all":
        return ""
    return (
        f"legal profile {profile.name} wants everybody's consent to a recording, and no announcement is set: "
        "dialer-admin campaign update --recording-announcement SOUND"
    )
