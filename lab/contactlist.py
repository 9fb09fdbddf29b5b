"""The demo's contact file, as an operator might get one: numbers in every spelling, and rows that are no contacts."""

import csv
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lab.subscribers import Behaviour, number

_FIRST = ("Aino", "Eino", "Helmi", "Väinö", "Sofía", "José", "Åsa", "Björn", "Maryam", "Reza", "Olivia", "Mikael")
_LAST = ("Korhonen", "Virtanen", "Mäkinen", "Nieminen", "Rodríguez", "Ahmadi", "Öberg", "Lindqvist", "O'Brien")
_LONGEST = 9000  # the numbers of one behaviour end at 9999


@dataclass(frozen=True, slots=True)
class ContactList:
    """What is in the file: `good` rows (the barred one among them), and `bad` ones that the import must refuse."""

    path: Path
    good: int
    bad: int
    barred: str  # E.164; on the do-not-call list, and first in the queue if it were not


def write(path: Path, count: int, seed: int) -> ContactList:
    """Write the file: `count` subscribers of the mix (at most 9000), one barred number, six rows to refuse."""
    if not 0 < count <= _LONGEST:
        raise ValueError(f"a list of {count}: 1 to {_LONGEST} contacts")
    lots = Random(seed)
    people = [number(Behaviour.MIX, index) for index in range(count)]
    barred = number(Behaviour.MIX, count)
    rows = [(_name(lots), _spelled(e164, lots), str(lots.randrange(3))) for e164 in people]
    rows.append((_name(lots), barred, "9"))
    refused = [
        ("No number", "", "0"),
        ("Too short", "040 12", "0"),
        ("Words", "call me maybe", "0"),
        ("Spreadsheet", "3.58401E+11", "0"),
        ("Priority", number(Behaviour.MIX, count + 1), "urgent"),
        ("Twice", people[0], "0"),
    ]
    for row in refused:
        rows.insert(lots.randrange(1, len(rows) + 1), row)
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("Name", "Phone", "Priority"), *rows])
    return ContactList(path, count + 1, len(refused), barred)


def _name(lots: Random) -> str:
    return f"{lots.choice(_FIRST)} {lots.choice(_LAST)}"


def _spelled(e164: str, lots: Random) -> str:
    """One of the ways in which people write +358401000001."""
    area, rest = e164[4:6], e164[6:]
    return lots.choice((
        e164,
        f"+358 {area} {rest[:3]} {rest[3:]}",
        f"0{area} {rest[:3]} {rest[3:]}",
        f"0{area}-{rest}",
        f"(0{area}) {rest}",
        f"00358{area}{rest}",
    ))  # fmt: skip
