"""What the demo shows: progress on stderr, the live board (plain lines where there is no terminal), the summary."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dialerd.cli import board
from dialerd.cli.status import Unreachable, figures
from dialerd.core.words import AGENT_STATES, LINE_STATES, LINE_WORDS, milliseconds, percent

_LINE_SECONDS = 5.0
_REFRESH_PER_SECOND = 4
_err = Console(stderr=True, highlight=False)

Json = Mapping[str, Any]


def say(text: str) -> None:
    """A word on how it goes."""
    _err.print(Text.assemble(("demo ", "dim"), text), soft_wrap=True)


class Board:
    """Follows a dialerd until cancelled, or until it ends its stream. `link`: the status page, always in sight."""

    def __init__(self, url: str, token: str, link: str) -> None:
        self._url = url
        self._token = token
        self._link = link
        self._console = Console()
        self._status: dict[str, Any] | None = None
        self._began = time.monotonic()
        self.note = ""

    async def run(self) -> None:
        """Show what there is; a stream that ends leaves the last figures in sight."""
        if self._console.is_terminal:
            with Live(
                get_renderable=self._picture, console=self._console, screen=True, refresh_per_second=_REFRESH_PER_SECOND
            ):
                await self._follow()
        else:
            lines = asyncio.create_task(self._lines())
            try:
                await self._follow()
            finally:
                lines.cancel()

    async def _follow(self) -> None:
        try:
            async for current in figures(self._url, self._token):
                self._status = current
        except Unreachable as error:
            self.note = f"No live connection: {error}"
        await asyncio.Event().wait()

    async def _lines(self) -> None:
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            if self._status is not None:
                print(f"{time.monotonic() - self._began:4.0f} s  {line(self._status)}", flush=True)

    def _picture(self) -> RenderableType:
        head = Text.assemble(("Status page ", "dim"), self._link, "\n", (self.note, "dim"), "\n", overflow="fold")
        if self._status is None:
            return head
        # figures come when something changes; the clocks on the board go on meanwhile
        now = datetime.now(UTC).isoformat()
        return Group(head, board.render({**self._status, "at": now}, self._console.width))


def line(status: Json) -> str:
    """The status in one plain line."""
    calls = [f"{n} {LINE_WORDS[s]}" for s in LINE_STATES if (n := status["calls_by_state"].get(s))]
    states = [agent["state"] for agent in status["agents"]]
    agents = [f"{n} {s.replace('_', ' ')}" for s in AGENT_STATES if (n := states.count(s))]
    parts = [f"calls: {', '.join(calls) or 'none'}", f"agents: {', '.join(agents) or 'none'}"]
    for campaign in status["campaigns"]:
        counts, connect = campaign["counts"], campaign["connect_ms"]
        parts.append(
            f"{counts['attempts']} attempts, {counts['live_answers']} answered, {counts['connected']} connected, "
            f"abandoned {percent(campaign['abandonment_rate'])}, connect p50 {milliseconds(connect['p50'])}"
        )
    return "; ".join(parts)


def show_summary(summary: Json, wrong: list[str]) -> None:
    """The figures on stdout; what is wrong on stderr."""
    run, connect = summary["run"], summary["connect_ms"]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "attempts": f"{summary['attempts']}, {summary['invites_seen_by_carrier']} seen by the carrier",
        "live answers": f"{summary['live_answers']}, {summary['connected']} connected to an agent",
        "abandoned": f"{summary['abandoned']} ({percent(summary['abandonment_rate'])})",
        "others": ", ".join(
            f"{summary[name]} {name.replace('_', ' ')}" for name in ("machines", "busy", "no_answer", "failed")
        ),
        "answer → agent": ", ".join(f"{name} {milliseconds(connect[name])}" for name in ("p50", "p95", "p99")),
        "occupancy": percent(summary["occupancy"]),
        "caller IDs used": str(summary["caller_ids_used"]),
        "first call after": f"{run['seconds_to_first_call']:.1f} s" if run["seconds_to_first_call"] else "–",
        "lost or leaked": "nothing" if not wrong else "see below",
        "machine": f"{run['machine']['cores']} cores, {run['machine']['memory_mb']} MB",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    Console(highlight=False).print("", table, "")
    for sentence in wrong:
        say(f"wrong: {sentence}")
