"""The agent's page, rendered on the server; its changing part also goes out with each event of the stream."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from dialerd.core import words
from dialerd.core.agentview import AgentView
from dialerd.core.status import to_json
from dialerd.web.errors import Problem

_TITLES = {
    "offline": "Phone not connected",
    "connecting": "Calling your phone",
    "ready": "Ready",
    "reserved": "A call is coming",
    "on_call": "On a call",
    "wrap_up": "Wrap up",
    "paused": "Paused",
}
PAUSES = ("break", "lunch", "training", "meeting")


class AgentPages:
    """The templates. Everything in them is text: names, scripts and notes come from lists and from people."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("dialerd.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(plain=words.plain, spaced=_spaced, shown=_shown, lines=_lines)
        self._templates.globals.update(elapsed=words.elapsed, pauses=PAUSES, title=title)

    def page(self, view: AgentView, csrf: str) -> HTMLResponse:
        """The whole page."""
        return self._page("agent.html", v=to_json(view), csrf=csrf)

    def part(self, view: Mapping[str, Any], csrf: str) -> str:
        """Only what changes; `view` as JSON has it."""
        html: str = self._templates.get_template("agent_desk.html").render(v=view, csrf=csrf)
        return html

    def login(self, problem: Problem | None = None) -> HTMLResponse:
        """The form; after a failed attempt with what was wrong."""
        status = problem.status if problem else 200
        return self._page("agent_login.html", status, problem.headers if problem else {}, problem=problem)

    def signed_in(self) -> HTMLResponse:
        """Sends the browser on to the page; no redirect, for the reason in `pages.signed_in`."""
        return self._page("agent_signed_in.html")

    def _page(
        self, name: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> HTMLResponse:
        html = self._templates.get_template(name).render(**values)
        return HTMLResponse(html, status_code=status, headers=dict(headers or {}))


def title(view: Mapping[str, Any]) -> str:
    """The state in words, as large as the page has them."""
    call = view["call"]
    if view["state"] == "paused" and call is not None and call["dialing"]:
        return "Calling"
    if view["state"] == "paused" and call is not None and call["attempt"] is None:
        return "Next contact"
    if view["state"] == "on_call" and view["on_hold"]:
        return "On hold"
    state: str = view["state"]
    return _TITLES.get(state, state)


def _spaced(word: str) -> str:
    return word.replace("_", " ")


def _lines(text: str) -> str:
    """Lines of text without other control characters."""
    return "\n".join(words.plain(line) for line in text.split("\n"))


def _shown(value: object) -> str:
    """A custom field's value as one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
