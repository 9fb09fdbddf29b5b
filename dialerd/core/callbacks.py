"""The time of a callback: what people say, in the zone of the person, into one moment; or why it is none."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from dialerd.core.calendar import clock_of

MAX_AHEAD = timedelta(days=366)
_TEXT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{1,2}:[0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})?\Z", re.ASCII)


class CallbackRefused(ValueError):
    """No callback can be agreed like this; `reason` is one word for programs.

    bad_time, unknown_zone, several_zones, skipped_time, repeated_time, past, too_far; `store.callbacks` adds its own.
    """

    def __init__(self, reason: str, says: str) -> None:
        super().__init__(says)
        self.reason = reason


def moment(text: str, zones: Collection[str], zone: str | None, now: datetime) -> datetime:
    """When a callback is due (UTC). `text`: `2026-11-23 14:30`, in `zone`, else in the number's `zones` where they
    agree; with an offset (`…+02:00`, `…Z`) it needs no zone. Raises `CallbackRefused`."""
    match = _TEXT.match(text.strip())
    try:
        local = datetime.fromisoformat(f"{match[1]}T{match[2]:0>5}") if match else None
    except ValueError:
        local = None
    if match is None or local is None:
        raise CallbackRefused("bad_time", f"{text[:40]!r} is no time: write it as 2026-11-23 14:30")
    if match[3]:
        try:
            at = datetime.fromisoformat(f"{local.isoformat()}{match[3]}").astimezone(UTC)
        except (ValueError, OverflowError):
            raise CallbackRefused("bad_time", f"{text[:40]!r}: no such offset from UTC") from None
    else:
        at = _in_zones(local, [zone] if zone else sorted(zones))
    if at <= now:
        raise CallbackRefused("past", f"{at:%Y-%m-%d %H:%M} UTC is over")
    if at > now + MAX_AHEAD:
        raise CallbackRefused("too_far", f"at most {MAX_AHEAD.days} days ahead")
    return at


def _in_zones(local: datetime, zones: Collection[str]) -> datetime:
    if not zones:
        raise CallbackRefused("unknown_zone", "the number's zone is not known: say which one is meant")
    found = {zone: _in_zone(local, zone) for zone in zones}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{zone} ({at:%H:%M} UTC)" for zone, at in list(found.items())[:8])
        raise CallbackRefused("several_zones", f"the number may lie in {told}: say which zone is meant")
    return next(iter(found.values()))


def _in_zone(local: datetime, zone: str) -> datetime:
    clock = clock_of(zone)
    if clock is None:
        raise CallbackRefused("unknown_zone", f"no zone is called {zone[:60]!r}; one is, for instance, Europe/Helsinki")
    try:
        first, second = (local.replace(tzinfo=clock, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        raise CallbackRefused("bad_time", f"{local} is no time of a calendar") from None
    if first == second:
        return first
    if first.astimezone(clock).replace(tzinfo=None) != local:
        says = f"in {zone} the clocks are put forward over {local:%H:%M} on that day: there is no such time"
        raise CallbackRefused("skipped_time", says)
    offsets = " or ".join(at.astimezone(clock).isoformat(timespec="minutes") for at in (first, second))
    raise CallbackRefused("repeated_time", f"in {zone} {local:%H:%M} comes twice on that day: write {offsets}")
