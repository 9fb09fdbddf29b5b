"""Which contacts of a campaign an export or a bulk action means: some by id, or all that a filter finds but some.

Pure data: it is compiled to the parameters of fixed statements, never to SQL text.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dialerd.core.numberstatus import NumberStatus

STATES = ("queued", "waiting", "held", "claimed", "done", "suppressed")
MAX_IDS = 100_000
MAX_SEARCH = 100


class SelectionRefused(ValueError):
    """A selection that means nothing, or too much."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Either `ids`, or with `select_all` every contact that the filters find, without `excluded`.

    Filters: `states` and `statuses` (those of the older panel; empty: any), `search` (part of a number, a name, an
    external id, or of name, full name or phone of the contact's agent), `created_from` ≤ created < `created_to`. They
    narrow `ids` as well.
    """

    ids: Collection[int] = ()
    select_all: bool = False
    excluded: Collection[int] = ()
    states: Collection[str] = ()
    search: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Collection[NumberStatus] = ()

    def __post_init__(self) -> None:
        if self.select_all == bool(self.ids):
            raise SelectionRefused("either some ids, or select_all")
        if max(len(self.ids), len(self.excluded)) > MAX_IDS:
            raise SelectionRefused(f"more than {MAX_IDS} ids: use select_all with filters")
        if unknown := set(self.states) - set(STATES):
            raise SelectionRefused(f"no status is called {sorted(unknown)[0]!r}; there are: {', '.join(STATES)}")
        if len(self.search) > MAX_SEARCH or "\0" in self.search:
            raise SelectionRefused(f"a search has at most {MAX_SEARCH} characters, none of them NUL")

    @property
    def everything(self) -> bool:
        """Whether nothing narrows it."""
        return self.parameters() == Selection(select_all=True).parameters()

    def parameters(self) -> tuple[object, ...]:
        """ids, excluded, states, search (a LIKE pattern), digits searched (likewise), created from, created to,
        statuses.

        Null means that it does not matter.
        """
        text = self.search.strip()
        digits = "".join(c for c in text if c in "0123456789").lstrip("0")
        only_digits = bool(digits) and not text.strip("+0123456789 ()-./")
        return (
            None if self.select_all else list(self.ids),
            list(self.excluded),
            list(self.states) or None,
            f"%{_literally(text)}%" if text else None,
            f"%{digits}%" if only_digits else None,
            self.created_from,
            self.created_to,
            [status.value for status in self.statuses] or None,
        )


def _literally(text: str) -> str:
    """The text as a part of a LIKE pattern that means itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
