"""`dialer-admin profile`: the legal profiles that a campaign may name, with their sources."""

from collections.abc import Iterator

import click
from pydantic import BaseModel

from dialerd.cli.common import Session, command, say, show_fields, show_json, show_table
from dialerd.core.profile import Profile, Section
from dialerd.core.windows import describe
from dialerd.places.profiles import UnknownProfile, names, profile
from dialerd.store.errors import NotFound


@click.group("profile")
def group() -> None:
    """Legal profiles: what a jurisdiction's rules say about outbound calls. They are no legal advice.

    dialerd keeps a profile's hours, holidays, refusals of marketing, limits and lockouts, its shortest ring and its
    cap on abandoned calls; the rest is for you to read.
    """


@command(group, "list")
async def list_command(session: Session, as_json: bool) -> None:
    """The profiles, with their hours for marketing calls."""
    found = [profile(name) for name in names()]
    if as_json:
        show_json({"profiles": [_summary(p) for p in found]})
    else:
        show_table(
            ("NAME", "COUNTRY", "HOURS", "HOLIDAYS", "MARKETING", "MARKS", "TITLE"),
            [(*_summary(p).values(),) for p in found],
        )
    say(found[0].check)


@command(group, "show")
@click.argument("name")
async def show(session: Session, as_json: bool, name: str) -> None:
    """One profile in full: every rule with its source and how sure it is."""
    try:
        found = profile(name)
    except UnknownProfile as error:
        raise NotFound(str(error)) from None
    if as_json:
        show_json(found.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        show_fields({"name": found.name, "title": found.title, "country": found.country, "gathered": found.gathered})
        show_table(("SECTION", "RULE", "MARK", "SOURCE", "NOTE"), _rows(found))
        say("A section that is missing means that no rule was found, not that there is none.")
    say(found.check)


def _summary(found: Profile) -> dict[str, object]:
    windows = found.windows("marketing")
    marks = {section.mark for _, section in _sections(found)}
    return {
        "name": found.name,
        "country": found.country,
        "hours": None if windows is None else describe(windows),
        "holidays": "closed" if found.keeps_holidays() else "",
        "marketing": "refused" if found.refuses("marketing") else "allowed",
        "marks": sorted(marks),
        "title": found.title,
    }


def _sections(found: Profile) -> Iterator[tuple[str, Section]]:
    for name, value in found:
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Section):
                yield name, part


def _rows(found: Profile) -> Iterator[tuple[str, str, str, str, str]]:
    for name, section in _sections(found):
        yield name, _rule(section), section.mark, section.source, section.note


def _rule(section: BaseModel) -> str:
    fields = section.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"source", "mark", "note"})
    return "; ".join(f"{key}: {', '.join(v) if isinstance(v, list) else v}" for key, v in fields.items() if v != [])


def register(cli: click.Group) -> None:
    """Add this file's commands."""
    cli.add_command(group)
