"""Requests of the HTTP API into checked values, and the store's refusals into Problems."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dialerd.core.callerid_file import EntryRefused
from dialerd.core.phone import NumberRefused
from dialerd.core.selection import SelectionRefused
from dialerd.core.textrows import FileRefused
from dialerd.core.windows import WindowRefused
from dialerd.store.errors import NotFound, Refused
from dialerd.web.errors import Problem

MAX_ID = 2**63 - 1


def _storable(text: str) -> str:
    text.encode()  # half a surrogate pair is a ValueError
    if "\0" in text:
        raise ValueError("NUL is no character of a text")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_storable)]
LongText = Annotated[str, Field(max_length=4000), AfterValidator(_storable)]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]


class Form(BaseModel):
    """A request's fields. Unknown ones are passed over, because older clients send their own."""

    model_config = ConfigDict(frozen=True, extra="ignore")


F = TypeVar("F", bound=Form)


def read(form: type[F], fields: Mapping[str, Any]) -> F:
    """The fields, checked. Raises `Problem` 422 that names the first wrong one."""
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Problem(422, "invalid", f"{where}: {first['msg']}", "Nothing was done.") from None


@asynccontextmanager
async def refusals() -> AsyncIterator[None]:
    """What the store says no to, as a Problem."""
    try:
        yield
    except NotFound as error:
        raise Problem(404, "not_found", f"{error}.") from None
    except (NumberRefused, SelectionRefused, WindowRefused, FileRefused, EntryRefused) as error:
        raise Problem(422, "invalid", f"{error}.", "Nothing was done.") from None
    except Refused as error:
        raise Problem(409, "refused", f"{error}.", "Nothing was done.") from None
    except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.SerializationError):
        raise Problem(503, "busy", "The same rows are being changed just now.", "Try again.") from None
    except (asyncpg.QueryCanceledError, TimeoutError):
        raise Problem(503, "too_slow", "PostgreSQL needs too long for this.", "Narrow the filter.") from None
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        raise Problem(503, "postgres_down", "PostgreSQL is not connected.", "Look at /health; try again.") from None


def moment(text: str, zone: str) -> datetime:
    """An ISO-8601 time; in `zone` where it names no offset. Raises ValueError."""
    found = datetime.fromisoformat(text.strip())
    found = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
    if not 1970 < found.year < 9000:  # so that no conversion leaves datetime's range
        raise ValueError("year")
    return found


def boundary(text: str, zone: str, *, end: bool) -> datetime:
    """A time, or a whole day of `zone`: its beginning, as an end the next day's. Raises ValueError."""
    if len(text) > 10:
        return moment(text, zone)
    day = date.fromisoformat(text)
    if not 1970 < day.year < 9000:
        raise ValueError("year")
    return datetime.combine(day + timedelta(days=end), time(0), ZoneInfo(zone))
