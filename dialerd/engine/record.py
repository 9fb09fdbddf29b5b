"""What the engine knows, as rows of the record (sql/migrations/0004_record.sql). Pure: builds dicts."""

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

from dialerd.core import attempt as core
from dialerd.core.attempt import Event, State
from dialerd.core.causes import Outcome
from dialerd.core.disposition import Effect
from dialerd.core.retry import Retry
from dialerd.core.schedule import Verdict
from dialerd.engine.agents import BY_LIMIT, Agent, Said
from dialerd.engine.calls import Call
from dialerd.engine.campaign import Campaign

Row = dict[str, dict[str, Any]]


def learned(call: Call, event: Event) -> list[Row]:
    """An event of a call: the event itself, and the attempt as it stands now."""
    return [_event(call, event), _attempt(call, None, None)]


def ended(call: Call, event: Event, outcome: Outcome, retry: Retry, at: datetime) -> list[Row]:
    """The end of a call: one transaction with outcome, retry time and the reasons for both."""
    end = {"outcome": outcome.value, "retry": retry.why, "next_at": _text(retry.next_at)}
    rows: list[Row] = [
        _event(call, event),
        {"event": _about(call) | {"at": _text(at), "kind": "ended", "detail": end}},
        _attempt(call, outcome, at),
    ]
    if call.returns is not None and call.facts.connected_at is None:
        return rows  # they called, and nobody came: the contact stays as it was
    return [
        *rows,
        {
            "contact": {
                "attempt_id": call.attempt,
                "next_at": _text(retry.next_at),
                "counts": retry.counts,
                "number": retry.number,
            }
        },
        *machine(call),
    ]


def machine(call: Call) -> list[Row]:
    """What AMD() found, in what time, and whether an agent checks it; nothing where nobody listened."""
    facts = call.facts
    if not facts.machine:
        return []
    heard = (facts.entered_at - facts.answered_at).total_seconds() if facts.entered_at and facts.answered_at else None
    found = {"cause": facts.machine_cause or None, "seconds": heard, "checked": call.checked}
    return [{"machine": {"attempt_id": call.attempt, **found}}]


def caller_id(call: Call, at: datetime) -> list[Row]:
    """The caller ID that the dialplan was given for a call."""
    event = _about(call) | {"at": _text(at), "kind": "caller_id", "detail": {"caller_id": call.caller_id}}
    return [{"event": event}, _attempt(call, None, None)]


def returned(tenant_id: int, campaign_id: int, attempt: str, at: datetime) -> Row:
    """Whoever was called by this attempt has called back, and is known."""
    about = {"tenant_id": tenant_id, "campaign_id": campaign_id, "attempt_id": attempt}
    return {"event": about | {"at": _text(at), "kind": "returned", "detail": {}}}


def given(tenant_id: int, attempt: str, at: datetime, digits: str, place: str) -> Row:
    """A key that a caller pressed, or the name of what they said, with the node of the flow or another place."""
    about = {"tenant_id": tenant_id, "attempt_id": attempt}
    return {"input": about | {"digits": digits, "node_name": place, "at": _text(at)}}


def flow_step(call: Call, at: datetime, flow: str, node: str, kind: str, detail: Mapping[str, Any]) -> Row:
    """What a flow's node puts on a call's record; `kind`: as in `flow.set`."""
    return {"event": _about(call) | {"at": _text(at), "kind": kind, "detail": {"flow": flow, "node": node, **detail}}}


def of_call(call: Call, at: datetime, kind: str, detail: Mapping[str, Any]) -> Row:
    """Anything else that happened to a call."""
    return {"event": _about(call) | {"at": _text(at), "kind": kind, "detail": dict(detail)}}


def of_attempt(
    tenant_id: int, campaign_id: int, attempt: str, at: datetime, kind: str, detail: Mapping[str, Any]
) -> Row:
    """The same of a call that has ended."""
    about = {"tenant_id": tenant_id, "campaign_id": campaign_id, "attempt_id": attempt}
    return {"event": about | {"at": _text(at), "kind": kind, "detail": dict(detail)}}


def disposed(call: Call, agent: Agent, said: Said, becomes: Effect, at: datetime) -> Row:
    """What an agent said of a call that has ended, and what follows from it."""
    about = {
        "attempt_id": call.attempt,
        "at": _text(at),
        "by": said.by,
        "agent_id": agent.id,
        "said": said.by != BY_LIMIT,
    }
    word = said.disposition
    fate = {
        "contact": becomes.contact, "next_at": _text(becomes.next_at), "number": becomes.number,
        "callback": becomes.callback,
    }  # fmt: skip
    return {"disposition": about | {"code": word.code, "meaning": word.meaning.value, "message": said.message} | fate}


def said(call: Call, agent: Agent, what: Said, at: datetime) -> Row:
    """What an agent said of a call that goes on without them. It is decided on at the end of the call, perhaps by
    another daemon, which reads it here."""
    told = {
        "agent_id": agent.id, "by": what.by, "code": what.disposition.code, "message": what.message,
        "callback_at": _text(what.callback_at),
    }  # fmt: skip
    return of_call(call, at, "said", {key: value for key, value in told.items() if value is not None})


def in_call(call: Call, at: datetime, kind: str, detail: Mapping[str, Any]) -> Row:
    """What was done with a call in mid-talk, and by whom."""
    return {"event": _about(call) | {"at": _text(at), "kind": kind, "detail": dict(detail)}}


def agent_step(agent: Agent, node: str) -> Row:
    """An agent's new state."""
    standing = agent.leg is not None
    return {
        "agent": {
            "agent_id": agent.id,
            "tenant_id": agent.tenant_id,
            "state": agent.state.value,
            "reason": agent.reason,
            "attempt_id": agent.attempt,
            "at": _text(agent.since),
            "node": node if standing else None,
            "channel_id": agent.leg,
            "bridge_id": agent.bridge if standing else None,
        }
    }


def note(tenant_id: int, campaign_id: int | None, at: datetime, kind: str, detail: Mapping[str, Any]) -> Row:
    """A decision that is not about one attempt ("not dialed", and why)."""
    about = {"tenant_id": tenant_id, "campaign_id": campaign_id, "attempt_id": None}
    return {"event": about | {"at": _text(at), "kind": kind, "detail": dict(detail)}}


def windows(campaign: Campaign, version: str, open_: Set[str], shut: Mapping[str, Verdict], at: datetime) -> Row:
    """In which zones a campaign may call, and of the others why not and when next."""
    closed = {zone: {"rule": verdict.reason, "next_at": _text(verdict.next_at)} for zone, verdict in shut.items()}
    detail = {"open": sorted(open_), "closed": closed, "version": version}
    return note(campaign.tenant_id, campaign.id, at, "windows", detail)


def _about(call: Call) -> dict[str, Any]:
    return {"tenant_id": call.campaign.tenant_id, "campaign_id": call.campaign.id, "attempt_id": call.attempt}


def _event(call: Call, event: Event) -> Row:
    told = {"status": event.status, "cause": event.cause, "agent_id": event.agent_id, "detail": event.detail}
    detail = {key: value for key, value in told.items() if value not in ("", None)}
    return {"event": _about(call) | {"at": _text(event.at), "kind": event.kind.value, "detail": detail}}


def _attempt(call: Call, outcome: Outcome | None, ended_at: datetime | None) -> Row:
    facts = call.facts
    return {
        "attempt": {
            "id": call.attempt,
            "state": (State.ENDED if outcome else core.state(facts)).value,
            "outcome": outcome.value if outcome else None,
            "cause": facts.cause,
            "dial_status": facts.dial_status or None,
            "detail": facts.detail or None,
            "machine": facts.machine or None,
            "agent_id": facts.agent_id,
            "caller_id": call.caller_id,
            "dialed_at": _text(facts.dialed_at),
            "ringing_at": _text(facts.ringing_at),
            "answered_at": _text(facts.answered_at),
            "connected_at": _text(facts.connected_at),
            "ended_at": _text(ended_at),
        }
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
