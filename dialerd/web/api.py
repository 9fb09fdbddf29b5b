"""The HTTP API beside the board: each module of `web/` that has routes of its own is named here."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from dialerd.clock import Clock
from dialerd.config import Config
from dialerd.web import callbacks
from dialerd.web.app import Surface
from dialerd.web.database import Database


def routes(config: Config, database: Database) -> Callable[[Surface], Sequence[BaseRoute]]:
    """What `app.create_app` wants as its `api`. Handlers begin with `surface.visitor(request, …)`, which refuses
    whoever is not signed in, unless they have a token of their own."""

    clock = Clock()

    def all_of(surface: Surface) -> list[BaseRoute]:
        return [*callbacks.routes(surface, database, clock)]

    return all_of
