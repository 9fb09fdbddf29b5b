"""The Originate that we send: built from checked parts only (rule 8). Values are refused, never escaped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dialerd.core import callerid, ids, phone, singlecall

ANSWERED_CONTEXT = "dialerd-answered"
OUT_CONTEXT = "dialerd-out"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z", re.ASCII)
# No comma (AMI splits Variable at commas), no quote, backslash, $ { } [ ] ( ) or ; — nothing that the dialplan could
# ever evaluate — and nothing that is not printable ASCII.
_VALUE = re.compile(r"[A-Za-z0-9 _.:/@+=-]{0,256}\Z", re.ASCII)
_ENDPOINT = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)


class ValueRefused(ValueError):
    """A value that may not go to Asterisk. `where` names the field; the value itself is shown escaped and cut."""

    def __init__(self, where: str, value: str) -> None:
        super().__init__(f"{where}: {value[:40]!r} may not be sent to Asterisk")
        self.where = where


@dataclass(frozen=True, slots=True)
class Originate:
    """One call to be placed: `attempt` is its id everywhere; `route` is "direct" or "dialplan"."""

    attempt: str
    e164: str
    endpoint: str
    route: str
    caller_id: str | None
    ring_timeout_seconds: int
    variables: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None  # shown beside the caller ID's number; none: the number again


def fields(call: Originate) -> dict[str, str | list[str]]:
    """The AMI action, header by header; raises `ValueRefused`. A list becomes one header line per item."""
    _require("attempt", call.attempt, ids.is_attempt(call.attempt))
    _require("number", call.e164, phone.E164.match(call.e164) is not None)
    _require("endpoint", call.endpoint, _ENDPOINT.match(call.endpoint) is not None)
    variables = {name: _variable(name, value) for name, value in call.variables.items()}
    action: dict[str, str | list[str]] = {
        "Action": "Originate",
        "ActionID": call.attempt,
        "ChannelId": call.attempt,
        "Channel": _channel(call),
        "Context": ANSWERED_CONTEXT,
        "Exten": "s",
        "Priority": "1",
        "Async": "true",
        "Timeout": str(call.ring_timeout_seconds * 1000),
        "Account": ids.ACCOUNT,
        "Variable": [f"{name}={value}" for name, value in variables.items()],
    }
    if call.route == "direct":  # on the other route the dialplan adds the header, to the channel that has the INVITE
        action["Variable"] = [f"PJSIP_HEADER(add,X-Dialer-Attempt)={call.attempt}", *action["Variable"]]
    if call.caller_id is not None:
        _require("caller id", call.caller_id, callerid.shown(call.caller_id) is not None)
        name = call.name or call.caller_id
        _require("caller id's name", name, call.name is None or singlecall.is_name(name))
        action["CallerID"] = f'"{name}" <{call.caller_id}>'
    return action


def _channel(call: Originate) -> str:
    if call.route == "dialplan":
        return f"Local/{call.e164}@{OUT_CONTEXT}/n"
    return f"PJSIP/{call.e164}@{call.endpoint}"


def _variable(name: str, value: str) -> str:
    _require("variable name", name, _NAME.match(name) is not None)
    _require(f"variable {name}", value, _VALUE.match(value) is not None)
    return value


def _require(where: str, value: str, ok: bool) -> None:
    if not ok:
        raise ValueRefused(where, value)
