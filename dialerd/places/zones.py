"""Which country an IANA zone lies in, by the tables of the `tzdata` package (zone.tab, and tzdata.zi for old names)."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def country_of() -> Mapping[str, str]:
    """Zone → country (ISO 3166). Zones of no country (UTC, Etc/…) are missing."""
    folder = files("tzdata") / "zoneinfo"
    found = {}
    for line in (folder / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found[zone] = country
    links = {}
    for line in (folder / "tzdata.zi").read_text(encoding="utf-8").splitlines():
        if line.startswith("L "):
            _, target, name = line.split()
            links[name] = target
    for name in links.keys() - found.keys():
        target = name
        while target in links and target not in found:
            target = links[target]
        if target in found:
            found[name] = found[target]
    return found


@cache
def main_zone(country: str) -> str | None:
    """The zone in which most of a country (ISO 3166) lives: zone.tab names it first."""
    return next((zone for zone, of in country_of().items() if of == country), None)
