"""The pages, rendered on the server: complete without JavaScript, and small enough for a telephone or lynx.

Everything is escaped by jinja2; an undefined name is an error, not an empty place.
"""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from dialerd.core import words
from dialerd.web.errors import Problem
from dialerd.web.events import Snapshot

_OUTCOMES = ("hung_up", "played", "machines", "busy", "no_answer", "failed")


class Pages:
    """The templates. `csrf` is the session's form token, or "" for a visitor with the bearer token."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("dialerd.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            percent=words.percent, milliseconds=words.milliseconds, plain=words.plain, spaced=_spaced
        )
        self._templates.globals.update(
            elapsed=words.elapsed,
            level=words.budget_level,
            share=_share,
            line_words=words.LINE_WORDS,
            outcomes=_OUTCOMES,
            pacing_words=words.pacing_words,
            verbs=verbs,
        )

    def status(self, snapshot: Snapshot, csrf: str, *, part: bool = False) -> HTMLResponse:
        """The status page, or only its changing part for the page's own script."""
        s = snapshot.status
        agents = sorted(s["agents"], key=lambda a: (_rank(a["state"]), a["name"]))
        tally = {state: sum(a["state"] == state for a in agents) for state in words.AGENT_STATES}
        name = "board.html" if part else "status.html"
        return self._page(name, s=s, agents=agents, tally=tally, csrf=csrf)

    def caller_ids(self, view: Mapping[str, Any], csrf: str, *, part: bool = False) -> HTMLResponse:
        """The page of caller IDs, or only its changing part. `view`: see `web.dashboard`."""
        return self._page("callerids_board.html" if part else "callerids.html", v=view, csrf=csrf)

    def login(self, problem: Problem | None = None, where: str = "/") -> HTMLResponse:
        """The form; after a failed attempt with what was wrong. `where` it leads to."""
        status = problem.status if problem else 200
        return self._page("login.html", status, problem.headers if problem else {}, problem=problem, where=where)

    def signed_in(self, where: str = "/") -> HTMLResponse:
        """Sends the browser on to the status page, or to another one of ours.

        Not a redirect: a SameSite=Strict cookie does not travel with a redirect that began on another site,
        so that whoever followed a one-time link from their mail would find themselves signed out again.
        """
        return self._page("signed_in.html", where=where)

    def error(self, problem: Problem) -> HTMLResponse:
        """A refusal, for people."""
        return self._page("error.html", problem.status, problem.headers, problem=problem)

    def _page(
        self, name: str, status: int = 200, headers: dict[str, str] | None = None, **values: object
    ) -> HTMLResponse:
        html = self._templates.get_template(name).render(**values)
        return HTMLResponse(html, status_code=status, headers=headers)


def verbs(state: str) -> tuple[str, ...]:
    """The buttons that make sense for an agent in this state."""
    if state == "offline":
        return ("connect",)
    if state == "connecting":
        return ("disconnect",)
    if state in ("reserved", "on_call"):
        return ("hangup", "pause")
    return ("pause", "disconnect") if state == "ready" else ("ready", "disconnect")


def _rank(state: str) -> int:
    return words.AGENT_STATES.index(state) if state in words.AGENT_STATES else len(words.AGENT_STATES)


def _spaced(word: str) -> str:
    return word.replace("_", " ")


def _share(part: float | None, whole: float) -> float:
    """A part of a whole in percent, never outside 0–100."""
    return min(100.0, max(0.0, round(100 * part / whole, 1))) if part and whole > 0 else 0.0
