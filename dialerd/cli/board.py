"""The live board in a terminal: a pure function from the JSON of `/status` to something rich can print.

Every text that came from outside passes `plain` and is set as Text, never as markup.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dialerd.core.words import (
    AGENT_STATES,
    LINE_STATES,
    LINE_WORDS,
    budget_level,
    elapsed,
    milliseconds,
    pacing_words,
    percent,
    plain,
)

Json = Mapping[str, Any]

_LEVELS = {"none": "", "good": "bold green", "near": "bold yellow", "over": "bold red"}
_LINKS = {"up": "green", "connecting": "yellow", "down": "bold red"}
_LINES = {"dialing": "white on grey30", "ringing": "black on yellow", "answered": "white on magenta",
          "connected": "white on blue"}  # fmt: skip
_AGENTS = {"on_call": "white on blue", "ready": "black on green", "reserved": "white on magenta",
           "connecting": "white on grey30", "wrap_up": "black on yellow", "paused": "black on dark_orange",
           "offline": "grey62 on grey15"}  # fmt: skip
_OUTCOMES = ("hung_up", "played", "machines", "busy", "no_answer", "failed")
_BLOCK = 24  # columns of one agent's block


def render(status: Json, width: int, *, note: str = "") -> RenderableType:
    """The whole board for a terminal of `width` columns. `note` is shown first: a lost connection, say."""
    parts: list[RenderableType] = []
    if note:
        parts.append(Text(plain(note), style="black on yellow"))
    parts += [
        _head(status),
        _links(status),
        Text(),
        _calls(status, width),
        Text(),
        *_agents(status, width),
        Text(),
    ]
    for campaign in status["campaigns"]:
        parts += [_campaign(campaign, status["at"], width)]
    if not status["campaigns"]:
        parts += [Text("No campaigns yet: dialer-admin campaign create", style="dim")]
    if status["trunks"]:
        parts.append(_trunks(status))
    return Group(*parts)


def _head(status: Json) -> Text:
    if status["draining"]:
        state, style = "Draining: no new calls", "bold yellow"
    elif status["dialing_allowed"]:
        state, style = "Dialing", "bold green"
    else:
        reason = plain(status["dialing_reason"]).replace("_", " ")
        state, style = f"Not dialing: {reason}", "bold red"
    up = elapsed(status["started_at"], status["at"])
    return Text.assemble((plain(status["node"]), "bold"), "   ", (f"● {state}", style), "   ", (f"up {up}", "dim"))


def _links(status: Json) -> Text:
    line = Text()
    for link in status["links"]:
        line.append(plain(link["name"]), "bold").append(" ").append(link["state"], _LINKS[link["state"]])
        if link["state"] != "up":
            detail = f": {plain(link['detail'])}" if link["detail"] else ""
            line.append(f" for {elapsed(link['since'], status['at'])}{detail}", _LINKS[link["state"]])
        line.append("   ")
    return line


def _calls(status: Json, width: int) -> RenderableType:
    cell = max(12, min(24, width // len(LINE_STATES)) - 1)
    line = Text(no_wrap=True)
    for state in LINE_STATES:
        n = status["calls_by_state"].get(state, 0)
        line.append(f" {n:>4} {LINE_WORDS[state]}".ljust(cell), _LINES[state] if n else "grey62 on grey15")
        line.append(" ")
    return line


def _agents(status: Json, width: int) -> Iterable[RenderableType]:
    agents = sorted(status["agents"], key=lambda agent: (_rank(agent["state"]), agent["name"]))
    tally = [(sum(a["state"] == state for a in agents), state) for state in AGENT_STATES]
    words = ", ".join(f"{n} {state.replace('_', ' ')}" for n, state in tally if n)
    yield Text.assemble(("Agents", "bold"), "  ", (words or "none yet: dialer-admin agent add", "dim"))
    per_row = max(1, width // (_BLOCK + 1))
    for start in range(0, len(agents), per_row):
        row = Text(no_wrap=True)
        for agent in agents[start : start + per_row]:
            row.append(_block(agent, status["at"]), _AGENTS.get(agent["state"], ""))
            row.append(" ")
        yield row


def _block(agent: Json, now: str) -> str:
    """` aino    on call 2:10 `: always _BLOCK columns, a long name gives way."""
    right = f"{plain(agent['state']).replace('_', ' ')} {elapsed(agent['since'], now)} "
    room = max(1, _BLOCK - len(right) - 2)
    name = plain(agent["name"])
    name = name if len(name) <= room else name[: room - 1] + "…"
    return f" {name:<{room}} {right}"[:_BLOCK]


def _campaign(campaign: Json, now: str, width: int) -> RenderableType:
    counts, connect = campaign["counts"], campaign["connect_ms"]
    rate, budget = campaign["abandonment_rate"], campaign["abandonment_budget"]
    level = _LEVELS[budget_level(rate, budget)]
    table = Table.grid(padding=(0, 2))
    gauge = 20 if width >= 80 else 10
    table.add_row(
        "abandoned",
        Text(percent(rate), level),
        _bar(rate, budget * 1.5, gauge, level),
        f"{counts['abandoned']} of {counts['live_answers']}, budget {percent(budget)}",
    )
    table.add_row(
        "answered",
        Text(percent(campaign["answer_rate"]), "bold"),
        _bar(campaign["answer_rate"], 1.0, gauge, "blue"),
        f"{counts['live_answers']} live of {counts['attempts'] - sum(campaign['lines'].values())} ended",
    )
    table.add_row(
        "connect time",
        Text(milliseconds(connect["p50"]), "bold"),
        "",
        f"p95 {milliseconds(connect['p95'])}, p99 {milliseconds(connect['p99'])}",
    )
    rows: list[RenderableType] = [table, *_numbers(campaign)]
    if campaign["pacing"]:
        rows += [Text(plain(said), "cyan") for said in pacing_words(campaign["pacing"])]
    if decision := campaign["decision"]:
        n = decision["lines"]
        rows.append(
            Text.assemble(
                (f"{n} {'line' if n == 1 else 'lines'}: ", "bold"),
                plain(decision["reason"]),
                (f"  {elapsed(decision['at'], now)} ago", "dim"),
            )
        )
    kind = f"{campaign['dial_mode']} · {campaign['queue_name']} · {campaign['state']}"
    title = Text.assemble((plain(campaign["name"]), "bold"), f"  {plain(kind)}")
    border = {"active": "green", "paused": "yellow"}.get(campaign["state"], "grey50")
    return Panel(Group(*rows), title=title, title_align="left", border_style=border, width=min(width, 100))


def _numbers(campaign: Json) -> Iterable[Text]:
    lines, counts = campaign["lines"], campaign["counts"]
    now = [f"{lines[state]} {LINE_WORDS[state]}" for state in LINE_STATES]
    yield Text("  ".join([*now, f"{campaign['pending']} in the queue"]))
    yield Text("  ".join(f"{counts[o]} {o.replace('_', ' ')}" for o in _OUTCOMES), "dim")


def _trunks(status: Json) -> Text:
    line = Text()
    for trunk in status["trunks"]:
        off = "" if trunk["active"] else " (off)"
        line.append(plain(trunk["name"]), "bold")
        line.append(f" {trunk['calls']}/{trunk['max_calls']}{off}   ")
    return line


def _bar(part: float | None, whole: float, cells: int, style: str) -> Text:
    share = min(1.0, max(0.0, part / whole)) if part and whole > 0 else 0.0
    full = round(share * cells)
    return Text.assemble(("━" * full, style), ("╌" * (cells - full), "grey42"))


def _rank(state: str) -> int:
    return AGENT_STATES.index(state) if state in AGENT_STATES else len(AGENT_STATES)
