"""What a request says about itself: where it comes from, what it carries, what it wants back."""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection, Request

from dialerd.web.auth import Session
from dialerd.web.errors import Problem


def same_origin(connection: HTTPConnection) -> bool:
    """Whether no other site's page opened this WebSocket: browsers send Origin with each, programs send none."""
    origin = connection.headers.get("origin")
    return origin is None or _is_ours(connection, origin)


def own_page(request: HTTPConnection, session: Session | None, fields: Mapping[str, Any]) -> None:
    """Refuse what another site's page made the browser send (cross-site request forgery).

    Sec-Fetch-Site, where the browser sends it, must say same-origin; else Origin must name the very host
    that was asked. Clients that send neither are text browsers and programs: with a session they must send
    its form token. The cookie is SameSite=Strict besides.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        own = site == "same-origin"
    elif origin is not None:
        own = _is_ours(request, origin)
    elif session is not None:
        own = hmac.compare_digest(str(fields.get("csrf", "")).encode("utf-8", "surrogatepass"), session.csrf.encode())
    else:
        own = True
    if not own:
        raise Problem(
            403,
            "cross_site",
            "This did not come from dialerd's own page.",
            "Open the status page and try there.",
        )


def _is_ours(connection: HTTPConnection, origin: str) -> bool:
    return origin.partition("://")[2] == connection.headers.get("host", "").lower() != ""


async def read_fields(request: Request) -> dict[str, Any]:
    """The body as a flat mapping, from JSON or a form; 400 when it is neither, 415 for another type."""
    body = await request.body()
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            fields = json.loads(body)
            if not isinstance(fields, dict):
                raise ValueError
            return fields
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except (ValueError, RecursionError):
        raise Problem(400, "bad_body", "The body is not a JSON object or a small form.") from None
    raise Problem(415, "content_type", f"The body is {kind[:80]!r}.", "Send application/json or a form.")


def whole_number(text: str, what: str, most: int = 2**63 - 1) -> int:
    """A number from 0 to `most` in a path or a query. Raises `Problem` 422."""
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most:
        return int(text)
    raise Problem(422, "bad_number", f"{what} {text[:40]!r} is no whole number from 0 to {most}.")


def pause_reason(fields: Mapping[str, Any]) -> str:
    """The reason of a pause, perhaps empty. Raises `Problem` 400: it is shown on terminals and logged."""
    reason = fields.get("reason", "")
    if not isinstance(reason, str) or len(reason) > 80 or not reason.isprintable():
        raise Problem(400, "bad_reason", "A pause reason is one line of at most 80 printable characters.")
    return reason.strip()


def address_of(request: HTTPConnection) -> str:
    """The peer's address; behind a proxy on this machine the one that the proxy names."""
    return request.client.host if request.client else "unknown"


def wants_page(request: Request) -> bool:
    """Whether this is a browser that shows the answer to somebody."""
    return "text/html" in request.headers.get("accept", "")
