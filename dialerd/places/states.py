"""Which state a national destination code ("area code") lies in: writes `dialerd/core/states.py`.

    python -m dialerd.places.states

From what phonenumbers' geocoder says of ranges of numbers ("San Francisco, CA", "California", "Bengaluru, Karnataka"),
for the countries where that names a state as a rule. The geocoder costs some 95 MB of memory: the daemon has this table
in its place and never imports it. An area whose ranges lie in several states has none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from textwrap import wrap

import phonenumbers

TARGET = Path(__file__).resolve().parent.parent / "core" / "states.py"
COUNTRIES = ("AR", "BR", "CA", "CL", "CN", "IN", "JP", "UA", "US")
_AGREED = 0.9
_FILL = ("5550100000", "2345678901", "3456789012", "7000000000")  # what may stand behind a range to make it a number
_TAIL = re.compile(r".*(?:, *| - )(.+)\Z")
# The geocoder writes a state's name where that is all it knows, and its letters behind a town. The other territories of
# Canada share one area code.
_LETTERS = """
AL Alabama,AK Alaska,AZ Arizona,AR Arkansas,CA California,CO Colorado,CT Connecticut,DE Delaware,DC Washington D.C.,
FL Florida,GA Georgia,HI Hawaii,ID Idaho,IL Illinois,IN Indiana,IA Iowa,KS Kansas,KY Kentucky,LA Louisiana,ME Maine,
MD Maryland,MA Massachusetts,MI Michigan,MN Minnesota,MS Mississippi,MO Missouri,MT Montana,NE Nebraska,NV Nevada,
NH New Hampshire,NJ New Jersey,NM New Mexico,NY New York,NC North Carolina,ND North Dakota,OH Ohio,OK Oklahoma,
OR Oregon,PA Pennsylvania,RI Rhode Island,SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,UT Utah,VT Vermont,
VA Virginia,WA Washington State,WV West Virginia,WI Wisconsin,WY Wyoming,
AB Alberta,BC British Columbia,BC British Colombia,MB Manitoba,NB New Brunswick,NL Newfoundland and Labrador,ON Ontario,
QC Quebec,SK Saskatchewan,
AL Alagoas,AP Amapá,BA Bahia,CE Ceará,ES Espirito Santo,GO Goiás,MA Maranhão,MG Minas Gerais,MS Mato Grosso do Sul,
MT Mato Grosso,PA Pará,PB Paraiba,PE Pernambuco,PI Piauí,PR Paraná,RJ Rio de Janeiro,RN Rio Grande do Norte,
RO Rondônia,RR Roraima,RS Rio Grande do Sul,SC Santa Catarina,SE Sergipe,SP São Paulo,TO Tocantins,AC Acre,AM Amazonas,
DF Federal District
"""
_SHORT = {name: letters for letters, _, name in (one.strip().partition(" ") for one in _LETTERS.split(","))}
_SHORT |= {"Mumbai": "Maharashtra", "Dnipropetrovsk/Dnipro": "Dnipro", "Kyiv city": "Kyiv"}


def areas() -> dict[str, dict[str, str]]:
    """Country → area code → state, as `core.nearness` names states. Imports the geocoder."""
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for digits, description in _descriptions():
        number = _number(digits)
        if number is None:
            continue
        country = phonenumbers.region_code_for_number(number)
        size = phonenumbers.length_of_national_destination_code(number)
        if country in COUNTRIES and size:
            area = phonenumbers.national_significant_number(number)[:size]
            votes[country, area][_state(description)] += 1
    found: dict[str, dict[str, str]] = {}
    for (country, area), counted in sorted(votes.items()):
        ((state, times),) = counted.most_common(1)
        if times >= _AGREED * counted.total() and "/" not in state:
            found.setdefault(country, {})[area] = state
    return found


def _descriptions() -> Iterator[tuple[str, str]]:
    from phonenumbers.geodata import GEOCODE_DATA

    codes = {str(phonenumbers.country_code_for_region(country)) for country in COUNTRIES}
    for digits, said in GEOCODE_DATA.items():
        if "en" in said and any(digits.startswith(code) for code in codes):
            yield digits, said["en"]


def _number(digits: str) -> phonenumbers.PhoneNumber | None:
    """A valid number that begins with these digits, if one is found."""
    for length in range(10, 14):
        for fill in _FILL:
            try:
                number = phonenumbers.parse("+" + (digits + fill)[: max(length, len(digits))])
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                return number
    return None


def _state(description: str) -> str:
    tail = _TAIL.match(description)
    name = tail[1] if tail else description
    return _SHORT.get(name, name).replace(" ", "_")


def text() -> str:
    """The module that `core.nearness` imports."""
    lines = [
        '"""Country and area code → state: written by `python -m dialerd.places.states`, not by hand."""',
        "",
        "# Country: state, then its area codes (21:23 is 212 and 213); the next state behind a comma.",
        "AREAS = {",
    ]
    for country, known in areas().items():
        of: dict[str, list[str]] = defaultdict(list)
        for area, state in known.items():
            of[state].append(area)
        listed = ", ".join(" ".join((state, *_folded(codes))) for state, codes in sorted(of.items()))
        lines += [f'    "{country}": """', *wrap(listed, 118, break_long_words=False, break_on_hyphens=False), '""",']
    return "\n".join([*lines, "}", ""])


def _folded(codes: list[str]) -> Iterator[str]:
    """Codes that differ in the last digit only as one word."""
    for start, alike in groupby(codes, key=lambda code: code[:-1]):
        last = "".join(code[-1] for code in alike)
        yield f"{start}:{last}" if len(last) > 1 else start + last


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
