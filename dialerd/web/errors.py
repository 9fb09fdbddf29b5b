"""Every refusal of the surface: a status, one word for programs, a sentence and a hint for people."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

SAFE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms, which the same-origin check
    # has to refuse.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Problem(Exception):
    """A request refused; becomes `{"error": {"reason", "message", "hint"}}`, or a page for a browser."""

    def __init__(
        self, status: int, reason: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    def as_json(self) -> JSONResponse:
        """The answer for a program."""
        error = {"reason": self.reason, "message": self.message, "hint": self.hint}
        return JSONResponse({"error": error}, status_code=self.status, headers=self.headers)


def unauthenticated() -> Problem:
    """401: neither the token nor a session."""
    return Problem(
        401,
        "not_signed_in",
        "This needs the daemon's token or a session.",
        "Send 'Authorization: Bearer <token>' (dialerd.toml, [web] token), or sign in at /login.",
        {"www-authenticate": 'Bearer realm="dialerd"'},
    )


def too_many() -> Problem:
    """429: wait before the next attempt."""
    return Problem(
        429, "too_many_attempts", "Too many wrong attempts from this address.", "Wait.", {"retry-after": "60"}
    )
